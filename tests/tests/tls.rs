//! TLS for clients and on routes, beside real servers and with clients of others (wire.md 6).

use std::time::Duration;

use onehop_tests::certificates::{Authority, Certificate, date_time_ymd};
use onehop_tests::frame::Frame;
use onehop_tests::mesh::{cluster_block, wait_for_connections, wait_until};
use onehop_tests::raw::RawConn;
use onehop_tests::real_server::Version;
use onehop_tests::server::{Kind, Options, Server, reserve_port};
use onehop_tests::tls::{Begin, TlsConn};
use onehop_tests::traffic::user;

const TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT: &[u8] = b"CONNECT {\"verbose\":false}\r\n";

/// What a client is told of TLS.
fn flags_of(info: &str) -> Vec<&str> {
    ["\"tls_required\":true", "\"tls_verify\":true", "\"tls_available\":true"]
        .into_iter()
        .filter(|flag| info.contains(flag))
        .collect()
}

/// What `/connz` says of the TLS of the newest client, and `/varz` of that of the server.
fn shown(server: &Server) -> serde_json::Value {
    let connz = server.page("/connz?auth=1");
    let varz = server.page("/varz");
    let of = |page: &serde_json::Value| -> serde_json::Value {
        let fields = page.as_object().expect("an object").iter();
        let is_tls = |key: &str| key.starts_with("tls") || key == "auth_timeout" || key == "type";
        fields.filter(|(key, _)| is_tls(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let newest = connz["connections"].as_array().and_then(|all| all.last()).expect("a client");
    serde_json::json!([of(newest), of(&varz)])
}

#[test]
fn clients_are_served_over_tls_as_nats_server_does() {
    let authority = Authority::new("A");
    let (own, client) = (authority.sign("server"), authority.sign("client"));
    let settings = [
        ("", "", Begin::AfterInfo, false),
        ("verify: true, timeout: 3", "", Begin::AfterInfo, true),
        ("", "allow_non_tls: true", Begin::AfterInfo, false),
        ("handshake_first: true", "", Begin::AtOnce, false),
        ("handshake_first: auto", "", Begin::AtOnce, false),
        ("handshake_first: '100ms'", "", Begin::AfterInfo, false),
    ];
    for (settings, more, begin, shows_certificate) in settings {
        let outcome = |kind| {
            let config = format!("{}{more}\n", authority.block(&own, settings));
            let server = Server::start(kind, Options::configured(&config))?;
            let config = authority.client(shows_certificate.then_some(&client));
            let (mut conn, mut info) = TlsConn::connect(server.ports().client, config, begin).expect("TLS");
            if begin == Begin::AtOnce {
                info = conn.line().expect("INFO");
            }
            let answer = conn.ask(&[CONNECT, b"SUB a 1\r\nPUB a 2\r\nhi\r\n"].concat()).expect("an answer");
            let flags: Vec<_> = flags_of(&info).into_iter().map(str::to_owned).collect();
            Some((flags, answer, shown(&server)))
        };
        let Some(reference) = outcome(Kind::REFERENCE) else { return };
        for kind in Kind::RUNTIMES {
            assert_eq!(outcome(kind).as_ref(), Some(&reference), "{kind}: {settings} {more}");
        }
    }
}

#[test]
fn a_client_that_shows_what_is_not_good_or_speaks_no_tls_is_logged_and_closed_as_there() {
    let (ours, others) = (Authority::new("A"), Authority::new("B"));
    let own = ours.sign("server");
    let expired = ours.sign_as("expired", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = ours.sign_as("early", |params| params.not_before = date_time_ymd(2090, 1, 1));
    let stranger = others.sign("stranger");
    let cases = [
        (None, "TLS handshake error: tls: client didn't provide a certificate"),
        (
            Some(&stranger),
            "TLS handshake error: tls: failed to verify certificate: x509: certificate signed by unknown authority",
        ),
        (Some(&expired), "x509: certificate has expired or is not yet valid: current time"),
        (Some(&early), "x509: certificate has expired or is not yet valid: current time"),
    ];
    for kind in Kind::COMPARED {
        let Some(server) =
            Server::start(kind, Options::configured(&ours.block(&own, "verify: true")).with(&["-D"]))
        else {
            return;
        };
        for (shown, logged) in cases {
            let before = server.log_bytes();
            let connected = TlsConn::connect(server.ports().client, ours.client(shown), Begin::AfterInfo);
            let refused = connected.and_then(|(mut conn, _)| conn.ask(CONNECT));
            assert!(refused.is_err(), "{kind}");
            server.wait_for_log_since(before, logged, TIMEOUT);
        }
        let mut plain = RawConn::connect(server.ports().client);
        plain.send("CONNECT {}\r\nPING\r\n");
        assert!(plain.read_until_closed(TIMEOUT), "{kind}");
        assert_eq!(plain.frames().len(), 1, "{kind}: nothing but INFO");
        server.wait_for_log(
            "TLS handshake error: tls: first record does not look like a TLS handshake",
            TIMEOUT,
        );
        let closed = server.page("/connz?state=closed");
        let reasons: Vec<_> =
            closed["connections"].as_array().expect("a list").iter().map(|it| it["reason"].clone()).collect();
        assert!(reasons.iter().all(|reason| reason == "TLS Handshake Failure"), "{kind}: {reasons:?}");
    }
}

#[test]
fn a_client_that_hears_itself_as_fast_as_it_speaks_loses_nothing() {
    let authority = Authority::new("A");
    let own = authority.sign("server");
    for kind in Kind::RUNTIMES {
        let Some(server) = Server::start(kind, Options::configured(&authority.block(&own, ""))) else {
            return;
        };
        let (mut conn, _) =
            TlsConn::connect(server.ports().client, authority.client(None), Begin::AfterInfo).expect("TLS");
        conn.ask(&[CONNECT, b"SUB a 1\r\n"].concat()).expect("an answer");
        let message = format!("PUB a 3000\r\n{}\r\n", "x".repeat(3000));
        for round in 0..100 {
            let heard = conn.ask(message.repeat(20).as_bytes()).expect("messages and PONG");
            assert_eq!(heard.matches("MSG a 1 3000\r\n").count(), 20, "{kind}: {round}");
        }
    }
}

#[test]
fn messages_both_ways_at_once_over_an_encrypted_route_all_arrive() {
    let authority = Authority::new("A");
    let own = authority.sign("server");
    for (kinds, settings) in [
        ([Kind::Onehop, Kind::Onehop], ""),
        ([Kind::Onehop, Kind::OnehopStd], "compression: s2_fast"),
        ([Kind::REFERENCE, Kind::Onehop], ""),
    ] {
        let ports = [reserve_port(), reserve_port()];
        let member = |kind| Member { kind, own: &own, settings };
        let Some(first) = start(&authority, &member(kinds[0]), "S0", ports[0], &[]) else { return };
        let Some(second) = start(&authority, &member(kinds[1]), "S1", ports[1], &ports[..1]) else { return };
        wait_for_connections(&[&first, &second], 4, TIMEOUT);
        talk(&[&first, &second], "before");
        std::thread::scope(|scope| {
            for (from, to, subject) in [(&first, &second, "in.there"), (&second, &first, "in.back")] {
                scope.spawn(move || {
                    let [mut publisher, mut listener] = [from, to].map(|server| subscriber(server, "a"));
                    // What it hears itself is not to be in the way.
                    publisher.send("UNSUB 1\r\n");
                    std::thread::sleep(Duration::from_millis(300));
                    let message = format!("PUB {subject} 3000\r\n{}\r\n", "x".repeat(3000));
                    for _ in 0..100 {
                        publisher.send(message.repeat(20));
                        publisher.ping();
                    }
                    let of_it = |frames: &[Frame]| frames.iter().filter(|frame| frame.is_on(subject)).count();
                    listener.read_until(TIMEOUT, |frames| of_it(frames) >= 2000);
                    assert_eq!(of_it(listener.frames()), 2000, "{} to {}", from.name(), to.name());
                });
            }
        });
    }
}

/// A member of a cluster whose routes are encrypted.
struct Member<'a> {
    kind: Kind,
    own: &'a Certificate,
    settings: &'a str,
}

fn start(
    authority: &Authority,
    member: &Member<'_>,
    name: &str,
    port: u16,
    routes: &[u16],
) -> Option<Server> {
    let settings = format!("{}\n{}", member.settings, authority.block(member.own, ""));
    // So that the name in the certificate is looked at too.
    let cluster = cluster_block(port, routes, &settings).replace("nats://127.0.0.1", "nats://localhost");
    let accounts =
        "accounts { A { users: [{ user: a, password: a }] }, B { users: [{ user: b, password: b }] } }";
    let options = Options::configured(&format!("{accounts}\n{cluster}"));
    Server::start(member.kind, options.named(name).with(&["-D"]))
}

/// A subscriber of an account, once it is known to be one.
fn subscriber(server: &Server, name: &str) -> RawConn {
    user(server, name, name, "SUB in.> 1\r\n")
}

/// Whether messages of both accounts go both ways between all.
fn talk(servers: &[&Server], context: &str) {
    for (from, to) in (0..servers.len()).flat_map(|from| (0..servers.len()).map(move |to| (from, to))) {
        if from == to {
            continue;
        }
        for name in ["a", "b"] {
            let [mut publisher, mut listener] = [from, to].map(|place| subscriber(servers[place], name));
            let body = "x".repeat(50_000);
            wait_until(&format!("{context}: {from} is heard at {to}"), TIMEOUT, || {
                publisher.send(format!("PUB in.x {}\r\n{body}\r\n", body.len()));
                publisher.ping();
                listener.read_until_quiet(Duration::from_millis(50));
                listener.frames().iter().any(|frame| frame.payload.as_deref() == Some(body.as_bytes()))
            });
        }
    }
}

fn pair(kinds: [Kind; 2], settings: &str, connections: usize) {
    let context = format!("{} and {}: {settings}", kinds[0], kinds[1]);
    println!("{context}");
    let authority = Authority::new("A");
    let (own, ports) = (authority.sign("server"), [reserve_port(), reserve_port()]);
    let member = |kind| Member { kind, own: &own, settings };
    let Some(first) = start(&authority, &member(kinds[0]), "S0", ports[0], &[]) else { return };
    let Some(second) = start(&authority, &member(kinds[1]), "S1", ports[1], &ports[..1]) else { return };
    wait_for_connections(&[&first, &second], connections, TIMEOUT);
    talk(&[&first, &second], &context);
}

#[test]
fn routes_to_and_from_servers_of_all_versions_are_encrypted() {
    for version in Version::ALL {
        let real = Kind::Real(version);
        let connections = if version.pools_routes() { 4 } else { 1 };
        pair([real, Kind::Onehop], "", connections);
        pair([Kind::Onehop, real], "", connections);
    }
    pair([Kind::Onehop, Kind::OnehopStd], "", 4);
    pair([Kind::OnehopStd, Kind::REFERENCE], "", 4);
}

#[test]
fn encrypted_routes_may_be_compressed_pooled_and_pinned() {
    let real = Kind::REFERENCE;
    pair([real, Kind::Onehop], "compression: s2_better", 4);
    pair([Kind::Onehop, real], "compression: s2_fast, pool_size: 5", 6);
    pair([real, Kind::Onehop], "compression: s2_best, accounts: [A]", 5);
    pair([Kind::OnehopStd, real], "pool_size: -1, compression: s2_auto", 1);
    pair([Kind::Onehop, Kind::Real(Version::V2_10_26)], "compression: s2_fast, accounts: [A, B]", 6);
}

#[test]
fn a_mixed_cluster_with_tls_compression_and_pinned_accounts_carries_traffic_through_restarts() {
    let authority = Authority::new("A");
    let own = authority.sign("server");
    let ports = [reserve_port(), reserve_port(), reserve_port()];
    let kinds = [Kind::Onehop, Kind::REFERENCE, Kind::OnehopStd];
    let settings = "compression: s2_fast, accounts: [A]";
    let mut servers = Vec::new();
    for (place, kind) in kinds.into_iter().enumerate() {
        let member = Member { kind, own: &own, settings };
        let routes = &ports[place.saturating_sub(1)..place];
        let Some(server) = start(&authority, &member, &format!("S{place}"), ports[place], routes) else {
            return;
        };
        servers.push(server);
    }
    let all = |servers: &[Server], context: &str| {
        let servers: Vec<_> = servers.iter().collect();
        wait_for_connections(&servers, 5, TIMEOUT);
        talk(&servers, context);
    };
    all(&servers, "at first");
    for place in [1, 2, 1] {
        servers[place].restart();
        all(&servers, &format!("after {} was restarted", kinds[place]));
    }
}

#[test]
fn a_server_that_shows_what_is_not_good_stays_outside_with_one_line_and_disturbs_nobody() {
    let (ours, others) = (Authority::new("A"), Authority::new("B"));
    let own = ours.sign("server");
    let faulty = [
        (others.sign("stranger"), "certificate signed by unknown authority"),
        (
            ours.sign_as("expired", |params| params.not_after = date_time_ymd(2020, 1, 1)),
            "certificate has expired",
        ),
    ];
    let ports = [reserve_port(), reserve_port()];
    let member = |own| Member { kind: Kind::Onehop, own, settings: "" };
    let Some(first) = start(&ours, &member(&own), "S0", ports[0], &[]) else { return };
    let Some(second) =
        start(&ours, &Member { kind: Kind::REFERENCE, ..member(&own) }, "S1", ports[1], &ports[..1])
    else {
        return;
    };
    wait_for_connections(&[&first, &second], 4, TIMEOUT);
    for (bad, why) in &faulty {
        let before = first.log_bytes();
        let Some(third) = start(&ours, &member(bad), "S2", reserve_port(), &ports[..1]) else { return };
        third.wait_for_log("TLS route handshake error: remote error: tls: ", TIMEOUT);
        first.wait_for_log_since(before, why, TIMEOUT);
        talk(&[&first, &second], "beside one that is not good");
        let line = first.log()[before..].lines().find(|line| line.contains(why)).map(str::to_owned);
        assert!(
            line.is_some_and(|line| line.contains("[ERR]") && line.contains("TLS route handshake error"))
        );
    }
}

#[test]
fn another_certificate_is_shown_after_a_reload_and_connections_stay() {
    let authority = Authority::new("A");
    for kind in [Kind::REFERENCE, Kind::Onehop] {
        let first = authority.sign_as("server", |params| params.not_after = date_time_ymd(2090, 1, 1));
        let Some(server) = Server::start(kind, Options::configured(&authority.block(&first, ""))) else {
            return;
        };
        let (mut early, _) =
            TlsConn::connect(server.ports().client, authority.client(None), Begin::AfterInfo).expect("TLS");
        early.ask(CONNECT).expect("an answer");
        let expiry = || server.page("/varz")["tls_cert_not_after"].clone();
        assert_eq!(expiry(), "2090-01-01T00:00:00Z", "{kind}");
        authority.sign_as("server", |params| params.not_after = date_time_ymd(2091, 1, 1));
        let log = server.reload().expect("a good file");
        assert!(log.contains("Reloaded: tls"), "{kind}: {log}");
        if kind == Kind::Onehop {
            assert_eq!(expiry(), "2091-01-01T00:00:00Z");
        }
        early.ask(b"").expect("it is still there");
        let (mut late, _) =
            TlsConn::connect(server.ports().client, authority.client(None), Begin::AfterInfo).expect("TLS");
        late.ask(CONNECT).expect("an answer");
    }
}

#[test]
fn tls_is_asked_for_by_flags_too() {
    let authority = Authority::new("A");
    let (own, client) = (authority.sign("server"), authority.sign("client"));
    let path = |path: &std::path::Path| path.display().to_string();
    let (cert, key, ca) = (path(own.cert_file()), path(own.key_file()), path(&authority.file()));
    for kind in Kind::COMPARED {
        let flags = ["--tlsverify", "--tlscert", &cert, "--tlskey", &key, "--tlscacert", &ca];
        let Some(server) = Server::start(kind, Options::default().with(&flags)) else { return };
        server.wait_for_log("TLS required for client connections", TIMEOUT);
        let config = authority.client(Some(&client));
        let (mut conn, info) =
            TlsConn::connect(server.ports().client, config, Begin::AfterInfo).expect("TLS");
        assert_eq!(flags_of(&info), ["\"tls_required\":true", "\"tls_verify\":true"], "{kind}");
        conn.ask(CONNECT).expect("an answer");
    }
}
