//! Where a onehop server hears of others: the sources of addresses that [`onehop::config::Discovery`] names, as threads of the
//! standard library, so that any runtime can use them.
//!
//! A source looks and tells; it decides nothing. Whom to dial, and when, is for [`onehop::discovery`], and who is a member for
//! the handshake. So what is told here needs no trust, and may be wrong, old or told twice.
//!
//! | source | feature | threads | asks |
//! |---|---|---|---|
//! | [`Source::Dns`] | `dns` | one per name | the system for all IPv4 and IPv6 addresses of a name; name servers for the hosts and ports of one that begins with an underscore |
//! | [`Source::Mdns`] | `mdns` | two | the local network for `_onehop._tcp.local.`, and tells it of this server |
//! | [`Source::Dht`] | `dht` | one, and one more for some seconds while it asks | the mainline DHT for what other members wrote there, and writes there itself ([`Sources::tell`]) |
//! | [`Source::Command`] | `command` | one | a program, which prints one `host:port` a line |
//! | [`Source::Frp`] | `frp` | one | the web server of an FRP client for the tunnels that lead to this server, and so where others reach it ([`Listener::reached_at`]) |
//! | [`Source::PeersFile`] | none | one | a file, at the start; from then on it is written ([`Sources::keep`]) |
//!
//! None of the features is on unless it is chosen; a source that is set and not built in is an error of [`Sources::start`].
//!
//! A source that fails does not end and stops nobody: it says so in the log, once until something changes, and asks again after
//! [`interval`](onehop::config::Discovery::interval), from which up to a tenth is taken at random. All threads are named
//! `onehop-…`, but for the one that `mdns-sd` starts (`mDNS_daemon`).
//!
//! # Services
//!
//! A name such as `_nats-route._tcp.example` is that of a service: its SRV records say which hosts have it, and at which ports, so a
//! port that is configured with the name says nothing. It is taken as a whole, no search domain is added. The name servers of
//! `/etc/resolv.conf` are asked, with its `timeout` and `attempts`, and where there are none, one on this machine: by UDP, and by
//! TCP where an answer is too long for that. Aliases (CNAME) are followed within the answer. All addresses of all hosts are told,
//! those of the lowest priority first, and of these those of the greatest weight: those that came along with the answer, or else
//! those that the system knows. The next answer is asked for as soon as the TTL of this one is over, not sooner than after a second,
//! nor later than after `interval`.
//!
//! # Tunnels
//!
//! The client of FRP is asked for its tunnels (`GET /api/status`, with basic authentication where a user or a password is set). A
//! tunnel of TCP whose `local_addr` has the route port, or that of clients, and whose `status` is `running` leads to this server from its
//! `remote_addr`; one that a plugin serves does not. That host is the `serverAddr` of the FRP client, which may be none that others
//! could connect to (`0.0.0.0`): the log says so. Of several such tunnels the one that is known stays; else those that end on this host come
//! first, and then the order of their names counts.
//! It is asked again after `interval`, and after a second while no tunnel leads to the route port, [so often](MAX_QUICK_LOOKS). An
//! address holds until it was lacking in two answers, or failures, in a row.
//!
//! # Limits
//!
//! | | |
//! |---|---|
//! | [`MAX_ADDRESSES`] | addresses of one name, or one answer of a program; what comes after them is left out |
//! | [`MAX_TARGETS`] | hosts of one service; those that are to be tried last are left out |
//! | [`MAX_DNS_ANSWER_BYTES`] | an answer of a name server; no longer one can be sent |
//! | [`MAX_DNS_TIMEOUT`], [`MAX_DNS_ATTEMPTS`], [`MAX_NAME_SERVERS`] | how long a name server is waited for, how often each is asked, and how many; `/etc/resolv.conf` may say less |
//! | [`MAX_FRP_ANSWER_BYTES`], [`FRP_TIMEOUT`] | an answer of an FRP client, and how long it may take; then it is a failure |
//! | [`MAX_QUICK_LOOKS`] | looks for a tunnel in a row that are a second apart; then they are as far apart as ever |
//! | [`MAX_OUTPUT_BYTES`] | what a program may print; then it is killed, and the whole lines before that count |
//! | [`COMMAND_TIMEOUT`] | how long it may take; the same |
//! | [`MAX_SERVICES`] | servers of the local network that are told of again and again; others are told of only when they announce themselves |
//! | [`MAX_SERVICE_ADDRESSES`] | addresses of each |
//! | [`MAX_CACHED_RECORDS`] | what others may make mDNS remember; then it starts from nothing |
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use onehop::config::{Discovery, Source};
//! use onehop::discovery::{DamagedFile, Found};
//! use onehop_discovery::{Listener, Own, Sources};
//!
//! struct Print;
//!
//! impl Listener for Print {
//!     fn found(&self, source: Source, teller: &str, found: Vec<Found>) {
//!         println!("{source} {teller}: {found:?}");
//!     }
//!
//!     fn load(&self, text: &str) -> Result<(), DamagedFile> {
//!         println!("{text}");
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let own = Own { server_id: "NA".to_owned(), cluster: "C".to_owned(), route_port: 6222, client_port: 4222, advertise: None };
//! let sources = Sources::start(&Discovery::default(), &own, Arc::new(Print))?;
//! drop(sources);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

