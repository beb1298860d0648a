use std::collections::BTreeSet;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};

use super::*;
use crate::transport::{DecodeError, Decoder, Encoder};

/// A time at which all certificates below are valid that are not made to be otherwise.
const NOW: Duration = Duration::from_secs(1_800_000_000);

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Pem {
        Pem::new(self.0.pem().into_bytes())
    }

    /// A certificate for a host, after what else is wanted of it.
    fn sign(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateFiles {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        CertificateFiles {
            chain: Pem::new(certificate.pem().into_bytes()),
            key: Pem::new(key.serialize_pem().into_bytes()),
        }
    }
}

fn settings(authority: &Authority, certificate: CertificateFiles) -> TlsSettings {
    TlsSettings {
        certificates: vec![certificate],
        authorities: Some(authority.pem()),
        ..TlsSettings::default()
    }
}

fn routes(authority: &Authority, host: &str) -> TlsSettings {
    settings(authority, authority.sign(host, |_| {}))
}

/// One side, and what it read and has to send.
struct End {
    session: TlsSession,
    decoder: Decoder,
    encoder: Encoder,
    read: Vec<u8>,
    to_say: Vec<u8>,
    sent: Vec<u8>,
    fault: Option<DecodeError>,
}

impl End {
    fn new(session: TlsSession) -> Self {
        Self {
            decoder: session.decoder(),
            encoder: session.encoder(),
            session,
            read: Vec::new(),
            to_say: Vec::new(),
            sent: Vec::new(),
            fault: None,
        }
    }

    fn encode(&mut self) {
        loop {
            let before = self.sent.len();
            let taken = self.encoder.encode(&self.to_say, &mut self.sent);
            self.to_say.drain(..taken);
            if taken == 0 && self.sent.len() == before {
                return;
            }
        }
    }

    fn decode(&mut self, mut encoded: &[u8]) {
        while self.fault.is_none() {
            let mut plain = Vec::new();
            match self.decoder.decode(encoded, &mut plain) {
                Ok(taken) => encoded = &encoded[taken..],
                Err(fault) => self.fault = Some(fault),
            }
            self.read.extend_from_slice(&plain);
            if plain.is_empty() && encoded.is_empty() {
                return;
            }
        }
    }
}

/// In which parts bytes arrive.
enum Splits {
    Whole,
    Bytes,
    Random(fastrand::Rng),
}

impl Splits {
    fn of<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            let length = match self {
                Self::Whole => bytes.len(),
                Self::Bytes => 1,
                Self::Random(rng) => rng.usize(1..=bytes.len().min(40_000)),
            };
            let (part, rest) = bytes.split_at(length);
            parts.push(part);
            bytes = rest;
        }
        parts
    }
}

/// A client and a server, whose bytes arrive in parts of these lengths.
struct Pair {
    client: End,
    server: End,
    splits: Splits,
}

impl Pair {
    fn new(client: &Tls, server: &Tls, host: &str, splits: Splits) -> Self {
        Self {
            client: End::new(client.connect(host, &[], NOW).unwrap()),
            server: End::new(server.accept(NOW).unwrap()),
            splits,
        }
    }

    /// Lets both go on until nothing moves.
    fn settle(&mut self) {
        loop {
            self.client.encode();
            self.server.encode();
            let to_server = std::mem::take(&mut self.client.sent);
            let to_client = std::mem::take(&mut self.server.sent);
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
            self.splits.of(&to_server).into_iter().for_each(|part| self.server.decode(part));
            self.splits.of(&to_client).into_iter().for_each(|part| self.client.decode(part));
        }
    }

    fn progress(&self) -> [TlsProgress; 2] {
        [self.client.session.progress(), self.server.session.progress()]
    }

    /// Why it failed on each side.
    fn faults(&self) -> [Option<String>; 2] {
        [self.client.session.fault(), self.server.session.fault()]
    }
}

