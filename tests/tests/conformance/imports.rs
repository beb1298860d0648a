//! Streams and services of other accounts (wire.md 1.12, 1.13). Replies that servers make up, and what they tell of who asks, are
//! compared without what is random in them (`tests/src/mask.rs`).

use onehop_tests::script::{Case, To, case, compare, reply_of};
use onehop_tests::server::Options;

use super::accounts::connect;

/// Accounts `A` with `exports` and `B` with `imports`, and `more` accounts. Each has the users `a` and `a2`, and so on.
pub(super) fn shared(exports: &str, imports: &str, more: &str) -> Options {
    configured("", exports, imports, more)
}

fn configured(top: &str, exports: &str, imports: &str, more: &str) -> Options {
    Options::configured(&format!(
        "server_name: alpha\n{top}\naccounts {{\n A {{ {}\n exports: [ {exports} ] }}\n B {{ {}\n imports: [ {imports} ] }}\n {more}\n}}\n",
        users("a"),
        users("b"),
    ))
}

fn users(name: &str) -> String {
    format!("users: [{{user: {name}, password: p}}, {{user: {name}2, password: p}}]")
}

pub(super) fn publish(subjects: &[&str]) -> String {
    subjects.iter().map(|subject| format!("PUB {subject} 1\r\nx\r\n")).collect()
}

fn publish_with_headers(subject_and_reply: &str, header: &str, payload: &str) -> String {
    let (size, total) = (header.len(), header.len() + payload.len());
    format!("HPUB {subject_and_reply} {size} {total}\r\n{header}{payload}\r\n")
}

/// Publishes each payload to the reply of the `nth` message with a reply that client `asked` got.
fn answer(asked: u8, nth: usize, payloads: &[&str]) -> String {
    let reply = reply_of(To::Client(asked), nth);
    payloads.iter().map(|payload| format!("PUB {reply} {}\r\n{payload}\r\n", payload.len())).collect()
}

/// An answer that has a reply itself.
fn answer_with_reply(asked: u8, nth: usize, reply: &str, payload: &str) -> String {
    format!("PUB {} {reply} {}\r\n{payload}\r\n", reply_of(To::Client(asked), nth), payload.len())
}

/// A responder in `A` as client 0, which is subscribed to all, and a requester in `B` as client 1, which hears `in.>`.
fn asking(name: &str) -> Case {
    case(name).client(0, connect("a", "SUB *.* 1\r\nSUB lit 2\r\n")).client(1, connect("b", "SUB in.> 1\r\n"))
}

/// What `A` publishes is heard by a client of `B` with this subscription.
fn hearing(subscription: &str, subjects: &[&str]) -> Case {
    case(subscription)
        .client(1, connect("b", &format!("SUB {subscription} 1\r\n")))
        .client(0, connect("a", ""))
        .client(0, publish(subjects))
        .client(1, "")
}