#[cfg_attr(
    not(any(feature = "dns", feature = "mdns", feature = "dht", feature = "command")),
    allow(dead_code)
)]
mod audience;
#[cfg(all(feature = "command", unix))]
mod command;
#[cfg(feature = "dht")]
mod dht;
#[cfg(feature = "dns")]
mod dns;
#[cfg(feature = "frp")]
mod frp;
#[cfg(feature = "mdns")]
mod mdns;
mod peers_file;
#[cfg(feature = "dht")]
mod public;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use log::warn;
use onehop::Node;
use onehop::config::{ClusterConfig, Discovery, HostPort, Source};
use onehop::discovery::{DamagedFile, Found, Reach, ReachedAt};

use crate::audience::Audience;
use crate::peers_file::PeersFile;

/// Who hears what sources tell. Called from their threads, by one at a time.
pub trait Listener: Send + Sync + 'static {
    /// A source told of these servers, of one at least. It tells of them again and again for as long as it knows them.
    ///
    /// `teller` tells the informants of a source apart: the name for [`Source::Dns`], the id of the server that announced itself
    /// for [`Source::Mdns`], `slot` and a number for [`Source::Dht`], and "" for [`Source::Command`], which has only one. Ids are what others wrote: some
    /// [128 bytes](MAX_ID_BYTES) at the most, visible ASCII.
    ///
    /// Whoever ends the sources waits for this call, so it must not wait for him.
    fn found(&self, source: Source, teller: &str, found: Vec<Found>);

    /// A source knows something else than before of where others reach this server: for
    /// [`Node::handle_reached_at`](onehop::Node::handle_reached_at). Unless this is written, nobody hears of it.
    ///
    /// Whoever ends the sources waits for this call, too.
    fn reached_at(&self, source: Source, reached: ReachedAt) {
        let _ = (source, reached);
    }

    /// The text of the peers file, once, within [`Sources::start`]: for
    /// [`Node::load_known_servers`](onehop::Node::load_known_servers).
    ///
    /// # Errors
    /// It is no such text. That is said in the log.
    fn load(&self, text: &str) -> Result<(), DamagedFile>;
}

/// What this server tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its id, by which it knows its own announcement, too.
    pub server_id: String,
    /// The name of its cluster. Others hear only a hash of it.
    pub cluster: String,
    /// Where it listens for other servers.
    pub route_port: u16,
    /// Where it listens for clients.
    pub client_port: u16,
    /// Where others reach it, if that is configured. They are told of it before the addresses that the machine has.
    pub advertise: Option<HostPort>,
}

impl Own {
    /// What `node` has to tell, whose runtime listens for other servers at `route_port`.
    pub fn of(node: &Node, route_port: u16) -> Self {
        let hub = node.hub();
        Self {
            server_id: hub.server_id().to_owned(),
            cluster: node.cluster_name().unwrap_or_default(),
            route_port,
            client_port: hub.client_port(),
            advertise: hub.config().cluster.as_ref().and_then(ClusterConfig::reached_at),
        }
    }
}

