//! What may be set of TLS (wire.md 6): plain data, whether or not it is built in.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

/// What one `tls` block says, with the files that it names read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// What this side shows of itself. A peer gets the first that it can use, and the first of all if there is none.
    pub certificates: Vec<CertificateFiles>,
    /// Who is trusted to have signed what peers show: certificates in PEM. `None` is whom the system trusts.
    pub authorities: Option<Pem>,
    /// Wants a certificate of each client. Routes always do.
    pub verify: bool,
    /// Wants one, too, and takes from it which user the client is; on routes, that it is the cluster's.
    pub verify_and_map: bool,
    /// On routes: takes peers whose certificate names a host of the `routes` that are configured, instead of asking for a
    /// password.
    pub verify_known_urls: bool,
    /// Believes a server that is dialled whatever it shows.
    pub insecure: bool,
    /// How long a handshake may take.
    pub timeout: Duration,
    /// Whether clients begin with TLS rather than after INFO.
    pub handshake_first: HandshakeFirst,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// So many handshakes are begun in a second at most; 0 is any number.
    pub connection_rate_limit: u32,
    /// Which cipher suites of TLS 1.2 are spoken, the preferred first; empty is each that is there. Those of 1.3 always are.
    pub cipher_suites: Vec<String>,
    /// Which groups keys are exchanged in, the preferred first; empty is each that is there.
    pub curve_preferences: Vec<String>,
    /// If not empty, peers are taken only whose certificate has one of these keys: SHA-256 of its SubjectPublicKeyInfo.
    pub pinned_keys: BTreeSet<KeyHash>,
}

/// SHA-256 of a public key as it stands in a certificate.
pub type KeyHash = [u8; 32];

/// A certificate with those of the authorities between it and a trusted one, and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificates, its own first, in PEM.
    pub chain: Pem,
    /// The private key in PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key: Pem,
}

/// The text of a file in PEM, which may be a secret, and is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem(Zeroizing<Vec<u8>>);

/// Whether TLS comes before INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandshakeFirst {
    /// After it.
    #[default]
    Never,
    /// Before it, and clients that wait for INFO wait in vain.
    Always,
    /// Before it, for clients that say something within this time; others get INFO first.
    Within(Duration),
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2
    #[default]
    V1_2,
    /// 1.3
    V1_3,
}

/// Why a `tls` block cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(pub(crate) String);

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            authorities: None,
            verify: false,
            verify_and_map: false,
            verify_known_urls: false,
            connection_rate_limit: 0,
            insecure: false,
            timeout: DEFAULT_TLS_TIMEOUT,
            handshake_first: HandshakeFirst::Never,
            min_version: TlsVersion::V1_2,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            pinned_keys: BTreeSet::new(),
        }
    }
}

impl TlsSettings {
    /// Whether clients have to show a certificate.
    pub fn verifies(&self) -> bool {
        self.verify || self.verify_and_map
    }

    /// How long a client may take to authenticate where nothing is said of that: the handshake comes first.
    pub fn auth_timeout(&self) -> Duration {
        self.timeout + Duration::from_secs(1)
    }
}

impl Pem {
    /// This text.
    pub fn new(text: Vec<u8>) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, to be parsed.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem(..)")
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        })
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// How long a handshake may take, unless it is configured (wire.md 1.7).
pub const DEFAULT_TLS_TIMEOUT: Duration = Duration::from_secs(2);

/// How long `handshake_first: auto` waits for a client to say something.
pub const DEFAULT_HANDSHAKE_FIRST_WAIT: Duration = Duration::from_millis(50);
