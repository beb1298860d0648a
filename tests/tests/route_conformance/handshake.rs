//! Joining as the dialer: what a server accepts, and with which words it refuses (wire.md 2.2, 2.9, 3.5, 4.4).

use std::time::Duration;

use onehop_tests::peer::Identity;
use onehop_tests::raw::RawConn;
use onehop_tests::real_server::Version;
use onehop_tests::script::{Case, SERVER_ID, To, case, compare};
use onehop_tests::server::{Kind, Options, Server};

use super::{client, comparable, one_slot, p, three_slots};

#[test]
fn a_member_joins_and_is_answered() {
    let peer = || Identity::new("P");
    let cases = [
        case("with pooling").route(0, p("")).with_greeting(),
        case("without pooling").route(0, Identity::without_pool("P").join("")),
        case("step by step").route(0, peer().connect_line()).route(0, peer().info_line()),
        case("CONNECT alone, then PING").route(0, peer().connect_line()),
        case("verbose").route(0, peer().connect("verbose", true).join("RS+ $G a\r\nRS- $G a\r\n")),
        case("pedantic").route(0, peer().connect("pedantic", true).join("RS+ $G a\r\n")),
        case("with unknown fields").route(0, peer().info("future", "x").connect("future", 7).join("")),
        case("with a dynamic cluster name of the same name")
            .route(0, peer().info("cluster_dynamic", true).join("")),
        case("without a cluster name in INFO")
            .route(0, peer().info("cluster", serde_json::Value::Null).join("")),
        case("with verbs in lower case")
            .route(0, p("").replace("CONNECT ", "connect ").replace("INFO ", "info ")),
        case("with line feeds alone").route(0, p("").replace("\r\n", "\n")),
        case("CONNECT twice").route(0, p("")).route(0, peer().connect_line()),
        case("INFO twice").route(0, p("")).route(0, peer().info_line()),
        case("with a larger pool").route(0, peer().slot(0, 3).join("")),
        case("with JetStream").route(0, peer().info("jetstream", true).join("")),
        case("in lame duck mode from the start").route(0, peer().info("ldm", true).join("")),
    ];
    compare(&one_slot(), &comparable(cases));
}

/// design.md 5: what onehop nodes say to each other in fields of their own, every nats-server ignores.
#[test]
fn the_fields_of_onehop_nodes_are_ignored_by_every_nats_server() {
    let known = serde_json::json!([{ "id": "NKNOWN", "url": "nats-route://127.0.0.1:1/", "onehop": true }]);
    for version in Version::ALL {
        let Some(server) = Server::start(Kind::Real(version), three_slots()) else { return };
        // Before 2.11 both sides must have pools of one size.
        let pooled = Identity::new("P").info("route_pool_size", 3);
        let peer = if version.pools_routes() { pooled } else { Identity::without_pool("P") };
        let peer = peer.info("onehop", 1).info("onehop_affinity", "az:1");
        let mut route = RawConn::connect(server.ports().route);
        let comparison =
            peer.clone().info("onehop_digest", "0123456789abcdef").info("onehop_peers", known.clone());
        route.send(peer.join(&comparison.info_line()));
        route.ping();
        assert!(!route.is_closed(), "{version}");
        let errors: Vec<_> = route.frames().iter().filter(|frame| frame.op() == "-ERR").collect();
        assert!(errors.is_empty(), "{version}: {errors:?}");
        let routes = server.page("/routez");
        assert_eq!(routes["num_routes"], 1, "{version}");
        assert_eq!(routes["routes"][0]["remote_id"], onehop_tests::peer::server_id("P"), "{version}");
        assert!(!server.log().contains("NKNOWN"), "{version}: {}", server.log());
        assert!(!server.log().contains("[ERR]"), "{version}: {}", server.log());
    }
}

