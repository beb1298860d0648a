//! Which subjects match, and which are refused (wire.md 1.5).

use onehop_tests::script::{Case, case, compare};
use onehop_tests::server::Options;

use super::{modern, terse};

const PEDANTIC: &str = "CONNECT {\"verbose\":false,\"pedantic\":true}\r\n";

#[test]
fn filters_match_the_subjects_that_they_match_in_the_go_server() {
    let cases: Vec<Case> = FILTERS
        .iter()
        .map(|filter| {
            let published: String =
                SUBJECTS.iter().map(|subject| format!("PUB {subject} 1\r\nx\r\n")).collect();
            case(format!("filter {filter}")).client(0, terse(&format!("SUB {filter} 1\r\n{published}")))
        })
        .collect();
    compare(&Options::default(), &cases);
}

#[test]
fn a_message_reaches_every_overlapping_subscription_once() {
    let all: String =
        FILTERS.iter().enumerate().map(|(id, filter)| format!("SUB {filter} {id}\r\n")).collect();
    let cases: Vec<Case> = SUBJECTS
        .iter()
        .map(|subject| {
            case(format!("all filters on {subject}"))
                .client(0, terse(&all))
                .client(1, terse(&format!("PUB {subject} 3\r\nabc\r\n")))
                .in_any_order()
        })
        .collect();
    compare(&Options::default(), &cases);
}

#[test]
fn pedantic_publishers_are_told_of_bad_subjects_but_served() {
    let cases: Vec<Case> = SUBJECTS
        .iter()
        .chain(&["foo.>", "foo.>.x", ">", "*", "a..b", ".a", "a.", "..", "a.*.b", "a*b", "a>b", "a.b>"])
        .map(|subject| {
            let lines = format!("{PEDANTIC}SUB > 1\r\nPUB {subject} 1\r\nx\r\nPUB ok {subject} 1\r\ny\r\n");
            // The Go server tells it twice if a read ends inside the payload: whole writes only.
            case(format!("pedantic publish to {subject}")).client(0, lines).whole_only()
        })
        .collect();
    compare(&Options::default(), &cases);
}

#[test]
fn reserved_subjects_replies_and_queues_are_refused() {
    let subjects =
        ["_GR_.a.b.c", "_GR_", "_GR_.", "$GR.x", "$NRG.x", "$NRG", "$NRGX.y", "$SYS.x", "_R_.x", "$JS.ACK.x"];
    let replies =
        ["_R_.x", "_R_", "_R_.", "_GR_.x", "_GR_", "$JS.ACK.x", "$JS.ACK", "$JS.ACK.", "$JS.API.x", "_R.x"];
    let queues = ["_sys_", "_SYS_", "_sys_.x", "_sys", "*", ">", "a..b", "a.b"];
    let mut cases = Vec::new();
    for subject in subjects {
        let lines = terse(&format!("SUB > 1\r\nPUB {subject} 1\r\nx\r\nHPUB {subject} 0 1\r\ny\r\n"));
        let lines = lines.replace("\"pedantic\"", "\"headers\":true,\"pedantic\"");
        cases.push(case(format!("publish to {subject}")).client(0, lines));
        cases.push(case(format!("subscribe to {subject}")).client(0, terse(&format!("SUB {subject} 1\r\n"))));
    }
    for reply in replies {
        let lines = modern(&format!("SUB > 1\r\nPUB a {reply} 1\r\nx\r\nHPUB a {reply} 0 1\r\ny\r\n"));
        cases.push(case(format!("publish with the reply {reply}")).client(0, lines));
    }
    for queue in queues {
        let lines = terse(&format!("SUB a {queue} 1\r\nPUB a 1\r\nx\r\n"));
        cases.push(case(format!("subscribe in the queue {queue}")).client(0, lines));
    }
    compare(&Options::default(), &cases);
}

#[test]
fn an_invalid_subject_is_refused_and_the_connection_kept() {
    let invalid = [
        ".", "..", ".a", "a.", "a..b", "foo.>.x", ">.a", ">.>", "*.>.*", "a.b..c.d", ">.", ".>", "*.",
        "a.*.", "a.>.>",
    ];
    let cases = invalid.map(|subject| {
        let lines = format!("SUB {subject} 1\r\nSUB ok 2\r\nPUB {subject} 1\r\nx\r\nPUB ok 1\r\ny\r\n");
        case(format!("subscribe to {subject}")).client(0, terse(&lines))
    });
    compare(&Options::default(), &cases);
}

const FILTERS: &[&str] = &[
    "foo",
    "foo.bar",
    "foo.*",
    "*",
    ">",
    "foo.>",
    "*.*",
    "*.bar",
    "*.>",
    "foo.*.baz",
    "foo.*.>",
    "foo*bar",
    "foo.x>",
    "*.b*",
    "foo.>x",
    "**",
    "$SYS.>",
    "$SYS.*",
    "_INBOX.*.x",
];

const SUBJECTS: &[&str] = &[
    "foo",
    "bar",
    "foo.bar",
    "foo.bar.baz",
    "foo.bar.baz.qux",
    "foobar",
    "foo*bar",
    "foo.x>",
    "foo.x",
    "a.b*",
    "foo.*",
    "foo.>",
    "*",
    ">",
    "foo.*.baz",
    "foo..bar",
    ".foo",
    "foo.",
    "$SYS.x",
    "_INBOX.a.x",
    "FOO",
    "**",
];
