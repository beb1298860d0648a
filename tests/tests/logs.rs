//! What stands in the logs and on the pages of a running server: no secret, whatever comes over the network or stands in the
//! configuration, and no more than an operator can read. Of both runtimes.

use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use onehop_tests::monitor;
use onehop_tests::raw::RawConn;
use onehop_tests::server::{Kind, Options, Server};

const TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn no_secret_stands_in_a_log_or_on_a_page() {
    for kind in Kind::RUNTIMES {
        let peer = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = peer.local_addr().expect("a bound port").port();
        let config = CONFIG.replace("PORT", &port.to_string());
        let Some(server) = Server::start(kind, Options::configured(&config).with(&["-DV"])) else { return };
        let presented = thread::spawn(move || (0..4).map(|_| refuse(&peer)).collect::<String>());
        for fields in PRESENTED {
            present(server.ports().client, fields);
            present(server.ports().route, fields);
        }
        let presented = presented.join().expect("the peer is dialed");
        assert!(presented.contains("S3CRET") && presented.contains("T0KEN"), "{presented}");
        server.wait_for_log("Route Error", TIMEOUT);
        let log = server.log();
        assert!(log.matches("[REDACTED]").count() > 30, "{kind}: {log}");
        assert!(log.contains("authentication error - User \"joe\""), "{kind}: {log}");
        assert_secret(kind, &log);
        for page in PAGES {
            let (status, body) = monitor::get_text(server.ports().monitor, page).expect("a page");
            assert_eq!(status, 200, "{kind}: {page}");
            // A page shows the user that a client claimed to be, as nats-server's does, were it a token.
            assert_secret(kind, &body.replace("\"authorized_user\": \"T0KEN\"", ""));
        }
    }
}