#[test]
fn what_another_account_publishes_is_heard_under_another_name() {
    let options = shared(
        "{stream: \"st.*\"}, {stream: \"s.*.*\"}, {stream: \"r.>\"}, {stream: \"t.*.>\"}, {stream: \"p.>\"}, {stream: plain}",
        "{stream: {account: A, subject: \"st.*\"}, to: \"got.$1.here\"}, {stream: {account: A, subject: \"s.*.*\"}, to: \"x.$2.$1\"},\n\
         {stream: {account: A, subject: \"r.>\"}, to: \"y.>\"}, {stream: {account: A, subject: \"t.*.>\"}, to: \"z.$1.>\"},\n\
         {stream: {account: A, subject: \"p.>\"}, prefix: from}, {stream: {account: A, subject: plain}}",
        "",
    );
    let subjects = [
        "st.5",
        "st.6",
        "s.1.2",
        "s.2.1",
        "s.2.2",
        "r.a",
        "r.a.b",
        "t.1.a",
        "t.1.a.b",
        "t.2.a",
        "p.a",
        "p.a.b",
        "plain",
        "got.5.here",
        "other",
    ];
    let subscriptions = [
        "got.*.here",
        "got.>",
        ">",
        "*.*.*",
        "got.*.>",
        "got.5.here",
        "got.5.*",
        "got.5.>",
        "*.5.here",
        "got",
        "got.*",
        "got.6.there",
        "got.5.here.x",
        "x.1.2",
        "x.1.*",
        "x.1.>",
        "*.1.>",
        "y.a",
        "*.a",
        "y.*",
        "y.a.>",
        "*.a.>",
        "*.>",
        "y",
        "z.1.>",
        "*.*.a",
        "z.1.a.b",
        "z.1",
        "from.p.a",
        "from.>",
        "from.*.*",
        "from.p",
        "plain",
        "*",
        "st.5",
        "p.>",
        "got.5.here q",
        "> q",
    ];
    let mut cases: Vec<_> =
        subscriptions.iter().map(|subscription| hearing(subscription, &subjects)).collect();
    cases.extend([
        case("the reply and headers stay")
            .client(1, connect("b", "SUB from.> 1\r\nSUB plain 2\r\n"))
            .client(
                0,
                connect("a", &publish_with_headers("p.a in.r", "NATS/1.0\r\nA: b\r\n\r\n", "x"))
                    + "PUB plain in.r 1\r\nx\r\n",
            )
            .client(1, ""),
        case("who listens elsewhere counts as somebody")
            .client(1, connect("b", "SUB from.> 1\r\nSUB got.> q 2\r\n"))
            .client(0, connect("a", "SUB box 1\r\nPUB p.a box 1\r\nx\r\nPUB st.1 box 1\r\nx\r\n"))
            .client(1, "UNSUB 1\r\nUNSUB 2\r\n")
            .client(0, "PUB p.a box 1\r\nx\r\nPUB st.1 box 1\r\nx\r\n"),
        case("what the importer publishes itself stays there")
            .client(0, connect("a", "SUB > 1\r\n"))
            .client(1, connect("b", "SUB from.> 1\r\nPUB from.p.a 1\r\nx\r\n"))
            .client(0, ""),
        case("a further CONNECT ends it")
            .client(1, connect("b", "SUB from.> 1\r\n"))
            .client(0, connect("a", &publish(&["p.1"])))
            .client(1, connect("b", ""))
            .client(0, publish(&["p.2"]))
            .client(1, "SUB from.> 1\r\n")
            .client(0, publish(&["p.3"]))
            .client(1, connect("a", "SUB from.> 1\r\n"))
            .client(0, publish(&["p.4"]))
            .client(1, ""),
        case("no echo says nothing about it")
            .client(1, "CONNECT {\"user\":\"b\",\"pass\":\"p\",\"verbose\":false,\"echo\":false}\r\nSUB from.> 1\r\n")
            .client(0, "CONNECT {\"user\":\"a\",\"pass\":\"p\",\"verbose\":false,\"echo\":false}\r\nPUB p.1 1\r\nx\r\n")
            .client(1, ""),
        case("verbose clients")
            .client(1, "CONNECT {\"user\":\"b\",\"pass\":\"p\",\"verbose\":true}\r\nSUB from.> 1\r\nUNSUB 1\r\n"),
    ]);
    compare(&options, &cases);
}

#[test]
fn a_message_is_heard_once_for_each_import() {
    let options = shared(
        "{stream: \"st.>\"}, {stream: \"st.*\"}",
        "{stream: {account: A, subject: \"st.>\"}, to: \"in.>\"}, {stream: {account: A, subject: \"st.*\"}, to: \"in.*\"},\n\
         {stream: {account: X, subject: \"st.>\"}, to: \"in.>\"}",
        &format!(
            "X {{ {} \n exports: [{{stream: \"st.>\"}}] }}\n\
             C {{ {} \n imports: [{{stream: {{account: D, subject: \"on.>\"}}}}] }}\n\
             D {{ {} \n imports: [{{stream: {{account: A, subject: \"st.>\"}}, to: \"on.>\"}}], exports: [{{stream: \"on.>\"}}] }}",
            users("x"),
            users("c"),
            users("d"),
        ),
    );
    let cases = [
        hearing("in.1", &["st.1"]).client(2, connect("x", &publish(&["st.1", "st.1.2"]))).client(1, ""),
        hearing("in.>", &["st.1", "st.1.2"]).client(2, connect("x", &publish(&["st.1"]))).client(1, ""),
        hearing("in.1 g", &["st.1", "st.1"]),
        case("several subscriptions of one client")
            .client(1, connect("b", "SUB in.1 1\r\nSUB in.> 2\r\nSUB in.* 3\r\nSUB > 4\r\nSUB in.* g 5\r\n"))
            .client(0, connect("a", &publish(&["st.1", "st.1.2"])))
            .client(1, "")
            .in_any_order(),
        case("a maximum that is reached already")
            .client(1, connect("b", "SUB in.1.2 1\r\n"))
            .client(2, connect("b2", &publish(&["in.1.2"; 2])))
            .client(1, "UNSUB 1 2\r\n")
            .client(0, connect("a", &publish(&["st.1.2"])))
            .client(1, ""),
        case("nothing is handed on")
            .client(1, connect("c", "SUB on.> 1\r\n"))
            .client(2, connect("d", "SUB on.> 1\r\n"))
            .client(0, connect("a", &publish(&["st.1"])))
            .client(2, publish(&["on.2"]))
            .client(1, ""),
    ];
    compare(&options, &cases);
}

