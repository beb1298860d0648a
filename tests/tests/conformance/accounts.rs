//! Accounts and who is in them (wire.md 1.12).

use onehop_tests::script::{case, compare};
use onehop_tests::server::Options;

const TERSE: &str =
    "\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1";

fn connect(user: &str, lines: &str) -> String {
    format!("CONNECT {{\"user\":\"{user}\",\"pass\":\"p\",{TERSE}}}\r\n{lines}")
}

#[test]
fn accounts_are_worlds_of_their_own() {
    let options = Options::configured(
        "accounts {\n  A { users: [{user: a, password: p}, {user: a2, password: p}] }\n\
         B { users: [{user: b, password: p}], default_permissions: {publish: {deny: no}} }\n}\n\
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
            .client(0, connect("a", "PUB x 1\r\nx\r\nPUB no 1\r\nx\r\n"))
            .client(1, connect("b", "PUB x 1\r\nx\r\nPUB no 1\r\nx\r\n"))
            .client(2, connect("g", "PUB x 1\r\nx\r\nPUB no 1\r\nx\r\n")),
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
