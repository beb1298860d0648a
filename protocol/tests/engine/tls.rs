//! TLS for clients and on routes (wire.md 6). The client is rustls by itself, which knows nothing of this crate.

use std::io::{Cursor, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use onehop::config::{
    Authorization, ClusterConfig, Compression, Config, User, UserPassword, WebSocketConfig,
};
use onehop::transport::{CertificateFiles, HandshakeFirst, Pem, S2Level, Tls, TlsSettings};
use onehop::{CloseReason, Engine, Instant, Listening};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::scene::{Peer, SECOND, Scene};

const HOST: &str = "nats.example";
const CONNECT: &[u8] = b"CONNECT {\"verbose\":false}\r\nPING\r\n";

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
struct Signed {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    files: CertificateFiles,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = always_valid(CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let mut params = always_valid(CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let [chain, pem] = [certificate.pem(), key.serialize_pem()].map(|text| Pem::new(text.into_bytes()));
        Signed {
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
            files: CertificateFiles { chain, key: pem },
        }
    }

    /// The certificate of a node, for its addresses in a scene.
    fn node(&self, names: &[&str]) -> TlsSettings {
        let signed = self.sign("node", |params| {
            params.subject_alt_names = names.iter().map(|name| san(name)).collect();
        });
        TlsSettings {
            certificates: vec![signed.files],
            authorities: Some(Pem::new(self.0.pem().into_bytes())),
            ..TlsSettings::default()
        }
    }
}

/// Nodes of a scene begin in 1970.
fn always_valid(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(1970, 1, 1);
    params
}

fn san(name: &str) -> SanType {
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

/// A client that speaks TLS.
struct Client {
    peer: Peer,
    tls: ClientConnection,
}

impl Client {
    fn new(authority: &Authority, own: Option<Signed>, peer: Peer) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_root_certificates(roots);
        let config = match own {
            Some(own) => builder
                .with_client_auth_cert(vec![own.certificate], PrivateKeyDer::try_from(own.key).unwrap()),
            None => Ok(builder.with_no_client_auth()),
        };
        let host = ServerName::try_from(HOST).unwrap();
        Self { peer, tls: ClientConnection::new(Arc::new(config.unwrap()), host).unwrap() }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).unwrap();
    }

    /// Lets both go on until nothing moves; what was read meanwhile, or why that cannot be.
    fn settle(&mut self, scene: &mut Scene) -> Result<String, rustls::Error> {
        let mut read = Vec::new();
        loop {
            let mut to_send = Vec::new();
            while self.tls.wants_write() {
                self.tls.write_tls(&mut to_send).unwrap();
            }
            if !to_send.is_empty() {
                scene.send(self.peer, &to_send);
            }
            let received = scene.take_bytes(self.peer);
            if received.is_empty() && to_send.is_empty() {
                return Ok(String::from_utf8_lossy(&read).into_owned());
            }
            let mut received = Cursor::new(received);
            while received.position() < received.get_ref().len() as u64 {
                self.tls.read_tls(&mut received).unwrap();
                self.tls.process_new_packets()?;
                // It would block, or it is the end.
                let _ = self.tls.reader().read_to_end(&mut read);
            }
        }
    }
}

fn with_tls(settings: TlsSettings) -> Scene {
    Scene::alone(|config| config.tls = Some(Tls::for_clients(settings, Vec::new).unwrap()))
}

/// Connects, and takes the INFO that comes first.
fn connect(scene: &mut Scene) -> Peer {
    let peer = scene.client("A");
    assert!(scene.take(peer).starts_with("INFO {"));
    peer
}

#[test]
fn a_client_is_greeted_and_then_speaks_tls() {
    let authority = Authority::new("A");
    let mut scene = with_tls(authority.node(&[HOST]));
    let peer = connect(&mut scene);
    let mut client = Client::new(&authority, None, peer);
    client.say(CONNECT);
    assert_eq!(client.settle(&mut scene).unwrap(), "PONG\r\n");
    client.say(b"SUB a 1\r\nPUB a 2\r\nhi\r\n");
    assert_eq!(client.settle(&mut scene).unwrap(), "MSG a 1 2\r\nhi\r\n");
    let directory = scene.node("A").node().hub().directory();
    let entry = directory.list(onehop::hub::Kind::Client).remove(0);
    assert_eq!(entry.tls().map(|tls| tls.cipher_suite.clone()).as_deref(), Some("TLS_AES_128_GCM_SHA256"));
}

#[test]
fn what_is_said_behind_the_handshake_in_the_same_bytes_is_heard_however_they_are_divided() {
    let authority = Authority::new("A");
    for length in [1, 2, 3, 7, 100, 1000] {
        let mut scene = with_tls(authority.node(&[HOST]));
        let peer = connect(&mut scene);
        let mut client = Client::new(&authority, None, peer);
        client.say(CONNECT);
        let mut answers = String::new();
        for _ in 0..4 {
            let mut to_send = Vec::new();
            while client.tls.wants_write() {
                client.tls.write_tls(&mut to_send).unwrap();
            }
            to_send.chunks(length).for_each(|part| scene.send(peer, part));
            answers += &client.settle(&mut scene).unwrap();
        }
        assert_eq!(answers, "PONG\r\n", "{length}");
    }
}

#[test]
fn whoever_wants_may_begin_with_tls_where_that_is_let() {
    let authority = Authority::new("A");
    let first = |handshake_first| TlsSettings { handshake_first, ..authority.node(&[HOST]) };
    let mut scene = with_tls(first(HandshakeFirst::Always));
    let peer = scene.client("A");
    assert_eq!(scene.take(peer), "", "it has to wait for TLS");
    let mut client = Client::new(&authority, None, peer);
    assert!(client.settle(&mut scene).unwrap().starts_with("INFO {"));
    client.say(CONNECT);
    assert_eq!(client.settle(&mut scene).unwrap(), "PONG\r\n");

    let mut scene = with_tls(first(HandshakeFirst::Within(Duration::from_millis(50))));
    let [early, late] = std::array::from_fn(|_| scene.client("A"));
    let mut client = Client::new(&authority, None, early);
    assert!(client.settle(&mut scene).unwrap().starts_with("INFO {"));
    scene.run_for(Duration::from_millis(49));
    assert_eq!(scene.take(late), "");
    scene.run_for(Duration::from_millis(1));
    assert!(scene.take(late).starts_with("INFO {"));
    let mut client = Client::new(&authority, None, late);
    client.say(CONNECT);
    assert_eq!(client.settle(&mut scene).unwrap(), "PONG\r\n");
}

#[test]
fn where_tls_is_only_available_a_client_chooses_by_its_first_byte() {
    let authority = Authority::new("A");
    let mut scene = Scene::alone(|config| {
        config.tls = Some(Tls::for_clients(authority.node(&[HOST]), Vec::new).unwrap());
        config.allow_non_tls = true;
    });
    let plain = connect(&mut scene);
    scene.send(plain, CONNECT);
    assert_eq!(scene.take(plain), "PONG\r\n");
    let peer = connect(&mut scene);
    let mut client = Client::new(&authority, None, peer);
    client.say(CONNECT);
    assert_eq!(client.settle(&mut scene).unwrap(), "PONG\r\n");
}

#[test]
fn a_handshake_that_does_not_get_on_is_ended_and_who_may_do_without_is_let_in() {
    let authority = Authority::new("A");
    let settings = || TlsSettings { timeout: SECOND, ..authority.node(&[HOST]) };
    let mut scene = with_tls(settings());
    let [silent, slow] = std::array::from_fn(|_| scene.client("A"));
    scene.send(slow, &[0x16, 3, 1]);
    scene.run_for(SECOND / 2);
    assert_eq!((scene.closed(silent), scene.closed(slow)), (None, None));
    scene.run_for(SECOND / 2);
    let failed = Some(CloseReason::TlsHandshakeFailure);
    assert_eq!((scene.closed(silent), scene.closed(slow)), (failed, failed));

    let mut scene = Scene::alone(|config| {
        config.tls = Some(Tls::for_clients(settings(), Vec::new).unwrap());
        config.allow_non_tls = true;
        config.authorization = Authorization::Token("t".into());
    });
    let silent = scene.client("A");
    scene.take(silent);
    scene.run_for(SECOND + SECOND / 2);
    assert_eq!(scene.closed(silent), None, "from now on it has its time to authenticate");
    scene.send(silent, b"CONNECT {\"verbose\":false,\"auth_token\":\"t\"}\r\nPING\r\n");
    assert_eq!(scene.take(silent), "PONG\r\n");
}

#[test]
fn what_is_no_tls_ends_its_connection_without_an_answer() {
    let authority = Authority::new("A");
    let mut scene = with_tls(authority.node(&[HOST]));
    let peer = connect(&mut scene);
    scene.send(peer, CONNECT);
    assert_eq!(scene.take(peer), "");
    assert_eq!(scene.closed(peer), Some(CloseReason::TlsHandshakeFailure));
}

#[test]
fn a_client_by_websocket_shakes_hands_then_asks_for_it_and_is_greeted_within() {
    let authority = Authority::new("A");
    let mut scene = Scene::alone(|config| {
        let tls = Some(Tls::for_clients(authority.node(&[HOST]), Vec::new).unwrap());
        config.websocket = Some(WebSocketConfig { tls, ..WebSocketConfig::default() });
    });
    let peer = scene.websocket("A");
    assert_eq!(scene.take(peer), "", "it has to wait for TLS");
    let mut client = Client::new(&authority, None, peer);
    client.say(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let answer = client.settle(&mut scene).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("INFO {"), "{answer}");
    assert!(answer.contains("\"tls_required\":true,\"tls_available\":true"), "{answer}");
    // PING in a frame whose mask is nothing.
    client.say(b"\x82\x86\0\0\0\0PING\r\n");
    assert!(client.settle(&mut scene).unwrap().ends_with("PONG\r\n"));
    let plain = scene.websocket("A");
    scene.send(plain, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(scene.closed(plain), Some(CloseReason::TlsHandshakeFailure));
    let silent = scene.websocket("A");
    let mut client = Client::new(&authority, None, silent);
    client.settle(&mut scene).unwrap();
    scene.run_for(11 * SECOND);
    assert_eq!(scene.closed(silent), Some(CloseReason::ClientClosed), "it never asked");
}

#[test]
fn a_proxy_says_whom_it_speaks_for_before_tls_and_that_has_its_own_time() {
    let authority = Authority::new("A");
    let mut scene = Scene::alone(|config| {
        let settings = TlsSettings { timeout: SECOND, ..authority.node(&[HOST]) };
        config.tls = Some(Tls::for_clients(settings, Vec::new).unwrap());
        config.proxy_protocol = true;
    });
    let peer = connect(&mut scene);
    scene.run_for(4 * SECOND);
    scene.send(peer, b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 4222\r\n");
    scene.run_for(SECOND / 2);
    let mut client = Client::new(&authority, None, peer);
    client.say(CONNECT);
    assert_eq!(client.settle(&mut scene).unwrap(), "PONG\r\n");
    let silent = connect(&mut scene);
    scene.run_for(4 * SECOND);
    assert_eq!(scene.closed(silent), None);
    scene.run_for(SECOND);
    assert_eq!(scene.closed(silent), Some(CloseReason::ProtocolViolation));
}

#[test]
fn more_handshakes_than_may_begin_in_a_second_are_put_off() {
    let authority = Authority::new("A");
    let mut scene = with_tls(TlsSettings { connection_rate_limit: 2, ..authority.node(&[HOST]) });
    let peers: [Peer; 3] = std::array::from_fn(|_| scene.client("A"));
    assert_eq!(
        peers.map(|peer| scene.closed(peer)),
        [None, None, Some(CloseReason::MaximumConnectionsExceeded)]
    );
    let told = "-ERR 'Connection throttling is active. Please try again later.'\r\n";
    assert!(scene.take(peers[2]).ends_with(told));
    scene.run_for(SECOND);
    let peer = scene.client("A");
    assert_eq!(scene.closed(peer), None);
}

#[test]
fn a_client_is_the_user_that_its_certificate_is_for_whatever_it_says() {
    let authority = Authority::new("A");
    let user = |name: &str| User::with_password(name, "secret");
    let mut scene = Scene::alone(|config| {
        let settings = TlsSettings { verify_and_map: true, ..authority.node(&[HOST]) };
        config.tls = Some(Tls::for_clients(settings, Vec::new).unwrap());
        config.authorization =
            Authorization::Users(["joe@example.com", "O=Devices, CN=ann"].map(user).into());
    });
    let mail = |params: &mut CertificateParams| {
        params.subject_alt_names = vec![SanType::Rfc822Name("joe@example.com".try_into().unwrap())];
    };
    let of_devices = |params: &mut CertificateParams| {
        params.distinguished_name.push(DnType::OrganizationName, "Devices");
    };
    let certificates =
        [authority.sign("joe", mail), authority.sign("ann", of_devices), authority.sign("joe", |_| {})];
    let [joe, ann, nobody] = certificates.map(|own| {
        let peer = connect(&mut scene);
        let mut client = Client::new(&authority, Some(own), peer);
        client.say(b"CONNECT {\"verbose\":false,\"user\":\"ann\",\"pass\":\"wrong\"}\r\nPING\r\n");
        let answer = client.settle(&mut scene).unwrap();
        (answer, scene.closed(peer))
    });
    assert_eq!((joe, ann), (("PONG\r\n".to_owned(), None), ("PONG\r\n".to_owned(), None)));
    let refused = "-ERR 'Authorization Violation'\r\n".to_owned();
    assert_eq!(nobody, (refused, Some(CloseReason::AuthenticationFailure)));
}

#[test]
fn a_client_without_a_certificate_that_is_asked_for_one_is_refused() {
    let authority = Authority::new("A");
    let mut scene = with_tls(TlsSettings { verify: true, ..authority.node(&[HOST]) });
    let peer = scene.client("A");
    assert!(scene.take(peer).contains("\"tls_required\":true,\"tls_verify\":true"));
    let mut client = Client::new(&authority, None, peer);
    assert!(client.settle(&mut scene).is_err());
    assert_eq!(scene.closed(peer), Some(CloseReason::TlsHandshakeFailure));
}

fn start(
    scene: &mut Scene,
    name: &str,
    routes: &[&str],
    settings: TlsSettings,
    change: impl FnOnce(&mut Config),
) {
    scene.start(name, routes, |config| {
        let cluster = config.cluster.as_mut().expect("a cluster");
        cluster.tls = Some(Tls::for_routes(settings, Vec::new).unwrap());
        change(config);
    });
}

fn hears(scene: &mut Scene, listener: &str, publisher: &str) -> bool {
    let [listener, publisher] = [listener, publisher].map(|node| scene.client(node));
    scene.send(listener, b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPING\r\n");
    scene.take(listener);
    scene.send(publisher, b"CONNECT {\"verbose\":false}\r\nPUB a 2\r\nhi\r\n");
    scene.take(listener).ends_with("MSG a 1 2\r\nhi\r\n")
}

#[test]
fn nodes_become_a_mesh_over_tls_with_pools_and_compression_or_without() {
    let authority = Authority::new("A");
    for (pool_size, connections) in [(None, 1), (std::num::NonZeroU16::new(3), 4)] {
        for compression in [Compression::Off, Compression::S2(S2Level::Fast)] {
            let mut scene = Scene::new();
            for (name, routes) in [("A", vec![]), ("B", vec!["A"]), ("C", vec!["B"])] {
                let ip = scene.ip(name).to_string();
                start(&mut scene, name, &routes, authority.node(&[&ip]), |config| {
                    let cluster = config.cluster.as_mut().unwrap();
                    (cluster.pool_size, cluster.compression) = (pool_size, compression.clone());
                });
            }
            assert!(
                scene.drive_until(10 * SECOND, |scene| scene.is_mesh(connections)),
                "{}",
                scene.describe()
            );
            assert!(hears(&mut scene, "A", "C") && hears(&mut scene, "C", "A"));
        }
    }
}

#[test]
fn a_server_that_cannot_be_believed_by_its_name_is_told_nothing_and_dialed_again() {
    let authority = Authority::new("A");
    let cluster = ClusterConfig {
        // A system finds it, and no certificate can have such a name.
        routes: vec!["nats://u:secret@127.1:6222".parse().unwrap()],
        tls: Some(Tls::for_routes(authority.node(&["a.example"]), Vec::new).unwrap()),
        pool_size: None,
        ..ClusterConfig::default()
    };
    let config = Config { cluster: Some(cluster), ..Config::default() };
    let mut engine = Engine::new(config, &Listening::default(), Instant::ZERO);
    let mut now = Instant::ZERO;
    for attempt in 0..3 {
        let request = engine.poll_dial(now).expect("a dial");
        let id = engine.handle_dialed(now, request.id, "127.0.0.1:6222".parse().unwrap()).unwrap();
        assert_eq!(engine.transmit(id).unwrap(), b"", "{attempt}");
        assert_eq!(engine.poll_closed(), Some((id, CloseReason::TlsHandshakeFailure)));
        assert!(engine.poll_dial(now).is_none());
        now += 2 * SECOND;
        engine.handle_timeout(now);
    }
}

#[test]
fn the_certificate_of_a_server_is_that_of_the_clusters_user_where_it_has_to_be() {
    let authority = Authority::new("A");
    for (user, is_let_in) in [("c.example", true), ("d.example", false)] {
        let mut scene = Scene::new();
        let maps = |settings: TlsSettings| TlsSettings { verify_and_map: true, ..settings };
        let with_user = |config: &mut Config| {
            let password = String::new().as_str().into();
            config.cluster.as_mut().unwrap().authorization =
                Some(UserPassword { user: user.to_owned(), password });
        };
        for (name, routes) in [("A", vec![]), ("B", vec!["A"])] {
            let ip = scene.ip(name).to_string();
            start(&mut scene, name, &routes, maps(authority.node(&[&ip, "c.example"])), with_user);
        }
        assert_eq!(scene.drive_until(5 * SECOND, |scene| scene.is_mesh(4)), is_let_in, "{user}");
    }
}

#[test]
fn too_many_clients_are_told_so_before_they_begin_with_tls() {
    let authority = Authority::new("A");
    let mut scene = Scene::alone(|config| {
        let settings = TlsSettings { handshake_first: HandshakeFirst::Always, ..authority.node(&[HOST]) };
        config.tls = Some(Tls::for_clients(settings, Vec::new).unwrap());
        config.max_connections = 1;
    });
    let [first, second] = std::array::from_fn(|_| scene.client("A"));
    assert_eq!((scene.closed(first), scene.take(first).len()), (None, 0));
    assert_eq!(scene.closed(second), Some(CloseReason::MaximumConnectionsExceeded));
    assert!(scene.take(second).ends_with("-ERR 'maximum connections exceeded'\r\n"));
}

#[test]
fn who_may_begin_with_tls_or_do_without_may_also_wait_for_info() {
    let authority = Authority::new("A");
    let mut scene = Scene::alone(|config| {
        let handshake_first = HandshakeFirst::Within(Duration::from_millis(50));
        let settings = TlsSettings { handshake_first, ..authority.node(&[HOST]) };
        config.tls = Some(Tls::for_clients(settings, Vec::new).unwrap());
        config.allow_non_tls = true;
    });
    let [patient, hasty] = std::array::from_fn(|_| scene.client("A"));
    scene.send(hasty, CONNECT);
    assert!(scene.take(hasty).ends_with("PONG\r\n"));
    scene.run_for(Duration::from_millis(60));
    assert!(scene.take(patient).starts_with("INFO {"));
    scene.send(patient, CONNECT);
    assert_eq!(scene.take(patient), "PONG\r\n");
}

/// With `handshake_first: auto` as without: whoever has no proxy may wait for INFO, and so may who has one.
#[test]
fn where_proxies_may_come_a_client_that_waits_is_greeted_all_the_same() {
    let authority = Authority::new("A");
    for header in ["", "PROXY TCP4 192.0.2.7 10.0.0.1 1234 4222\r\n"] {
        let mut scene = Scene::alone(|config| {
            let handshake_first = HandshakeFirst::Within(Duration::from_millis(50));
            let settings = TlsSettings { handshake_first, ..authority.node(&[HOST]) };
            config.tls = Some(Tls::for_clients(settings, Vec::new).unwrap());
            (config.allow_non_tls, config.proxy_protocol) = (true, true);
        });
        let [plain, encrypted] = std::array::from_fn(|_| scene.client("A"));
        [plain, encrypted].into_iter().for_each(|peer| scene.send(peer, header.as_bytes()));
        scene.run_for(Duration::from_millis(60));
        assert!(scene.take(plain).starts_with("INFO {"));
        scene.send(plain, CONNECT);
        assert_eq!(scene.take(plain), "PONG\r\n");
        assert!(scene.take(encrypted).starts_with("INFO {"));
        let mut client = Client::new(&authority, None, encrypted);
        client.say(CONNECT);
        assert_eq!(client.settle(&mut scene).unwrap(), "PONG\r\n");
    }
}

#[test]
fn who_shows_what_is_not_good_stays_outside_and_disturbs_nobody() {
    let (ours, others) = (Authority::new("A"), Authority::new("B"));
    let mut scene = Scene::new();
    for (name, routes) in [("A", vec![]), ("B", vec!["A"])] {
        let ip = scene.ip(name).to_string();
        start(&mut scene, name, &routes, ours.node(&[&ip]), |_| {});
    }
    assert!(scene.drive_until(10 * SECOND, |scene| scene.is_mesh(4)));
    let ip = scene.ip("C").to_string();
    start(&mut scene, "C", &["A"], others.node(&[&ip]), |_| {});
    let dials_before = scene.dials();
    scene.run_for(20 * SECOND);
    assert_eq!((scene.route_count("A", "C"), scene.route_count("A", "B")), (0, 4));
    let dials = scene.dials() - dials_before;
    assert!((2..=40).contains(&dials), "it tries again, once in a while: {dials}");
    assert!(hears(&mut scene, "A", "B"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_bytes_come_instead_of_a_handshake_harm_nobody(
        bytes in prop::collection::vec(any::<u8>(), 1..400),
        is_record in any::<bool>(),
    ) {
        let authority = Authority::new("A");
        let mut scene = with_tls(authority.node(&[HOST]));
        let peer = scene.client("A");
        scene.take(peer);
        let head = [0x16, 3, 1, (bytes.len() >> 8) as u8, bytes.len() as u8];
        let bytes = if is_record { [&head[..], &bytes].concat() } else { bytes };
        scene.send(peer, &bytes);
        scene.run_for(3 * SECOND);
        prop_assert_eq!(scene.closed(peer), Some(CloseReason::TlsHandshakeFailure));
    }
}