#[test]
fn permissions_are_asked_for_what_the_user_itself_names() {
    let user = |name: &str, permissions: &str| {
        format!("{{user: {name}, password: p, permissions: {{{permissions}}}}}")
    };
    let importers = [
        user("b", ""),
        user("local", "subscribe: {deny: [\"in.s.x\", \"ask.x\"]}"),
        user("remote", "subscribe: {deny: \"s.x\"}"),
        user("all", "subscribe: {deny: \"in.>\"}"),
        user("only", "subscribe: [\"s.>\"]"),
        user("noask", "publish: {deny: \"ask.*\"}"),
        user("noreal", "publish: {deny: [\"q.*\", \"_R_.>\"]}"),
        user("asks", "publish: \"ask.*\""),
        user("nobox", "subscribe: {deny: \"box.x\"}"),
    ];
    let exporters = [
        user("a", ""),
        user("mute", "publish: nothing"),
        user("resp", "publish: nothing, allow_responses: true"),
        user("deny", "publish: {deny: \"_R_.>\"}"),
        user("both", "publish: {deny: \"_R_.>\"}, allow_responses: {max: 1}"),
        user("allow", "publish: \"_R_.>\""),
    ];
    let options = Options::configured(&format!(
        "accounts {{\n A {{ users: [ {} ]\n exports: [{{service: \"q.*\"}}, {{service: \"qs.*\", response: stream}}, {{stream: \"s.>\"}}] }}\n\
         B {{ users: [ {} ]\n imports: [{{service: {{account: A, subject: \"q.*\"}}, to: \"ask.*\"}}, {{service: {{account: A, subject: \"qs.*\"}}, to: \"asks.*\"}},\n\
         {{stream: {{account: A, subject: \"s.>\"}}, prefix: in}}] }} }}\n",
        exporters.join("\n"),
        importers.join("\n"),
    ));
    let mut cases = Vec::new();
    for name in ["local", "remote", "all", "only"] {
        let subscribe = connect(name, "SUB in.> 1\r\nSUB in.s.x 2\r\nSUB s.x 3\r\nSUB in.s.y q 4\r\n");
        cases.push(
            case(format!("{name} listens"))
                .client(1, subscribe)
                .client(0, connect("a", &publish(&["s.x", "s.y"])))
                .client(1, "")
                .in_any_order(),
        );
        cases.push(
            case(format!("{name} is a member of a group"))
                .client(1, connect(name, "SUB in.> q 1\r\n"))
                .client(0, connect("a", "SUB box 2\r\nPUB s.x box 1\r\nx\r\n"))
                .client(1, ""),
        );
    }
    for name in ["local", "noask", "noreal", "asks", "nobox"] {
        cases.push(
            case(format!("{name} asks"))
                .client(0, connect("a", "SUB q.* 1\r\n"))
                .client(1, connect(name, "SUB box.> 1\r\nPUB ask.x box.x 1\r\n?\r\nPUB q.x box.x 1\r\n?\r\n"))
                .client(2, connect("b", "SUB box.> 1\r\nPUB ask.y box.y 1\r\n?\r\n"))
                .client(0, answer(0, 1, &["!"]))
                .client(1, "")
                .client(2, ""),
        );
    }
    for name in ["noreal", "asks", "b"] {
        cases.push(
            case(format!("{name} answers an answer"))
                .client(0, connect("a", "SUB q.* 1\r\nSUB back 2\r\n"))
                .client(1, connect(name, "SUB box.> 1\r\nPUB ask.x box.x 1\r\n?\r\n"))
                .client(0, answer_with_reply(0, 1, "back", "!"))
                .client(1, answer(1, 1, &["!!"]))
                .client(0, ""),
        );
    }
    for name in ["mute", "resp", "deny", "both", "allow"] {
        for subject in ["ask.x", "asks.x"] {
            cases.push(
                case(format!("{name} answers {subject}"))
                    .client(0, connect(name, "SUB q.* 1\r\nSUB qs.* 2\r\n"))
                    .client(1, connect("b", &format!("SUB box 1\r\nPUB {subject} box 1\r\n?\r\n")))
                    .client(0, answer(0, 1, &["1", "2"]))
                    .client(1, ""),
            );
        }
    }
    compare(&options, &cases);
}

