//! Users and what each may do (wire.md 1.12).

use onehop_tests::script::{Case, case, compare};
use onehop_tests::server::Options;

const TERSE: &str = "\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true";

fn connect(user: &str, lines: &str) -> String {
    format!("CONNECT {{\"user\":\"{user}\",\"pass\":\"p\",{TERSE}}}\r\n{lines}")
}

fn users(list: &str) -> Options {
    Options::configured(&format!("authorization {{ users = [\n{{user: free, password: p}}\n{list}\n] }}\n"))
}

/// A user called `u` whose permissions these are.
fn restricted(permissions: &str) -> Options {
    users(&format!("{{user: u, password: p, permissions: {{ {permissions} }}}}"))
}

/// Each of `lines` alone, sent by `u`.
fn one_by_one(lines: &[&str]) -> Vec<Case> {
    let asked = |line: &&str| case(line.escape_default().to_string()).client(0, connect("u", line));
    lines.iter().map(asked).collect()
}

const SUBSCRIPTIONS: &[&str] = &[
    "SUB foo 1\r\n",
    "SUB foo.a 1\r\n",
    "SUB foo.* 1\r\n",
    "SUB foo.> 1\r\n",
    "SUB foo.*.x 1\r\n",
    "SUB > 1\r\n",
    "SUB *.* 1\r\n",
    "SUB foo..bar 1\r\n",
    "SUB bar 1\r\n",
    "SUB bar q1 1\r\n",
    "SUB bar q2 1\r\n",
    "SUB bar q.1 1\r\n",
    "SUB bar q.1.x 1\r\n",
    "SUB bar _sys_ 1\r\n",
    "SUB foo q1 1\r\n",
    "SUB foo.a q1 1\r\n",
    "SUB a.b.c.d.e 1\r\n",
];

#[test]
fn what_may_be_subscribed_to_is_asked_as_if_it_were_literal() {
    for subscribe in [
        "\"foo.*\"",
        "[\"foo\", \"foo.>\"]",
        "{deny: [\"foo.a\", \"bar\"]}",
        "{allow: [\"foo.>\", \"bar\"], deny: [\"foo.a\", \"bar q1\"]}",
        "[\"bar q1\", \"foo\"]",
        "[\"bar\", \"bar q1\"]",
        "[\"bar q.*\", \"> q2\"]",
        "{allow: [\">\"], deny: [\"bar q.>\"]}",
        "[]",
        "{allow: [], deny: [\"foo\"]}",
    ] {
        compare(&restricted(&format!("subscribe: {subscribe}")), &one_by_one(SUBSCRIPTIONS));
    }
}

#[test]
fn what_may_be_published_to_is_asked_in_the_same_way() {
    let lines = [
        "PUB foo 1\r\nx\r\n",
        "PUB foo.a 1\r\nx\r\n",
        "PUB foo.* 1\r\nx\r\n",
        "PUB foo.> 1\r\nx\r\n",
        "PUB foo..bar 1\r\nx\r\n",
        "PUB foo.a.b 1\r\nx\r\n",
        "PUB bar _R_.x 1\r\nx\r\n",
        "PUB foo _R_.x 1\r\nx\r\n",
        "PUB $GR.x 1\r\nx\r\n",
        "HPUB bar 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        "PUB foo box 1\r\nx\r\n",
    ];
    for publish in [
        "\"foo.*\"",
        "{deny: [\"foo.a\", \"bar\"]}",
        "{allow: [\">\"], deny: [\"foo.>\"]}",
        "[]",
        "{deny: \">\"}",
    ] {
        compare(&restricted(&format!("publish: {publish}")), &one_by_one(&lines));
    }
}

#[test]
fn a_client_that_wants_to_hear_of_everything_hears_of_what_it_may_not() {
    let options = restricted("publish: \"foo.>\", subscribe: \"foo.>\"");
    let connect = "CONNECT {\"user\":\"u\",\"pass\":\"p\",\"verbose\":true,\"pedantic\":true}\r\n";
    let lines = [
        "PUB bar 1\r\nx\r\n",
        "SUB bar 1\r\n",
        "PUB foo.> 1\r\nx\r\n",
        "PUB bar.* 1\r\nx\r\n",
        "PUB foo.a 1\r\nx\r\n",
    ];
    // nats-server says what is wrong with a subject again where the line comes in pieces.
    let asked = |line: &&str| case(line.escape_default().to_string()).client(0, format!("{connect}{line}"));
    compare(&options, &lines.iter().map(|line| asked(line).whole_only()).collect::<Vec<_>>());
}