/// All sources that are set, at work until they are dropped.
///
/// Once they are, nobody is told anything more, a program that ran is killed, and the announcement in the local network is
/// withdrawn. Only a thread that waits for the system to resolve a name, or for a name server, goes on until that answers.
pub struct Sources {
    audience: Arc<Audience>,
    #[cfg(all(feature = "command", unix))]
    _command: Option<command::Command>,
    #[cfg(feature = "dht")]
    dht: Option<dht::Dht>,
    #[cfg(feature = "mdns")]
    _mdns: Option<mdns::Mdns>,
    peers_file: Option<PeersFile>,
}

impl Sources {
    /// Starts those of `settings`.
    ///
    /// # Errors
    /// A source is set that is not built in ([`io::ErrorKind::Unsupported`]), or no thread can be started.
    pub fn start(settings: &Discovery, own: &Own, listener: Arc<dyn Listener>) -> io::Result<Self> {
        check_built_in(settings, is_built_in)?;
        #[cfg(not(any(feature = "mdns", feature = "dht", feature = "frp")))]
        let _ = own;
        // Dropped if one of them fails, so that none of the others goes on.
        let mut sources = Self {
            audience: Arc::new(Audience::new(listener.clone())),
            #[cfg(all(feature = "command", unix))]
            _command: None,
            #[cfg(feature = "dht")]
            dht: None,
            #[cfg(feature = "mdns")]
            _mdns: None,
            peers_file: None,
        };
        if let Some(path) = &settings.peers_file {
            load(path, &*listener);
            sources.peers_file = Some(PeersFile::start(path.into())?);
        }
        #[cfg(feature = "dns")]
        for name in &settings.dns {
            dns::start(name.clone(), settings.interval, sources.audience.clone())?;
        }
        #[cfg(all(feature = "command", unix))]
        if !settings.command.is_empty() {
            let limits = command::Limits::default();
            let started = command::Command::start(settings, limits, sources.audience.clone())?;
            sources._command = Some(started);
        }
        #[cfg(feature = "mdns")]
        if settings.mdns {
            sources._mdns = Some(mdns::Mdns::start(own, settings.interval, sources.audience.clone())?);
        }
        #[cfg(feature = "frp")]
        if let Some(frp) = &settings.frp {
            frp::start(frp, settings, own, frp::Limits::default(), sources.audience.clone())?;
        }
        #[cfg(feature = "dht")]
        if let (Some(dht), Some(secret)) = (&settings.dht, &settings.secret) {
            let pace = dht::Pace::default();
            sources.dht = Some(dht::Dht::start(dht, secret, own, pace, sources.audience.clone())?);
        }
        Ok(sources)
    }

    /// Whether anybody is told what [`Sources::tell`] is called with.
    pub fn tells(&self) -> bool {
        #[cfg(feature = "dht")]
        return self.dht.is_some();
        #[cfg(not(feature = "dht"))]
        return false;
    }

    /// Has others told who can be reached, as [`Node::reach`](onehop::Node::reach) says: a second later, if it is something new, though not
    /// more often than once in a minute. May be called as often as one likes.
    pub fn tell(&self, reach: Reach) {
        #[cfg(feature = "dht")]
        if let Some(dht) = &self.dht {
            dht.tell(reach);
        }
        #[cfg(not(feature = "dht"))]
        let _ = reach;
    }

    /// Has the peers file replaced, if there is one, by what [`Node::take_known_servers`](onehop::Node::take_known_servers) gave:
    /// a second later, or before the sources end.
    pub fn keep(&self, text: String) {
        if let Some(file) = &self.peers_file {
            file.keep(text);
        }
    }

    /// [`Sources::keep`] with what is new of `node`, if anything is.
    pub fn keep_known_servers_of(&self, node: &Node) {
        if let Some(text) = node.take_known_servers() {
            self.keep(text);
        }
    }

    /// [`Sources::tell`] with the reach of `node`, which is asked only if anybody is told.
    pub fn tell_reach_of(&self, node: &Node) {
        if self.tells() {
            self.tell(node.reach());
        }
    }
}

/// Whoever was a member is told of before anybody else.
fn load(path: &str, listener: &dyn Listener) {
    let text = peers_file::read(path.as_ref());
    if let Some(Err(fault)) = text.map(|text| listener.load(&text)) {
        warn!("Ignoring the peers file {path}: {fault}");
    }
}