/// Services of each kind as `A` exports them, and how `B` imports them.
const SERVICES: (&str, &str) = (
    "{service: \"q.*\"}, {service: \"qs.*\", response: stream}, {service: \"qc.*\", response: chunked}, {service: lit}, {service: \"sh.*\"}",
    "{service: {account: A, subject: \"q.*\"}, to: \"ask.$1\"}, {service: {account: A, subject: \"qs.*\"}}, {service: {account: A, subject: \"qc.*\"}},\n\
     {service: {account: A, subject: lit}, to: alias}, {service: {account: A, subject: \"sh.*\"}, share: true}",
);

#[test]
fn a_service_of_another_account_is_asked_and_answers() {
    let (exports, imports) = SERVICES;
    let options = shared(exports, imports, "");
    let mut cases = Vec::new();
    for subject in ["ask.1", "qs.1", "qc.1"] {
        let ask = format!("PUB {subject} in.r 2\r\nhi\r\n");
        cases.extend([
            asking(&format!("answers of {subject}"))
                .client(1, &ask)
                .client(0, answer(0, 1, &["one", "two", "", "three"]))
                .client(1, ""),
            asking(&format!("an empty answer of {subject} with headers"))
                .client(1, &ask)
                .client(
                    0,
                    publish_with_headers(&reply_of(To::Client(0), 1), "NATS/1.0\r\nX: y\r\n\r\n", "")
                        + &answer(0, 1, &["more"]),
                )
                .client(1, ""),
            asking(&format!("another client listens to the reply of {subject}"))
                .client(2, connect("b2", "SUB in.r 1\r\n"))
                .client(1, format!("{ask}UNSUB 1\r\n"))
                .client(0, answer(0, 1, &["x"]))
                .client(2, "")
                .client(1, ""),
            asking(&format!("nobody listens to the reply of {subject} yet"))
                .client(1, format!("PUB {subject} late 2\r\nhi\r\nSUB late 2\r\n"))
                .client(0, answer(0, 1, &["one", "two"]))
                .client(1, ""),
            asking(&format!("nobody listens to the first answer of {subject}"))
                .client(1, format!("PUB {subject} late 2\r\nhi\r\n"))
                .client(0, answer(0, 1, &["one"]))
                .client(1, "SUB late 2\r\n")
                .client(0, answer(0, 1, &["two"]))
                .client(1, ""),
            asking(&format!("a member of a group listens to the reply of {subject}"))
                .client(1, format!("SUB late g 2\r\nPUB {subject} late 2\r\nhi\r\n"))
                .client(0, answer(0, 1, &["one", "two"]))
                .client(1, ""),
            asking(&format!("answers of {subject} that have a reply"))
                .client(1, &ask)
                .client(0, "SUB back.> 3\r\nUNSUB 1\r\n")
                .client(0, answer_with_reply(0, 1, "back.1", "ok"))
                .client(1, answer(1, 1, &["one", "two", "", "three"]))
                .client(0, ""),
            asking(&format!("an answer to the answer of {subject} has one, too"))
                .client(1, &ask)
                .client(0, "SUB back.> 3\r\nUNSUB 1\r\n")
                .client(0, answer_with_reply(0, 1, "back.1", "ok"))
                .client(1, answer_with_reply(1, 1, "in.more", "yes"))
                .client(0, answer(0, 2, &["one", "two", "", "three"]))
                .client(1, ""),
        ]);
    }
    cases.extend([
        asking("two requests with the same reply")
            .client(1, "PUB ask.1 in.r 1\r\n1\r\nPUB ask.2 in.r 1\r\n2\r\n")
            .client(0, answer(0, 2, &["two"]) + &answer(0, 1, &["one"]))
            .client(1, ""),
        asking("without a reply").client(1, "PUB ask.1 1\r\n1\r\nPUB alias 1\r\n1\r\n").client(0, ""),
        asking("wildcards in the request and its reply")
            .client(1, "SUB in.* 2\r\nPUB ask.* in.* 1\r\n1\r\n")
            .client(0, answer(0, 1, &["one"]))
            .client(1, "")
            .in_any_order(),
        asking("nobody serves")
            .client(0, "UNSUB 1\r\n")
            .client(1, "PUB ask.1 in.r 1\r\n1\r\nPUB alias in.r 1\r\n1\r\nPUB q.1 in.r 1\r\n1\r\n"),
        asking("nobody serves, and the importer publishes where nobody is")
            .client(0, "UNSUB 1\r\nUNSUB 2\r\n")
            .client(1, "SUB ask.> 2\r\nPUB ask.1 in.r 1\r\n1\r\n"),
        asking("own subscribers of the importer serve alone")
            .client(0, "UNSUB 1\r\n")
            .client(2, connect("b2", "SUB ask.* 1\r\n"))
            .client(1, "PUB ask.1 in.r 1\r\n1\r\n")
            .client(2, ""),
        asking("groups of both accounts")
            .client(0, "UNSUB 1\r\nSUB q.* g 3\r\nSUB q.* g 4\r\n")
            .client(2, connect("b2", "SUB ask.* g 1\r\n"))
            .client(1, "PUB ask.1 in.r 1\r\n1\r\n")
            .client(2, "")
            .client(0, "")
            .taking("HMSG q.1 4", "HMSG q.1 3"),
        case("the requester listens itself, without echo")
            .client(
                1,
                "CONNECT {\"user\":\"b\",\"pass\":\"p\",\"verbose\":false,\"echo\":false,\"headers\":true,\"no_responders\":true}\r\n\
                 SUB in.> 1\r\nSUB ask.* 2\r\nPUB ask.1 in.r 1\r\n1\r\n",
            )
            .client(0, connect("a", "SUB q.* 1\r\n"))
            .client(1, "PUB ask.1 in.r 1\r\n1\r\n")
            .client(0, answer(0, 1, &["!"]))
            .client(1, ""),
        case("the requester listens itself").client(1, connect("b", "SUB in.> 1\r\nSUB ask.* 2\r\nPUB ask.1 in.r 1\r\n1\r\n")),
        case("verbose clients")
            .client(
                1,
                "CONNECT {\"user\":\"b\",\"pass\":\"p\",\"verbose\":true,\"headers\":true,\"no_responders\":true}\r\n\
                 SUB in.> 1\r\nPUB ask.1 in.r 1\r\n1\r\n",
            ),
        asking("the requester goes to another account")
            .client(1, "PUB qs.1 in.r 1\r\n1\r\n")
            .client(1, connect("a", "SUB in.> 1\r\n"))
            .client(0, answer(0, 1, &["x"]))
            .client(1, ""),
    ]);
    compare(&options, &cases);
}

