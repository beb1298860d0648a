//! Prints what the sources tell: `watch CLUSTER [NAME…]` looks in the local network for servers of a cluster, among which it
//! announces itself, and for the addresses of names.

use std::sync::Arc;
use std::{env, io, process, thread};

use onehop::config::{Discovery, HostPort, Source};
use onehop::discovery::{DamagedFile, Found};
use onehop_discovery::{Listener, Own, Sources};

struct Print;

impl Listener for Print {
    fn found(&self, source: Source, teller: &str, found: Vec<Found>) {
        let addresses: Vec<_> = found.iter().map(|found| found.address.to_string()).collect();
        println!("{source} {teller}: {}", addresses.join(" "));
    }

    fn load(&self, text: &str) -> Result<(), DamagedFile> {
        print!("{text}");
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let cluster = arguments.next().unwrap_or_default();
    let names: Result<Vec<HostPort>, _> = arguments.map(|name| name.parse()).collect();
    let dns = names.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
    let settings = Discovery { mdns: true, dns, ..Discovery::default() };
    let server_id = format!("WATCH{}", process::id());
    let own = Own { server_id, cluster, route_port: 6222, client_port: 4222, advertise: None };
    let _sources = Sources::start(&settings, &own, Arc::new(Print))?;
    loop {
        thread::park();
    }
}