fn shake_hands(client: TlsSettings, server: TlsSettings, host: &str) -> Pair {
    let client = Tls::for_routes(client, Vec::new).unwrap();
    let server = Tls::for_routes(server, Vec::new).unwrap();
    let mut pair = Pair::new(&client, &server, host, Splits::Whole);
    pair.settle();
    pair
}

#[test]
fn what_one_side_says_the_other_reads_however_the_bytes_are_divided() {
    let authority = Authority::new("A");
    let tls = Tls::for_routes(routes(&authority, "b.example"), Vec::new).unwrap();
    let random = |seed| Splits::Random(fastrand::Rng::with_seed(seed));
    for splits in [Splits::Whole, Splits::Bytes, random(1), random(2)] {
        let mut pair = Pair::new(&tls, &tls, "b.example", splits);
        pair.client.to_say = (0..200_000_u32).map(|byte| byte as u8).collect();
        pair.server.to_say = b"INFO {}\r\n".to_vec();
        let said = pair.client.to_say.clone();
        pair.settle();
        assert_eq!(pair.progress(), [TlsProgress::Open; 2]);
        assert_eq!(pair.client.read, b"INFO {}\r\n");
        assert!(pair.server.read == said);
        pair.server.to_say = b"PING\r\n".to_vec();
        pair.settle();
        assert_eq!(pair.client.read, b"INFO {}\r\nPING\r\n");
    }
}

#[test]
fn what_is_said_while_a_record_arrives_costs_nothing_of_it() {
    let authority = Authority::new("A");
    for length in [1, 4, 5, 6, 20, 500, 3000, 20_000] {
        let mut pair =
            shake_hands(routes(&authority, "a.example"), routes(&authority, "b.example"), "b.example");
        let said: Vec<u8> = (0..60_000_u32).map(|byte| (byte % 251) as u8).collect();
        pair.client.to_say = said.clone();
        pair.client.encode();
        for part in std::mem::take(&mut pair.client.sent).chunks(length) {
            pair.server.decode(part);
            pair.server.to_say = b"+OK\r\n".to_vec();
            pair.server.encode();
        }
        assert!(pair.server.read == said, "{length}");
        let parts = 60_000_usize.div_ceil(length);
        pair.settle();
        assert!(
            pair.client.read.len() >= parts / 2 && pair.client.read.starts_with(b"+OK\r\n+OK"),
            "{length}"
        );
    }
}

#[test]
fn the_last_step_of_a_handshake_may_come_in_pieces_while_there_is_something_to_say() {
    let authority = Authority::new("A");
    let tls = Tls::for_routes(routes(&authority, "b.example"), Vec::new).unwrap();
    for length in [1, 3, 100, 700] {
        let mut pair = Pair::new(&tls, &tls, "b.example", Splits::Whole);
        pair.client.to_say = b"CONNECT {}\r\n".to_vec();
        pair.server.to_say = b"INFO {}\r\n".to_vec();
        for _ in 0..4 {
            pair.client.encode();
            for part in std::mem::take(&mut pair.client.sent).chunks(length) {
                pair.server.decode(part);
                pair.server.encode();
            }
            for part in std::mem::take(&mut pair.server.sent).chunks(length) {
                pair.client.decode(part);
                pair.client.encode();
            }
        }
        assert_eq!((&*pair.client.read, &*pair.server.read), (&b"INFO {}\r\n"[..], &b"CONNECT {}\r\n"[..]));
    }
}

#[test]
fn a_decoder_takes_all_that_it_is_given() {
    let authority = Authority::new("A");
    let server =
        Tls::for_clients(settings(&authority, authority.sign("a.example", |_| {})), Vec::new).unwrap();
    let client = Tls::for_routes(routes(&authority, "a.example"), Vec::new).unwrap();
    let Pair { mut client, mut server, .. } = Pair::new(&client, &server, "a.example", Splits::Whole);
    let mut hello = Vec::new();
    client.encoder.encode(b"", &mut hello);
    assert_eq!(server.decoder.decode(&hello, &mut Vec::new()), Ok(hello.len()));
}