#[test]
fn a_configuration_that_is_refused_is_not_quoted_where_it_holds_a_secret() {
    for kind in Kind::RUNTIMES {
        let Some(binary) = kind.binary() else { return };
        let file = std::env::temp_dir().join(format!("onehop-logs-{}-{kind}.conf", std::process::id()));
        for text in REFUSED {
            std::fs::write(&file, text).expect("the temporary directory can be written");
            let output = Command::new(&binary).args(["-DV", "-c"]).arg(&file).output().expect("it starts");
            let said = [output.stdout, output.stderr].concat();
            assert!(!output.status.success() && !said.is_empty(), "{kind}: {text}");
            assert_secret(kind, &String::from_utf8_lossy(&said));
        }
        std::fs::remove_file(&file).expect("it was written");
        for arguments in
            [["-cluster", "nats://joe:S3CRET@h"], ["-routes", "joe:S3CRET@h:1"], ["-a", "joe:S3CRET@h"]]
        {
            let output = Command::new(&binary).args(arguments).output().expect("it starts");
            assert!(!output.status.success(), "{kind}: {arguments:?}");
            assert_secret(kind, &String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn who_repeats_a_fault_for_seconds_does_not_fill_the_log() {
    for kind in Kind::RUNTIMES {
        let Some(server) = Server::start(kind, Options::default().with(&["-D"])) else { return };
        let before = server.log_bytes();
        let mut client = RawConn::connect(server.ports().client);
        client.send("CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
        let (start, mut faults) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(4) {
            client.send("SUB a..b 1\r\n".repeat(1000));
            client.send("PUB $GR.x 0\r\n\r\n".repeat(1000));
            faults += 2000;
            client.ping();
        }
        drop(client);
        server.wait_for_log("Client connection closed", TIMEOUT);
        let log = server.log();
        assert!(
            faults > 10_000 && log.contains("more lines were left out"),
            "{kind}: {faults} faults, {log}"
        );
        // Ten lines for each of some five seconds.
        let bytes = log.len() - before;
        assert!(bytes < 16 * 1024, "{kind}: {bytes} bytes for {faults} faults");
    }
}

/// Presents this in CONNECT, and in an INFO after a CONNECT that is good.
fn present(port: u16, fields: &str) {
    for start in ["CONNECT", "CONNECT {\"user\":\"joe\",\"pass\":\"S3CRET\",\"cluster\":\"C\"}\r\nINFO"] {
        let mut connection = RawConn::connect(port);
        connection.send(format!("{start} {{{fields}}}\r\n-ERR 'no S3CRET'\r\n"));
        connection.finish();
        assert!(connection.read_until_closed(TIMEOUT), "{fields}");
    }
}

/// Answers a dial, and returns what was presented.
fn refuse(peer: &TcpListener) -> String {
    let (stream, _) = peer.accept().expect("a dial");
    let mut connection = RawConn::new(stream);
    let connect = connection.expect(0, "CONNECT");
    connection.send("-ERR 'neither S3CRET nor nats://T0KEN@h'\r\n");
    connection.read_until_closed(TIMEOUT);
    String::from_utf8_lossy(&connect.line).into_owned()
}

fn assert_secret(kind: Kind, text: &str) {
    let leak =
        text.lines().find(|line| ["S3CRET", "T0KEN", "531753"].iter().any(|secret| line.contains(secret)));
    assert_eq!(leak, None, "{kind}");
}

const CONFIG: &str = "
    authorization { user: joe, password: S3CRET }
    cluster {
        name: C, listen: '127.0.0.1:-1'
        authorization { user: joe, password: S3CRET }
        routes: ['nats://joe:S3CRET@127.0.0.1:PORT', 'nats://T0KEN@localhost:PORT']
    }";

/// What peers present: the right password, wrong ones, and what is none, in all shapes.
const PRESENTED: [&str; 20] = [
    r#""user":"joe","pass":"S3CRET","verbose":false"#,
    r#""user":"joe","pass":"S3CRET-and-more""#,
    r#""user":"joe","PASS":"S3CRET""#,
    r#""user":"joe","\u0070ass":"S3CRET""#,
    r#""user":"joe","pass" :  "S3CRET\"S3CRET""#,
    r#""user":"joe","pass":"x","pass":"S3CRET""#,
    r#""user":"joe","pass":531753"#,
    r#""user":"joe","pass":531753.5e0,"name":"n""#,
    r#""user":"joe","pass":["S3CRET",531753,true]"#,
    r#""user":"joe","pass":{"name":"S3CRET"}"#,
    r#""user":"joe","password":"S3CRET","token":"S3CRET""#,
    r#""auth_token":"T0KEN""#,
    r#""auth_token":531753"#,
    r#""user":"T0KEN""#,
    r#""jwt":"S3CRET","nkey":"S3CRET","sig":"S3CRET","proxy_sig":"S3CRET","nonce":"S3CRET""#,
    r#""name":{"pass":"S3CRET"},"lang":["S3CRET"]"#,
    r#""host":"joe:S3CRET@h","connect_urls":["joe:S3CRET@h:1"],"ip":"nats-route://joe:S3CRET@h:1/""#,
    r#""user":"joe","pass":"S3CRET"#,
    r#""user":"joe","pass":"S3CRET\Q""#,
    r#""user":"joe","pass":"S3CRET"}{"S3CRET":1"#,
];

const PAGES: [&str; 5] = [
    "/varz",
    "/connz?auth=1&subs=detail",
    "/connz?auth=1&state=closed",
    "/routez?subs=detail",
    "/subsz?subs=1",
];

/// Configurations that nobody can start with.
const REFUSED: [&str; 9] = [
    "authorization { user: joe, password: $S3CRET }",
    "authorization { user: joe, password: \"S3CRET }",
    "authorization { user: joe, pass: S3CRET\\q }",
    "authorization { token: 53175317531753175317 }",
    "T: 53175317531753175317\nauthorization { token: $T }",
    "cluster { port: -1, routes: ['nats://joe:S3CRET@h'] }",
    "cluster { port: -1, routes: ['nats://joe:S3CRET'] }",
    "listen: 'nats://joe:S3CRET@h:1'",
    "host: 'joe:S3CRET@h'",
];
