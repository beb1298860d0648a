//! What `cluster { permissions }` lets pass of interest and of messages (wire.md 3.11).

use onehop_tests::peer::Identity;
use onehop_tests::script::{case, compare};
use onehop_tests::server::Options;

use super::{client, comparable, p};

fn restricted(permissions: &str) -> Options {
    Options::configured(&format!(
        "server_name: alpha\ncluster {{ name: C, listen: \"127.0.0.1:-1\", pool_size: 1\npermissions {{ {permissions} }} }}\n"
    ))
}

/// A subscription to each of these.
fn subscriptions(subjects: &[&str]) -> String {
    (1..).zip(subjects).map(|(sid, subject)| format!("SUB {subject} {sid}\r\n")).collect()
}

/// A line about each of these.
fn lines(start: &str, subjects: &[&str], end: &str) -> String {
    subjects.iter().map(|subject| format!("{start}{subject}{end}")).collect()
}

const SUBJECTS: [&str; 16] = [
    "imp.a", "imp.*", "imp.>", ">", "*", "imp.no.x", "imp.no.*", "imp.no.>", "imp.no", "imp.*.*", "both.*",
    "both.>", "exact", "exact.>", "other", "imp.n*.x",
];

#[test]
fn of_the_interest_here_is_told_what_is_imported_and_messages_come_in_whatever_they_are() {
    let subscribed = subscriptions(&SUBJECTS);
    let cases = [
        case("before the member comes")
            .with_greeting()
            .client(0, client(&subscribed))
            .client(0, "SUB imp.q q 50\r\nSUB other.q q 51\r\n")
            .route(0, p(""))
            .in_any_order(),
        case("while it is there, and its end")
            .route(0, p(""))
            .client(0, client(&subscribed))
            .client(0, "SUB imp.q q 50\r\nSUB other.q q 51\r\n")
            .client(0, "UNSUB 1\r\nUNSUB 6\r\nUNSUB 15\r\nUNSUB 50\r\nUNSUB 51\r\n"),
        case("messages")
            .client(0, client("SUB imp.a 1\r\nSUB other 2\r\nSUB imp.no.x 3\r\n"))
            .route(0, p(""))
            .route(0, lines("RMSG $G ", &["imp.a", "other", "imp.no.x"], " 1\r\nx\r\n")),
        case("a member that exports something else")
            .client(0, client(&subscribed))
            .route(0, Identity::new("P").info("export", serde_json::json!({"allow": ["never"]})).join(""))
            .client(0, "SUB imp.later 60\r\n")
            .in_any_order(),
    ];
    let permissions = "import { allow: [ \"imp.>\", \"both.*\", exact ], deny: \"imp.no.*\" }";
    compare(&restricted(permissions), &comparable(cases));
}

#[test]
fn of_the_interest_of_a_member_counts_what_is_exported_and_it_is_sent_nothing_that_is_denied() {
    let told = [
        "both.>",
        "both.x",
        ">",
        "*",
        "*.x",
        "a.*.x",
        "a.no.>",
        "a.no",
        "a.>",
        "a.*",
        "a.no.*",
        "a.no.x q 1",
        "a.*.x q 1",
        "a.yes.x q 1",
        "*.>",
    ];
    let published = ["a.no.x", "a.yes.x", "a.q.1", "a.q", "a.no", "both.x", "both.x.y", "c.d", "c"];
    let publish = client(&lines("PUB ", &published, " 1\r\ny\r\n"));
    let permissions = "export { allow: [ \"both.*\", \"a.>\" ], deny: [ \"a.no.*\", \"a.q.>\" ] }";
    let mut cases: Vec<_> = told
        .iter()
        .map(|told| {
            let rs = format!("RS+ $G {told}\r\n");
            case(*told).with_greeting().route(0, p(&rs)).client(0, publish.clone())
        })
        .collect();
    cases.push(
        case("a member that denied interest was not taken of")
            .route(0, p("RS+ $G c.d\r\nRS- $G c.d\r\nRS+ $G a.b\r\nLS+ leaf $G c\r\nLS+ leaf $G a.q\r\n"))
            .client(0, publish),
    );
    compare(&restricted(permissions), &comparable(cases));
    let only_denied = [case("all but what is denied")
        .route(0, p("RS+ $G x\r\nRS+ $G y\r\nRS+ $G >\r\n"))
        .client(0, client("PUB x 1\r\nx\r\nPUB y 1\r\ny\r\nSUB y 1\r\nSUB z 2\r\n"))];
    compare(&restricted("export { deny: y }, import { deny: y }"), &comparable(only_denied));
}

/// Without queue groups, of which the Go server leaves out the weight then.
#[test]
fn a_member_that_exports_more_is_told_again_what_is_wanted_here() {
    let more = Identity::new("P").info("export", serde_json::json!({"allow": [">"]}));
    let cases = [case("more than before")
        .client(0, client("SUB mine 1\r\nSUB mine.too 2\r\n"))
        .route(0, Identity::new("P").info("export", serde_json::json!({"allow": ["never"]})).join(""))
        .route(0, more.info_line())
        .in_any_order()];
    compare(&restricted("import: mine"), &comparable(cases));
}
