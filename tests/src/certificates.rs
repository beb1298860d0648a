//! Certificates for the tests of TLS, made when they are needed, in files where servers find them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

pub use rcgen::date_time_ymd;

/// Who signs certificates. Their files are removed with it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

/// A certificate and its key in files.
#[derive(Clone, Debug)]
pub struct Certificate {
    cert_file: PathBuf,
    key_file: PathBuf,
}

impl Authority {
    /// A new one, which nobody knows yet.
    ///
    /// # Panics
    ///
    /// If its directory cannot be written.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("onehop-tls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        std::fs::write(directory.join("ca.pem"), issuer.pem()).expect("a directory of our own");
        Self { issuer, directory }
    }

    /// The file with its own certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// A certificate for servers and clients of 127.0.0.1 and localhost.
    pub fn sign(&self, name: &str) -> Certificate {
        self.sign_as(name, |_| {})
    }

    /// The same, after it was changed. The files of an earlier one of the same name are replaced.
    ///
    /// # Panics
    ///
    /// If what was changed makes no certificate.
    pub fn sign_as(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.subject_alt_names = vec![
            SanType::IpAddress([127, 0, 0, 1].into()),
            SanType::DnsName("localhost".try_into().expect("a name")),
        ];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |kind: &str| self.directory.join(format!("{name}.{kind}"));
        let made = Certificate { cert_file: file("pem"), key_file: file("key") };
        std::fs::write(&made.cert_file, certificate.pem()).expect("a directory of our own");
        std::fs::write(&made.key_file, key.serialize_pem()).expect("a directory of our own");
        made
    }

    /// A `tls` block for a configuration file, with what else is to stand there.
    pub fn block(&self, own: &Certificate, more: &str) -> String {
        let shown = |path: &Path| path.display().to_string();
        let (cert, key, ca) = (shown(&own.cert_file), shown(&own.key_file), shown(&self.file()));
        format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\", ca_file: \"{ca}\", {more} }}\n")
    }

    /// What a client needs that trusts this authority, and shows a certificate if it has one.
    ///
    /// # Panics
    ///
    /// If the certificate cannot be read.
    pub fn client(&self, own: Option<&Certificate>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let Some(own) = own else { return Arc::new(builder.with_no_client_auth()) };
        let chain = vec![CertificateDer::from_pem_file(&own.cert_file).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(&own.key_file).expect("a key");
        Arc::new(builder.with_client_auth_cert(chain, key).expect("they belong together"))
    }
}

impl Certificate {
    /// The file with the certificate.
    pub fn cert_file(&self) -> &Path {
        &self.cert_file
    }

    /// The file with the private key.
    pub fn key_file(&self) -> &Path {
        &self.key_file
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
