//! What stands in a certificate that a peer showed.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::facts::PeerCertificate;

/// Reads one that rustls has read before. What cannot be read names nobody.
pub(super) fn read(der: &CertificateDer<'_>) -> PeerCertificate {
    let mut read = PeerCertificate { hash: Sha256::digest(der).into(), ..PeerCertificate::default() };
    let Ok(certificate) = Certificate::from_der(der) else {
        return read;
    };
    let certificate = certificate.tbs_certificate();
    read.subject = certificate.subject().to_string();
    read.key_hash = Sha256::digest(certificate.subject_public_key_info().to_der().unwrap_or_default()).into();
    if let Ok(Some((_, names))) = certificate.get_extension::<SubjectAltName>() {
        names.0.iter().for_each(|name| add(&mut read, name));
    }
    read
}

fn add(read: &mut PeerCertificate, name: &GeneralName) {
    match name {
        GeneralName::Rfc822Name(mail) => read.emails.push(mail.to_string()),
        GeneralName::DnsName(host) => read.dns_names.push(host.to_string()),
        GeneralName::UniformResourceIdentifier(uri) => read.uris.push(uri.to_string()),
        _ => {}
    }
}

/// When a certificate ends to be valid, in seconds since 1970.
pub(super) fn not_after(der: &CertificateDer<'_>) -> Option<u64> {
    let certificate = Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs())
}
