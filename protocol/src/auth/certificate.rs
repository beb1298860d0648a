//! How a client came, and whom its certificate names (wire.md 6.4).

use crate::transport::PeerCertificate;

/// How a client came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival<'a> {
    pub(crate) by_websocket: bool,
    pub(crate) certificate: Certificate<'a>,
}

/// What a client's certificate says about who it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Certificate<'a> {
    /// Nothing: who it is depends on what it presents.
    #[default]
    Silent,
    /// Everything, if it showed one.
    Decides(Option<&'a PeerCertificate>),
}

/// Tells which names of users mean this subject of a certificate, however they are written.
pub(super) fn means(subject: &str) -> impl Fn(&str) -> bool + use<> {
    let meant = parts(subject);
    move |name| name.contains('=') && parts(name) == meant
}

/// The parts of a distinguished name, in an order that does not depend on how it is written. A comma that is a part of one has
/// a backslash before it (RFC 4514).
fn parts(name: &str) -> Vec<String> {
    let mut is_escaped = false;
    let is_comma = |letter: char| {
        let was_escaped = is_escaped;
        is_escaped = letter == '\\' && !was_escaped;
        letter == ',' && !was_escaped
    };
    let trim = |part: &str| match part.split_once('=') {
        Some((kind, value)) => format!("{}={}", kind.trim().to_uppercase(), value.trim()),
        None => part.trim().to_owned(),
    };
    let mut parts: Vec<_> = name.split(is_comma).map(trim).collect();
    parts.sort();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distinguished_name_is_the_same_in_any_order_and_with_any_blanks() {
        assert_eq!(parts("CN=joe,OU=Room,O=Devices"), parts("o=Devices, ou = Room, cn=joe"));
        assert_ne!(parts("CN=joe,OU=Room"), parts("CN=joe"));
        assert_ne!(parts("CN=joe"), parts("CN=Joe"));
        assert_eq!(parts("CN=a\\,b,O=c"), ["CN=a\\,b", "O=c"]);
        assert_eq!(parts("CN=a\\\\,O=c"), ["CN=a\\\\", "O=c"]);
    }
}
