//! Servers of the local network, which tell each other of themselves by multicast (RFC 6762 and 6763).
//!
//! The instance is named after the server's id, and so is its host, since each has addresses of its own. Its texts:
//!
//! | key | value |
//! |---|---|
//! | `v` | `1`: what the others mean |
//! | `id` | the server's id |
//! | `c` | a hash of its cluster's name: others are not told of |
//! | `a` | where it is reached according to its configuration, `host:port`, if that says so |

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{Level, debug, log};
use mdns_sd::{
    DaemonEvent, Error, Receiver, RecvTimeoutError, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo,
};
use onehop::config::{HostPort, Source};
use onehop::discovery::Found;

use crate::audience::{Audience, pause};
use crate::{MAX_CACHED_RECORDS, MAX_ID_BYTES, MAX_SERVICE_ADDRESSES, MAX_SERVICES, Own};

/// Announces and listens until it is dropped, which withdraws the announcement.
pub(crate) struct Mdns {
    daemon: DaemonSlot,
    thread: Option<JoinHandle<()>>,
}

/// What speaks mDNS now. Whoever takes it out shuts it down.
type DaemonSlot = Arc<Mutex<Option<ServiceDaemon>>>;

impl Mdns {
    /// # Errors
    /// No thread can be started, or what is to be told of this server is too long. That multicast fails is no error: it is
    /// tried again.
    pub(crate) fn start(own: &Own, interval: Duration, audience: Arc<Audience>) -> io::Result<Self> {
        let invalid = |fault: Error| io::Error::new(io::ErrorKind::InvalidInput, fault.to_string());
        let announcement = announcement(own).map_err(invalid)?;
        let daemon = DaemonSlot::default();
        let listening = Listening {
            slot: daemon.clone(),
            announcement,
            reader: Reader::new(own),
            interval,
            audience,
            known: BTreeMap::new(),
        };
        let thread = thread::Builder::new().name("onehop-mdns".to_owned());
        let thread = Some(thread.spawn(move || listening.run())?);
        Ok(Self { daemon, thread })
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        // The thread hears of that, too.
        shut_down(&self.daemon);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("The thread that listens to mDNS panicked");
        }
    }
}

/// Withdraws the announcement, for which there is a moment, and ends the daemon.
fn shut_down(slot: &DaemonSlot) {
    let daemon = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(daemon) = daemon else {
        return;
    };
    let began = Instant::now();
    loop {
        match daemon.shutdown() {
            Ok(ended) => {
                let _ = ended.recv_timeout(SHUTDOWN_PATIENCE);
                return;
            }
            // It has too much to do to take orders.
            Err(Error::Again) if began.elapsed() < SHUTDOWN_PATIENCE => thread::sleep(AGAIN_PAUSE),
            Err(_) => return,
        }
    }
}

/// The thread that hears what the daemon finds.
struct Listening {
    slot: DaemonSlot,
    announcement: ServiceInfo,
    reader: Reader,
    interval: Duration,
    audience: Arc<Audience>,
    /// Who announced himself, by the name of the instance; at most [`MAX_SERVICES`].
    known: BTreeMap<String, Service>,
}

/// A server that announced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Service {
    id: String,
    found: Vec<Found>,
}

impl Listening {
    /// One daemon after the other, each for as long as it is of use.
    fn run(mut self) {
        let mut last_trouble = None;
        loop {
            let trouble = self.run_daemon().err();
            shut_down(&self.slot);
            self.known.clear();
            if !self.audience.is_there() {
                return;
            }
            let level = if trouble == last_trouble { Level::Debug } else { Level::Warn };
            if let Some(trouble) = &trouble {
                log!(level, "Cannot look for servers of the local network: {trouble}");
            }
            last_trouble = trouble;
            if !self.audience.wait(pause(self.interval)) {
                return;
            }
        }
    }

