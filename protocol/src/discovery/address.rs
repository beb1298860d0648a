//! Where a server may be.

use std::fmt;
use std::net::IpAddr;

use crate::config::{HostPort, RouteUrl};

/// A host, which is a name without capitals or an IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// None if it is nothing that could be dialed.
    pub fn new(told: &HostPort) -> Option<Self> {
        let port = told.port.unwrap_or(DEFAULT_ROUTE_PORT);
        let host = match told.host.parse::<IpAddr>() {
            // It may be written in many ways.
            Ok(ip) => ip.to_canonical().to_string(),
            Err(_) => told.host.strip_suffix('.').unwrap_or(&told.host).to_ascii_lowercase(),
        };
        let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        let is_name = !host.contains(':') || host.parse::<IpAddr>().is_ok();
        let is_host = (1..=MAX_HOST_BYTES).contains(&host.len()) && host.bytes().all(is_of_host) && is_name;
        (is_host && port > 0).then_some(Self { host, port })
    }

    /// The route to it.
    pub(crate) fn url(&self) -> RouteUrl {
        RouteUrl { user: None, password: None, host: self.host.clone(), port: self.port }
    }

    /// As it was told.
    pub fn host_port(&self) -> HostPort {
        HostPort { host: self.host.clone(), port: Some(self.port) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host_port().fmt(f)
    }
}

/// No name in DNS is longer.
pub const MAX_HOST_BYTES: usize = 253;

/// Where servers listen for each other unless they are told otherwise.
pub const DEFAULT_ROUTE_PORT: u16 = 6222;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_dialed_is_an_address_and_nothing_else() {
        let shown = |text: &str| {
            let told: HostPort = text.parse().ok()?;
            Address::new(&told).map(|address| address.to_string())
        };
        for (text, expected) in [
            ("10.0.0.1", "10.0.0.1:6222"),
            ("Seed.Example:7", "seed.example:7"),
            ("seed.example.", "seed.example:6222"),
            ("[fd00::1]:6222", "[fd00::1]:6222"),
            ("[fd00:0:0::1]", "[fd00::1]:6222"),
            ("[::ffff:10.0.0.1]", "10.0.0.1:6222"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected));
        }
        for host in
            ["", "a b", "a\r\nPUB", "é", &"a".repeat(MAX_HOST_BYTES + 1), "fe80::1%eth0", "a:b", "a/b", "."]
        {
            let told = HostPort { host: host.to_owned(), port: Some(1) };
            assert_eq!(Address::new(&told), None, "{host:?}");
        }
        assert_eq!(Address::new(&HostPort { host: "a".to_owned(), port: Some(0) }), None);
    }
}