/// What each source holds ends with it.
impl Drop for Sources {
    fn drop(&mut self) {
        self.audience.leave();
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

fn check_built_in(settings: &Discovery, is_built_in: impl Fn(Source) -> bool) -> io::Result<()> {
    let sources = [
        (Source::Dns, !settings.dns.is_empty()),
        (Source::Mdns, settings.mdns),
        (Source::Dht, settings.dht.is_some()),
        (Source::Command, !settings.command.is_empty()),
        (Source::Frp, settings.frp.is_some()),
    ];
    match sources.into_iter().find(|(source, is_set)| *is_set && !is_built_in(*source)) {
        Some((source, _)) => {
            let why = format!("discovery by {source} is not built in (feature {source} of onehop-discovery)");
            Err(io::Error::new(io::ErrorKind::Unsupported, why))
        }
        None => Ok(()),
    }
}

fn is_built_in(source: Source) -> bool {
    match source {
        Source::Dns => cfg!(feature = "dns"),
        Source::Mdns => cfg!(feature = "mdns"),
        Source::Dht => cfg!(feature = "dht"),
        Source::Command => cfg!(all(feature = "command", unix)),
        Source::Frp => cfg!(feature = "frp"),
        // Read by whoever writes it.
        Source::PeersFile => false,
    }
}

/// So many addresses of one name, or of one answer of a program, are told of.
pub const MAX_ADDRESSES: usize = 1024;

/// So many hosts of one service are told of.
pub const MAX_TARGETS: usize = 64;

/// So long may an answer of a name server be.
pub const MAX_DNS_ANSWER_BYTES: usize = u16::MAX as usize;

/// So long a name server is waited for.
pub const MAX_DNS_TIMEOUT: Duration = Duration::from_secs(30);

/// So often a name server is asked before it is a failure.
pub const MAX_DNS_ATTEMPTS: u32 = 5;

/// So many name servers are asked.
pub const MAX_NAME_SERVERS: usize = 3;

/// So long may an answer of the client of FRP be.
pub const MAX_FRP_ANSWER_BYTES: usize = 256 * 1024;

/// So long may it take, from the connection on.
pub const FRP_TIMEOUT: Duration = Duration::from_secs(5);

/// So often a tunnel is looked for without a longer pause.
pub const MAX_QUICK_LOOKS: u32 = 60;

/// So much of what a program prints is read.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// So long may a program take.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// So many servers of the local network are remembered.
pub const MAX_SERVICES: usize = 64;

/// So many addresses of one server of the local network are told of.
pub const MAX_SERVICE_ADDRESSES: usize = 16;

/// A server of the local network whose id is longer is ignored.
pub const MAX_ID_BYTES: usize = 128;

/// So many records of other servers mDNS may remember when it is looked after, once in an interval.
pub const MAX_CACHED_RECORDS: usize = 8192;

#[cfg(test)]
mod tests {
    use onehop::config::{Dht, Frp};

    use super::*;

    struct Nobody;

    impl Listener for Nobody {
        fn found(&self, source: Source, teller: &str, found: Vec<Found>) {
            panic!("{source} {teller} told of {found:?}");
        }

        fn load(&self, text: &str) -> Result<(), DamagedFile> {
            panic!("{text} is loaded");
        }
    }

    #[test]
    fn a_source_that_is_not_built_in_is_an_error_that_says_so() {
        let name = HostPort { host: "localhost".to_owned(), port: None };
        for (source, settings) in [
            (Source::Dns, Discovery { dns: vec![name], ..Discovery::default() }),
            (Source::Mdns, Discovery { mdns: true, ..Discovery::default() }),
            (Source::Dht, Discovery { dht: Some(Dht::default()), ..Discovery::default() }),
            (Source::Command, Discovery { command: vec!["true".to_owned()], ..Discovery::default() }),
            (Source::Frp, Discovery { frp: Some(Frp::default()), ..Discovery::default() }),
        ] {
            let error = check_built_in(&settings, |other| other != source).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            assert!(error.to_string().contains(&format!("discovery by {source} is not built in")), "{error}");
            assert!(check_built_in(&settings, |other| other == source).is_ok());
        }
    }

    #[test]
    fn nothing_is_told_where_nothing_is_set() {
        let own = Own {
            server_id: "NA".to_owned(),
            cluster: "C".to_owned(),
            route_port: 1,
            client_port: 2,
            advertise: None,
        };
        drop(Sources::start(&Discovery::default(), &own, Arc::new(Nobody)).unwrap());
    }
}
