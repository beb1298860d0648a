//! A member says that an account has a connection of its own from now on (wire.md 4.5).

use onehop_tests::peer::Identity;
use onehop_tests::script::{Case, case, compare};
use onehop_tests::server::Options;

use super::{comparable, p};

/// One pooled slot that carries all accounts but B, which has a connection of its own. nats-server remembers of an account that
/// it was moved as long as it runs, so each script that moves one has its own, and runs once.
fn options() -> Options {
    Options::configured(
        "server_name: alpha\naccounts {\n A { users [ { user: a, password: p } ] }\n\
         B { users [ { user: b, password: p } ] }\n\
         C { users [ { user: c, password: p } ] }\n }\n\
         cluster { name: C, listen: \"127.0.0.1:-1\", pool_size: 1, accounts: [ B ] }\n",
    )
}

fn user(name: &str, lines: &str) -> String {
    format!("CONNECT {{\"verbose\":false,\"user\":\"{name}\",\"pass\":\"p\",\"headers\":true}}\r\n{lines}")
}

/// What a member says: about an account, or none.
fn moves(account: &str) -> String {
    moves_of(account, 1)
}

fn moves_of(account: &str, pool_size: i32) -> String {
    let account =
        if account.is_empty() { String::new() } else { format!("\"route_account\":\"{account}\",") };
    format!(
        "INFO {{\"server_id\":\"\",\"server_name\":\"\",\"version\":\"\",\"proto\":0,\"go\":\"\",\"host\":\"\",\
         \"port\":0,\"headers\":false,\"max_payload\":0,\"route_pool_size\":{pool_size},{account}\
         \"route_acc_add_reqid\":\"0123456789abcdefghijkl\"}}\r\n"
    )
}

fn dedicated(account: &str) -> Identity {
    Identity::new("P").info("route_account", account)
}

fn cases() -> Vec<Case> {
    vec![
        case("an account that is not pinned")
            .client(0, user("a", "SUB mine 1\r\n"))
            .route(0, p("RS+ A theirs\r\n"))
            .route(0, moves("A"))
            .client(0, "SUB later 2\r\nPUB theirs 1\r\nx\r\n")
            .route(0, "RMSG A mine 1\r\ny\r\n")
            .route(1, dedicated("A").join(""))
            .route(1, "RS+ theirs\r\n")
            .client(0, "PUB theirs 1\r\nz\r\nUNSUB 1\r\n")
            .in_any_order()
            .whole_only(),
        case("once more")
            .client(0, user("c", "SUB mine 1\r\n"))
            .route(0, p("RS+ C theirs\r\n"))
            .route(0, moves("C"))
            .route(0, moves("C"))
            .route(1, dedicated("C").join(""))
            .route(0, moves("C"))
            .client(0, "SUB later 2\r\n")
            .whole_only(),
        case("one that is pinned")
            .client(0, user("b", "SUB mine 1\r\n"))
            .route(0, p("RS+ B stray\r\n"))
            .client(0, "PUB stray 1\r\nx\r\n")
            .route(0, moves("B"))
            .client(0, "PUB stray 1\r\nx\r\n"),
        case("that of the system").route(0, p("")).route(0, moves("$SYS")),
        case("one that there is not").route(0, p("")).route(0, moves("ZZ")).route(0, "PING\r\n"),
        case("none, which answers nothing").route(0, p("")).route(0, moves("")).route(0, "PING\r\n"),
        case("by who does not pool")
            .client(0, user("b", "SUB mine 1\r\n"))
            .route(0, Identity::without_pool("Q").join("RS+ B theirs\r\n"))
            .route(0, moves_of("B", 0))
            .client(0, "SUB later 2\r\nPUB theirs 1\r\nx\r\n"),
    ]
}

#[test]
fn a_member_moves_an_account_to_a_connection_of_its_own() {
    compare(&options(), &comparable(cases()));
}