#[test]
fn the_responder_is_told_who_asks() {
    let (exports, imports) = SERVICES;
    let options = shared(exports, imports, "");
    let headers = [
        ("NATS/1.0\r\nX: y\r\nZ: w\r\n\r\n", "hi"),
        ("NATS/1.0\r\nNats-Request-Info: {\"acc\":\"EVIL\",\"rtt\":1}\r\nZ: w\r\n\r\n", "hi"),
        ("NATS/1.0\r\nNats-Request-Info:short\r\nZ: w\r\nNats-Request-Info: two\r\n\r\n", "hi"),
        ("NATS/1.0\r\nnats-request-info: lower\r\n\r\n", "hi"),
        ("NATS/1.0\r\nX-Nats-Request-Info: other\r\n\r\n", "hi"),
        ("NATS/1.0 503 Abc\r\n\r\n", "hi"),
        ("NATS/1.0 503 Abc\r\nA: b\r\n\r\n", ""),
        ("NATS/1.0\r\n\r\n", ""),
        ("NATS/1.0\r\n\r\n", "hi"),
    ];
    let mut cases: Vec<_> = headers
        .iter()
        .map(|(header, payload)| {
            let requests = ["ask.1 in.r", "ask.1", "sh.1 in.r"];
            let requests: String =
                requests.iter().map(|request| publish_with_headers(request, header, payload)).collect();
            asking(&format!("{header:?}")).client(1, requests).client(0, "")
        })
        .collect();
    let named = |name: &str| {
        format!(
            "CONNECT {{\"user\":\"b2\",\"pass\":\"p\",\"verbose\":false,\"headers\":true,\"no_responders\":true,{name}}}\r\n"
        )
    };
    for name in [
        "\"name\":\"n\"",
        "\"name\":\"a\\\"b<é>\",\"lang\":\"x\",\"version\":\"1.2\"",
        "\"lang\":\"\",\"version\":\"\"",
    ] {
        cases.push(
            asking(name)
                .client(
                    2,
                    named(name)
                        + "SUB in.> 1\r\nPUB sh.1 in.r 1\r\n1\r\nPUB ask.1 in.r 1\r\n1\r\nPUB sh.1 0\r\n\r\n",
                )
                .client(0, ""),
        );
    }
    cases.extend([
        asking("who has no headers asks")
            .client(
                2,
                "CONNECT {\"user\":\"b\",\"pass\":\"p\",\"verbose\":false}\r\nPUB ask.1 in.r 2\r\nhi\r\n",
            )
            .client(0, ""),
        case("who has no headers is asked")
            .client(0, "CONNECT {\"user\":\"a\",\"pass\":\"p\",\"verbose\":false}\r\nSUB q.* 1\r\n")
            .client(1, connect("b", "SUB in.> 1\r\nPUB ask.1 in.r 2\r\nhi\r\nPUB ask.1 2\r\nhi\r\n"))
            .client(0, answer(0, 1, &["ok"]))
            .client(1, ""),
    ]);
    compare(&options, &cases);
}

