//! Where a node looks for the first address of its cluster (design.md 6, wire.md 14.5).

use std::fmt;
use std::time::Duration;

use super::{ConfigError, HostPort, Secret, SharedSecret};

/// The sources that are asked, each of which is off unless it is set. What they tell of is dialed like a configured route, and is a
/// member once the handshake says so. One of them, [`frp`](Self::frp), tells of this node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// A file in which is kept who was a member: it survives a restart. It is made with mode 0600.
    pub peers_file: Option<String>,
    /// Names whose addresses are servers, with the route port (by default 6222): all that the system knows for each, again and again.
    /// One that begins with an underscore is a service (`_nats-route._tcp.example`): its SRV records name hosts and ports, and the port
    /// here counts for nothing.
    pub dns: Vec<HostPort>,
    /// Servers of the local network tell each other of themselves.
    pub mdns: bool,
    /// Members leave each other word in the mainline DHT, which needs a [secret](Self::secret).
    pub dht: Option<Dht>,
    /// What the members know and nobody else.
    pub secret: Option<SharedSecret>,
    /// A program that prints addresses, one `host:port` a line, and its arguments.
    pub command: Vec<String>,
    /// A client of FRP knows by which address a tunnel leads to this node, which others are told then.
    pub frp: Option<Frp>,
    /// How long after one answer of a name or a program the next is asked for: from a second to an hour.
    pub interval: Duration,
}

/// How the mainline DHT is used (wire.md 14.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dht {
    /// Nodes of the DHT that are asked first, with port 6881 if they have none. If there are none, the well-known ones are.
    pub bootstrap: Vec<HostPort>,
    /// Addresses that mean something only in a local network are told, too: for a DHT that is one's own.
    pub local_addresses: bool,
}

/// How the client of FRP is asked for the tunnels that lead to this node (wire.md 14.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frp {
    /// Where its web server listens.
    pub address: HostPort,
    /// Who may ask; empty where everybody may.
    pub user: String,
    /// The password of that user.
    pub password: Secret,
    /// How long after one answer the next is asked for while a tunnel leads here; none is [`Discovery::interval`].
    pub interval: Option<Duration>,
}

/// Who may tell of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// What was known before the start ([`Discovery::peers_file`]).
    PeersFile,
    /// [`Discovery::dns`].
    Dns,
    /// [`Discovery::mdns`].
    Mdns,
    /// [`Discovery::dht`].
    Dht,
    /// [`Discovery::command`].
    Command,
    /// [`Discovery::frp`], which tells of no others.
    Frp,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            peers_file: None,
            dns: Vec::new(),
            mdns: false,
            dht: None,
            secret: None,
            command: Vec::new(),
            frp: None,
            interval: DEFAULT_DISCOVERY_INTERVAL,
        }
    }
}

impl Discovery {
    /// Whether any source is set.
    pub fn is_on(&self) -> bool {
        let is_told = self.peers_file.is_some() || !self.dns.is_empty() || !self.command.is_empty();
        is_told || self.mdns || self.dht.is_some() || self.frp.is_some()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check_peers_file(self.peers_file.as_deref())?;
        check_dns(&self.dns)?;
        check_command(&self.command)?;
        self.dht.as_ref().map_or(Ok(()), check_dht)?;
        if self.dht.is_some() && self.secret.is_none() {
            return Err(ConfigError::DhtWithoutSecret);
        }
        self.frp.as_ref().map_or(Ok(()), check_frp)?;
        check_interval(self.interval)
    }
}

impl Frp {
    /// The web server at an address such as `http://127.0.0.1:7400`, whom everybody may ask. Without a port, [7400](DEFAULT_FRP_PORT)
    /// is meant.
    ///
    /// # Errors
    /// It is no such address. The text is not told again, since a password may stand in it.
    pub fn at(url: &str) -> Result<Self, ConfigError> {
        let rest = url.strip_prefix("http://").ok_or(ConfigError::FrpUrl)?;
        let told: HostPort =
            rest.strip_suffix('/').unwrap_or(rest).parse().map_err(|_| ConfigError::FrpUrl)?;
        let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if !told.host.bytes().all(is_of_host) {
            return Err(ConfigError::FrpUrl);
        }
        let port = Some(told.port.unwrap_or(DEFAULT_FRP_PORT));
        Ok(Self { address: HostPort { port, ..told }, ..Self::default() })
    }
}

