//! The arguments of each operation, right and wrong (wire.md 1.4, 1.8).

use onehop_tests::script::{Case, To, case, compare};
use onehop_tests::server::Options;

use super::{modern, terse};

#[test]
fn wrong_arguments_close_the_connection_without_a_word() {
    let cases: Vec<Case> = WRONG_ARGUMENTS
        .iter()
        .map(|lines| case(format!("wrong: {}", lines.escape_default())).client(0, modern(lines)))
        .collect();
    compare(&Options::default(), &cases);
}

#[test]
fn a_subscription_id_is_any_word_and_belongs_to_the_first_that_uses_it() {
    let lines = [
        ("an id of letters", "SUB a x-1_ß\r\nPUB a 1\r\nx\r\n"),
        ("an id used twice", "SUB a 1\r\nSUB b 1\r\nPUB a 1\r\nx\r\nPUB b 1\r\ny\r\n"),
        ("an id used again after UNSUB", "SUB a 1\r\nUNSUB 1\r\nSUB b 1\r\nPUB a 1\r\nx\r\nPUB b 1\r\ny\r\n"),
        ("an id with leading zeros is another", "SUB a 1\r\nSUB a 01\r\nUNSUB 1\r\nPUB a 1\r\nx\r\n"),
        ("an unknown id in UNSUB", "UNSUB 99\r\nUNSUB nobody 5\r\nPUB a 0\r\n\r\n"),
        ("UNSUB twice", "SUB a 1\r\nUNSUB 1\r\nUNSUB 1\r\nPUB a 1\r\nx\r\n"),
    ];
    compare(&Options::default(), &lines.map(|(name, lines)| case(name).client(0, terse(lines))));
}

#[test]
fn a_limit_of_deliveries_counts_from_the_subscription() {
    let three = "PUB a 1\r\n1\r\nPUB a 1\r\n2\r\nPUB a 1\r\n3\r\n";
    let scripts = [
        ("after one", format!("SUB a 1\r\nUNSUB 1 1\r\n{three}")),
        ("after two", format!("SUB a 1\r\nUNSUB 1 2\r\n{three}")),
        ("already reached", format!("SUB a 1\r\n{three}UNSUB 1 2\r\n{three}")),
        ("exactly reached", format!("SUB a 1\r\n{three}UNSUB 1 3\r\n{three}")),
        ("one more than reached", format!("SUB a 1\r\n{three}UNSUB 1 4\r\n{three}")),
        ("raised later", format!("SUB a 1\r\nUNSUB 1 1\r\nUNSUB 1 2\r\n{three}")),
        ("lowered later", format!("SUB a 1\r\nUNSUB 1 3\r\nPUB a 1\r\n0\r\nUNSUB 1 1\r\n{three}")),
        ("limit, then none", format!("SUB a 1\r\nUNSUB 1 5\r\nUNSUB 1\r\n{three}")),
        ("zero", format!("SUB a 1\r\nUNSUB 1 0\r\n{three}")),
        ("negative", format!("SUB a 1\r\nUNSUB 1 -1\r\n{three}")),
        ("no number", format!("SUB a 1\r\nUNSUB 1 x\r\n{three}")),
        ("very large", format!("SUB a 1\r\nUNSUB 1 99999999999999999999\r\n{three}")),
        ("of a queue member", format!("SUB a q 1\r\nUNSUB 1 2\r\n{three}")),
        ("the id is free again", format!("SUB a 1\r\nUNSUB 1 1\r\n{three}SUB a 1\r\n{three}")),
    ];
    compare(&Options::default(), &scripts.map(|(name, lines)| case(name).client(0, terse(&lines))));
}

