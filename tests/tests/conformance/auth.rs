//! Who may connect, and what they may do (wire.md 1.12).

use onehop_tests::script::{Case, case, compare};
use onehop_tests::server::Options;

const CREDENTIALS: &[&str] = &[
    "{\"user\":\"u\",\"pass\":\"secret\"}",
    "{\"user\":\"u\",\"pass\":\"secret\",\"verbose\":false,\"protocol\":1}",
    "{\"user\":\"u\",\"pass\":\"wrong\"}",
    "{\"user\":\"u\"}",
    "{\"user\":\"nobody\",\"pass\":\"secret\"}",
    "{\"pass\":\"secret\"}",
    "{}",
    "{\"auth_token\":\"secret\"}",
    "{\"auth_token\":\"wrong\"}",
    "{\"user\":\"secret\"}",
    "{\"user\":\"\",\"pass\":\"\"}",
    "{\"user\":\"u\",\"pass\":\"secret\",\"auth_token\":\"wrong\"}",
];

/// Every line that could come instead of `CONNECT`.
const FIRST_LINES: &[&str] = &[
    "PING\r\n",
    "PONG\r\n",
    "SUB a 1\r\n",
    "PUB a 1\r\nx\r\n",
    "UNSUB 1\r\n",
    "INFO {}\r\n",
    "+OK\r\n",
    "XX\r\n",
];

fn attempts() -> Vec<Case> {
    let mut cases: Vec<Case> = CREDENTIALS
        .iter()
        .map(|json| {
            case(format!("CONNECT {json}"))
                .client(0, format!("CONNECT {json}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n"))
        })
        .collect();
    cases.extend(
        FIRST_LINES
            .iter()
            .map(|line| case(format!("first of all {}", line.escape_default())).client(0, line)),
    );
    cases.push(
        case("a second CONNECT with wrong credentials")
            .client(0, "CONNECT {\"user\":\"u\",\"pass\":\"secret\",\"auth_token\":\"secret\",\"verbose\":false}\r\nSUB a 1\r\n")
            .client(0, "CONNECT {\"user\":\"u\",\"pass\":\"no\",\"auth_token\":\"no\"}\r\nPUB a 1\r\nx\r\n"),
    );
    cases.push(case("the greeting says that credentials are required").client(0, "").with_greeting());
    cases
}

#[test]
fn a_user_and_password_given_as_flags_are_required() {
    compare(&Options::default().with(&["--user", "u", "--pass", "secret"]), &attempts());
}

#[test]
fn a_token_given_as_a_flag_is_required() {
    compare(&Options::default().with(&["--auth", "secret"]), &attempts());
}

#[test]
fn users_of_a_configuration_are_required_and_kept_apart_by_account() {
    let options = Options::configured(
        "accounts {\n  A { users [ { user: u, password: secret } ] }\n  B { users [ { user: v, password: other } ] }\n}\n",
    );
    let mut cases = attempts();
    let connect = |user: &str, pass: &str, lines: &str| {
        format!(
            "CONNECT {{\"user\":\"{user}\",\"pass\":\"{pass}\",\"verbose\":false,\"headers\":true,\"no_responders\":true}}\r\n{lines}"
        )
    };
    cases.push(
        case("accounts do not hear each other")
            .client(0, connect("u", "secret", "SUB > 1\r\n"))
            .client(1, connect("v", "other", "SUB > 1\r\nPUB a 1\r\nx\r\n"))
            .client(2, connect("u", "secret", "PUB a 1\r\ny\r\n")),
    );
    cases.push(
        case("responders of another account do not count")
            .client(0, connect("u", "secret", "SUB svc 1\r\n"))
            .client(1, connect("v", "other", "SUB box 1\r\nPUB svc box 0\r\n\r\n")),
    );
    compare(&options, &cases);
}