#[test]
fn both_versions_are_spoken_and_the_older_one_not_where_it_is_too_old() {
    let authority = Authority::new("A");
    let of = |min_version, cipher_suites: &[&str]| TlsSettings {
        min_version,
        cipher_suites: cipher_suites.iter().map(|name| (*name).to_owned()).collect(),
        ..routes(&authority, "b.example")
    };
    let newest = shake_hands(of(TlsVersion::V1_3, &[]), of(TlsVersion::V1_2, &[]), "b.example");
    let facts = newest.server.session.facts().unwrap();
    assert_eq!((facts.version, &*facts.cipher_suite), (TlsVersion::V1_3, "TLS_AES_128_GCM_SHA256"));
    assert_eq!(facts.peer[0].dns_names, ["b.example"]);
    assert_eq!(facts.peer[0].subject, "CN=b.example");
}

#[test]
fn nothing_follows_is_heard_and_what_was_said_before_is_read() {
    let authority = Authority::new("A");
    let mut pair = shake_hands(routes(&authority, "a.example"), routes(&authority, "b.example"), "b.example");
    pair.client.to_say = b"PUB a 0\r\n\r\n".to_vec();
    pair.client.encode();
    pair.client.encoder.finish(&mut pair.client.sent);
    pair.settle();
    assert_eq!(pair.server.read, b"PUB a 0\r\n\r\n");
    assert_eq!(pair.server.fault, Some(DecodeError::Ended));
    pair.server.to_say = b"PONG\r\n".to_vec();
    pair.settle();
    assert_eq!(
        (&*pair.client.read, pair.client.fault),
        (&b""[..], Some(DecodeError::Ended)),
        "it has taken leave"
    );
}

#[test]
fn certificates_that_are_no_good_are_refused_with_the_reason_on_both_sides() {
    let (ours, others) = (Authority::new("A"), Authority::new("B"));
    let good = |host| ours.sign(host, |_| {});
    let unknown = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    let expired = "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2027-01-15T08:00:00Z is";
    let told = |what: &str| format!("remote error: tls: {what}");
    let cases = [
        (others.sign("b.example", |_| {}), unknown.to_owned(), told("unknown certificate authority")),
        (
            ours.sign("b.example", |params| params.not_after = date_time_ymd(2026, 1, 1)),
            format!("{expired} after 2026-01-01T00:00:00Z"),
            told("expired certificate"),
        ),
        (
            ours.sign("b.example", |params| params.not_before = date_time_ymd(2028, 1, 1)),
            format!("{expired} before 2028-01-01T00:00:00Z"),
            told("expired certificate"),
        ),
        (
            ours.sign("elsewhere.example", |_| {}),
            "tls: failed to verify certificate: x509: certificate is valid for elsewhere.example, not b.example".to_owned(),
            told("bad certificate"),
        ),
    ];
    for (faulty, found, heard) in cases {
        let server = settings(&ours, faulty.clone());
        let pair = shake_hands(settings(&ours, good("a.example")), server, "b.example");
        assert_eq!(pair.faults(), [Some(found.clone()), Some(heard.clone())]);
        if found.contains("elsewhere") {
            continue;
        }
        let client = settings(&ours, faulty);
        let mut pair = shake_hands(client, settings(&ours, good("b.example")), "b.example");
        pair.settle();
        assert_eq!(pair.faults(), [Some(heard), Some(found)]);
    }
}