    /// Announces and listens until nobody hears any more.
    ///
    /// # Errors
    /// Another daemon is to be tried.
    fn run_daemon(&mut self) -> Result<(), String> {
        let failed = |fault: Error| fault.to_string();
        let daemon = ServiceDaemon::new().map_err(failed)?;
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(daemon.clone());
        let news = daemon.monitor().map_err(failed)?;
        daemon.register(self.announcement.clone()).map_err(failed)?;
        let mut events = daemon.browse(SERVICE_TYPE).map_err(failed)?;
        let mut was_announced = false;
        while self.audience.is_there() {
            self.listen(&events, Instant::now() + pause(self.interval).clamp(SHORTEST_LOOK, LONGEST_LOOK));
            was_announced |= news.try_iter().any(|event| matches!(event, DaemonEvent::Announce(..)));
            if !self.audience.is_there() {
                // Nor does the daemon answer any more.
                break;
            }
            // A daemon does not try again to open its sockets.
            if !was_announced {
                return Err("no interface takes multicast".to_owned());
            }
            check_cache(&daemon)?;
            self.tell_again();
            // The daemon itself asks less and less often, and no more once its events were too many at a time.
            if self.known.is_empty() || events.is_disconnected() {
                events = daemon.browse(SERVICE_TYPE).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn listen(&mut self, events: &Receiver<ServiceEvent>, until: Instant) {
        while Instant::now() < until {
            match events.recv_deadline(until) {
                Ok(ServiceEvent::ServiceResolved(service)) => self.handle_resolved(&service),
                Ok(ServiceEvent::ServiceRemoved(_, instance)) => drop(self.known.remove(&instance)),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    let remaining = until.saturating_duration_since(Instant::now());
                    self.audience.wait(remaining);
                    return;
                }
            }
        }
    }

    /// Tells of a server when it announces itself, and when something about it changed.
    fn handle_resolved(&mut self, resolved: &ResolvedService) {
        let Some(service) = self.reader.read(resolved) else {
            self.known.remove(&resolved.fullname);
            return;
        };
        let known = self.known.get(&resolved.fullname);
        if known == Some(&service) {
            return;
        }
        let has_place = known.is_some() || self.known.len() < MAX_SERVICES;
        self.audience.tell(Source::Mdns, &service.id, service.found.clone());
        if has_place {
            self.known.insert(resolved.fullname.clone(), service);
        } else {
            debug!(
                "More than {MAX_SERVICES} servers in the local network: {} is told of only once",
                service.id
            );
        }
    }

    fn tell_again(&self) {
        for service in self.known.values() {
            self.audience.tell(Source::Mdns, &service.id, service.found.clone());
        }
    }
}

/// What others announce is kept by the daemon without a limit.
fn check_cache(daemon: &ServiceDaemon) -> Result<(), String> {
    let metrics = daemon.get_metrics().map_err(|fault| fault.to_string())?;
    let metrics = metrics.recv_timeout(METRICS_PATIENCE).map_err(|_| "the daemon does not answer")?;
    let cached = metrics.iter().filter(|(name, _)| name.starts_with("cached-"));
    let records: i64 = cached.map(|(_, count)| *count).sum();
    if usize::try_from(records).is_ok_and(|records| records > MAX_CACHED_RECORDS) {
        return Err("others announce too much".to_owned());
    }
    Ok(())
}

/// What is told of this server. On each interface that is with the addresses which it has there.
fn announcement(own: &Own) -> Result<ServiceInfo, Error> {
    let name = label(&own.server_id);
    let cluster = cluster_hash(&own.cluster);
    let mut texts = vec![("v", VERSION), ("id", &own.server_id), ("c", &cluster)];
    let advertised = own.advertise.clone().map(|advertised| {
        let port = Some(advertised.port.unwrap_or(own.route_port));
        HostPort { port, ..advertised }.to_string()
    });
    texts.extend(advertised.as_deref().map(|advertised| ("a", advertised)));
    let host = format!("{name}.local.");
    let announcement = ServiceInfo::new(SERVICE_TYPE, &name, &host, (), own.route_port, &texts[..])?;
    Ok(announcement.enable_addr_auto())
}

/// As much of an id as fits into a label of a name in DNS, with room for what makes it unique.
fn label(id: &str) -> String {
    let letters = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    let label: String = letters.take(MAX_LABEL_BYTES).collect();
    if label.is_empty() { "onehop".to_owned() } else { label }
}

/// Tells clusters apart without naming them: FNV-1a of 64 bits. It hides no name from who guesses it.
fn cluster_hash(name: &str) -> String {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Reads what others announce.
struct Reader {
    own_id: String,
    cluster: String,
}

impl Reader {
    fn new(own: &Own) -> Self {
        Self { own_id: own.server_id.clone(), cluster: cluster_hash(&own.cluster) }
    }

    /// A server of the same cluster, unless it is this one.
    fn read(&self, resolved: &ResolvedService) -> Option<Service> {
        let text = |key| resolved.get_property_val_str(key);
        if text("v") != Some(VERSION) || text("c") != Some(&self.cluster) || resolved.port == 0 {
            return None;
        }
        let is_id = |id: &&str| {
            (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let id = text("id").filter(is_id).filter(|id| *id != self.own_id)?;
        let advertised = text("a").and_then(|text| text.parse().ok());
        let ips = resolved.addresses.iter().map(|address| address.to_ip_addr());
        let found = likely_addresses(advertised, ips, resolved.port).into_iter();
        let found = found.map(|address| Found { address, server_id: Some(id.to_owned()) }).collect();
        Some(Service { id: id.to_owned(), found })
    }
}

/// Where a server may be reached, the likely first.
fn likely_addresses(
    advertised: Option<HostPort>,
    ips: impl Iterator<Item = IpAddr>,
    port: u16,
) -> Vec<HostPort> {
    let advertised =
        advertised.map(|address| HostPort { port: Some(address.port.unwrap_or(port)), ..address });
    let mut ips: BTreeSet<_> = ips.map(|ip| ip.to_canonical()).filter(is_dialable).collect();
    if ips.iter().any(|ip| !ip.is_loopback()) {
        ips.retain(|ip| !ip.is_loopback());
    }
    let ips = ips.into_iter().map(|ip| HostPort { host: ip.to_string(), port: Some(port) });
    let ips = ips.filter(|address| Some(address) != advertised.as_ref());
    advertised.iter().cloned().chain(ips).take(MAX_SERVICE_ADDRESSES).collect()
}

/// Whether one server can be there. Link-local addresses of IPv6 mean something only together with an interface.
fn is_dialable(ip: &IpAddr) -> bool {
    let is_of_no_use = match ip {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !is_of_no_use && !ip.is_unspecified() && !ip.is_multicast()
}

const SERVICE_TYPE: &str = "_onehop._tcp.local.";

const VERSION: &str = "1";

/// Of the 63 that there may be. Of two equal names, one becomes `NAME (2)`.
const MAX_LABEL_BYTES: usize = 56;

/// How long the daemon may take to withdraw the announcement.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(1);

const AGAIN_PAUSE: Duration = Duration::from_millis(10);

const METRICS_PATIENCE: Duration = Duration::from_secs(2);

/// To be announced takes a second or two.
const SHORTEST_LOOK: Duration = Duration::from_secs(10);

/// So long the daemon may remember more of others than it should.
const LONGEST_LOOK: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use onehop::discovery::DamagedFile;

    use super::*;
    use crate::Listener;

    fn own(id: &str, cluster: &str) -> Own {
        Own {
            server_id: id.to_owned(),
            cluster: cluster.to_owned(),
            route_port: 6222,
            client_port: 4222,
            advertise: None,
        }
    }

    /// What others hear of a server with these addresses.
    fn resolved(own: &Own, ips: &str) -> ResolvedService {
        let announced = announcement(own).unwrap();
        let texts = announced.get_properties().clone();
        let texts: Vec<_> = texts.iter().cloned().collect();
        let host = announced.get_hostname();
        let with_addresses = ServiceInfo::new(SERVICE_TYPE, "x", host, ips, announced.get_port(), texts);
        with_addresses.unwrap().as_resolved_service()
    }

    fn read(own: &Own, resolved: &ResolvedService) -> Option<(String, Vec<String>)> {
        let service = Reader::new(own).read(resolved)?;
        let addresses = service.found.iter().map(|found| {
            assert_eq!(found.server_id.as_ref(), Some(&service.id));
            found.address.to_string()
        });
        let addresses = addresses.collect();
        Some((service.id, addresses))
    }

    #[test]
    fn a_server_of_the_same_cluster_is_found_by_its_addresses_and_known_by_its_id() {
        let (id, addresses) = read(&own("NA", "C"), &resolved(&own("NB", "C"), "10.0.0.1,fd00::1")).unwrap();
        assert_eq!(id, "NB");
        assert_eq!(addresses, ["10.0.0.1:6222", "[fd00::1]:6222"]);
    }

    #[test]
    fn this_server_and_those_of_other_clusters_are_not_told_of() {
        let a = own("NA", "C");
        assert_eq!(read(&a, &resolved(&a, "10.0.0.1")), None);
        assert_eq!(read(&a, &resolved(&own("NB", "D"), "10.0.0.1")), None);
    }

    #[test]
    fn an_advertised_address_comes_first() {
        let advertise = |text: &str| Some(text.parse().unwrap());
        let with = |text| resolved(&Own { advertise: advertise(text), ..own("NB", "C") }, "10.0.0.1");
        let found = |text| read(&own("NA", "C"), &with(text)).unwrap().1;
        assert_eq!(found("b.example"), ["b.example:6222", "10.0.0.1:6222"]);
        assert_eq!(found("b.example:7"), ["b.example:7", "10.0.0.1:6222"]);
        assert_eq!(found("10.0.0.1"), ["10.0.0.1:6222"]);
    }

    #[test]
    fn loopback_is_for_who_has_nothing_else_and_what_cannot_be_dialed_is_left_out() {
        let found = |ips| read(&own("NA", "C"), &resolved(&own("NB", "C"), ips)).unwrap().1;
        assert_eq!(found("127.0.0.1,::1"), ["127.0.0.1:6222", "[::1]:6222"]);
        assert_eq!(found("127.0.0.1,::1,10.0.0.1"), ["10.0.0.1:6222"]);
        assert_eq!(found("fe80::1,0.0.0.0,::,224.0.0.1,ff02::1,255.255.255.255"), [""; 0]);
        assert_eq!(found("::ffff:10.0.0.1"), ["10.0.0.1:6222"]);
    }

    #[test]
    fn a_server_has_so_many_addresses_at_the_most() {
        let ips: Vec<_> = (0..100).map(|last| format!("10.0.0.{last}")).collect();
        let (_, addresses) = read(&own("NA", "C"), &resolved(&own("NB", "C"), &ips.join(","))).unwrap();
        assert_eq!(addresses.len(), MAX_SERVICE_ADDRESSES);
    }

    #[test]
    fn what_is_announced_otherwise_is_ignored() {
        let a = own("NA", "C");
        let cluster = cluster_hash("C");
        let read = |texts: &[(&str, &str)], port| {
            let other = ServiceInfo::new(SERVICE_TYPE, "x", "x.local.", "10.0.0.1", port, texts);
            read(&a, &other.unwrap().as_resolved_service())
        };
        let long = "N".repeat(MAX_ID_BYTES + 1);
        assert!(read(&[("v", "1"), ("id", "NB"), ("c", &cluster), ("new", "x")], 1).is_some());
        assert!(read(&[("v", "1"), ("id", "NB"), ("c", &cluster), ("a", "no host:x")], 1).is_some());
        assert_eq!(read(&[("v", "1"), ("id", "NB"), ("c", &cluster)], 0), None);
        assert_eq!(read(&[("v", "2"), ("id", "NB"), ("c", &cluster)], 1), None);
        assert_eq!(read(&[("id", "NB"), ("c", &cluster)], 1), None);
        assert_eq!(read(&[("v", "1"), ("id", "NB")], 1), None);
        for id in ["", "N B", "N\u{e9}", "N\x1b[0m", &long] {
            assert_eq!(read(&[("v", "1"), ("id", id), ("c", &cluster)], 1), None, "{id}");
        }
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Listener for Count {
        fn found(&self, _: Source, _: &str, _: Vec<Found>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn load(&self, text: &str) -> Result<(), DamagedFile> {
            panic!("{text} is loaded")
        }
    }

    #[test]
    fn so_many_servers_are_remembered_and_others_are_told_of_when_they_announce_themselves() {
        let a = own("NA", "C");
        let count = Arc::new(Count::default());
        let mut listening = Listening {
            slot: DaemonSlot::default(),
            announcement: announcement(&a).unwrap(),
            reader: Reader::new(&a),
            interval: Duration::ZERO,
            audience: Arc::new(Audience::new(count.clone())),
            known: BTreeMap::new(),
        };
        let tell = |listening: &mut Listening, number: usize, ip| {
            let before = count.0.load(Ordering::Relaxed);
            let mut service = resolved(&own(&format!("N{number}"), "C"), ip);
            service.fullname = format!("{number}.{SERVICE_TYPE}");
            listening.handle_resolved(&service);
            count.0.load(Ordering::Relaxed) - before
        };
        for number in 0..MAX_SERVICES + 10 {
            assert_eq!(tell(&mut listening, number, "10.0.0.1"), 1);
        }
        assert_eq!(listening.known.len(), MAX_SERVICES);
        assert_eq!(tell(&mut listening, 0, "10.0.0.1"), 0, "nothing is new");
        assert_eq!(tell(&mut listening, 0, "10.0.0.2"), 1, "it has another address");
        assert_eq!(tell(&mut listening, MAX_SERVICES, "10.0.0.1"), 1, "it was not remembered");
        listening.tell_again();
        assert_eq!(count.0.load(Ordering::Relaxed), MAX_SERVICES + 10 + 2 + MAX_SERVICES);
    }

    #[test]
    fn a_name_fits_into_a_label_whatever_the_id() {
        assert_eq!(label("NAB-1"), "NAB-1");
        assert_eq!(label("N.\u{e9} /\0B"), "NB");
        assert_eq!(label(""), "onehop");
        assert_eq!(label(&"N".repeat(100)).len(), MAX_LABEL_BYTES);
        assert!(announcement(&own(&"N".repeat(300), "C")).is_err(), "a text has 255 bytes at the most");
    }

    #[test]
    fn the_hash_of_a_cluster_is_the_same_everywhere() {
        assert_eq!(cluster_hash(""), "cbf29ce484222325");
        assert_eq!(cluster_hash("foobar"), "85944171f73967e8");
    }
}
