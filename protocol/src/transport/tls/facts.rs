//! What others may know of a connection's TLS.

use super::settings::{KeyHash, TlsVersion};

/// What came of a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// Which version is spoken.
    pub version: TlsVersion,
    /// With which cipher suite, by the name that it is registered under.
    pub cipher_suite: String,
    /// What the peer showed, its own certificate first.
    pub peer: Vec<PeerCertificate>,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsProgress {
    /// The two sides get to know each other.
    Handshake,
    /// Bytes go to and fro.
    Open,
    /// It came to nothing.
    Failed,
}

/// What others may know of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Whom it names, as RFC 2253 writes it: the most particular first.
    pub subject: String,
    /// SHA-256 of its public key.
    pub key_hash: KeyHash,
    /// SHA-256 of all of it.
    pub hash: [u8; 32],
    /// The mail addresses that it names.
    pub emails: Vec<String>,
    /// The host names that it names.
    pub dns_names: Vec<String>,
    /// The URIs that it names.
    pub uris: Vec<String>,
}

impl PeerCertificate {
    /// Whether one of its host names is this one. A `*` stands for a first label.
    pub(crate) fn names_host(&self, host: &str) -> bool {
        self.dns_names.iter().any(|name| match (name.strip_prefix("*."), host.split_once('.')) {
            (Some(rest), Some((_, domain))) => rest.eq_ignore_ascii_case(domain),
            _ => name.eq_ignore_ascii_case(host),
        })
    }

    /// All by which it names somebody: mail addresses, host names, URIs, and its subject.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.emails.iter().chain(&self.dns_names).chain(&self.uris).chain([&self.subject])
    }
}
