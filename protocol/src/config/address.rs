//! Addresses as operators write them.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use super::Secret;
use crate::quote::REDACTED;

/// A port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Whichever port is free (written `-1`).
    Any,
    /// This one.
    Fixed(u16),
}

impl Port {
    /// The number to bind a socket to: 0 asks the system for a free port.
    pub const fn to_bind(self) -> u16 {
        match self {
            Self::Any => 0,
            Self::Fixed(port) => port,
        }
    }
}

/// A host and a port to listen on, written `host:port`, with `-1` for any port and IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// A name or address of this host; `0.0.0.0` and `::` are every interface.
    pub host: String,
    /// The port.
    pub port: Port,
}

impl FromStr for Listen {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = parse_listen(text)?;
        Ok(Self { host: host.to_owned(), port: port.ok_or(AddressError::Port)? })
    }
}

/// A host, which may be empty, and a port to listen on, where 0 is none: whoever asks knows what that means.
pub(super) fn parse_listen(text: &str) -> Result<(&str, Option<Port>), AddressError> {
    let (host, port) = split_host_port(text)?;
    Ok((host, parse_listen_port(port.ok_or(AddressError::MissingPort)?)?))
}

/// With a sign or leading zeros, as nats-server takes it.
fn parse_listen_port(text: &str) -> Result<Option<Port>, AddressError> {
    match text.parse::<i64>().map_err(|_| AddressError::Port)? {
        -1 => Ok(Some(Port::Any)),
        0 => Ok(None),
        port => u16::try_from(port).map(|port| Some(Port::Fixed(port))).map_err(|_| AddressError::Port),
    }
}

/// Where others reach a node, written `host`, `host:port`, `[v6]` or `[v6]:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or address, without brackets.
    pub host: String,
    /// The port; `None` is the port that the node listens on (also written `0` or `-1`).
    pub port: Option<u16>,
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = split_host_port(text)?;
        if host.is_empty() {
            return Err(AddressError::MissingHost);
        }
        let port = match port.map(parse_listen_port).transpose()?.flatten() {
            None | Some(Port::Any) => None,
            Some(Port::Fixed(port)) => Some(port),
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_host(f, &self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// A peer to connect to, written `nats://[user:password@]host:port` (wire.md 9.3). Any scheme will do, and none, as in
/// `//host:port`: it says nothing.
///
/// User and password may be percent-encoded. Printing the URL does not show the password, nor a user without one, who may
/// be a token.
#[derive(Clone, PartialEq, Eq)]
pub struct RouteUrl {
    /// The user to present to the peer.
    pub user: Option<String>,
    /// The password to present to the peer.
    pub password: Option<Secret>,
    /// A name or address, without brackets.
    pub host: String,
    /// The peer's route port.
    pub port: u16,
}

impl FromStr for RouteUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let authority = parse_authority(text)?;
        if authority.host.is_empty() {
            return Err(AddressError::MissingHost);
        }
        let port = authority.port.ok_or(AddressError::MissingPort)?;
        Ok(Self {
            user: authority.user,
            password: authority.password,
            host: authority.host.to_owned(),
            port: parse_port(port)?.get(),
        })
    }
}

impl RouteUrl {
    /// Host and port, `host:port`, without anything secret.
    pub fn authority(&self) -> String {
        HostPort { host: self.host.clone(), port: Some(self.port) }.to_string()
    }

    /// What of it must stand in no log.
    pub(super) fn secret(&self) -> Option<&str> {
        self.password.as_ref().map(Secret::expose).or(self.user.as_deref())
    }

    /// Whether this is the same place, whoever is presented there. Host names have no case.
    pub(crate) fn leads_to(&self, host: &str, port: u16) -> bool {
        self.host.eq_ignore_ascii_case(host) && self.port == port
    }
}

impl fmt::Display for RouteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nats://")?;
        match (&self.user, &self.password) {
            (Some(user), Some(_)) => write!(f, "{user}:{REDACTED}@")?,
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => write!(f, "{REDACTED}@")?,
        }
        write_host(f, &self.host)?;
        write!(f, ":{}", self.port)
    }
}

impl fmt::Debug for RouteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a node listens for peers and what they must present, written like a [`RouteUrl`] with `-1` for any port:
/// the form of the command line's `--cluster`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenUrl {
    /// The user that peers must present.
    pub user: Option<String>,
    /// The password that peers must present.
    pub password: Option<Secret>,
    /// Where to listen, with an empty host on every interface; `None` where the port is 0, which is nowhere.
    pub listen: Option<Listen>,
}

