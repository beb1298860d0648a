//! Accounts and who is in them (wire.md 1.12).

use onehop_tests::script::{To, case, compare};
use onehop_tests::server::Options;

const TERSE: &str =
    "\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1";

pub(super) fn connect(user: &str, lines: &str) -> String {
    format!("CONNECT {{\"user\":\"{user}\",\"pass\":\"p\",{TERSE}}}\r\n{lines}")
}

#[test]
fn accounts_are_worlds_of_their_own() {
    let options = Options::configured(
        "accounts {\n  A { users: [{user: a, password: p}, {user: a2, password: p}] }\n\
         B { users: [{user: b, password: p}], default_permissions: {publish: {deny: nay}} }\n}\n\
         authorization { default_permissions: {publish: {deny: x}}\n users: [{user: g, password: p}] }\n",
    );
    let cases = [
        case("the greeting").client(0, "").with_greeting(),
        case("who is told of its account").client(0, connect("a", "")),
        case("who hears whom")
            .client(0, connect("a", "SUB > 1\r\n"))
            .client(1, connect("b", "SUB > 1\r\nPUB x 1\r\nb\r\n"))
            .client(2, connect("g", "SUB > 1\r\nPUB y 1\r\ng\r\n"))
            .client(3, connect("a2", "PUB x 1\r\na\r\n"))
            .client(0, ""),
        case("members of a group in two accounts")
            .client(0, connect("a", "SUB x q 1\r\n"))
            .client(1, connect("b", "SUB x q 1\r\nPUB x 1\r\nb\r\n"))
            .client(0, ""),
        case("responders of another account do not count")
            .client(0, connect("a", "SUB svc 1\r\n"))
            .client(1, connect("b", "SUB box 1\r\nPUB svc box 0\r\n\r\n")),
        case("default permissions are those of the own account")
            .client(0, connect("a", "PUB x 1\r\nx\r\nPUB nay 1\r\nx\r\n"))
            .client(1, connect("b", "PUB x 1\r\nx\r\nPUB nay 1\r\nx\r\n"))
            .client(2, connect("g", "PUB x 1\r\nx\r\nPUB nay 1\r\nx\r\n")),
        case("a second CONNECT leads to another account")
            .client(0, connect("a", "SUB x 1\r\n"))
            .client(1, connect("a2", "SUB x 1\r\n"))
            .client(0, connect("b", "SUB x 2\r\nPUB x 1\r\nb\r\n"))
            .client(1, "PUB x 1\r\na\r\n")
            .client(0, ""),
        case("and back")
            .client(0, connect("a", "SUB x 1\r\n"))
            .client(0, connect("b", "SUB x 2\r\n"))
            .client(0, connect("a", "SUB x 3\r\nPUB x 1\r\na\r\n")),
    ];
    compare(&options, &cases);
}

#[test]
fn the_system_account_has_users_like_any_other() {
    let options = Options::configured(
        "accounts {\n A { users: [{user: a, password: p}] }\n \"$SYS\" { users: [{user: s, password: p}] }\n}\n",
    );
    let cases = [
        case("who is told of it").client(0, connect("s", "")),
        case("who hears whom")
            .client(0, connect("s", "SUB x 1\r\n"))
            .client(1, connect("a", "SUB x 1\r\nPUB x 1\r\na\r\n"))
            .client(0, "PUB x 1\r\ns\r\n"),
    ];
    compare(&options, &cases);
}