#[test]
fn no_auth_user_speaks_for_those_without_credentials() {
    let options = Options::configured(
        "no_auth_user: v\nauthorization { users [ { user: u, password: secret }, { user: v, password: other } ] }\n",
    );
    compare(&options, &attempts());
}

#[test]
fn permissions_are_enforced_with_the_same_words() {
    let options = Options::configured(PERMISSIONS);
    let lines = [
        ("publish where allowed", "SUB in.a 1\r\nPUB out.a 1\r\nx\r\nPUB in.a 1\r\ny\r\n"),
        ("publish where not", "PUB nope 1\r\nx\r\nPUB out.secret 1\r\ny\r\nPUB out.ok 0\r\n\r\n"),
        ("publish to a wildcard", "PUB out.* 1\r\nx\r\nPUB out.> 1\r\ny\r\n"),
        ("publish with a reply", "PUB out.a nope 1\r\nx\r\n"),
        ("subscribe where not", "SUB nope 1\r\nSUB in.a 2\r\n"),
        ("subscribe to what is denied", "SUB in.secret 1\r\n"),
        ("subscribe to more than is allowed", "SUB > 1\r\nSUB * 2\r\nSUB *.a 3\r\n"),
        ("subscribe around what is denied", "SUB in.* 1\r\n"),
        ("in a queue that is allowed", "SUB jobs.x workers 1\r\n"),
        ("in a queue that is not", "SUB jobs.x others 1\r\nSUB jobs.x 2\r\nSUB nope q 3\r\n"),
    ];
    let mut cases: Vec<Case> = Vec::new();
    for verbose in [false, true] {
        let connect =
            format!("CONNECT {{\"user\":\"u\",\"pass\":\"p\",\"verbose\":{verbose},\"pedantic\":false}}\r\n");
        cases.extend(lines.iter().map(|(name, lines)| {
            case(format!("{name} (verbose {verbose})")).client(0, format!("{connect}{lines}"))
        }));
    }
    cases.push(
        case("what is denied is filtered at delivery")
            .client(0, "CONNECT {\"user\":\"u\",\"pass\":\"p\",\"verbose\":false}\r\nSUB in.* 1\r\n")
            .client(1, "CONNECT {\"user\":\"free\",\"pass\":\"p\",\"verbose\":false}\r\nPUB in.a 1\r\nx\r\nPUB in.secret 1\r\ny\r\nPUB in.b 1\r\nz\r\n"),
    );
    compare(&options, &cases);
}

#[test]
fn a_responder_may_answer_what_it_was_asked() {
    let options = Options::configured(PERMISSIONS);
    let free =
        |lines: &str| format!("CONNECT {{\"user\":\"free\",\"pass\":\"p\",\"verbose\":false}}\r\n{lines}");
    let responder = "CONNECT {\"user\":\"responder\",\"pass\":\"p\",\"verbose\":false}\r\nSUB svc 1\r\n";
    let cases = [
        case("one answer")
            .client(0, responder)
            .client(1, free("SUB box.* 1\r\nPUB svc box.1 0\r\n\r\n"))
            .client(0, "PUB box.1 1\r\nx\r\n"),
        case("a second answer is one too many")
            .client(0, responder)
            .client(1, free("SUB box.* 1\r\nPUB svc box.1 0\r\n\r\n"))
            .client(0, "PUB box.1 1\r\nx\r\nPUB box.1 1\r\ny\r\n"),
        case("an answer that nobody asked for").client(0, responder).client(0, "PUB box.9 1\r\nx\r\n"),
    ];
    compare(&options, &cases);
}

const PERMISSIONS: &str = r#"
authorization {
  users [
    { user: free, password: p }
    { user: u, password: p, permissions {
        publish { allow: ["out.>", "in.a"], deny: ["out.secret"] }
        subscribe { allow: ["in.>", "jobs.* workers"], deny: ["in.secret"] } } }
    { user: responder, password: p, permissions { subscribe: ["svc"], allow_responses: true } }
  ]
}
"#;
