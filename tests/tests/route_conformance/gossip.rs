//! What members are told of each other, and clients of members (wire.md 1.11, 3.2, 3.3, 3.10).

use onehop_tests::peer::Identity;
use onehop_tests::script::{To, case, compare};
use onehop_tests::server::Options;

use super::{comparable, one_slot, p, q};

/// A client that takes `INFO` at any time.
const LISTENER: &str = "CONNECT {\"verbose\":false,\"protocol\":1}\r\n";

#[test]
fn members_are_told_of_a_newcomer() {
    let peer = Identity::new;
    let mode = |mode: i64| peer("Q").info("gossip_mode", mode).join("");
    let cases = [
        case("the second tells the first").route(0, p("")).route(1, q("")).route(0, ""),
        case("the third tells both")
            .route(0, p(""))
            .route(1, q(""))
            .route(2, peer("R").join(""))
            .route(0, "")
            .route(1, ""),
        case("mode 1 tells nobody").route(0, p("")).route(1, mode(1)).route(0, ""),
        case("mode 2").route(0, p("")).route(1, mode(2)).route(0, ""),
        case("mode 0").route(0, p("")).route(1, mode(0)).route(0, ""),
        case("with an advertised address")
            .route(0, p(""))
            .route(1, peer("Q").info("ip", "nats-route://10.0.0.1:6222/").join(""))
            .route(0, ""),
        case("with credentials required")
            .route(0, p(""))
            .route(1, peer("Q").info("auth_required", true).join(""))
            .route(0, ""),
        case("with fields of the future")
            .route(0, p(""))
            .route(1, peer("Q").info("future", "x").join(""))
            .route(0, ""),
        case("with a nonce").route(0, p("")).route(1, peer("Q").info("nonce", "abc").join("")).route(0, ""),
        case("a newcomer without pooling")
            .route(0, p(""))
            .route(1, Identity::without_pool("Q").join(""))
            .route(0, ""),
        case("to a member without pooling")
            .route(0, Identity::without_pool("P").join(""))
            .route(1, q(""))
            .route(0, ""),
        case("a dedicated connection alone tells nobody")
            .route(0, p(""))
            .route(1, peer("Q").info("route_account", "$SYS").join(""))
            .route(0, ""),
        case("dedicated connections are told of on dedicated connections")
            .route(0, p(""))
            .route(1, peer("P").info("route_account", "$SYS").join(""))
            .route(2, q(""))
            .route(3, peer("Q").info("route_account", "$SYS").join(""))
            .route(0, "")
            .route(1, ""),
        case("a second slot tells nobody")
            .route(0, p(""))
            .route(1, peer("Q").slot(0, 2).join(""))
            .route(2, peer("Q").slot(1, 2).join(""))
            .route(0, ""),
        case("after leaving and coming back")
            .route(0, p(""))
            .route(1, q(""))
            .leave(To::Route(1))
            .route(2, q(""))
            .route(0, ""),
        case("an INFO about a known member is ignored")
            .route(0, p(""))
            .route(1, q(""))
            .route(0, peer("Q").info("ip", "nats-route://127.0.0.1:1/").info_line()),
        case("a lame duck is not told of")
            .route(0, p(""))
            .route(1, q(""))
            .route(1, peer("Q").info("ldm", true).info_line())
            .route(0, ""),
    ];
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn an_info_about_the_server_itself_ends_the_route() {
    // On servers of their own, since the Go server remembers it.
    let itself = Identity::new("X").info("server_id", onehop_tests::script::SERVER_ID).info_line();
    compare(
        &one_slot(),
        &comparable([case("INFO about the server").route(0, p("")).route(0, itself).whole_only()]),
    );
}

#[test]
fn clients_are_told_where_else_they_can_connect() {
    let two_urls = Identity::new("P").info("connect_urls", vec!["a.example:1", "b.example:2"]);
    let no_urls = Identity::new("P").info("connect_urls", serde_json::Value::Null);
    let cases = [
        case("a member comes and goes")
            .client(0, LISTENER)
            .route(0, p(""))
            .client(0, "")
            .leave(To::Route(0))
            .client(0, ""),
        case("a member with two addresses").client(0, LISTENER).route(0, two_urls.join("")).client(0, ""),
        case("a member without addresses").client(0, LISTENER).route(0, no_urls.join("")).client(0, ""),
        case("two members with the same address")
            .client(0, LISTENER)
            .route(0, p(""))
            .route(1, Identity::new("Q").info("connect_urls", vec!["p.example:4222"]).join(""))
            .client(0, "")
            .leave(To::Route(0))
            .client(0, "")
            .leave(To::Route(1))
            .client(0, ""),
        case("a member was there before the client").route(0, p("")).client(0, LISTENER),
        case("a client of protocol 0")
            .client(0, "CONNECT {\"verbose\":false}\r\n")
            .route(0, p(""))
            .client(0, ""),
        case("a client without CONNECT").client(0, "").route(0, p("")).client(0, ""),
        case("a lame duck")
            .client(0, LISTENER)
            .route(0, p(""))
            .route(0, Identity::new("P").info("ldm", true).info_line())
            .client(0, ""),
        case("a second slot changes nothing")
            .client(0, LISTENER)
            .route(0, Identity::new("P").slot(0, 2).join(""))
            .route(1, Identity::new("P").slot(1, 2).join(""))
            .client(0, "")
            .leave(To::Route(1))
            .client(0, ""),
        case("a dedicated connection changes nothing")
            .client(0, LISTENER)
            .route(0, Identity::new("P").info("route_account", "$SYS").join(""))
            .client(0, ""),
    ];
    compare(&one_slot(), &comparable(cases));
    let silent = Options::member("C", "alpha", &[]).with(&["--no_advertise"]);
    let nothing = [case("no_advertise").with_greeting().client(0, LISTENER).route(0, p("")).client(0, "")];
    compare(&silent, &comparable(nothing));
}

#[test]
fn the_advertised_cluster_address_is_told() {
    let options = Options::member("C", "alpha", &[]).with(&["--cluster_advertise", "example.org:6333"]);
    compare(&options, &comparable([case("INFO with an address").route(0, p("")).with_greeting()]));
}