#[test]
fn what_is_denied_is_hidden_from_wildcards_and_from_members_of_groups() {
    let publish = "PUB in.a 1\r\n1\r\nPUB in.secret 1\r\n2\r\nPUB in.b 1\r\n3\r\n";
    for (subscribe, lines) in [
        ("{deny: \"in.secret\"}", "SUB in.* 1\r\nSUB > 2\r\nSUB in.a 3\r\n"),
        ("{deny: \"in.secret\"}", "SUB in.* q 1\r\nSUB in.> r 2\r\n"),
        ("{allow: [\"in.*\"], deny: [\"in.secret q\"]}", "SUB in.* q 1\r\nSUB in.* r 2\r\nSUB in.* 3\r\n"),
    ] {
        let cases = [
            case(format!("{subscribe} {}", lines.escape_default()))
                .client(0, connect("u", lines))
                .client(1, connect("free", publish))
                .client(0, "")
                .in_any_order(),
            case("another member of the group gets it")
                .client(0, connect("u", "SUB in.* q 1\r\n"))
                .client(2, connect("free", "SUB in.secret q 9\r\n"))
                .client(1, connect("free", "PUB in.secret 1\r\nx\r\n"))
                .client(0, "")
                .client(2, ""),
            case("nobody else is there to answer")
                .client(0, connect("u", "SUB in.* q 1\r\n"))
                .client(1, connect("free", "SUB box 1\r\nPUB in.secret box 1\r\nx\r\n")),
        ];
        compare(&restricted(&format!("subscribe: {subscribe}")), &cases);
    }
}

#[test]
fn answers_are_allowed_as_often_as_the_operator_said() {
    let ask = |reply: &str| format!("PUB req {reply} 1\r\n?\r\n");
    let answer = "PUB box.1 1\r\n!\r\n";
    let cases = || {
        [
            case("three answers")
                .client(0, connect("u", "SUB req 1\r\n"))
                .client(1, connect("free", &format!("SUB box.* 1\r\n{}", ask("box.1"))))
                .client(0, answer.repeat(3))
                .client(1, ""),
            case("asked twice with the same reply")
                .client(0, connect("u", "SUB req 1\r\n"))
                .client(1, connect("free", &format!("SUB box.* 1\r\n{}", ask("box.1").repeat(2))))
                .client(0, answer.repeat(3))
                .client(1, ask("box.1"))
                .client(0, answer.repeat(2))
                .client(1, ""),
            case("another subject")
                .client(0, connect("u", "SUB req 1\r\n"))
                .client(1, connect("free", &ask("box.1")))
                .client(0, "PUB box.2 1\r\n!\r\n"),
            case("who was asked as a member of a group")
                .client(0, connect("u", "SUB req q 1\r\n"))
                .client(1, connect("free", &format!("SUB box.* 1\r\n{}", ask("box.1"))))
                .client(0, answer.repeat(2))
                .client(1, ""),
            case("who may publish there anyway")
                .client(0, connect("u", "SUB req 1\r\n"))
                .client(1, connect("free", &ask("pub.1")))
                .client(0, "PUB pub.1 1\r\n!\r\n".repeat(2)),
        ]
    };
    for permissions in [
        "allow_responses: true",
        "publish: \"pub.*\", allow_responses: true",
        "publish: {deny: \"box.>\"}, allow_responses: true",
        "publish: \"pub.*\", allow_responses: {max: 2}",
        "allow_responses: {max: 0}",
        "allow_responses: {max: -1}",
        "allow_responses: {max: 2, expires: \"1ns\"}",
        "publish: \"pub.*\", allow_responses: false",
    ] {
        compare(&restricted(&format!("subscribe: req, {permissions}")), &cases());
    }
}

#[test]
fn users_are_told_apart_by_what_they_present() {
    let options = users(
        "{user: nopw}\n{user: ws, password: p, allowed_connection_types: [WEBSOCKET]}\n\
         {user: any, password: p, allowed_connection_types: [\"mqtt\", \"Standard\"]}\n\
         {user: hash, password: \"$2b$04$abcdefghijklmnopqrstuu9log0hrAUiurK9/TETFbcPOPd.iIULC\"}\n\
         {user: nohash, password: \"$2a$zz\"}",
    );
    let credentials = [
        "\"user\":\"free\",\"pass\":\"p\"",
        "\"user\":\"free\",\"pass\":\"P\"",
        "\"user\":\"free\",\"pass\":\"p\",\"auth_token\":\"x\"",
        "\"user\":\"free\",\"pass\":\"p\",\"jwt\":\"x\"",
        "\"user\":\"free\",\"pass\":\"p\",\"nkey\":\"x\"",
        "\"user\":\"nopw\"",
        "\"user\":\"nopw\",\"pass\":\"p\"",
        "\"user\":\"ws\",\"pass\":\"p\"",
        "\"user\":\"any\",\"pass\":\"p\"",
        "\"user\":\"hash\",\"pass\":\"foobar\"",
        "\"user\":\"hash\",\"pass\":\"foobaz\"",
        "\"user\":\"hash\",\"pass\":\"\"",
        "\"user\":\"nohash\",\"pass\":\"$2a$zz\"",
        "\"auth_token\":\"p\"",
        "\"pass\":\"p\"",
        "",
    ];
    let attempt = |json: &&str| {
        let comma = if json.is_empty() { "" } else { "," };
        case(json.to_string())
            .client(0, format!("CONNECT {{{json}{comma}{TERSE}}}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n"))
    };
    compare(&options, &credentials.iter().map(attempt).collect::<Vec<_>>());
}