#[test]
fn where_only_the_system_account_is_named_others_need_no_credentials() {
    for (text, has_user) in [
        ("accounts { \"$SYS\" { users: [{user: s, password: p}] } }", true),
        ("accounts: [\"$SYS\"]", false),
        ("accounts { \"$SYS\" { users: [{user: s, password: p}] } }\nauthorization {}", true),
        ("accounts: [A]", false),
        ("accounts { A { users: [{user: s, password: p}] } }", true),
    ] {
        let mut cases = vec![
            case("the greeting").client(0, "").with_greeting(),
            case("without a CONNECT").client(0, "SUB x 1\r\nPUB x 1\r\nx\r\n"),
            case("with one that says nothing")
                .client(0, format!("CONNECT {{{TERSE}}}\r\nSUB x 1\r\nPUB x 1\r\nx\r\n")),
            case("as somebody else").client(0, connect("x", "PUB x 1\r\nx\r\n")),
            case("with a token").client(0, "CONNECT {\"auth_token\":\"x\"}\r\n"),
        ];
        if has_user {
            cases.push(case("as the user").client(0, connect("s", "SUB x 1\r\nPUB x 1\r\nx\r\n")));
        }
        compare(&Options::configured(&format!("{text}\n")), &cases);
    }
}

#[test]
fn the_system_account_may_have_another_name() {
    let options = Options::configured(
        "system_account: S\naccounts {\n S { users: [{user: s, password: p}] }\n \"$SYS\" { users: [{user: y, password: p}] }\n}\n",
    );
    let cases = [
        case("who is told of it").client(0, connect("s", "")),
        case("the usual name is one like others").client(0, connect("y", "")),
        case("who hears whom")
            .client(0, connect("s", "SUB x 1\r\n"))
            .client(1, connect("y", "SUB x 1\r\nPUB x 1\r\ny\r\n"))
            .client(0, "PUB x 1\r\ns\r\n"),
    ];
    compare(&options, &cases);
}

#[test]
fn an_account_has_limits_of_its_own() {
    let options = Options::configured(
        "max_payload: 2000\nmax_subscriptions: 3\naccounts {\n\
         ONE { users: [{user: one, password: p}], limits {max_conn: 1} }\n\
         NOBODY { users: [{user: nobody, password: p}], limits {max_connections: 0} }\n\
         TWO { users: [{user: two, password: p}], limits {max_subs: 2, max_payload: 100} }\n\
         MORE { users: [{user: more, password: p}], limits {max_subscriptions: 10, max_payload: 5000} }\n\
         ANY { users: [{user: any, password: p}], limits {max_conn: -1, max_subs: -1, max_payload: -1} }\n}\n",
    );
    let subs = "SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB d 4\r\n";
    let publish = |bytes: usize| format!("PUB x {bytes}\r\n{}\r\n", "x".repeat(bytes));
    let mut cases = vec![
        case("one too many")
            .client(0, connect("one", ""))
            .client(1, connect("one", "PUB x 1\r\nx\r\n"))
            .client(0, "PUB x 1\r\nx\r\n"),
        case("again, when the first is gone")
            .client(0, connect("one", ""))
            .leave(To::Client(0))
            .client(1, connect("one", "")),
        case("one that presents itself again keeps its place")
            .client(0, connect("one", ""))
            .client(0, connect("one", "")),
        case("one that goes to another account leaves its place")
            .client(0, connect("one", ""))
            .client(0, connect("any", ""))
            .client(1, connect("one", "")),
        case("one that comes from another account")
            .client(0, connect("one", ""))
            .client(1, connect("any", "SUB x 1\r\n"))
            .client(1, connect("one", "")),
        case("no place for anybody").client(0, connect("nobody", "")),
        case("a full account comes before faults of CONNECT")
            .client(0, connect("one", ""))
            .client(1, "CONNECT {\"user\":\"one\",\"pass\":\"p\",\"protocol\":5}\r\n")
            .client(2, "CONNECT {\"user\":\"one\",\"pass\":\"p\",\"no_responders\":true}\r\n"),
        case("a payload in a smaller account after a larger one")
            .client(0, connect("any", &publish(1000)))
            .client(0, connect("two", &publish(1000))),
        case("a payload in a larger account after a smaller one")
            .client(0, connect("two", &publish(100)))
            .client(0, connect("more", &publish(1000))),
    ];
    for user in ["two", "more", "any"] {
        cases.push(case(format!("subscriptions of {user}")).client(0, connect(user, subs)));
        for bytes in [100, 101, 2000, 2001] {
            cases.push(case(format!("{bytes} bytes of {user}")).client(0, connect(user, &publish(bytes))));
        }
    }
    compare(&options, &cases);
}

