//! The header by which a proxy says whom it speaks for, before anything else that it sends: the PROXY protocol, as text (version 1)
//! or binary (version 2).
//!
//! Who connects without a proxy has none, which its first bytes show.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{error, fmt, str};

/// Reads such a header, wherever it is divided.
#[derive(Debug, Default)]
pub struct ProxyReader {
    /// What came of it, as far as it says something.
    head: Vec<u8>,
    /// What to skip, which says nothing to this node, and whom the proxy speaks for.
    skipped: Option<(usize, Option<SocketAddr>)>,
}

/// What is known so far.
#[derive(Debug, PartialEq, Eq)]
pub enum ProxyRead {
    /// The header goes on.
    More,
    /// It is over. Where its sender says nothing of it, the connection is the proxy's own, to see whether somebody is there.
    Origin(Option<SocketAddr>),
    /// There is none: these bytes, and what stands behind them, are what the client has to say.
    Absent(Vec<u8>),
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// It is not over after [`MAX_TEXT_BYTES`].
    TooLong,
    /// There are not the words that there should be.
    Words,
    /// What should be an address is none.
    Address,
    /// What should be the port of the client is none.
    SourcePort,
    /// What should be the port of the proxy is none.
    DestinationPort,
    /// The addresses are not of the kind that it says.
    Family,
    /// It is about something else than TCP.
    Protocol,
    /// It only begins like version 2.
    Signature,
    /// Of another version than 2.
    Version(u8),
    /// It says neither whom the proxy speaks for, nor that it speaks for itself.
    Command(u8),
    /// About something else than a stream.
    NoStream,
    /// Addresses of neither IPv4 nor IPv6.
    UnknownFamily(u8),
    /// Too few bytes for its addresses.
    TooShort(usize),
}

impl ProxyReader {
    /// Takes bytes from the start of `input`, up to the end of the header.
    ///
    /// # Errors
    /// The header is wrong, and the connection is to be closed.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<ProxyRead, ProxyFault> {
        loop {
            if let Some((bytes, origin)) = &mut self.skipped {
                let step = input.len().min(*bytes);
                *input = &input[step..];
                *bytes -= step;
                return Ok(if *bytes == 0 { ProxyRead::Origin(*origin) } else { ProxyRead::More });
            }
            let Some((byte, rest)) = input.split_first() else { return Ok(ProxyRead::More) };
            self.head.push(*byte);
            *input = rest;
            if begins_like(&self.head, TEXT) {
                if let Some(origin) = read_text(&self.head)? {
                    return Ok(ProxyRead::Origin(origin));
                }
            } else if begins_like(&self.head, &SIGNATURE[..DECISIVE_BYTES]) {
                self.skipped = read_binary(&self.head)?;
            } else {
                return Ok(ProxyRead::Absent(std::mem::take(&mut self.head)));
            }
        }
    }
}

fn begins_like(head: &[u8], beginning: &[u8]) -> bool {
    let known = head.len().min(beginning.len());
    head[..known] == beginning[..known]
}

/// Whom version 1 speaks for, once its line is whole.
fn read_text(head: &[u8]) -> Result<Option<Option<SocketAddr>>, ProxyFault> {
    let Some(line) = head.strip_suffix(b"\r\n") else {
        return if head.len() < MAX_TEXT_BYTES { Ok(None) } else { Err(ProxyFault::TooLong) };
    };
    let words = str::from_utf8(&line[TEXT.len()..]).map_err(|_| ProxyFault::Words)?;
    let words: Vec<_> = words.split_ascii_whitespace().collect();
    let [protocol, source, destination, source_port, destination_port] = words[..] else {
        return if words.first() == Some(&"UNKNOWN") { Ok(Some(None)) } else { Err(ProxyFault::Words) };
    };
    if protocol == "UNKNOWN" {
        return Ok(Some(None));
    }
    let ip = |text: &str| text.parse::<IpAddr>().map_err(|_| ProxyFault::Address);
    let ips = [ip(source)?, ip(destination)?];
    let source_port = port(source_port).ok_or(ProxyFault::SourcePort)?;
    port(destination_port).ok_or(ProxyFault::DestinationPort)?;
    let is_of_kind = match protocol {
        "TCP4" => ips.iter().all(IpAddr::is_ipv4),
        "TCP6" => ips.iter().all(IpAddr::is_ipv6),
        _ => return Err(ProxyFault::Protocol),
    };
    if !is_of_kind {
        return Err(ProxyFault::Family);
    }
    Ok(Some(Some(SocketAddr::new(ips[0].to_canonical(), source_port))))
}