#[test]
fn a_second_connect_makes_another_user_of_a_client() {
    let options = users(
        "{user: u, password: p, permissions: {publish: \"foo\", subscribe: \"foo\"}}\n{user: other, password: other}",
    );
    let cases = [
        case("to one who may more")
            .client(0, connect("u", "SUB foo 1\r\nPUB bar 1\r\nx\r\n"))
            .client(0, connect("free", "SUB bar 2\r\nPUB bar 1\r\nx\r\nPUB foo 1\r\nx\r\n")),
        case("to one who may less")
            .client(0, connect("free", "SUB bar 2\r\nPUB bar 1\r\nx\r\n"))
            .client(0, connect("u", "PUB bar 1\r\nx\r\nSUB bar 1\r\nSUB foo 1\r\nPUB foo 1\r\nx\r\n")),
        case("to one with another password")
            .client(0, connect("u", ""))
            .client(0, "CONNECT {\"user\":\"other\",\"pass\":\"p\"}\r\n"),
        case("to nobody")
            .client(0, connect("u", ""))
            .client(0, "CONNECT {\"verbose\":false}\r\nPUB bar 1\r\nx\r\n"),
    ];
    compare(&options, &cases);
}

#[test]
fn who_presents_nothing_is_the_user_for_that() {
    let list = "authorization { users = [\n{user: free, password: p}\n{user: anon, password: zz, permissions: {publish: y}}\n] }";
    let options = Options::configured(&format!("no_auth_user: anon\n{list}\n"));
    let cases = [
        case("is greeted without being asked").client(0, "").with_greeting(),
        case("without a CONNECT").client(0, "PUB x 1\r\nx\r\nSUB y 1\r\nPUB y 1\r\nx\r\n"),
        case("with one")
            .client(0, format!("CONNECT {{{TERSE}}}\r\nPUB x 1\r\nx\r\nSUB y 1\r\nPUB y 1\r\nx\r\n")),
        case("as somebody else afterwards")
            .client(0, "SUB y 1\r\n")
            .client(0, connect("free", "PUB y 1\r\nx\r\nPUB x 1\r\nx\r\n")),
        case("with a token").client(0, "CONNECT {\"auth_token\":\"x\"}\r\n"),
        case("with a password").client(0, "CONNECT {\"pass\":\"zz\"}\r\n"),
        case("with the wrong one").client(0, "CONNECT {\"user\":\"anon\",\"pass\":\"z\"}\r\n"),
        case("with the right one")
            .client(0, "CONNECT {\"user\":\"anon\",\"pass\":\"zz\"}\r\nPUB x 1\r\nx\r\n"),
    ];
    compare(&options, &cases);
}

#[test]
fn default_permissions_are_for_users_that_have_none() {
    let options = Options::configured(
        "authorization { default_permissions: {publish: foo}\nusers = [\n{user: u, password: p}\n\
         {user: free, password: p, permissions: {publish: bar}}\n{user: v, password: p, permissions: {}}\n] }\n",
    );
    let lines = "PUB foo 1\r\nx\r\nPUB bar 1\r\nx\r\n";
    let cases: Vec<_> =
        ["u", "free", "v"].iter().map(|user| case(*user).client(0, connect(user, lines))).collect();
    compare(&options, &cases);
    let single = "authorization { user: u, password: p, default_permissions: {publish: foo} }\n";
    compare(&Options::configured(single), &[case("a single user").client(0, connect("u", lines))]);
}

#[test]
fn those_who_have_keys_are_given_something_to_sign() {
    let options = users("{nkey: UCFIRY65OQE7DFP5KLNS2PF2LVZMUZYJX4OZIEQ36N2IQANUB5XVZ45L}");
    let key = "\"nkey\":\"UCFIRY65OQE7DFP5KLNS2PF2LVZMUZYJX4OZIEQ36N2IQANUB5XVZ45L\"";
    let cases = [
        case("the greeting").client(0, "").with_greeting(),
        case("a signature of something else")
            .client(0, format!("CONNECT {{{key},\"sig\":\"{}\"}}\r\n", "A".repeat(86))),
        case("no signature").client(0, format!("CONNECT {{{key}}}\r\n")),
        case("a password beside it")
            .client(0, format!("CONNECT {{{key},\"user\":\"free\",\"pass\":\"p\"}}\r\n")),
    ];
    compare(&options, &cases);
}