#[test]
fn what_is_published_goes_where_the_account_maps_it() {
    let options = Options::configured(
        "mappings { src: dst, \"w.*.*\": \"v.$2.$1\", \"tail.>\": \"t.>\", lost: [{dest: lost, weight: 0}], a: b, b: a\n\
         all: [{dest: x, weight: 100}], \"_GR_.x\": gr, gs: \"_GR_.y\", \"p{{x}}\": q, \"f.*\": \"g.{{partition(3,1)}}.{{left(1,2)}}\" }\n\
         accounts {\n A { users: [{user: a, password: p}], maps {src: other} }\n }\n\
         authorization { users: [{user: g, password: p}\n\
         {user: d, password: p, permissions: {publish: {allow: [dst, \"v.>\"], deny: src}}}\n\
         {user: s, password: p, permissions: {publish: [src, lost]}}] }\n",
    );
    let publish = |subjects: &[&str]| -> String {
        subjects.iter().map(|subject| format!("PUB {subject} 1\r\nx\r\n")).collect()
    };
    let everything = "SUB > 1\r\n";
    let subjects = [
        "src", "dst", "w.1.2", "w.1", "w.*.>", "w.>.x", "tail.a.b", "tail", "a", "b", "all", "_GR_.x", "gs",
        "lost", "p{{x}}", "f.abcde", "f.a", "src.x",
    ];
    let mut cases: Vec<_> = subjects
        .iter()
        .map(|subject| {
            case(*subject).client(0, connect("g", &format!("{everything}{}", publish(&[subject]))))
        })
        .collect();
    let ask = |subject: &str| format!("SUB box 1\r\nPUB {subject} box 1\r\n?\r\n");
    cases.extend([
        case("with headers and a reply").client(
            0,
            connect("g", "SUB dst 1\r\nHPUB src src 12 13\r\nNATS/1.0\r\n\r\nx\r\nPUB src src 1\r\ny\r\n"),
        ),
        case("subscribers of the source hear nothing").client(0, connect("g", &format!("SUB src 1\r\n{}", publish(&["src"])))),
        case("a group at the destination").client(0, connect("g", &format!("SUB dst q 1\r\n{}", publish(&["src"])))),
        case("nobody is at the destination").client(0, connect("g", &format!("SUB src 2\r\n{}", ask("src")))),
        case("nobody hears what is lost").client(0, connect("g", &ask("lost"))),
        case("an account has its own").client(0, connect("a", &format!("{everything}{}", publish(&["src", "a"])))),
        case("who may publish to the destination").client(0, connect("d", &publish(&["src", "dst", "w.1.2", "a"]))),
        case("who may publish to the source").client(0, connect("s", &publish(&["src", "dst", "lost"]))),
        case("pedantic clients are checked for what they send").client(
            0,
            "CONNECT {\"user\":\"g\",\"pass\":\"p\",\"verbose\":false,\"pedantic\":true}\r\nSUB > 1\r\nPUB w.1.* 1\r\nx\r\nPUB src 1\r\nx\r\n",
        ),
        case("verbose clients").client(
            0,
            "CONNECT {\"user\":\"s\",\"pass\":\"p\",\"verbose\":true}\r\nSUB > 1\r\nPUB src 1\r\nx\r\n",
        ),
        case("after a second CONNECT the mappings of the other account hold")
            .client(0, connect("a", &format!("{everything}{}", publish(&["src"]))))
            .client(0, connect("g", &format!("{everything}{}", publish(&["src"]))))
            .client(0, connect("a", &format!("{everything}{}", publish(&["src"])))),
    ]);
    compare(&options, &cases);
}
