//! `CONNECT` and the `INFO` before and after it (wire.md 1.2, 1.3).

use onehop_tests::script::{Case, case, compare};
use onehop_tests::server::Options;

use super::{modern, terse};

#[test]
fn every_combination_of_options_is_honoured() {
    let mut cases = Vec::new();
    for bits in 0..32_u8 {
        let flag = |bit: u8| bits >> bit & 1 == 1;
        let json = format!(
            "{{\"verbose\":{},\"pedantic\":{},\"echo\":{},\"headers\":{},\"protocol\":{}}}",
            flag(0),
            flag(1),
            flag(2),
            flag(3),
            u8::from(flag(4)),
        );
        let lines = "SUB a.* 1\r\nPUB a.* 1\r\nx\r\nPUB a.b r 1\r\ny\r\nPING\r\nUNSUB 1\r\n";
        cases.push(
            case(format!("CONNECT {json}")).client(0, format!("CONNECT {json}\r\n{lines}")).whole_only(),
        );
    }
    compare(&Options::default(), &cases);
}

#[test]
fn absent_and_unusual_fields_of_connect() {
    let cases: Vec<Case> = ODD_CONNECTS
        .iter()
        .map(|json| {
            // The Go server refuses a subject twice if a read ends inside the payload: whole writes only.
            case(format!("CONNECT {json}"))
                .client(0, format!("CONNECT {json}\r\nSUB a 1\r\nPUB a.> 1\r\nx\r\n"))
                .whole_only()
        })
        .collect();
    compare(&Options::default(), &cases);
}

#[test]
fn what_is_no_json_object_closes_the_connection() {
    let bad = [
        "",
        " ",
        "{",
        "}",
        "{]",
        "nonsense",
        "{\"verbose\":}",
        "{\"verbose\":true",
        "{\"verbose\":true}}",
        "{verbose:true}",
        "[]",
        "[{}]",
        "\"x\"",
        "1",
        "true",
        "null",
        "{\"verbose\":\"yes\"}",
        "{\"verbose\":1}",
        "{\"protocol\":\"1\"}",
        "{\"protocol\":1.5}",
        "{\"protocol\":true}",
        "{\"headers\":\"true\"}",
        "{\"name\":5}",
        "{\"name\":{}}",
        "{\"user\":[]}",
        "{\"lang\":1}",
        "{} {}",
        "{},",
        "{\"a\":\"\u{1}\"}",
        "{\"echo\":null}",
        "{\"protocol\":null,\"name\":null}",
        "{\"protocol\":99999999999999999999}",
    ];
    let cases = bad.map(|json| {
        case(format!("CONNECT {}", json.escape_default())).client(0, format!("CONNECT {json}\r\nSUB a 1\r\n"))
    });
    compare(&Options::default(), &cases);
}

#[test]
fn contradictions_in_connect_are_errors() {
    let bad = [
        "{\"protocol\":2}",
        "{\"protocol\":-1}",
        "{\"protocol\":100}",
        "{\"verbose\":false,\"protocol\":3}",
        "{\"no_responders\":true}",
        "{\"no_responders\":true,\"headers\":false}",
        "{\"no_responders\":false,\"headers\":false}",
        "{\"account\":\"A\"}",
        "{\"account\":\"\"}",
        "{\"account\":\"$G\"}",
        "{\"new_account\":true}",
        "{\"account\":\"A\",\"new_account\":true}",
    ];
    let cases =
        bad.map(|json| case(format!("CONNECT {json}")).client(0, format!("CONNECT {json}\r\nSUB a 1\r\n")));
    compare(&Options::default(), &cases);
}

#[test]
fn a_second_info_follows_the_first_pong_of_those_who_can_take_it() {
    let protocol = |level: u8| format!("CONNECT {{\"verbose\":false,\"protocol\":{level}}}\r\n");
    let cases = [
        case("protocol 1").client(0, protocol(1)),
        case("protocol 1, once only").client(0, protocol(1)).client(0, "PING\r\n"),
        case("protocol 0").client(0, protocol(0)),
        case("without CONNECT").client(0, "PING\r\n").client(0, ""),
        case("a PING before CONNECT").client(0, "").client(0, protocol(1)),
        case("operations before the first PING")
            .client(0, format!("{}SUB a 1\r\nPUB a 1\r\nx\r\n", protocol(1))),
        case("a second CONNECT").client(0, protocol(1)).client(0, protocol(1)),
        case("protocol 0, then 1").client(0, protocol(0)).client(0, protocol(1)),
        case("verbose").client(0, "CONNECT {\"verbose\":true,\"protocol\":1}\r\n").client(0, "SUB a 1\r\n"),
    ];
    compare(&Options::default(), &cases);
}

#[test]
fn a_second_connect_starts_afresh() {
    let cases = [
        case("subscriptions are dropped")
            .client(0, terse("SUB again 1\r\n"))
            .client(0, terse("PUB again 1\r\nx\r\n")),
        case("verbose is switched on")
            .client(0, terse("SUB a 1\r\n"))
            .client(0, "CONNECT {\"verbose\":true}\r\nSUB a 2\r\n"),
        case("the id is free again")
            .client(0, terse("SUB a 1\r\n"))
            .client(0, terse("SUB b 1\r\nPUB b 1\r\nx\r\n")),
        case("after operations without CONNECT")
            .client(0, "SUB early 1\r\n")
            .client(0, terse("PUB early 1\r\nx\r\n")),
        case("no responders after the drop")
            .client(0, modern("SUB box 1\r\nSUB svc.again 2\r\n"))
            .client(0, modern("SUB box 1\r\nPUB svc.again box 0\r\n\r\n")),
        case("a bad second CONNECT").client(0, terse("")).client(0, "CONNECT {\"protocol\":7}\r\n"),
    ];
    compare(&Options::default(), &cases);
}

#[test]
fn info_tells_names_cluster_and_advertised_address() {
    let hello = [case("INFO").client(0, "CONNECT {\"verbose\":false,\"protocol\":1}\r\n").with_greeting()];
    let named = Options::default().named("alpha");
    compare(&named, &hello);
    compare(&named.clone().with(&["--client_advertise", "example.org:4333"]), &hello);
    compare(&Options::member("C", "alpha", &[]), &hello);
    compare(&Options::member("C", "alpha", &[]).with(&["--no_advertise"]), &hello);
}

const ODD_CONNECTS: &[&str] = &[
    "{}",
    "{ }",
    "{\"verbose\":false}",
    "{\"pedantic\":false}",
    "{\"VERBOSE\":false,\"Pedantic\":false}",
    "{\"verbose\":false,\"verbose\":true}",
    "{\"verbose\":false,\"unknown\":[1,{\"x\":null}],\"lang\":\"rust\",\"version\":\"0.1\"}",
    "{\"name\":\"grüße \\u00e9 \\\"quoted\\\"\",\"verbose\":false}",
    "{\"tls_required\":true,\"verbose\":false}",
    "{\"user\":\"u\",\"pass\":\"p\",\"verbose\":false}",
    "{\"auth_token\":\"t\",\"verbose\":false}",
    "{\"jwt\":\"x\",\"nkey\":\"y\",\"sig\":\"z\",\"verbose\":false}",
    "{\t\"verbose\" : false ,\t\"echo\" : false }",
    "{\"verbose\":false,\"headers\":true,\"no_responders\":true}",
    "{\"verbose\":false,\"cluster\":\"C\",\"lnoc\":true}",
];
