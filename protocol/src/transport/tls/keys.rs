//! What this side shows of itself.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use webpki::EndEntityCert;

use super::settings::{CertificateFiles, Pem, TlsError};

/// Certificates with their keys, in the order in which they are preferred.
#[derive(Debug)]
pub(super) struct Keys(Vec<Arc<CertifiedKey>>);

impl Keys {
    pub(super) fn load(files: &[CertificateFiles], provider: &CryptoProvider) -> Result<Self, TlsError> {
        let load = |files: &CertificateFiles| {
            let chain = certificates(&files.chain).filter(|chain| !chain.is_empty());
            let chain =
                chain.ok_or_else(|| unusable("tls: failed to find any PEM data in certificate input"))?;
            let key = PrivateKeyDer::from_pem_slice(files.key.expose())
                .map_err(|_| unusable("tls: failed to find any PEM data in key input"))?;
            let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    unusable("tls: private key does not match public key")
                }
                other => unusable(&other.to_string()),
            })?;
            Ok(Arc::new(key))
        };
        files.iter().map(load).collect::<Result<_, _>>().map(Self)
    }

    /// The first certificate.
    pub(super) fn first(&self) -> Option<&CertificateDer<'static>> {
        self.0.first()?.cert.first()
    }

    fn choose(
        &self,
        schemes: &[SignatureScheme],
        is_meant: impl Fn(&CertifiedKey) -> bool,
    ) -> Option<Arc<CertifiedKey>> {
        let is_usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let usable = || self.0.iter().filter(is_usable);
        usable().find(|key| is_meant(key)).or_else(|| usable().next()).or(self.0.first()).cloned()
    }
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let is_meant = |key: &CertifiedKey| name.as_ref().is_none_or(|name| is_named(key, name));
        self.choose(hello.signature_schemes(), is_meant)
    }
}

impl ResolvesClientCert for Keys {
    fn resolve(&self, _hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.choose(schemes, |_| true)
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// All certificates of a file; none if one of them is none.
pub(super) fn certificates(pem: &Pem) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem.expose()).collect::<Result<_, _>>().ok()
}

fn is_named(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let own = key.cert.first().and_then(|own| EndEntityCert::try_from(own).ok());
    own.is_some_and(|own| own.verify_is_valid_for_subject_name(name).is_ok())
}

fn unusable(why: &str) -> TlsError {
    TlsError(format!("error parsing X509 certificate/key pair: {why}"))
}