#[test]
fn several_imports_that_match_are_all_asked() {
    let options = shared(
        "{service: \"q.*\"}, {service: \"both.*\"}, {stream: \"both.*\"}",
        "{service: {account: A, subject: \"q.*\"}, to: \"ov.*\"}, {service: {account: X, subject: \"w.>\"}, to: \"ov.>\"},\n\
         {service: {account: A, subject: \"q.*\"}, to: \"same.*\"}, {service: {account: X, subject: \"q.*\"}, to: \"same.*\"},\n\
         {service: {account: A, subject: \"both.*\"}}",
        &format!(
            "X {{ {}\n exports: [{{service: \"q.*\"}}, {{service: \"w.>\"}}] }}\n\
             C {{ {}\n imports: [{{stream: {{account: A, subject: \"both.*\"}}}}] }}",
            users("x"),
            users("c"),
        ),
    );
    let mut cases = Vec::new();
    for subject in ["ov.1", "same.1"] {
        let ask = format!("PUB {subject} in.r 1\r\n?\r\n");
        cases.extend([
            asking(&format!("both serve {subject}"))
                .client(2, connect("x", "SUB > 1\r\n"))
                .client(1, &ask)
                .client(0, answer(0, 1, &["a", "a2"]))
                .client(2, answer(2, 1, &["x", "x2"]))
                .client(1, ""),
            asking(&format!("one serves {subject}")).client(1, &ask).client(0, ""),
            case(format!("the other serves {subject}"))
                .client(2, connect("x", "SUB > 1\r\n"))
                .client(1, connect("b", &format!("SUB in.> 1\r\n{ask}")))
                .client(2, ""),
            case(format!("nobody serves {subject}")).client(1, connect("b", &format!("SUB in.> 1\r\n{ask}"))),
        ]);
    }
    cases.extend([
        asking("who imports a stream does not hear requests")
            .client(2, connect("c", "SUB both.* 1\r\n"))
            .client(1, "PUB both.1 in.r 1\r\n?\r\n")
            .client(0, publish(&["both.2"]))
            .client(2, ""),
        case("and is nobody who serves")
            .client(2, connect("c", "SUB both.* 1\r\n"))
            .client(1, connect("b", "SUB in.> 1\r\nPUB both.1 in.r 1\r\n?\r\n"))
            .client(2, ""),
    ]);
    compare(&options, &cases);
}

#[test]
fn a_request_goes_on_along_a_chain_of_imports() {
    let more = format!(
        "C {{ {}\n exports: [{{service: \"mid.*\"}}], imports: [{{service: {{account: A, subject: \"q.*\"}}, to: \"mid.*\"}}, {{service: {{account: A, subject: \"sh.*\"}}, share: true}}] }}\n\
         D {{ {}\n imports: [{{service: {{account: C, subject: \"mid.*\"}}, to: \"top.*\"}}, {{service: {{account: E, subject: \"n.*\"}}, to: \"o.*\"}}] }}\n\
         E {{ {}\n exports: [{{service: \"n.*\"}}], imports: [{{service: {{account: C, subject: \"mid.*\"}}, to: \"n.*\", share: true}}] }}\n\
         F {{ {}\n imports: [{{service: {{account: E, subject: \"n.*\"}}, to: \"o.*\", share: true}}] }}",
        users("c"),
        users("d"),
        users("e"),
        users("f"),
    );
    let (exports, imports) = SERVICES;
    let options = shared(exports, imports, &more);
    let along = |name: &str, user: &str, request: &str| {
        case(name)
            .client(0, connect("a", "SUB q.* 1\r\nSUB back 2\r\n"))
            .client(1, connect(user, "SUB in.> 1\r\n"))
            .client(2, connect("c", "SUB mid.* 1\r\n"))
            .client(3, connect("e", "SUB > 1\r\n"))
            .client(1, request)
            .client(2, "")
            .client(3, "")
    };
    let own_header = publish_with_headers(
        "top.1 in.r",
        "NATS/1.0\r\nA: b\r\nNats-Request-Info: own\r\nZ: z\r\n\r\n",
        "hi",
    );
    let cases = [
        along("two", "d", "PUB top.1 in.r 1\r\n?\r\n").client(0, answer(0, 1, &["one", "two"])).client(1, ""),
        along("two, with a header of its own", "d", &own_header).client(0, ""),
        along("three, of which the second shares", "d", "PUB o.1 in.r 1\r\n?\r\n")
            .client(0, answer(0, 1, &["one", "two"]))
            .client(1, "")
            .client(3, ""),
        along("three, all of which share", "f", "PUB o.1 in.r 1\r\n?\r\nPUB o.1 1\r\n?\r\n")
            .client(0, answer(0, 1, &["one", "two"]))
            .client(1, "")
            .client(3, ""),
        along("an answer with a reply", "d", "PUB top.1 in.r 1\r\n?\r\n")
            .client(0, answer_with_reply(0, 1, "back", "one"))
            .client(1, answer(1, 1, &["two", "three"]))
            .client(0, ""),
        along("one between is answered itself", "d", "PUB top.1 in.r 1\r\n?\r\n")
            .client(2, answer(2, 1, &["c"]))
            .client(0, answer(0, 1, &["a"]))
            .client(1, ""),
        case("nobody serves")
            .client(1, connect("d", "SUB in.> 1\r\nPUB top.1 in.r 1\r\n?\r\nPUB o.1 in.r 1\r\n?\r\n")),
        case("one between serves alone")
            .client(2, connect("c", "SUB mid.* 1\r\n"))
            .client(1, connect("d", "SUB in.> 1\r\nPUB top.1 in.r 1\r\n?\r\n"))
            .client(2, answer(2, 1, &["c"]))
            .client(1, ""),
    ];
    compare(&options, &cases);
}