#[test]
fn verbose_clients_hear_ok_after_every_operation_but_ping_and_pong() {
    let verbose = "CONNECT {\"verbose\":true,\"pedantic\":false,\"headers\":true}\r\n";
    let lines = [
        (
            "each operation",
            "SUB a 1\r\nPUB b 1\r\nx\r\nHPUB b 12 12\r\nNATS/1.0\r\n\r\n\r\nUNSUB 1\r\nPONG\r\n",
        ),
        ("before or after the delivery to itself", "SUB a 1\r\nPUB a 1\r\nx\r\nPUB a r 1\r\ny\r\n"),
        ("a subject that is refused", "SUB a..b 1\r\nSUB ok 2\r\n"),
        ("an id in use", "SUB a 1\r\nSUB b 1\r\n"),
        ("an unknown id in UNSUB", "UNSUB 7\r\nUNSUB 7 3\r\n"),
        ("a reserved reply", "PUB a _R_.x 1\r\nx\r\nPUB a 0\r\n\r\n"),
        ("a reserved subject", "PUB _GR_.a.b 1\r\nx\r\nPUB a 0\r\n\r\n"),
        ("an error at the end", "PUB a 0\r\n\r\nNONSENSE\r\n"),
        ("CONNECT again", "CONNECT {\"verbose\":true}\r\nCONNECT {\"verbose\":false}\r\nSUB a 1\r\n"),
    ];
    let mut cases: Vec<Case> =
        lines.iter().map(|(name, lines)| case(*name).client(0, format!("{verbose}{lines}"))).collect();
    cases.push(case("operations without CONNECT are not verbose or are").client(0, "SUB a 1\r\nUNSUB 1\r\n"));
    compare(&Options::default(), &cases);
}

#[test]
fn what_a_leaving_client_subscribed_to_is_gone() {
    let cases = [
        case("no responders after the subscriber left")
            .client(0, modern("SUB gone.svc 1\r\n"))
            .client(1, modern("SUB in.box 1\r\nPUB gone.svc in.box 2\r\nhi\r\n"))
            .leave(To::Client(0))
            .client(1, "PUB gone.svc in.box 2\r\nhi\r\n"),
        case("no responders after UNSUB")
            .client(0, modern("SUB gone.unsub 1\r\n"))
            .client(0, "UNSUB 1\r\n")
            .client(1, modern("SUB in.box 1\r\nPUB gone.unsub in.box 2\r\nhi\r\n")),
        case("no responders after the last allowed delivery")
            .client(0, modern("SUB gone.max 1\r\nUNSUB 1 1\r\n"))
            .client(1, modern("SUB in.box 1\r\nPUB gone.max in.box 2\r\nhi\r\n"))
            .client(1, "PUB gone.max in.box 2\r\nhi\r\n"),
        case("operations sent just before the connection ends count")
            .client(0, terse("SUB last.words 1\r\n"))
            .client(1, terse("PUB last.words 3\r\nbye\r\n"))
            .leave(To::Client(1))
            .client(0, ""),
    ];
    compare(&Options::default(), &cases);
}

const WRONG_ARGUMENTS: &[&str] = &[
    "PUB\r\n",
    "PUB \r\n",
    "PUB a\r\n",
    "PUB a b 1 2\r\nx\r\n",
    "PUB a x\r\nx\r\n",
    "PUB a -1\r\nx\r\n",
    "PUB a +1\r\nx\r\n",
    "PUB a 1x\r\nx\r\n",
    "PUB a 1.0\r\nx\r\n",
    "PUB a 0x1\r\nx\r\n",
    "PUB a 1234567890\r\n",
    "PUB a 99999999999999999999\r\n",
    "SUB\r\n",
    "SUB \r\n",
    "SUB a\r\n",
    "SUB a q 1 extra\r\n",
    "UNSUB\r\n",
    "UNSUB \r\n",
    "UNSUB 1 2 3\r\n",
    "HPUB\r\n",
    "HPUB a\r\n",
    "HPUB a 12\r\nNATS/1.0\r\n\r\n\r\n",
    "HPUB a r 12 12 12\r\nNATS/1.0\r\n\r\n\r\n",
    "HPUB a 13 12\r\nNATS/1.0\r\n\r\n\r\n",
    "HPUB a x 12\r\nNATS/1.0\r\n\r\n\r\n",
    "HPUB a 12 x\r\nNATS/1.0\r\n\r\n\r\n",
    "HPUB a -1 12\r\nNATS/1.0\r\n\r\n\r\n",
];