#[test]
fn the_first_operation_must_be_connect() {
    let lines = [
        "PING\r\n",
        "PONG\r\n",
        "INFO {}\r\n",
        "RS+ $G a\r\n",
        "RMSG $G a 1\r\nx\r\n",
        "SUB a 1\r\n",
        "+OK\r\n",
        "\r\n",
        "-ERR 'x'\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "XX\r\n",
        "A+ x\r\n",
        "RS- $G a\r\n",
        "LS+ o $G a\r\n",
        "PUB a 1\r\nx\r\n",
    ];
    let mut cases: Vec<Case> =
        lines.iter().map(|line| case(format!("first {}", line.escape_default())).route(0, line)).collect();
    cases.push(case("first INFO of a member").route(0, Identity::new("P").info_line()));
    cases.push(
        case("interest before INFO").route(0, format!("{}RS+ $G a\r\n", Identity::new("P").connect_line())),
    );
    cases.push(
        case("interest and messages before INFO, and who hears of them")
            .client(0, client("SUB foo 1\r\nSUB foo q 2\r\n"))
            .route(
                0,
                format!(
                    "{}RS+ $G a\r\nRMSG $G foo | q 2\r\nhi\r\nRS+ $G a..b\r\n",
                    Identity::new("P").connect_line()
                ),
            )
            .client(0, "PUB a 1\r\nx\r\n"),
    );
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn wrong_members_are_refused_with_the_same_words() {
    let peer = || Identity::new("P");
    let cases = [
        case("another cluster in CONNECT").route(0, peer().connect("cluster", "X").join("")),
        case("another cluster in INFO").route(0, peer().info("cluster", "X").join("")),
        case("the reserved cluster").route(0, peer().connect("cluster", "_").join("")),
        case("no cluster in CONNECT").route(0, peer().connect("cluster", serde_json::Value::Null).join("")),
        case("another dynamic cluster")
            .route(0, peer().connect("cluster", "zz").connect("cluster_dynamic", true).join("")),
        case("a client").route(0, peer().connect("lang", "rust").join("")),
        case("a gateway").route(0, peer().connect("gateway", "GW").join("")),
        case("a server of the same name").route(0, peer().info("server_name", "alpha").join("")),
        case("an unknown compression").route(0, peer().info("compression", "zstd").join("")),
        case("CONNECT that is no JSON").route(0, "CONNECT {\r\n"),
        case("INFO that is no JSON").route(0, format!("{}INFO {{\r\n", peer().connect_line())),
        case("CONNECT with a wrong type").route(0, "CONNECT {\"verbose\":1}\r\n"),
        case("INFO with a wrong type").route(0, peer().info("port", "x").join("")),
        case("a second connection of a member").route(0, p("")).route(1, p("")).route(0, ""),
        case("a second connection without pooling")
            .route(0, Identity::without_pool("P").join(""))
            .route(1, Identity::without_pool("P").join(""))
            .route(0, ""),
        case("an index beyond the pool").route(0, peer().slot(1, 1).join("")),
        case("a negative index").route(0, peer().slot(-1, 1).join("")),
        case("another cluster in a later INFO")
            .route(0, p(""))
            .route(0, peer().info("cluster", "X").info_line()),
    ];
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn a_server_does_not_join_itself() {
    // On servers of their own, since the Go server remembers it.
    let itself = Identity::new("P").connect("name", SERVER_ID).connect_line();
    let info = Identity::new("P").info("server_id", SERVER_ID).info_line();
    compare(
        &one_slot(),
        &comparable([case("the server itself").route(0, itself).route(0, info.clone()).whole_only()]),
    );
    compare(&one_slot(), &comparable([case("in a later INFO").route(0, p("")).route(0, info).whole_only()]));
}

#[test]
fn slots_of_a_pool_are_taken_one_by_one() {
    let slot = |index: i64, size: i64| Identity::new("P").slot(index, size).join("");
    let cases = [
        case("three slots").with_greeting().route(0, slot(0, 3)).route(1, slot(1, 3)).route(2, slot(2, 3)),
        case("a slot twice").route(0, slot(0, 3)).route(1, slot(1, 3)).route(2, slot(1, 3)).route(0, ""),
        case("beyond the larger of both sizes").route(0, slot(0, 3)).route(1, slot(3, 3)),
        case("a larger pool").route(0, slot(0, 5)).route(1, slot(4, 5)),
        case("beyond a larger pool").route(0, slot(5, 5)),
        case("the last slot first").route(0, slot(2, 3)).route(1, slot(0, 3)),
        case("a smaller pool").route(0, slot(0, 1)).route(1, slot(2, 1)),
        case("interest of $G on its slot")
            .client(0, client("SUB slotted 1\r\n"))
            .route(0, slot(0, 3))
            .route(1, slot(1, 3))
            .route(2, slot(2, 3)),
        case("interest follows on the same slot")
            .route(0, slot(0, 3))
            .route(1, slot(1, 3))
            .route(2, slot(2, 3))
            .client(0, client("SUB later 1\r\nSUB later q 2\r\n")),
        case("a message leaves on the slot that asked for it")
            .route(0, slot(0, 3))
            .route(2, slot(2, 3))
            .route(0, "RS+ $G on.zero\r\n")
            .route(2, "RS+ $G on.two\r\n")
            .client(0, client("PUB on.zero 1\r\n0\r\nPUB on.two 1\r\n2\r\n")),
        case("a message may come on any slot")
            .client(0, client("SUB any.slot 1\r\n"))
            .route(0, slot(0, 3))
            .route(1, slot(1, 3))
            .route(0, "RMSG $G any.slot 1\r\n0\r\n")
            .route(1, "RMSG $G any.slot 1\r\n1\r\n"),
        case("a slot is free again after its connection ended")
            .route(0, slot(0, 3))
            .route(1, slot(1, 3))
            .leave(To::Route(1))
            .route(2, slot(1, 3)),
    ];
    compare(&three_slots(), &comparable(cases));
}

#[test]
fn dedicated_connections_are_for_pinned_accounts() {
    let dedicated = |account: &str| Identity::new("P").info("route_account", account);
    let cases = [
        case("the system account").route(0, dedicated("$SYS").join("")),
        case("the system account, beside a pooled connection")
            .route(0, p(""))
            .route(1, dedicated("$SYS").join("")),
        case("the system account twice")
            .route(0, dedicated("$SYS").join(""))
            .route(1, dedicated("$SYS").join("")),
        case("lines without an account")
            .route(0, dedicated("$SYS").join("RS+ some.subject\r\nRS- some.subject\r\nRS+ a q 2\r\n")),
        case("an unknown account").route(0, dedicated("ZZZ").join("")),
        case("an account that is not pinned").route(0, dedicated("$G").join("")),
        case("without pooling")
            .route(0, dedicated("$SYS").info("route_pool_size", serde_json::Value::Null).join("")),
    ];
    compare(&one_slot(), &comparable(cases));
}

/// One slot, and connections of their own for `$G` and for an account that is not there.
fn pinned() -> Options {
    Options::configured(
        "server_name: alpha\ncluster { name: C, listen: \"127.0.0.1:-1\", pool_size: 1, accounts: [ \"$G\", ZZ ] }\n",
    )
}

#[test]
fn the_connection_of_a_pinned_account_carries_it_alone_and_without_its_name() {
    let dedicated = Identity::new("P").info("route_account", "$G");
    let cases = [
        case("interest and messages")
            .client(0, client("SUB mine 1\r\nSUB mine.q q 2\r\n"))
            .route(0, dedicated.join("RS+ theirs\r\nRS+ theirs q 1\r\n"))
            .client(0, "PUB theirs 1\r\nx\r\nPUB theirs rep 1\r\ny\r\nHPUB theirs 12 12\r\nNATS/1.0\r\n\r\n\r\n")
            .route(0, "RMSG mine 2\r\nhi\r\nRMSG mine rep 2\r\nho\r\nRMSG mine.q | q 1\r\nz\r\nHMSG mine 12 12\r\nNATS/1.0\r\n\r\n\r\n")
            .in_any_order(),
        case("pooled connections do not carry it")
            .client(0, client("SUB mine 1\r\n"))
            .route(0, p(""))
            .client(0, "SUB more 2\r\n"),
        case("but what comes over them counts")
            .client(0, client("SUB mine 1\r\n"))
            .route(0, p("RS+ $G stray\r\nRMSG $G mine 1\r\nx\r\n"))
            .client(0, "PUB stray 1\r\ny\r\n"),
        case("both, and a server that does not pool")
            .client(0, client("SUB mine 1\r\n"))
            .route(0, p(""))
            .route(1, dedicated.join(""))
            .route(2, Identity::without_pool("Q").join("RS+ $G theirs\r\n"))
            .client(0, "SUB more 2\r\nPUB theirs 1\r\nx\r\n"),
        case("twice").route(0, dedicated.join("")).route(1, dedicated.join("")),
        case("lost alone and back")
            .client(0, client("SUB mine 1\r\n"))
            .route(0, p(""))
            .route(1, dedicated.join("RS+ theirs\r\n"))
            .leave(To::Route(1))
            .client(0, "PUB theirs 1\r\nx\r\n")
            .route(2, dedicated.join("RS+ theirs\r\n"))
            .client(0, "PUB theirs 1\r\ny\r\n"),
        case("an account that is pinned and not there")
            .route(0, Identity::new("P").info("route_account", "ZZ").join("")),
        case("one that is neither, without pooling")
            .route(0, Identity::without_pool("P").info("route_account", "YY").join("")),
    ];
    compare(&pinned(), &comparable(cases));
}

#[test]
fn a_pinned_account_has_a_connection_of_its_own() {
    let options = Options::configured(
        "server_name: alpha\naccounts { A { users [ { user: a, password: p } ] } }\n\
         cluster { name: C, listen: \"127.0.0.1:-1\", pool_size: 1, accounts: [ A ] }\n",
    );
    let user = |lines: &str| {
        format!("CONNECT {{\"verbose\":false,\"user\":\"a\",\"pass\":\"p\",\"headers\":true}}\r\n{lines}")
    };
    let dedicated = Identity::new("P").info("route_account", "A");
    let cases = [
        case("interest and messages without the account's name")
            .client(0, user("SUB mine 1\r\nSUB mine.q q 2\r\n"))
            .route(0, dedicated.join("RS+ theirs\r\nRS+ theirs q 1\r\n"))
            .client(0, "PUB theirs 1\r\nx\r\nPUB theirs rep 1\r\ny\r\nHPUB theirs 12 12\r\nNATS/1.0\r\n\r\n\r\n")
            .route(0, "RMSG mine 2\r\nhi\r\nRMSG mine rep 2\r\nho\r\nRMSG mine.q | q 1\r\nz\r\nHMSG mine 12 12\r\nNATS/1.0\r\n\r\n\r\n")
            .in_any_order(),
        case("pooled connections do not carry it")
            .client(0, user("SUB mine 1\r\n"))
            .route(0, p(""))
            .client(0, "SUB more 2\r\n"),
    ];
    compare(&options, &comparable(cases));
}

#[test]
fn credentials_of_the_cluster_are_required() {
    let options = Options::configured(
        "server_name: alpha\ncluster { name: C, listen: \"127.0.0.1:-1\", pool_size: 1\n\
         authorization { user: r, password: secret, timeout: 1 } }\n",
    );
    let peer =
        |user: &str, pass: &str| Identity::new("P").connect("user", user).connect("pass", pass).join("");
    let cases = [
        case("right").route(0, peer("r", "secret")).with_greeting(),
        case("wrong password").route(0, peer("r", "wrong")),
        case("wrong user").route(0, peer("x", "secret")),
        case("none").route(0, p("")),
        case("no CONNECT in time")
            .raw(To::Route(0), "")
            .await_close(To::Route(0), Duration::from_secs(5))
            .whole_only(),
    ];
    compare(&options, &comparable(cases));
}
