//! What a member hears of streams and services that accounts import from each other, and what it may answer (wire.md 1.12).

use onehop_tests::script::{Case, To, case, compare, reply_of};
use onehop_tests::server::Options;

use super::{comparable, p, q};

/// `B` imports from `A`. One slot, so that both are on the one connection that a script opens.
fn importing() -> Options {
    Options::configured(
        "server_name: alpha\ncluster { name: C, listen: \"127.0.0.1:-1\", pool_size: 1 }\naccounts {\n\
         A { users: [{user: a, password: p}, {user: a2, password: p}], mappings {\"q.map\": \"q.mapped\"}\n\
         exports: [{stream: \"s.>\"}, {stream: \"st.*\"}, {service: \"q.*\"}, {service: \"qs.*\", response: stream}, {service: \"sh.*\"}] }\n\
         B { users: [{user: b, password: p}, {user: b2, password: p}], mappings {\"own.map\": \"in.mapped\"}\n\
         imports: [{stream: {account: A, subject: \"s.>\"}, prefix: from}, {stream: {account: A, subject: \"st.*\"}, to: \"got.$1.here\"},\n\
         {service: {account: A, subject: \"q.*\"}, to: \"ask.$1\"}, {service: {account: A, subject: \"qs.*\"}},\n\
         {service: {account: A, subject: \"sh.*\"}, share: true}] }\n}\n",
    )
}

fn client(user: &str, lines: &str) -> String {
    format!(
        "CONNECT {{\"user\":\"{user}\",\"pass\":\"p\",\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}}\r\n{lines}"
    )
}

/// The member `P` serves these subjects of `A`, and client 1 of `B` hears `in.>`.
fn served(name: &str, lines: &str) -> Case {
    case(name).route(0, p(lines)).client(1, client("b", "SUB in.> 1\r\n"))
}

/// `P` answers the `nth` request that it got with these payloads.
fn answer(nth: usize, payloads: &[&str]) -> String {
    let reply = reply_of(To::Route(0), nth);
    payloads.iter().map(|payload| format!("RMSG A {reply} {}\r\n{payload}\r\n", payload.len())).collect()
}

#[test]
fn interest_in_an_import_is_interest_in_both_accounts() {
    let subscribed = "SUB got.> 1\r\nSUB got.*.here 2\r\nSUB got.5.here 3\r\nSUB from.s.x g 4\r\nSUB from.s.x g 5\r\nSUB none 6\r\n\
                      SUB got.6.there 7\r\nSUB ask.1 8\r\n";
    let cases = [
        case("before the member comes").client(0, client("b", subscribed)).route(0, p("")),
        case("while it is there")
            .route(0, p(""))
            .client(0, client("b", subscribed))
            .client(0, "UNSUB 1\r\nUNSUB 2\r\nUNSUB 3\r\nUNSUB 4\r\nUNSUB 5\r\nUNSUB 8\r\n"),
        case("one count with the exporter's own")
            .route(0, p(""))
            .client(0, client("b", "SUB got.> 1\r\n"))
            .client(1, client("a", "SUB st.* 1\r\nSUB st.* g 2\r\n"))
            .client(0, "UNSUB 1\r\nSUB got.*.here g 2\r\n")
            .client(1, "UNSUB 1\r\nUNSUB 2\r\n")
            .client(0, "UNSUB 2\r\n"),
        case("a client leaves")
            .route(0, p(""))
            .client(0, client("b", "SUB got.5.here 1\r\nSUB from.s.x g 2\r\n"))
            .leave(To::Client(0))
            .route(0, "")
            .in_any_order(),
        case("a further CONNECT")
            .route(0, p(""))
            .client(0, client("b", "SUB got.5.here 1\r\n"))
            .client(0, client("b", "SUB got.6.here 1\r\n"))
            .client(0, client("a", "SUB got.7.here 1\r\n"))
            .route(0, ""),
    ];
    compare(&importing(), &comparable(cases));
}

#[test]
fn what_a_member_publishes_is_heard_by_importers() {
    let listening = |name: &str| {
        case(name)
            .client(0, client("b", "SUB got.> 1\r\nSUB from.s.x g 2\r\nSUB ask.* 3\r\n"))
            .route(0, p(""))
    };
    let cases = [
        listening("in the exporter's account")
            .route(
                0,
                "RMSG A st.5 1\r\n1\r\nRMSG A st.5 rep 1\r\n2\r\nHMSG A st.6 12 13\r\nNATS/1.0\r\n\r\n3\r\n",
            )
            .client(0, ""),
        listening("members of a group, if they are named")
            .route(0, "RMSG A s.x 1\r\n1\r\nRMSG A s.x | g 1\r\n2\r\nRMSG A s.x + rep g other 1\r\n3\r\n")
            .client(0, ""),
        listening("in the importer's account")
            .route(0, "RMSG B got.5.here 1\r\n1\r\nRMSG B from.s.x 1\r\n2\r\n")
            .client(0, ""),
        listening("a request in the importer's account is for its subscribers alone")
            .client(1, client("a", "SUB q.* 1\r\n"))
            .route(0, "RS+ B in.r\r\nRMSG B ask.1 in.r 1\r\n?\r\n")
            .client(0, "")
            .client(1, ""),
        listening("a request that the member's own importer has made")
            .client(1, client("a", "SUB q.* 1\r\n"))
            .route(0, "RS+ A _R_.PPPPPP.>\r\nHMSG A q.1 _R_.PPPPPP.aaaaaa 12 13\r\nNATS/1.0\r\n\r\n?\r\n")
            .client(1, format!("PUB {0} 1\r\n1\r\nPUB {0} back 1\r\n2\r\n", reply_of(To::Client(1), 1)))
            .route(0, ""),
        listening("mappings are not for what members send")
            .client(1, client("a", "SUB q.> 1\r\n"))
            .route(0, "RMSG A q.map 1\r\n1\r\nRMSG B own.map 1\r\n1\r\n")
            .client(1, "")
            .client(0, ""),
    ];
    compare(&importing(), &comparable(cases));
}