/// A port as digits, without a sign.
fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whom version 2 speaks for, and how many bytes it has behind that, once so much of it came.
fn read_binary(head: &[u8]) -> Result<Option<(usize, Option<SocketAddr>)>, ProxyFault> {
    if head.len() == SIGNATURE.len() && head != SIGNATURE {
        return Err(ProxyFault::Signature);
    }
    let Some((&[version_and_command, family_and_protocol, high, low], addresses)) =
        head.get(SIGNATURE.len()..).and_then(<[u8]>::split_first_chunk)
    else {
        return Ok(None);
    };
    let bytes = usize::from(u16::from_be_bytes([high, low]));
    if version_and_command >> 4 != 2 {
        return Err(ProxyFault::Version(version_and_command & 0xf0));
    }
    match version_and_command & 0xf {
        0 => return Ok(Some((bytes, None))),
        1 => {}
        command => return Err(ProxyFault::Command(command)),
    }
    if family_and_protocol & 0xf != 1 {
        return Err(ProxyFault::NoStream);
    }
    let ip_bytes = match family_and_protocol >> 4 {
        0 => return Ok(Some((bytes, None))),
        1 => size_of::<Ipv4Addr>(),
        2 => size_of::<Ipv6Addr>(),
        _ => return Err(ProxyFault::UnknownFamily(family_and_protocol & 0xf0)),
    };
    // Two of each, the client's first.
    let needed = 2 * ip_bytes + 2 * size_of::<u16>();
    if bytes < needed {
        return Err(ProxyFault::TooShort(bytes));
    }
    Ok((addresses.len() == needed).then(|| (bytes - needed, Some(source(addresses, ip_bytes)))))
}

/// The client's address of those of version 2.
fn source(addresses: &[u8], ip_bytes: usize) -> SocketAddr {
    let ip = match <[u8; 4]>::try_from(&addresses[..ip_bytes]) {
        Ok(ip) => IpAddr::from(ip),
        Err(_) => IpAddr::from(*addresses.first_chunk::<16>().unwrap_or(&[0; 16])).to_canonical(),
    };
    SocketAddr::new(ip, u16::from_be_bytes([addresses[2 * ip_bytes], addresses[2 * ip_bytes + 1]]))
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let invalid = "invalid PROXY protocol header";
        let unsupported = "unsupported PROXY protocol feature";
        match self {
            Self::TooLong => write!(f, "{invalid}: v1 line too long"),
            Self::Words => write!(f, "{invalid}: invalid v1 format"),
            Self::Address => write!(f, "{invalid}: invalid address"),
            Self::SourcePort => f.write_str("invalid source port"),
            Self::DestinationPort => f.write_str("invalid dest port"),
            Self::Family => write!(f, "{invalid}: addresses of another protocol"),
            Self::Protocol => write!(f, "{invalid}: invalid protocol"),
            Self::Signature => write!(f, "{invalid}: invalid signature"),
            Self::Version(version) => write!(f, "{invalid}: invalid version 0x{version:02x}"),
            Self::Command(command) => write!(f, "unknown PROXY protocol command: 0x{command:02x}"),
            Self::NoStream => write!(f, "{unsupported}: only STREAM protocol supported"),
            Self::UnknownFamily(family) => {
                write!(f, "{unsupported}: unsupported address family 0x{family:02x}")
            }
            Self::TooShort(bytes) => write!(f, "address data too short: {bytes} bytes"),
        }
    }
}