#[test]
fn subjects_of_replies_are_subjects_like_others_where_nothing_was_asked() {
    let (exports, imports) = SERVICES;
    let options = shared(exports, imports, "");
    let cases = [
        asking("who listens to replies hears the answer")
            .client(2, connect("a2", "SUB _R_.> 1\r\nSUB > 2\r\n"))
            .client(1, "PUB ask.1 in.r 1\r\n?\r\n")
            .client(0, answer(0, 1, &["!"]))
            .client(2, "")
            .client(1, "")
            .in_any_order(),
        case("one that nobody knows").client(
            0,
            connect("a", "SUB box 1\r\nSUB _R_.> 2\r\nPUB _R_.x.y 1\r\nx\r\nUNSUB 2\r\nPUB _R_.x.y box 1\r\nx\r\n"),
        ),
        asking("below the first part of one that is known, nobody is missed")
            .client(1, "PUB ask.1 in.r 1\r\n?\r\n")
            .client(0, answer(0, 1, &["!"]) + &answer_with_reply(0, 1, "in.r", "late"))
            .client(1, ""),
        asking("the requester's own account does not know it")
            .client(1, "PUB ask.1 in.r 1\r\n?\r\n")
            .client(0, "")
            .client(1, format!("PUB {} in.q 1\r\nx\r\n", reply_of(To::Client(0), 1)))
            .client(0, answer(0, 1, &["!"]))
            .client(1, ""),
        case("nobody may name one as a reply").client(
            1,
            connect("b", "SUB > 1\r\nPUB ask.1 _R_.a.b 1\r\nx\r\nPUB own _R_.a 1\r\nx\r\nPUB own _R_ 1\r\nx\r\nPUB own _R_X 1\r\nx\r\n"),
        ),
        case("not verbose clients either").client(
            1,
            "CONNECT {\"user\":\"b\",\"pass\":\"p\",\"verbose\":true}\r\nPUB own _R_.a 1\r\nx\r\nPUB own _R_ 1\r\nx\r\n",
        ),
    ];
    compare(&options, &cases);
}

/// What comes along with its CONNECT, nats-server does not map (wire.md 1.13).
#[test]
fn mappings_of_the_importer_come_before_an_import_and_those_of_the_exporter_behind_it() {
    let options = Options::configured(
        "accounts {\n A { users: [{user: a, password: p}]\n exports: [{service: \"q.*\"}, {service: \"m.*\"}, {stream: \"s.>\"}, {stream: \"x.>\"}]\n\
         mappings {\"m.1\": \"mapped.1\", \"s.src\": \"s.dst\", \"x.a\": \"y.a\", \"z.a\": \"x.z\"} }\n\
         B { users: [{user: b, password: p}]\n imports: [{service: {account: A, subject: \"q.*\"}, to: \"ask.*\"}, {service: {account: A, subject: \"m.*\"}},\n\
         {stream: {account: A, subject: \"s.>\"}, prefix: in}, {stream: {account: A, subject: \"x.>\"}, prefix: imp}]\n\
         mappings {\"loc.1\": \"ask.1\", \"ask.9\": \"own.9\", \"in.s.5\": \"own.5\", \"box.map\": \"box.mapped\"} }\n}\n",
    );
    let ask = |subject: &str| {
        case(subject)
            .client(0, connect("a", "SUB > 1\r\n"))
            .client(1, connect("b", "SUB box.> 1\r\nSUB own.> 2\r\n"))
            .client(1, format!("PUB {subject} box.1 1\r\n?\r\n"))
            .client(0, "")
    };
    let missing = |subject: &str| {
        case(format!("nobody at {subject}"))
            .client(0, connect("a", "SUB m.* 1\r\n"))
            .client(1, connect("b", "SUB box.> 1\r\n"))
            .client(1, format!("PUB {subject} box.1 1\r\n?\r\n"))
    };
    let mut cases: Vec<_> = ["loc.1", "ask.1", "ask.9", "m.1", "m.2"].into_iter().map(ask).collect();
    cases.extend(["loc.1", "ask.1", "m.1"].into_iter().map(missing));
    cases.push(
        case("the reply of the request")
            .client(0, connect("a", "SUB q.* 1\r\n"))
            .client(1, connect("b", "SUB box.> 1\r\nPUB ask.1 box.map 1\r\n?\r\n"))
            .client(0, answer(0, 1, &["!"]))
            .client(1, ""),
    );
    for subscription in ["in.>", "in.s.5", "own.5", "imp.>", "in.s.src", "in.s.dst"] {
        let hearing = case(subscription)
            .client(1, connect("b", &format!("SUB {subscription} 1\r\n")))
            .client(0, connect("a", ""))
            .client(0, publish(&["s.5", "s.src", "x.a", "z.a"]));
        cases.push(hearing.client(1, ""));
    }
    compare(&options, &cases);
}

