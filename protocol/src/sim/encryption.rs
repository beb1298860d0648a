//! TLS of a simulated cluster: one certificate for all nodes, whose key everybody knows.
//!
//! Keys are of Ed25519, whose signatures have one length: so two runs of a world differ in what is encrypted, and in nothing else.
//! Nodes do not check each other's names, since they are dialed by addresses that they may leave; who signed a certificate they do.

use std::sync::LazyLock;
use std::time::Duration;

use crate::config::Config;
use crate::transport::{CertificateFiles, HandshakeFirst, Pem, Tls, TlsSession, TlsSettings};

/// Lets a node speak TLS with others, and with clients that want it, who may begin as said.
pub(super) fn encrypt(config: &mut Config, handshake_first: HandshakeFirst) {
    config.tls = Some(for_clients(TlsSettings { handshake_first, ..settings() }));
    config.allow_non_tls = true;
    if let Some(websocket) = &mut config.websocket {
        websocket.no_tls = false;
        websocket.tls = Some(for_clients(settings()));
    }
    if let Some(cluster) = &mut config.cluster {
        cluster.tls = Some(for_routes(TlsSettings { insecure: true, ..settings() }));
    }
}

/// A session of a client with a node. It shows the same certificate, and believes the node by its name.
pub(super) fn connect() -> TlsSession {
    static CLIENTS: LazyLock<Tls> = LazyLock::new(|| for_routes(settings()));
    CLIENTS.connect(NAME, &[], Duration::ZERO).expect("a name that a certificate can have")
}

fn settings() -> TlsSettings {
    TlsSettings {
        certificates: vec![CertificateFiles { chain: pem(CERTIFICATE), key: pem(KEY) }],
        authorities: Some(pem(AUTHORITY)),
        ..TlsSettings::default()
    }
}

fn for_clients(settings: TlsSettings) -> Tls {
    Tls::for_clients(settings, Vec::new).expect("a certificate and its key")
}

fn for_routes(settings: TlsSettings) -> Tls {
    Tls::for_routes(settings, Vec::new).expect("a certificate and its key")
}

fn pem(text: &[u8]) -> Pem {
    Pem::new(text.to_vec())
}

/// A name that stands in the certificate.
const NAME: &str = "node.example";

const AUTHORITY: &[u8] = include_bytes!("certificates/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("certificates/node.pem");
const KEY: &[u8] = include_bytes!("certificates/node.key");