#[test]
fn what_is_no_tls_or_too_long_or_cut_off_is_a_fault_and_holds_little() {
    let authority = Authority::new("A");
    let tls = Tls::for_routes(routes(&authority, "b.example"), Vec::new).unwrap();
    let hello = {
        let mut client = End::new(tls.connect("b.example", &[], NOW).unwrap());
        client.encode();
        client.sent
    };
    let endless_message = |length: usize| {
        let message = [&[0x0b, 0xff, 0xff, 0xff][..], &vec![0; length - 4]].concat();
        let records = message
            .chunks(16_384)
            .flat_map(|part| [&[0x16, 3, 3, (part.len() >> 8) as u8, part.len() as u8][..], part].concat());
        records.collect::<Vec<_>>()
    };
    let cases = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16, 3, 1, 0xff, 0xff],
        vec![0x17, 3, 3, 0, 1, 0],
        endless_message(200_000),
        [&hello[..], b"CONNECT {}\r\n"].concat(),
    ];
    for bytes in cases {
        let mut server = End::new(tls.accept(NOW).unwrap());
        server.decode(&bytes);
        assert_eq!(server.fault, Some(DecodeError::Corrupt), "{:?}", &bytes[..5]);
        assert!(server.session.held_bytes() <= 70_000, "{}", server.session.held_bytes());
        assert!(server.read.is_empty());
    }
    for length in 0..hello.len() {
        let mut server = End::new(tls.accept(NOW).unwrap());
        server.decode(&hello[..length]);
        assert_eq!(server.fault, None, "{length} bytes");
        assert!(server.session.held_bytes() <= 2 * length.max(16));
    }
}

#[test]
fn an_idle_session_holds_no_buffer() {
    let authority = Authority::new("A");
    let pair = shake_hands(routes(&authority, "a.example"), routes(&authority, "b.example"), "b.example");
    assert_eq!([pair.client.session.held_bytes(), pair.server.session.held_bytes()], [0, 0]);
}

#[test]
fn a_block_that_cannot_be_used_is_told_in_the_words_of_nats_server() {
    let (ours, others) = (Authority::new("A"), Authority::new("B"));
    let CertificateFiles { chain, key } = ours.sign("b.example", |_| {});
    let other_key = others.sign("b.example", |_| {}).key;
    let error = |settings| Tls::for_routes(settings, Vec::new).unwrap_err().to_string();
    let of =
        |chain: &Pem, key: &Pem| settings(&ours, CertificateFiles { chain: chain.clone(), key: key.clone() });
    let faulty = "error parsing X509 certificate/key pair: tls:";
    assert_eq!(error(of(&chain, &other_key)), format!("{faulty} private key does not match public key"));
    assert_eq!(error(of(&key, &key)), format!("{faulty} failed to find any PEM data in certificate input"));
    assert_eq!(error(of(&chain, &chain)), format!("{faulty} failed to find any PEM data in key input"));
    let authorities = Some(key.clone());
    assert_eq!(error(TlsSettings { authorities, ..of(&chain, &key) }), "failed to parse root ca certificate");
}

#[test]
fn who_shows_a_certificate_that_is_listed_is_believed_though_nobody_else_signed_it() {
    let own = |host: &str| {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let [chain, key] = [certificate.pem(), key.serialize_pem()].map(|text| Pem::new(text.into_bytes()));
        CertificateFiles { chain, key }
    };
    let (one, other) = (own("a.example"), own("b.example"));
    let listed = Some(Pem::new([one.chain.expose(), other.chain.expose()].concat()));
    let of = |own: &CertificateFiles| TlsSettings {
        certificates: vec![own.clone()],
        authorities: listed.clone(),
        ..TlsSettings::default()
    };
    let pair = shake_hands(of(&one), of(&other), "b.example");
    assert_eq!(pair.progress(), [TlsProgress::Open; 2]);
    let pair = shake_hands(of(&one), of(&other), "c.example");
    assert!(pair.faults()[0].as_ref().unwrap().contains("not valid for"), "{:?}", pair.faults());
    let stranger = TlsSettings { authorities: listed.clone(), ..of(&own("b.example")) };
    let pair = shake_hands(of(&one), stranger, "b.example");
    assert!(pair.faults()[0].as_ref().unwrap().ends_with("an authority's own, and is not listed"));
}

