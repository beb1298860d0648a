//! Where a node looks for the first address of its cluster (design.md 6).

use std::fmt;
use std::time::Duration;

use super::HostPort;

/// The sources that are asked, each of which is off unless it is set. What they tell of is dialed like a configured route, and is a
/// member once the handshake says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// A file in which is kept who was a member: it survives a restart. It is made with mode 0600.
    pub peers_file: Option<String>,
    /// Names whose addresses are servers, with the route port (by default 6222): all that the system knows for each, again and again.
    pub dns: Vec<HostPort>,
    /// Servers of the local network tell each other of themselves.
    pub mdns: bool,
    /// A program that prints addresses, one `host:port` a line, and its arguments.
    pub command: Vec<String>,
    /// How long after one answer of a name or a program the next is asked for.
    pub interval: Duration,
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
    /// [`Discovery::command`].
    Command,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            peers_file: None,
            dns: Vec::new(),
            mdns: false,
            command: Vec::new(),
            interval: DEFAULT_DISCOVERY_INTERVAL,
        }
    }
}

impl Discovery {
    /// Whether any source is set.
    pub fn is_on(&self) -> bool {
        self.peers_file.is_some() || !self.dns.is_empty() || self.mdns || !self.command.is_empty()
    }
}

impl Source {
    /// All that there are, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::PeersFile, Self::Dns, Self::Mdns, Self::Command];
}

/// As the configuration calls it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeersFile => "peers_file",
            Self::Dns => "dns",
            Self::Mdns => "mdns",
            Self::Command => "command",
        })
    }
}

/// How often names and programs are asked.
pub const DEFAULT_DISCOVERY_INTERVAL: Duration = Duration::from_secs(30);