impl Default for Frp {
    fn default() -> Self {
        let address = HostPort { host: "127.0.0.1".to_owned(), port: Some(DEFAULT_FRP_PORT) };
        Self { address, user: String::new(), password: Secret::default(), interval: None }
    }
}

pub(super) fn check_peers_file(path: Option<&str>) -> Result<(), ConfigError> {
    check_texts(Source::PeersFile, 1, path)
}

pub(super) fn check_dns(names: &[HostPort]) -> Result<(), ConfigError> {
    check_texts(Source::Dns, MAX_DISCOVERY_NAMES, names.iter().map(|name| name.host.as_str()))
}

pub(super) fn check_command(words: &[String]) -> Result<(), ConfigError> {
    check_texts(Source::Command, MAX_COMMAND_WORDS, words.iter().map(String::as_str))
}

pub(super) fn check_dht(dht: &Dht) -> Result<(), ConfigError> {
    check_texts(Source::Dht, MAX_DHT_NODES, dht.bootstrap.iter().map(|node| node.host.as_str()))
}

/// Basic authentication divides user and password by the first colon, and neither has control characters (RFC 7617 2).
pub(super) fn check_frp(frp: &Frp) -> Result<(), ConfigError> {
    let texts = [frp.user.as_str(), frp.password.expose()];
    if frp.user.contains(':') || texts.iter().any(|text| text.chars().any(char::is_control)) {
        return Err(ConfigError::FrpUser);
    }
    if texts.iter().any(|text| text.len() > MAX_FRP_TEXT_BYTES) {
        return Err(ConfigError::FrpTextTooLong { most: MAX_FRP_TEXT_BYTES });
    }
    frp.interval.map_or(Ok(()), check_interval)
}

pub(super) fn check_interval(interval: Duration) -> Result<(), ConfigError> {
    let (shortest, longest) = (SHORTEST_DISCOVERY_INTERVAL, LONGEST_DISCOVERY_INTERVAL);
    if (shortest..=longest).contains(&interval) {
        Ok(())
    } else {
        Err(ConfigError::DiscoveryInterval { shortest, longest })
    }
}

/// That one of them is empty is never meant: it comes from a variable that nobody set.
fn check_texts<'a>(
    source: Source,
    most: usize,
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    for (index, text) in texts.into_iter().enumerate() {
        if text.is_empty() {
            return Err(ConfigError::EmptyInDiscovery(source));
        }
        if index >= most {
            return Err(ConfigError::TooManyInDiscovery { source, most });
        }
    }
    Ok(())
}

impl Source {
    /// All that there are, in the order in which they are shown.
    pub const ALL: [Self; 6] = [Self::PeersFile, Self::Dns, Self::Mdns, Self::Dht, Self::Command, Self::Frp];
}

/// As the configuration calls it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeersFile => "peers_file",
            Self::Dns => "dns",
            Self::Mdns => "mdns",
            Self::Dht => "dht",
            Self::Command => "command",
            Self::Frp => "frp",
        })
    }
}

/// Where the web server of an FRP client listens unless it is told otherwise.
pub const DEFAULT_FRP_PORT: u16 = 7400;

/// How often names and programs are asked.
pub const DEFAULT_DISCOVERY_INTERVAL: Duration = Duration::from_secs(30);

/// Neither names nor programs are asked without a pause.
const SHORTEST_DISCOVERY_INTERVAL: Duration = Duration::from_secs(1);

/// An address that is older leads to nobody soon enough.
const LONGEST_DISCOVERY_INTERVAL: Duration = Duration::from_secs(3600);

/// Each may have many addresses, and one is enough. So many are heard at the same time, too
/// ([`MAX_TELLERS`](crate::discovery::MAX_TELLERS)).
const MAX_DISCOVERY_NAMES: usize = 16;

/// Of the nodes by which the DHT is entered one is enough, too.
const MAX_DHT_NODES: usize = 64;

/// A user, and a password, of the web server of an FRP client.
const MAX_FRP_TEXT_BYTES: usize = 256;

/// The program and its arguments.
const MAX_COMMAND_WORDS: usize = 64;