impl FromStr for ListenUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let authority = parse_authority(text)?;
        let port = parse_listen_port(authority.port.ok_or(AddressError::MissingPort)?)?;
        let listen = port.map(|port| Listen { host: authority.host.to_owned(), port });
        Ok(Self { user: authority.user, password: authority.password, listen })
    }
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Nothing like `nats://` in front.
    Scheme,
    /// User or password with characters that must be percent-encoded.
    UserInfo,
    /// An `@`, and neither user nor password before it.
    EmptyUserInfo,
    /// No host, or one with characters that no host has.
    MissingHost,
    /// More colons than an address has outside of brackets, or brackets that do not match.
    Host,
    /// No port where one is needed.
    MissingPort,
    /// Not a number from 1 to 65535.
    Port,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the address must start with nats:// or another scheme",
            Self::UserInfo => "special characters in the user and password must be percent-encoded",
            Self::EmptyUserInfo => "user and password before the @ are empty, which protects nothing",
            Self::MissingHost => "missing host in address",
            Self::Host => "not a host, an IPv4 address or an IPv6 address in brackets",
            Self::MissingPort => "missing port in address",
            Self::Port => "the port must be a number from 1 to 65535",
        })
    }
}

impl std::error::Error for AddressError {}

struct Authority<'a> {
    user: Option<String>,
    password: Option<Secret>,
    /// It may be empty.
    host: &'a str,
    port: Option<&'a str>,
}

fn parse_authority(url: &str) -> Result<Authority<'_>, AddressError> {
    let (before, rest) = url.trim().split_once("//").ok_or(AddressError::Scheme)?;
    if !before.is_empty() && !before.strip_suffix(':').is_some_and(is_scheme) {
        return Err(AddressError::Scheme);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user_info, address) = match authority.rsplit_once('@') {
        Some((user_info, address)) => (Some(user_info), address),
        None => (None, authority),
    };
    let (user, password) = match user_info.map(|info| info.split_once(':').unwrap_or((info, ""))) {
        None => (None, None),
        // What a variable held that nobody has set.
        Some(("", "")) => return Err(AddressError::EmptyUserInfo),
        Some((user, "")) => (Some(percent_decode(user)?), None),
        Some((user, password)) => (Some(percent_decode(user)?), Some(percent_decode(password)?.into())),
    };
    let (host, port) = split_host_port(address)?;
    Ok(Authority { user, password, host, port })
}

/// Whether this may stand before a colon at the beginning of a URL.
fn is_scheme(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(is_part)
}

/// Splits `host`, `host:port`, `[v6]` and `[v6]:port`. The host may be empty.
fn split_host_port(text: &str) -> Result<(&str, Option<&str>), AddressError> {
    let text = text.trim();
    let (host, rest) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or(AddressError::Host)?;
            if !host.contains(':') {
                return Err(AddressError::Host);
            }
            (host, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_host = |c: char| !c.is_whitespace() && !c.is_control() && !"[]@/\"<>\\^`{|}".contains(c);
    if !host.chars().all(is_host) {
        return Err(AddressError::Host);
    }
    match rest.strip_prefix(':') {
        Some(port) if port.contains(':') => Err(AddressError::Host),
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(AddressError::Host),
    }
}

fn parse_port(text: &str) -> Result<NonZeroU16, AddressError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::Port);
    }
    text.parse().map_err(|_| AddressError::Port)
}

fn percent_decode(text: &str) -> Result<String, AddressError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(AddressError::UserInfo) };
                decoded.push((high * 16 + low) as u8);
            }
            b if b.is_ascii_whitespace() || b.is_ascii_control() => return Err(AddressError::UserInfo),
            b => decoded.push(b),
        }
    }
    String::from_utf8(decoded).map_err(|_| AddressError::UserInfo)
}

