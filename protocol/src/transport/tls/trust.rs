//! Whom this side believes.

use std::sync::Arc;

use rustls::OtherError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use webpki::EndEntityCert;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::keys::certificates;
use super::settings::{Pem, TlsError};

/// The certificates of those who are trusted.
pub(super) struct Trusted {
    roots: Arc<RootCertStore>,
    /// The same, where they were set: who shows one of them is believed, even if nobody signed it but its owner.
    listed: Vec<CertificateDer<'static>>,
}

/// Which clients, and servers that connect, are believed.
#[derive(Debug)]
pub(super) struct ClientTrust {
    inner: Arc<dyn ClientCertVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

/// Which servers that are dialled are believed.
#[derive(Clone, Debug)]
pub(super) struct ServerTrust {
    /// None believes whatever they show.
    inner: Option<Arc<WebPkiServerVerifier>>,
    listed: Vec<CertificateDer<'static>>,
    /// The names of servers of which one may be meant by an address.
    known_names: Vec<ServerName<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trusted {
    pub(super) fn load(
        authorities: Option<&Pem>,
        system: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> Result<Self, TlsError> {
        let unusable = || TlsError("failed to parse root ca certificate".to_owned());
        let mut roots = RootCertStore::empty();
        let Some(authorities) = authorities else {
            // Some that a system has may not be understood.
            roots.add_parsable_certificates(system().into_iter().map(CertificateDer::from));
            return Ok(Self { roots: Arc::new(roots), listed: Vec::new() });
        };
        let listed = certificates(authorities).filter(|listed| !listed.is_empty()).ok_or_else(unusable)?;
        for certificate in &listed {
            roots.add(certificate.clone()).map_err(|_| unusable())?;
        }
        Ok(Self { roots: Arc::new(roots), listed })
    }
}

impl ClientTrust {
    pub(super) fn new(trusted: &Trusted, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let inner = WebPkiClientVerifier::builder_with_provider(trusted.roots.clone(), provider.clone());
        let inner = inner.build().map_err(|error| TlsError(error.to_string()))?;
        Ok(Self { inner, listed: trusted.listed.clone() })
    }
}

impl ServerTrust {
    pub(super) fn new(trusted: &Trusted, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let inner = WebPkiServerVerifier::builder_with_provider(trusted.roots.clone(), provider.clone());
        let inner = inner.build().map_err(|error| TlsError(error.to_string()))?;
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self { inner: Some(inner), listed: trusted.listed.clone(), known_names: Vec::new(), algorithms })
    }

    pub(super) fn in_anybody(provider: &CryptoProvider) -> Self {
        let algorithms = provider.signature_verification_algorithms;
        Self { inner: None, listed: Vec::new(), known_names: Vec::new(), algorithms }
    }

    /// The same, where a server that is known by an address may have one of these names; none where there are none.
    pub(super) fn in_names(self, known_hosts: &[&str]) -> Option<Self> {
        let names = known_hosts.iter().filter_map(|host| ServerName::try_from((*host).to_owned()).ok());
        let known_names: Vec<_> = names.filter(|name| matches!(name, ServerName::DnsName(_))).collect();
        (!known_names.is_empty()).then_some(Self { known_names, ..self })
    }

    /// Whether a certificate is for one of the servers that may be meant.
    fn check_names(&self, own: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
        let result = check_name(own, name);
        let is_address = matches!(name, ServerName::IpAddress(_));
        let is_known = || is_address && self.known_names.iter().any(|known| check_name(own, known).is_ok());
        if result.is_err() && is_known() { Ok(()) } else { result }
    }
}

impl ClientCertVerifier for ClientTrust {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.inner.verify_client_cert(own, between, now).or_else(|error| {
            if !is_of_nobody(&error) || !self.listed.contains(own) {
                return Err(error);
            }
            check_time(own, now)?;
            Ok(ClientCertVerified::assertion())
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, own, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, own, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl ServerCertVerifier for ServerTrust {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        inner.verify_server_cert(own, between, name, ocsp_response, now).or_else(|error| match error {
            // All else was good.
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) if self.check_names(own, name).is_ok() => Ok(ServerCertVerified::assertion()),
            _ if is_of_nobody(&error) && self.listed.contains(own) => {
                check_time(own, now)?;
                self.check_names(own, name)?;
                Ok(ServerCertVerified::assertion())
            }
            _ => Err(error),
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, own, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether nothing is wrong but that nobody else who is trusted signed it.
fn is_of_nobody(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        // As it is made where nobody thinks of it: `openssl req -x509` does.
        Error::InvalidCertificate(CertificateError::Other(why)) => is_of_authority(why),
        _ => false,
    }
}

/// Whether a certificate is an authority's own.
pub(super) fn is_of_authority(why: &OtherError) -> bool {
    why.0.downcast_ref::<webpki::Error>() == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// Whether a certificate that is believed for being listed is valid now.
fn check_time(own: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let Ok(certificate) = Certificate::from_der(own) else {
        return Err(CertificateError::BadEncoding.into());
    };
    let validity = certificate.tbs_certificate().validity();
    let unix = |time: x509_cert::time::Time| UnixTime::since_unix_epoch(time.to_unix_duration());
    let (not_before, not_after) = (unix(validity.not_before), unix(validity.not_after));
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    Ok(())
}

/// Whether it is that of the server that was dialled.
fn check_name(own: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let own = EndEntityCert::try_from(own).map_err(|_| CertificateError::BadEncoding)?;
    own.verify_is_valid_for_subject_name(name).map_err(|_| CertificateError::NotValidForName.into())
}
