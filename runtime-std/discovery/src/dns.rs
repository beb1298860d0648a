//! Names whose addresses are servers.

use std::collections::BTreeSet;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use log::{Level, info, log};
use onehop::config::{HostPort, Source};
use onehop::discovery::{DEFAULT_ROUTE_PORT, Found};

use crate::MAX_ADDRESSES;
use crate::audience::{Audience, pause};

/// Starts a thread that asks for the addresses of a name again and again. Nobody waits for it: the system may take minutes
/// to say that it found nothing.
pub(crate) fn start(name: HostPort, interval: Duration, audience: Arc<Audience>) -> io::Result<()> {
    let thread = thread::Builder::new().name("onehop-dns".to_owned());
    thread.spawn(move || ask_again_and_again(&name, interval, &audience))?;
    Ok(())
}

fn ask_again_and_again(name: &HostPort, interval: Duration, audience: &Audience) {
    let teller = name.to_string();
    let mut last_failure = None;
    loop {
        let failure = match resolve(name) {
            Ok(found) => {
                audience.tell(Source::Dns, &teller, found);
                None
            }
            Err(fault) => Some(fault.to_string()),
        };
        log_change(&teller, last_failure.as_deref(), failure.as_deref());
        last_failure = failure;
        if !audience.wait(pause(interval)) {
            return;
        }
    }
}

/// All addresses that the system knows, each once.
fn resolve(name: &HostPort) -> io::Result<Vec<Found>> {
    let port = name.port.unwrap_or(DEFAULT_ROUTE_PORT);
    let addresses = (name.host.as_str(), port).to_socket_addrs()?;
    let mut seen = BTreeSet::new();
    let addresses = addresses.map(|address| address.ip()).filter(|ip| seen.insert(*ip)).take(MAX_ADDRESSES);
    let found = |host: String| Found { address: HostPort { host, port: Some(port) }, server_id: None };
    Ok(addresses.map(|ip| found(ip.to_string())).collect())
}

fn log_change(name: &str, before: Option<&str>, now: Option<&str>) {
    match now {
        Some(failure) => {
            let level = if before == now { Level::Debug } else { Level::Warn };
            log!(level, "Cannot find servers by the name {name}: {failure}");
        }
        None if before.is_some() => info!("The name {name} has addresses again"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(name: &str) -> io::Result<Vec<(String, Option<u16>)>> {
        let found = resolve(&name.parse().unwrap())?;
        Ok(found.into_iter().map(|found| (found.address.host, found.address.port)).collect())
    }

    #[test]
    fn a_name_without_a_port_has_that_of_routes() {
        assert_eq!(hosts("127.0.0.1").unwrap(), [("127.0.0.1".to_owned(), Some(6222))]);
        assert_eq!(hosts("[::1]:7").unwrap(), [("::1".to_owned(), Some(7))]);
    }

    #[test]
    fn each_address_is_told_once() {
        let hosts = hosts("localhost:7").unwrap();
        let distinct: BTreeSet<_> = hosts.iter().collect();
        assert_eq!(distinct.len(), hosts.len());
        assert!(hosts.iter().any(|(host, _)| host == "127.0.0.1" || host == "::1"), "{hosts:?}");
    }

    #[test]
    fn a_name_that_does_not_exist_is_an_error() {
        assert!(hosts("nobody.invalid").is_err());
    }
}
