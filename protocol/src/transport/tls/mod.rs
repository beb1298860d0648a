//! TLS (wire.md 6), by rustls: the bytes of the protocol in records that only the two ends can read.
//!
//! [`TlsSettings`] are plain data. A [`Tls`] is made of them once, and everything that is wrong with certificates and keys is
//! found then; it makes a [`TlsSession`] for each connection. The two halves of one share a state, behind a lock of their own: a
//! handshake is both reading and writing, and what is read later may want an answer.
//!
//! Nothing here looks at a clock: who begins a session says what time it is, by which certificates are judged. What must be
//! unguessable comes from the system's randomness, by way of ring; nothing that could be seen but the bytes depends on it.
//!
//! Where TLS is not built in (feature `tls`), there is no [`Tls`] to be had, and all else is as it is.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod certificate;
#[cfg(feature = "tls")]
mod context;
mod facts;
#[cfg(feature = "tls")]
mod fault;
#[cfg(feature = "tls")]
mod keys;
#[cfg(feature = "tls")]
mod session;
mod settings;
#[cfg(feature = "tls")]
mod suites;
#[cfg(all(test, feature = "tls"))]
mod tests;
#[cfg(feature = "tls")]
mod trust;

#[cfg(not(feature = "tls"))]
pub use absent::{Tls, TlsSession, is_spoken_group, is_spoken_suite};
#[cfg(not(feature = "tls"))]
pub(in crate::transport) use absent::{TlsReader, TlsWriter};
#[cfg(feature = "tls")]
pub use context::Tls;
#[cfg(feature = "tls")]
pub use session::TlsSession;
#[cfg(feature = "tls")]
pub(in crate::transport) use session::{TlsReader, TlsWriter};
#[cfg(feature = "tls")]
pub use suites::{is_spoken_group, is_spoken_suite};

pub use facts::{PeerCertificate, TlsFacts, TlsProgress};
pub use settings::{
    CertificateFiles, DEFAULT_HANDSHAKE_FIRST_WAIT, DEFAULT_TLS_TIMEOUT, HandshakeFirst, KeyHash, Pem,
    TlsError, TlsSettings, TlsVersion,
};
