//! A configuration that is read again while the server runs, for a signal (wire.md 9.4): here and by nats-server.

use std::time::Duration;

use onehop_tests::raw::RawConn;
use onehop_tests::real_server::Version;
use onehop_tests::server::{Kind, Options, Server};

const TIMEOUT: Duration = Duration::from_secs(10);
const KINDS: [Kind; 2] = [Kind::Onehop, Kind::Real(Version::V2_15_1)];

#[test]
fn limits_and_what_is_logged_change_when_the_file_is_read_again() {
    for kind in KINDS {
        let Some(mut server) = Server::start(kind, Options::configured("max_payload: 10")) else { return };
        let mut client = greeted(&server, 10);
        server.rewrite_config("max_payload: 20, debug: true");
        let log = server.reload().expect("a good file");
        assert!(log.contains("Reloaded: max_payload") && log.contains("Reloaded: debug"), "{kind}: {log}");
        client.send("SUB a 1\r\nPUB a 20\r\n01234567890123456789\r\n");
        client.expect(0, "MSG");
        greeted(&server, 20);
        server.wait_for_log("[DBG]", TIMEOUT);
    }
}

#[test]
fn what_cannot_change_is_named_and_then_nothing_changes() {
    for kind in KINDS {
        let Some(mut server) = Server::start(kind, Options::configured("max_payload: 10")) else { return };
        let mut client = greeted(&server, 10);
        let faults = [("server_name: other", "name"), ("max_payload: ten", ".conf:2"), ("a {", "")];
        for (text, named) in faults {
            server.rewrite_config(&format!("max_payload: 20, debug: true\n{text}"));
            let log = server.reload().expect_err(text).to_lowercase();
            assert!(log.contains(named) && !log.contains("reloaded"), "{kind}: {log}");
        }
        client.send("PUB a 11\r\n");
        assert!(client.read_until_closed(TIMEOUT), "{kind}: its limit is as it was");
        assert!(!server.log().contains("[DBG]"), "{kind}");
    }
}

#[test]
fn a_server_that_was_given_no_file_has_nothing_to_read_again() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, Options::default()) else { return };
        let log = server.reload().expect_err("there is no file");
        let why = "can only reload config when a file is provided using -c or --config";
        assert!(log.contains(&format!("Failed to reload server configuration: {why}")), "{kind}: {log}");
    }
}

/// A client that was told this `max_payload`.
fn greeted(server: &Server, max_payload: usize) -> RawConn {
    let mut client = RawConn::connect(server.ports().client);
    client.send("CONNECT {\"verbose\":false}\r\n");
    client.ping();
    let info = client.frames()[0].json().expect("an INFO");
    assert_eq!(info["max_payload"], max_payload);
    client
}

#[test]
fn a_client_of_the_system_account_asks_for_the_file_to_be_read_again_and_hears_what_came_of_it() {
    let config = |more: &str| {
        format!("system_account: SYS\naccounts {{ SYS {{ users: [{{user: s, password: p}}] }} }}\n{more}\n")
    };
    for kind in KINDS {
        let Some(mut server) = Server::start(kind, Options::configured(&config("max_payload: 1000"))) else {
            return;
        };
        let mut client = RawConn::connect(server.ports().client);
        client.send("CONNECT {\"user\":\"s\",\"pass\":\"p\",\"verbose\":false}\r\nSUB in 1\r\n");
        client.ping();
        let id = server.page("/varz")["server_id"].as_str().expect("an id").to_owned();
        let mut ask = |question: &str| {
            let before = client.frames().len();
            client.send(format!("PUB $SYS.REQ.SERVER.{id}.RELOAD in {}\r\n{question}\r\n", question.len()));
            let answer = client.expect(before, "MSG").payload.expect("a body");
            let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
            assert_eq!(answer["server"]["id"], id, "{kind}");
            (answer["error"]["code"].as_u64(), answer["error"]["description"].to_string())
        };
        server.rewrite_config(&config("max_payload: 2000"));
        assert_eq!(ask("").0, None, "{kind}");
        max_payload_is(&server, 2000);
        server.rewrite_config(&config("foo: 1"));
        let (code, why) = ask("{}");
        assert!(code == Some(500) && why.contains("unknown field"), "{kind}: {code:?} {why}");
        assert_eq!(ask("junk").0, Some(400), "{kind}");
        server.rewrite_config(&config("max_payload: 3000"));
        // Of those who are asked by name only one is meant.
        client.send(format!("PUB $SYS.REQ.SERVER.{id}.RELOAD in 26\r\n{{\"server_name\":\"somebody\"}}\r\n"));
        client.ping();
        client.read_until_quiet(Duration::from_millis(300));
        max_payload_is(&server, 2000);
    }
}

fn max_payload_is(server: &Server, bytes: usize) {
    assert_eq!(server.page("/varz")["max_payload"], bytes, "{}", server.log());
}
