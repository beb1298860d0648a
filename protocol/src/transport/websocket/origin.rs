//! Where a page is from.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// The scheme, host and port that a page was loaded from (RFC 6454): what a browser says of it, and what an operator allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// A text that says of no place that a page is from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoOrigin;

impl Origin {
    /// Whether this is also where a request was sent to, which names the host and perhaps a port.
    pub fn leads_to(&self, host: &str, is_tls: bool) -> bool {
        let default_port = default_port(if is_tls { "https" } else { "http" });
        split_port(host, default_port)
            .is_some_and(|(host, port)| self.host.eq_ignore_ascii_case(host) && self.port == port)
    }
}

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let (scheme, authority) = text.split_once("://").ok_or(NoOrigin)?;
        let scheme = scheme.to_ascii_lowercase();
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let is_word = !authority.contains(['/', '?', '#', '@']) && !authority.contains(char::is_whitespace);
        let (host, port) = split_port(authority, default_port(&scheme)).ok_or(NoOrigin)?;
        let is_origin = is_word && !scheme.is_empty() && !host.is_empty();
        let host = host.to_ascii_lowercase();
        is_origin.then_some(Self { scheme, host, port }).ok_or(NoOrigin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        write!(f, "{scheme}://{host}")?;
        if *port == default_port(scheme) { Ok(()) } else { write!(f, ":{port}") }
    }
}

impl fmt::Display for NoOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a scheme, a host and perhaps a port, as in https://example.com")
    }
}

impl Error for NoOrigin {}

/// A host, which may be an address of IPv6 in brackets, and its port.
fn split_port(authority: &str, default: u16) -> Option<(&str, u16)> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Some((host, port.parse().ok()?)),
        _ => Some((authority, default)),
    }
}

fn default_port(scheme: &str) -> u16 {
    if matches!(scheme, "https" | "wss") { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for (text, shown) in [
            ("http://a.example", "http://a.example"),
            ("HTTPS://A.example:443", "https://a.example"),
            ("https://a.example:8443/", "https://a.example:8443"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(text.parse::<Origin>().expect(text).to_string(), shown, "{text}");
        }
        for text in [
            "",
            "null",
            "a.example",
            "://a",
            "http://",
            "http://a/b",
            "http://u@a",
            "http://a:b",
            "http://a b",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(NoOrigin), "{text}");
        }
    }

    #[test]
    fn a_page_is_from_where_its_request_goes_if_host_and_port_are_the_same() {
        let leads =
            |origin: &str, host: &str, is_tls| origin.parse::<Origin>().expect(origin).leads_to(host, is_tls);
        assert!(leads("http://a", "A", false) && leads("http://a:80", "a", false));
        assert!(leads("https://a", "a:443", false) && leads("https://a", "a", true));
        assert!(leads("http://[::1]:8080", "[::1]:8080", false));
        assert!(!leads("http://a", "b", false) && !leads("http://a", "a:8080", false));
        assert!(!leads("https://a", "a", false) && !leads("http://a", "a:x", false));
    }
}