impl error::Error for ProxyFault {}

/// What version 1 begins with.
const TEXT: &[u8] = b"PROXY ";

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// So many of its bytes show that it is to be version 2.
const DECISIVE_BYTES: usize = 6;

/// A header of version 1 is no longer than this, its end included.
pub const MAX_TEXT_BYTES: usize = 107;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a header says that comes in pieces of this size, and what stands behind it.
    fn read(bytes: &[u8], piece: usize) -> Result<(ProxyRead, &[u8]), ProxyFault> {
        let (mut reader, mut rest) = (ProxyReader::default(), bytes);
        while !rest.is_empty() {
            let (mut next, later) = rest.split_at(rest.len().min(piece));
            let found = reader.read(&mut next)?;
            rest = &rest[rest.len() - later.len() - next.len()..];
            if found != ProxyRead::More {
                return Ok((found, rest));
            }
        }
        Ok((ProxyRead::More, rest))
    }

    fn binary(version_and_command: u8, family_and_protocol: u8, body: &[u8]) -> Vec<u8> {
        let [high, low] = u16::try_from(body.len()).expect("a body").to_be_bytes();
        [SIGNATURE, &[version_and_command, family_and_protocol, high, low][..], body].concat()
    }

    const V4: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 4, 210, 16, 126];

    fn v6(source: &str) -> Vec<u8> {
        let source: Ipv6Addr = source.parse().expect("an address");
        [&source.octets()[..], &Ipv6Addr::LOCALHOST.octets(), &[4, 210, 16, 126]].concat()
    }

    #[test]
    fn a_header_says_whom_the_proxy_speaks_for_wherever_it_is_divided() {
        let more = [V4, b"\x04\x00\x03abc"].concat();
        for (header, origin) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1234 4222\r\n".to_vec(), Some("192.0.2.7:1234")),
            (b"PROXY  TCP4\t192.0.2.7   10.0.0.1 1234 4222 \r\n".to_vec(), Some("192.0.2.7:1234")),
            (b"PROXY TCP6 2001:db8::7 ::1 1234 4222\r\n".to_vec(), Some("[2001:db8::7]:1234")),
            (b"PROXY TCP6 ::ffff:192.0.2.9 ::1 1234 4222\r\n".to_vec(), Some("192.0.2.9:1234")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            ([b"PROXY UNKNOWN ", &[b'x'; 91][..], b"\r\n"].concat(), None),
            (binary(0x21, 0x11, V4), Some("192.0.2.7:1234")),
            (binary(0x21, 0x11, &more), Some("192.0.2.7:1234")),
            (binary(0x21, 0x11, &[V4, &[0; 60_000]].concat()), Some("192.0.2.7:1234")),
            (binary(0x21, 0x21, &v6("2001:db8::7")), Some("[2001:db8::7]:1234")),
            (binary(0x21, 0x21, &v6("::ffff:192.0.2.9")), Some("192.0.2.9:1234")),
            (binary(0x20, 0x00, b""), None),
            (binary(0x20, 0x11, V4), None),
            (binary(0x21, 0x01, b"abc"), None),
        ] {
            let expected = ProxyRead::Origin(origin.map(|origin| origin.parse().expect("an address")));
            let all = [&header[..], b"CONNECT {}\r\n"].concat();
            for piece in [1, 2, 3, 5, 7, 11, 13, 1000, all.len()] {
                let (found, behind) = read(&all, piece).expect("a good header");
                assert_eq!(
                    (&found, behind),
                    (&expected, &b"CONNECT {}\r\n"[..]),
                    "{}",
                    header.escape_ascii()
                );
            }
            assert_eq!(read(&header[..header.len() - 1], 1000), Ok((ProxyRead::More, &b""[..])));
        }
    }

    #[test]
    fn who_sends_none_has_said_what_came() {
        for said in [
            &b"CONNECT {}\r\n"[..],
            b"PING\r\n",
            b"PRO",
            b"PUB a 1\r\nx\r\n",
            b"\r\nPING\r\n",
            b"proxy tcp4\r\n",
        ] {
            for piece in [1, 2, 3, 100] {
                match read(said, piece) {
                    Ok((ProxyRead::Absent(before), behind)) => assert_eq!([&before, behind].concat(), said),
                    other => assert!(other == Ok((ProxyRead::More, b"")) && said == b"PRO", "{other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_wrong_header_is_named() {
        let text = |line: &str| format!("PROXY {line}\r\n").into_bytes();
        for (header, fault) in [
            (text("TCP6 192.0.2.7 10.0.0.1 1234 4222"), ProxyFault::Family),
            (text("TCP4 2001:db8::7 ::1 1234 4222"), ProxyFault::Family),
            (text("TCP4 ::ffff:192.0.2.9 10.0.0.1 1234 4222"), ProxyFault::Family),
            (text("UDP4 192.0.2.7 10.0.0.1 1234 4222"), ProxyFault::Protocol),
            (text("tcp4 192.0.2.7 10.0.0.1 1234 4222"), ProxyFault::Protocol),
            (text("TCP4 192.0.2.700 10.0.0.1 1234 4222"), ProxyFault::Address),
            (text("TCP4 192.0.02.7 10.0.0.1 1 2"), ProxyFault::Address),
            (text("TCP6 fe80::1%eth0 ::1 1 2"), ProxyFault::Address),
            (text("TCP4 192.0.2.7 10.0.0.1 123456 4222"), ProxyFault::SourcePort),
            (text("TCP4 192.0.2.7 10.0.0.1 +1 2"), ProxyFault::SourcePort),
            (text("TCP4 192.0.2.7 10.0.0.1 1234 x"), ProxyFault::DestinationPort),
            (text("TCP4 192.0.2.7"), ProxyFault::Words),
            (text(""), ProxyFault::Words),
            (text("TCP4 192.0.2.7 10.0.0.1 1234 4222 5"), ProxyFault::Words),
            (text(&format!("UNKNOWN {}", "x".repeat(92))), ProxyFault::TooLong),
            ([TEXT, &[b'x'; 300]].concat(), ProxyFault::TooLong),
            (binary(0x21, 0x31, &[b'x'; 216]), ProxyFault::UnknownFamily(0x30)),
            (binary(0x21, 0x41, V4), ProxyFault::UnknownFamily(0x40)),
            (binary(0x21, 0x00, b""), ProxyFault::NoStream),
            (binary(0x21, 0x12, V4), ProxyFault::NoStream),
            (binary(0x21, 0x11, &V4[..8]), ProxyFault::TooShort(8)),
            (binary(0x21, 0x21, V4), ProxyFault::TooShort(12)),
            (binary(0x11, 0x11, V4), ProxyFault::Version(0x10)),
            (binary(0x22, 0x11, V4), ProxyFault::Command(2)),
            (b"\r\n\r\n\0\r\nQUIX\n".to_vec(), ProxyFault::Signature),
        ] {
            for piece in [1, 2, 3, 7, 1000] {
                assert_eq!(read(&header, piece), Err(fault), "{}", header.escape_ascii());
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic_or_keep_more_than_a_line_or_mean_something_else_in_pieces(
            beginning in prop::sample::select(vec![&b""[..], TEXT, b"PROXY TCP4 ", SIGNATURE, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"]),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            piece in 1usize..40,
        ) {
            let all = [beginning, &bytes].concat();
            let whole = read(&all, all.len());
            prop_assert_eq!(&read(&all, piece), &whole);
            let mut reader = ProxyReader::default();
            let _ = reader.read(&mut &all[..]);
            prop_assert!(reader.head.len() <= MAX_TEXT_BYTES);
        }
    }
}