#[test]
fn a_client_gets_the_certificate_for_the_name_that_it_asks_for() {
    let authority = Authority::new("A");
    let server = TlsSettings {
        certificates: ["a.example", "b.example"].map(|host| authority.sign(host, |_| {})).into(),
        ..routes(&authority, "x.example")
    };
    for host in ["a.example", "b.example"] {
        let pair = shake_hands(routes(&authority, "c.example"), server.clone(), host);
        assert_eq!(pair.client.session.facts().unwrap().peer[0].dns_names, [host]);
    }
}

#[test]
fn peers_are_judged_by_pinned_keys_too() {
    let authority = Authority::new("A");
    let own = authority.sign("b.example", |_| {});
    let pair = shake_hands(routes(&authority, "a.example"), settings(&authority, own), "b.example");
    let facts = pair.client.session.facts().unwrap();
    let judge = |pinned_keys: BTreeSet<KeyHash>| {
        let settings = TlsSettings { pinned_keys, ..routes(&authority, "a.example") };
        Tls::for_routes(settings, Vec::new).unwrap().judge(&facts)
    };
    assert_eq!(judge([facts.peer[0].key_hash].into()), Ok(()));
    assert_eq!(judge([[7; 32]].into()), Err("certificate not pinned"));
}

#[test]
fn a_certificate_names_hosts_and_users() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let shown = PeerCertificate {
        subject: "CN=joe".to_owned(),
        emails: names(&["joe@example.com"]),
        dns_names: names(&["a.example", "*.b.example"]),
        ..PeerCertificate::default()
    };
    let hosts = ["A.example", "x.b.example", "b.example", "x.y.b.example", "c.example"];
    assert_eq!(hosts.map(|host| shown.names_host(host)), [true, true, false, false, false]);
    let users = ["CN=joe", "joe@example.com", "a.example", "joe"];
    assert_eq!(users.map(|user| shown.names().any(|name| name == user)), [true, true, true, false]);
}

#[test]
fn who_is_known_by_an_address_may_show_one_of_the_known_names() {
    let authority = Authority::new("A");
    let tls = Tls::for_routes(routes(&authority, "b.example"), Vec::new).unwrap();
    for (host, known, is_good) in [
        ("192.0.2.1", &["b.example"][..], true),
        ("192.0.2.1", &["192.0.2.2", "c.example"], false),
        ("c.example", &["b.example"], false),
        ("b.example", &[], true),
    ] {
        let client = End::new(tls.connect(host, known, NOW).unwrap());
        let server = End::new(tls.accept(NOW).unwrap());
        let mut pair = Pair { client, server, splits: Splits::Whole };
        pair.settle();
        assert_eq!(pair.progress() == [TlsProgress::Open; 2], is_good, "{host} {known:?}");
    }
    assert!(tls.connect("127.1", &[], NOW).is_err());
}

#[test]
fn who_is_found_in_the_local_network_is_told_a_password_only_if_chosen_authorities_vouch_for_it() {
    use crate::config::{ClusterConfig, Config, ConfigError, Discovery, UserPassword};
    let authority = Authority::new("CA");
    let everybodys = || vec![authority.0.der().to_vec()];
    let judged = |change: &dyn Fn(&mut TlsSettings)| {
        let mut settings = routes(&authority, "a.example");
        change(&mut settings);
        let user = UserPassword { user: "a".to_owned(), password: "b".into() };
        let cluster = ClusterConfig {
            name: Some("C".to_owned()),
            tls: Some(Tls::for_routes(settings, everybodys).unwrap()),
            authorization: Some(user),
            ..ClusterConfig::default()
        };
        let discovery = Discovery { mdns: true, ..Discovery::default() };
        Config { cluster: Some(cluster), discovery, ..Config::default() }.validate()
    };
    assert_eq!(judged(&|_| {}), Ok(()));
    assert_eq!(judged(&|settings| settings.insecure = true), Err(ConfigError::DiscoveryWithoutTls));
    assert_eq!(judged(&|settings| settings.authorities = None), Err(ConfigError::DiscoveryWithoutTls));
}