#[test]
fn limits_count_neither_imports_nor_what_is_added_to_requests() {
    let options = Options::configured(
        "max_payload: 200\nmax_subscriptions: 3\naccounts {\n\
         A { users: [{user: a, password: p}]\n limits {max_payload: 100}, exports: [{service: \"q.*\"}, {stream: \"s.>\"}] }\n\
         B { users: [{user: b, password: p}]\n limits {max_subs: 3}, imports: [{service: {account: A, subject: \"q.*\"}}, {stream: {account: A, subject: \"s.>\"}, prefix: in}] }\n}\n",
    );
    let request = |bytes: usize| format!("PUB q.1 box {bytes}\r\n{}\r\n", "x".repeat(bytes));
    let cases = [
        case("three subscriptions with three imports")
            .client(1, connect("b", "SUB in.> 1\r\nSUB in.s.> 2\r\nSUB in.s.1 3\r\nSUB in.s.* 4\r\n"))
            .client(0, connect("a", &publish(&["s.1"])))
            .client(1, "")
            .in_any_order(),
        case("the importer's payload counts")
            .client(0, connect("a", "SUB q.* 1\r\n"))
            .client(1, connect("b", &request(190)))
            .client(1, request(200))
            .client(1, request(201))
            .client(0, ""),
    ];
    compare(&options, &cases);
}

#[test]
fn a_request_is_forgotten_after_the_threshold_of_its_service() {
    let options = shared(
        "{service: \"t.*\", response_threshold: \"60ms\"}, {service: \"ts.*\", response: stream, response_threshold: \"60ms\"},\n\
         {service: \"l.*\", response_threshold: \"1h\"}, {service: \"z.*\", response_threshold: \"0s\"}",
        "{service: {account: A, subject: \"t.*\"}}, {service: {account: A, subject: \"ts.*\"}}, {service: {account: A, subject: \"l.*\"}},\n\
         {service: {account: A, subject: \"z.*\"}}",
        "",
    );
    let mut cases = Vec::new();
    for subject in ["t.1", "ts.1", "l.1", "z.1"] {
        let ask = format!("PUB {subject} in.r 1\r\n?\r\n");
        cases.push(
            asking(&format!("a late answer of {subject}"))
                .client(1, ask)
                .raw(To::Client(1), "")
                .raw(To::Client(1), "")
                .client(0, answer(0, 1, &["late", "later"]))
                .client(1, "")
                .whole_only(),
        );
    }
    compare(&options, &cases);
}

#[test]
fn with_a_user_for_those_that_name_none_the_first_connect_ends_what_was_subscribed_to() {
    let options = configured(
        "no_auth_user: b",
        "{stream: \"s.>\"}",
        "{stream: {account: A, subject: \"s.>\"}, prefix: in}",
        "",
    );
    let cases = [case("before and after")
        .client(1, "SUB in.> 1\r\n")
        .client(0, connect("a", &publish(&["s.1"])))
        .client(2, connect("b2", &publish(&["in.own"])))
        .client(1, "CONNECT {\"verbose\":false}\r\n")
        .client(0, publish(&["s.2"]))
        .client(2, publish(&["in.own"]))
        .client(1, "SUB in.> 1\r\n")
        .client(0, publish(&["s.3"]))
        .client(1, "")];
    compare(&options, &cases);
}
