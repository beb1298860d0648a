//! Names whose addresses are servers, and services that name servers tell of (RFC 2782).

mod name_servers;
mod packet;
mod stub;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use log::{Level, info, log};
use onehop::config::{HostPort, Source};
use onehop::discovery::{DEFAULT_ROUTE_PORT, Found};

use self::name_servers::{NameServers, RESOLV_CONF};
use self::packet::Target;
use crate::MAX_ADDRESSES;
use crate::audience::{Audience, pause};

/// Starts a thread that asks for the addresses of a name again and again. Nobody waits for it: the system may take minutes
/// to say that it found nothing.
pub(crate) fn start(name: HostPort, interval: Duration, audience: Arc<Audience>) -> io::Result<()> {
    // Read each time, since it changes with the network that a device is in.
    start_with(name, interval, audience, || NameServers::read(Path::new(RESOLV_CONF)))
}

fn start_with(
    name: HostPort,
    interval: Duration,
    audience: Arc<Audience>,
    name_servers: impl Fn() -> NameServers + Send + 'static,
) -> io::Result<()> {
    let thread = thread::Builder::new().name("onehop-dns".to_owned());
    thread.spawn(move || ask_again_and_again(&name, interval, &audience, name_servers))?;
    Ok(())
}

fn ask_again_and_again(
    name: &HostPort,
    interval: Duration,
    audience: &Audience,
    name_servers: impl Fn() -> NameServers,
) {
    let teller = name.to_string();
    let mut last_failure = None;
    loop {
        let answer = if is_service(name) {
            find_service(&name.host, &name_servers(), audience)
        } else {
            find_host(name)
        };
        let next_pause = answer.pause(interval);
        audience.tell(Source::Dns, &teller, answer.found);
        log_change(&teller, last_failure.as_deref(), answer.failure.as_deref());
        last_failure = answer.failure;
        if !audience.wait(next_pause) {
            return;
        }
    }
}

/// What was found, and what an operator should know of what was not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    found: Vec<Found>,
    failure: Option<String>,
    /// So long it is true, if that is known.
    ttl: Option<Duration>,
}

impl Answer {
    fn failed(failure: impl ToString) -> Self {
        Self { failure: Some(failure.to_string()), ..Self::default() }
    }

    /// How long after this answer the next is asked for.
    fn pause(&self, interval: Duration) -> Duration {
        let interval = pause(interval);
        self.ttl.map_or(interval, |ttl| ttl.min(interval).max(SHORTEST_PAUSE))
    }
}

/// Whether a name is that of a service, since hosts have no such names.
fn is_service(name: &HostPort) -> bool {
    name.host.starts_with('_')
}

/// All addresses that the system knows, each once.
fn find_host(name: &HostPort) -> Answer {
    let port = name.port.unwrap_or(DEFAULT_ROUTE_PORT);
    match resolve(&name.host, port) {
        Ok(ips) => Answer { found: tell(ips.map(|ip| (ip, port))), ..Answer::default() },
        Err(fault) => Answer::failed(fault),
    }
}

/// All addresses of all hosts that have a service, each with the port that it has there.
fn find_service(name: &str, name_servers: &NameServers, audience: &Audience) -> Answer {
    let service = match stub::ask(name, name_servers, || audience.is_there()) {
        Ok(service) => service,
        Err(failure) => return Answer::failed(failure),
    };
    let (mut addresses, mut failure) = (Vec::new(), None);
    for target in service.targets {
        // Each may take minutes.
        if !audience.is_there() {
            break;
        }
        match target_ips(&target) {
            Ok(ips) => addresses.extend(ips.into_iter().map(|ip| (ip, target.port))),
            Err(fault) => failure = failure.or(Some(format!("{}: {fault}", target.host))),
        }
    }
    Answer { found: tell(addresses), failure, ttl: Some(service.ttl) }
}

/// Those that came along, or else those that the system knows.
fn target_ips(target: &Target) -> io::Result<Vec<IpAddr>> {
    if target.ips.is_empty() {
        Ok(resolve(&target.host, target.port)?.take(MAX_ADDRESSES).collect())
    } else {
        Ok(target.ips.clone())
    }
}

fn resolve(host: &str, port: u16) -> io::Result<impl Iterator<Item = IpAddr>> {
    Ok((host, port).to_socket_addrs()?.map(|address| address.ip()))
}

/// Each once, and no more than there is room for.
fn tell(addresses: impl IntoIterator<Item = (IpAddr, u16)>) -> Vec<Found> {
    let mut seen = BTreeSet::new();
    let addresses = addresses.into_iter().filter(|address| seen.insert(*address)).take(MAX_ADDRESSES);
    let host_port = |(ip, port): (IpAddr, u16)| HostPort { host: ip.to_string(), port: Some(port) };
    addresses.map(|address| Found { address: host_port(address), server_id: None }).collect()
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

/// Nobody is asked more often, although what he tells is true for no time.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