#[test]
fn a_member_serves_what_another_account_asks() {
    let ask = "PUB ask.1 in.r 2\r\nhi\r\n";
    let cases = [
        served("nobody serves", "").client(1, ask).route(0, ""),
        served("one answer", "RS+ A q.*\r\n")
            .client(1, ask)
            .route(0, answer(1, &["one", "two"]))
            .client(1, ""),
        served("any number of answers", "RS+ A qs.*\r\n")
            .client(1, "PUB qs.1 in.r 2\r\nhi\r\n")
            .route(0, answer(1, &["one", "two", "", "three"]))
            .client(1, ""),
        served("an answer with a header", "RS+ A q.*\r\n")
            .client(1, ask)
            .route(0, format!("HMSG A {} 18 20\r\nNATS/1.0\r\nX: y\r\n\r\nok\r\n", reply_of(To::Route(0), 1)))
            .client(1, ""),
        served("an answer with a reply", "RS+ A q.*\r\nRS+ A back\r\n")
            .client(1, ask)
            .route(0, format!("RMSG A {} back 2\r\nok\r\n", reply_of(To::Route(0), 1)))
            .client(1, format!("PUB {0} 3\r\none\r\nPUB {0} 3\r\ntwo\r\n", reply_of(To::Client(1), 1)))
            .route(0, ""),
        served(
            "without a reply, with headers, of one that shares, and mapped",
            "RS+ A q.*\r\nRS+ A sh.*\r\n",
        )
        .client(1, "PUB ask.1 2\r\nhi\r\nHPUB ask.1 in.r 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n")
        .client(1, "PUB sh.1 in.r 2\r\nhi\r\nPUB ask.map in.r 2\r\nhi\r\n")
        .route(0, ""),
        served("the reply is mapped when the answer comes", "RS+ A q.*\r\n")
            .client(1, "PUB ask.1 own.map 2\r\nhi\r\n")
            .route(0, answer(1, &["ok"]))
            .client(1, ""),
        served("the reply is the member's own, and that of another", "RS+ A q.*\r\nRS+ B p.>\r\n")
            .route(1, q("RS+ B q.>\r\n"))
            .client(1, "PUB ask.1 p.1 2\r\nhi\r\nPUB ask.1 q.1 2\r\nhi\r\n")
            .route(0, answer(1, &["1"]) + &answer(2, &["2"]))
            .route(1, "")
            .route(0, ""),
        served("a third one hears nothing of answers", "RS+ A q.*\r\n")
            .route(1, q("RS+ A _R_.>\r\n"))
            .client(1, ask)
            .route(0, answer(1, &["1"]))
            .route(1, "")
            .client(1, ""),
        served("what was not asked for", "")
            .client(1, "PUB ask.1 in.r 2\r\nhi\r\n")
            .route(0, "RS+ A q.*\r\nRMSG A _R_.x.y 1\r\n1\r\nRMSG A _R_.aaaaaa.bbbbbb 1\r\n2\r\n")
            .client(1, ""),
        served("groups of the member", "RS+ A q.* g 2\r\nRS+ A q.* h 1\r\n")
            .client(1, ask)
            .route(0, answer(1, &["1"]))
            .client(1, ""),
        served("plain ones here and there, of which the first to answer counts", "RS+ A q.*\r\n")
            .client(2, client("a", "SUB q.* 1\r\n"))
            .client(1, ask)
            .client(2, "")
            .route(0, answer(1, &["there"]))
            .client(1, "")
            .client(2, format!("PUB {} 4\r\nhere\r\n", reply_of(To::Client(2), 1)))
            .client(1, ""),
        served("another member wants the reply that the requester has left", "RS+ A qs.*\r\nRS+ B in.>\r\n")
            .client(1, "PUB qs.1 in.r 2\r\nhi\r\nUNSUB 1\r\n")
            .route(0, answer(1, &["one"]))
            .route(0, format!("RS- B in.>\r\nRS+ B in.>\r\n{}", answer(1, &["two"])))
            .client(1, ""),
        served("the requester leaves", "RS+ A q.*\r\n")
            .client(1, ask)
            .leave(To::Client(1))
            .route(0, answer(1, &["one"])),
    ];
    compare(&importing(), &comparable(cases));
}
