//! Which name servers the system asks, and how patiently: `/etc/resolv.conf`.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use crate::{MAX_DNS_ATTEMPTS, MAX_DNS_TIMEOUT, MAX_NAME_SERVERS};

/// Whom to ask, in this order, each so often and for so long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameServers {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
}

impl NameServers {
    /// Those of a file. Where there is none that can be read, this machine is asked, as the system does it.
    pub(super) fn read(path: &Path) -> Self {
        let text = read_start(path).unwrap_or_else(|fault| {
            log::debug!("Cannot read {}, asking a name server of this machine: {fault}", path.display());
            Vec::new()
        });
        Self::parse(&String::from_utf8_lossy(&text), interface_index)
    }

    /// What is not understood is passed over: most of the file is for others.
    fn parse(text: &str, interface_index: impl Fn(&str) -> Option<u32>) -> Self {
        let mut servers =
            Self { addresses: Vec::new(), timeout: DEFAULT_TIMEOUT, attempts: DEFAULT_ATTEMPTS };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") if servers.addresses.len() < MAX_NAME_SERVERS => {
                    let address = words.next().and_then(|word| parse_address(word, &interface_index));
                    servers.addresses.extend(address);
                }
                Some("options") => words.for_each(|option| servers.parse_option(option)),
                _ => {}
            }
        }
        if servers.addresses.is_empty() {
            servers.addresses.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        servers
    }

    fn parse_option(&mut self, option: &str) {
        match option.split_once(':').map(|(name, value)| (name, value.parse::<u32>())) {
            Some(("timeout", Ok(seconds))) => {
                let timeout = Duration::from_secs(seconds.into());
                self.timeout = timeout.clamp(SHORTEST_TIMEOUT, MAX_DNS_TIMEOUT);
            }
            Some(("attempts", Ok(attempts))) => self.attempts = attempts.clamp(1, MAX_DNS_ATTEMPTS),
            _ => {}
        }
    }
}

/// An address of IPv4 or IPv6, the latter with the interface by which it is reached, if it has one: `fe80::1%eth0`.
fn parse_address(word: &str, interface_index: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let Some((ip, scope)) = word.split_once('%') else {
        return Some(SocketAddr::new(word.parse::<IpAddr>().ok()?, PORT));
    };
    let ip = ip.parse::<Ipv6Addr>().ok()?;
    let index = scope.parse().ok().or_else(|| interface_index(scope))?;
    Some(SocketAddrV6::new(ip, PORT, 0, index).into())
}

/// The system knows the number of an interface when it reads an address, for which it asks nobody.
fn interface_index(name: &str) -> Option<u32> {
    match (format!("fe80::1%{name}"), PORT).to_socket_addrs().ok()?.next()? {
        SocketAddr::V6(address) => Some(address.scope_id()),
        SocketAddr::V4(_) => None,
    }
}

fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_CONF_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";

const PORT: u16 = 53;

/// Where the file says nothing of it, as resolv.conf(5) has it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

const DEFAULT_ATTEMPTS: u32 = 2;

const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

/// What comes after that is not read.
const MAX_CONF_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> NameServers {
        NameServers::parse(text, |name| (name == "eth0").then_some(7))
    }

    fn addresses(text: &str) -> Vec<String> {
        parse(text).addresses.iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn name_servers_are_addresses_of_either_family_with_or_without_an_interface() {
        let text = "nameserver 10.0.0.1\n\tnameserver\tfd00::1 # the second\r\nnameserver fe80::1%eth0\n";
        assert_eq!(addresses(text), ["10.0.0.1:53", "[fd00::1]:53", "[fe80::1%7]:53"]);
        assert_eq!(addresses("nameserver fe80::1%3"), ["[fe80::1%3]:53"]);
    }

    #[test]
    fn the_first_three_count_and_without_any_it_is_this_machine() {
        let four: String = (1..=4).map(|last| format!("nameserver 10.0.0.{last}\n")).collect();
        assert_eq!(addresses(&four), ["10.0.0.1:53", "10.0.0.2:53", "10.0.0.3:53"]);
        assert_eq!(addresses(""), ["127.0.0.1:53"]);
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        let text = "# nameserver 10.0.0.1\n;nameserver 10.0.0.1\nnameserver\nnameserver b.example\nnameserver 10.0.0\n\
            nameserver 10.0.0.1:53\nnameserver 10.0.0.1%eth0\nnameserver fe80::1%eth1\nnameserver fe80::1%\n\
            nameservers 10.0.0.1\nsearch a.example\noptions\noptions timeout attempts: timeout:x attempts:-1 rotate\n";
        assert_eq!(parse(text), parse(""));
    }

    #[test]
    fn patience_has_its_limits() {
        let patience = |text: &str| {
            let servers = parse(text);
            (servers.timeout.as_secs(), servers.attempts)
        };
        assert_eq!(patience(""), (5, 2));
        assert_eq!(patience("options rotate timeout:1 attempts:3\n"), (1, 3));
        assert_eq!(patience("options timeout:1 timeout:2\noptions attempts:1\n"), (2, 1));
        assert_eq!(patience("options timeout:0 attempts:0"), (1, 1));
        assert_eq!(
            patience("options timeout:4294967295 attempts:4294967295"),
            (MAX_DNS_TIMEOUT.as_secs(), MAX_DNS_ATTEMPTS)
        );
    }

    #[test]
    fn without_a_file_this_machine_is_asked() {
        assert_eq!(NameServers::read(Path::new("/nowhere/resolv.conf")), parse(""));
        assert_eq!(NameServers::read(Path::new("/")), parse(""));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_knows_the_number_of_an_interface() {
        assert_eq!(interface_index("lo"), Some(1));
        assert_eq!(interface_index("no such interface"), None);
        assert_eq!(interface_index("\0"), None);
    }

    proptest! {
        #[test]
        fn any_text_names_some_name_server(text in "((nameserver|options|#)?[ \t]?[a-z0-9:.%]{0,12}[\n\0é]?){0,12}") {
            let servers = parse(&text);
            prop_assert!((1..=MAX_NAME_SERVERS).contains(&servers.addresses.len()));
        }
    }
}