fn write_host(f: &mut fmt::Formatter<'_>, host: &str) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]") } else { f.write_str(host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Result<RouteUrl, AddressError> {
        text.parse()
    }

    #[test]
    fn a_route_url_has_a_host_and_a_port() {
        let plain = RouteUrl { user: None, password: None, host: "a.example".into(), port: 6222 };
        assert_eq!(route("nats://a.example:6222").as_ref(), Ok(&plain));
        assert_eq!(route(" NATS-route://a.example:6222/ ").as_ref(), Ok(&plain));
        assert_eq!(route("nats://[::1]:5").unwrap().host, "::1");
    }

    #[test]
    fn the_scheme_of_a_route_url_says_nothing() {
        let plain = route("nats://a:5");
        for text in
            ["nats-route://a:5", "tls://a:5", "TLS://a:5", "http://a:5", "x+1.y-z://a:5", "//a:5", "//a:5//b"]
        {
            assert_eq!(route(text), plain, "{text}");
        }
        assert_eq!("tls://a:-1".parse::<ListenUrl>().unwrap().listen.unwrap().host, "a");
    }

    #[test]
    fn a_route_url_may_carry_percent_encoded_credentials() {
        let url = route("nats://us%40er:p%3Aa@ss@h:4").unwrap();
        assert_eq!(url.user.as_deref(), Some("us@er"));
        assert_eq!(url.password.unwrap().expose(), "p:a@ss");
    }

    #[test]
    fn a_malformed_route_url_is_refused_with_its_reason() {
        for (text, reason) in [
            ("127.0.0.1:15555", AddressError::Scheme),
            ("localhost:15555", AddressError::Scheme),
            ("", AddressError::Scheme),
            ("://a:5", AddressError::Scheme),
            ("1x://a:5", AddressError::Scheme),
            ("x y://a:5", AddressError::Scheme),
            ("nats:/a:5", AddressError::Scheme),
            ("nats:a:5", AddressError::Scheme),
            ("//", AddressError::MissingHost),
            ("nats://", AddressError::MissingHost),
            ("nats://:5", AddressError::MissingHost),
            ("nats://a", AddressError::MissingPort),
            ("nats://a:b", AddressError::Port),
            ("nats://a:", AddressError::Port),
            ("nats://a:0", AddressError::Port),
            ("nats://a:-1", AddressError::Port),
            ("nats://a:+5", AddressError::Port),
            ("nats://a:65536", AddressError::Port),
            ("nats://::1:5", AddressError::Host),
            ("nats://[::1:5", AddressError::Host),
            ("nats://[::1]5", AddressError::Host),
            ("nats://a b:5", AddressError::Host),
            ("nats://a:b c@h:4", AddressError::UserInfo),
            ("nats://a:%zz@h:4", AddressError::UserInfo),
            ("nats://@h:4", AddressError::EmptyUserInfo),
            ("nats://:@h:4", AddressError::EmptyUserInfo),
            ("nats://a:%4", AddressError::Port),
            ("nats://a:%4@h:4", AddressError::UserInfo),
            ("nats://%ff:a@h:4", AddressError::UserInfo),
        ] {
            assert_eq!(route(text), Err(reason), "{text:?}");
        }
    }

    #[test]
    fn a_printed_route_url_hides_the_password_and_a_user_who_may_be_a_token() {
        let url = route("nats://user:s3cret@[::1]:4").unwrap();
        assert_eq!(url.to_string(), "nats://user:[REDACTED]@[::1]:4");
        assert!(!format!("{url:?}").contains("s3cret"));
        assert_eq!(route("nats://h:4").unwrap().to_string(), "nats://h:4");
        let token = route("nats://s3cret@h:4").unwrap();
        assert_eq!(
            (&*token.to_string(), &*format!("{token:?}")),
            ("nats://[REDACTED]@h:4", "nats://[REDACTED]@h:4")
        );
    }

    #[test]
    fn an_advertised_address_may_leave_out_its_port() {
        let parse = |text: &str| text.parse::<HostPort>().map(|it| (it.host, it.port));
        assert_eq!(parse("a:5"), Ok(("a".into(), Some(5))));
        assert_eq!(parse("a"), Ok(("a".into(), None)));
        assert_eq!(parse("a:-1"), Ok(("a".into(), None)));
        assert_eq!(parse("[::1]"), Ok(("::1".into(), None)));
        assert_eq!(parse("[::1]:5"), Ok(("::1".into(), Some(5))));
        assert_eq!(parse("::1"), Err(AddressError::Host));
        assert_eq!(parse(":5"), Err(AddressError::MissingHost));
        assert_eq!(parse("a:b"), Err(AddressError::Port));
        assert_eq!(parse("a:+05"), Ok(("a".into(), Some(5))));
        assert_eq!("[::1]:5".parse::<HostPort>().unwrap().to_string(), "[::1]:5");
        assert_eq!("a".parse::<HostPort>().unwrap().to_string(), "a");
    }

    #[test]
    fn a_listen_address_takes_minus_one_for_any_port() {
        let parse = |text: &str| text.parse::<Listen>().map(|it| (it.host, it.port));
        assert_eq!(parse("a:-1"), Ok(("a".into(), Port::Any)));
        assert_eq!(parse(":5"), Ok((String::new(), Port::Fixed(5))));
        assert_eq!(parse("a"), Err(AddressError::MissingPort));
        for no_port in ["a:-2", "a:0", "a:65536", "a:x", "a:", "a: 5"] {
            assert_eq!(parse(no_port), Err(AddressError::Port), "{no_port}");
        }
        assert_eq!(parse("a:+05"), Ok(("a".into(), Port::Fixed(5))));
        let listen = |text: &str| text.parse::<ListenUrl>().map(|url| url.listen);
        assert_eq!(listen("nats://:5"), Ok(Some(Listen { host: String::new(), port: Port::Fixed(5) })));
        assert_eq!(listen("nats://h:0"), Ok(None));
        let url: ListenUrl = "nats://u:p@h:-1".parse().unwrap();
        assert_eq!(url.listen, Some(Listen { host: "h".into(), port: Port::Any }));
        assert_eq!(url.user.as_deref(), Some("u"));
    }
}
