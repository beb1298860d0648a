//! Messages to a member and from it (wire.md 2.8, 7).

use onehop_tests::peer::Identity;
use onehop_tests::script::{To, case, compare};

use super::{client, comparable, one_slot, p, q};

const HEADERS: &str = "12 14\r\nNATS/1.0\r\n\r\nhi\r\n";

#[test]
fn messages_leave_in_the_form_that_the_interest_asks_for() {
    let publish = format!(
        "PUB foo 2\r\nhi\r\nPUB foo rep 2\r\nhi\r\nHPUB foo {HEADERS}HPUB foo rep {HEADERS}PUB foo 0\r\n\r\nPUB foo 0002\r\nhi\r\nHPUB foo 0 2\r\nhi\r\n"
    );
    let without_headers = Identity::new("P").info("headers", false);
    let cases = [
        case("plain").route(0, p("RS+ $G foo\r\n")).client(0, client(&publish)),
        case("one queue").route(0, p("RS+ $G foo q 1\r\n")).client(0, client(&publish)),
        case("plain and one queue")
            .route(0, p("RS+ $G foo\r\nRS+ $G foo q 2\r\n"))
            .client(0, client(&publish)),
        case("a wildcard and a queue")
            .route(0, p("RS+ $G >\r\nRS+ $G f* q 1\r\nRS+ $G * qq 1\r\n"))
            .client(0, client(&publish)),
        case("to a member without headers")
            .route(0, without_headers.join("RS+ $G foo\r\n"))
            .client(0, client(&publish)),
        case("to a member without headers, queues")
            .route(0, without_headers.join("RS+ $G foo q 1\r\n"))
            .client(0, client(&publish)),
        case("to a member without pooling")
            .route(0, Identity::without_pool("P").join("RS+ $G foo\r\nRS+ $G foo q 1\r\n"))
            .client(0, client(&publish)),
        case("to both members")
            .route(0, p("RS+ $G foo\r\n"))
            .route(1, q("RS+ $G foo\r\n"))
            .client(0, client(&publish))
            .ignoring("INFO"),
        case("to a local client as well")
            .route(0, p("RS+ $G foo\r\n"))
            .client(1, client("SUB foo 1\r\n"))
            .client(0, client(&publish)),
        case("a pedantic subject of wildcards")
            .route(0, p("RS+ $G foo.*\r\n"))
            .client(0, client("PUB foo.* 1\r\nx\r\nPUB foo..x 1\r\ny\r\n")),
        case("a large one")
            .route(0, p("RS+ $G large\r\n"))
            .client(0, client(&format!("PUB large 1000000\r\n{}\r\n", "x".repeat(1_000_000))))
            .whole_only(),
    ];
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn several_queues_of_a_member_share_one_message() {
    let publish = "PUB foo 1\r\nx\r\nPUB foo rep 1\r\ny\r\n";
    let cases = [
        case("two queues").route(0, p("RS+ $G foo q1 1\r\nRS+ $G foo q2 1\r\n")).client(0, client(publish)),
        case("three queues on wildcards, and plain interest")
            .route(0, p("RS+ $G * q1 1\r\nRS+ $G > q2 4\r\nRS+ $G foo q3 2\r\nRS+ $G foo\r\n"))
            .client(0, client(publish)),
        case("one of two queues was taken back")
            .route(0, p("RS+ $G foo q1 1\r\nRS+ $G foo q2 1\r\nRS- $G foo q1\r\n"))
            .client(0, client(publish)),
        case("one queue of each of two members")
            .route(0, p("RS+ $G foo q1 1\r\n"))
            .route(1, q("RS+ $G foo q2 1\r\n"))
            .client(0, client(publish))
            .ignoring("INFO"),
        case("the same queue on two filters")
            .route(0, p("RS+ $G foo q 1\r\nRS+ $G > q 1\r\n"))
            .client(0, client("PUB foo 1\r\nx\r\n")),
        case("a local member and none there")
            .client(1, client("SUB foo q 1\r\n"))
            .route(0, p(""))
            .client(0, client("PUB foo 1\r\nx\r\n")),
        case("weight zero there and a local member")
            .client(1, client("SUB foo q 1\r\n"))
            .route(0, p("RS+ $G foo q 0\r\n"))
            .client(0, client("PUB foo 1\r\nx\r\nPUB foo 1\r\ny\r\n")),
        case("a leaf's member there and a local member")
            .client(1, client("SUB foo q 1\r\n"))
            .route(0, p("LS+ lc $G foo q 9\r\n"))
            .client(0, client("PUB foo 1\r\nx\r\nPUB foo 1\r\ny\r\n")),
        case("a leaf's member there and a member there")
            .route(0, p("LS+ lc $G foo q 9\r\n"))
            .route(1, q("RS+ $G foo q 1\r\n"))
            .client(0, client("PUB foo 1\r\nx\r\nPUB foo 1\r\ny\r\n"))
            .ignoring("INFO"),
    ];
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn messages_of_a_member_reach_local_clients_only() {
    let local = "SUB foo 1\r\nSUB foo q 2\r\nSUB foo.* 3\r\n";
    let plain_client = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB foo 1\r\n";
    let cases = [
        case("plain").client(0, client(local)).route(0, p("RMSG $G foo 2\r\nhi\r\n")),
        case("with a reply").client(0, client(local)).route(0, p("RMSG $G foo rep 2\r\nhi\r\n")),
        case("with headers").client(0, client(local)).route(0, p(&format!("HMSG $G foo {HEADERS}"))),
        case("with headers and a reply")
            .client(0, client(local))
            .route(0, p(&format!("HMSG $G foo rep {HEADERS}"))),
        case("headers are stripped")
            .client(0, plain_client)
            .route(0, p(&format!("HMSG $G foo rep {HEADERS}"))),
        case("for a queue")
            .client(0, client(local))
            .route(0, p("RMSG $G foo | q 2\r\nhi\r\n"))
            .in_any_order(),
        case("for a queue, with a reply")
            .client(0, client(local))
            .route(0, p("RMSG $G foo + rep q 2\r\nhi\r\n"))
            .in_any_order(),
        case("for a queue, with headers")
            .client(0, client(local))
            .route(0, p(&format!("HMSG $G foo | q {HEADERS}HMSG $G foo + rep q {HEADERS}")))
            .in_any_order(),
        case("for several queues")
            .client(0, client("SUB foo q1 1\r\nSUB foo q2 2\r\nSUB foo q3 3\r\n"))
            .route(0, p("RMSG $G foo | q1 q3 2\r\nhi\r\n"))
            .in_any_order(),
        case("for a queue that nobody is in")
            .client(0, client(local))
            .route(0, p("RMSG $G foo | nobody 2\r\nhi\r\n")),
        case("for the same queue twice")
            .client(0, client("SUB foo q 1\r\n"))
            .route(0, p("RMSG $G foo | q q 2\r\nhi\r\n")),
        case("empty")
            .client(0, client(local))
            .route(0, p("RMSG $G foo 0\r\n\r\nHMSG $G foo 12 12\r\nNATS/1.0\r\n\r\n\r\n")),
        case("for nobody").client(0, client("SUB other 1\r\n")).route(0, p("RMSG $G foo rep 2\r\nhi\r\n")),
        case("for an unknown account")
            .client(0, client(local))
            .route(0, p("RMSG ZZ foo 2\r\nhi\r\nRMSG $G foo 2\r\nho\r\n")),
        case("of a leaf")
            .client(0, client(local))
            .route(0, p("LMSG lc $G foo 0 2\r\nhi\r\nLMSG lc $G foo rep 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")),
        case("of a leaf for a queue")
            .client(0, client("SUB foo q 2\r\n"))
            .route(0, p("LMSG lc $G foo | q 0 2\r\nhi\r\n")),
        case("larger than max_payload")
            .client(0, client("SUB foo 1\r\n"))
            .route(0, p(&format!("RMSG $G foo 1500000\r\n{}\r\n", "x".repeat(1_500_000))))
            .whole_only(),
        case("to a client without echo")
            .client(0, "CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB foo 1\r\n")
            .route(0, p("RMSG $G foo 1\r\nx\r\n")),
        case("one hop only")
            .route(1, q("RS+ $G foo\r\nRS+ $G >\r\n"))
            .client(0, client("SUB foo 1\r\n"))
            .route(0, p("RS+ $G foo\r\nRMSG $G foo rep 2\r\nhi\r\n"))
            .ignoring("INFO"),
        case("no notice for a member's request")
            .client(0, client("SUB box 1\r\n"))
            .route(0, p("RMSG $G nobody box 1\r\nx\r\n")),
        case("in lower case and with blanks")
            .client(0, client(local))
            .route(0, p("rmsg  $G \t foo   2 \r\nhi\r\n")),
    ];
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn a_queue_message_whose_member_left_is_handed_on() {
    let cases = [
        case("to another member of the cluster")
            .route(0, p(""))
            .route(1, q("RS+ $G hop qq 1\r\n"))
            .route(0, "RMSG $G hop | qq 1\r\nx\r\nRMSG $G hop + rep qq 1\r\ny\r\n")
            .ignoring("INFO"),
        case("back to where it came from")
            .route(0, p("RS+ $G hop qq 1\r\n"))
            .route(0, "RMSG $G hop | qq 1\r\nx\r\n"),
        case("to nobody")
            .route(0, p(""))
            .route(1, q("RS+ $G hop other 1\r\n"))
            .route(0, "RMSG $G hop | qq 1\r\nx\r\n")
            .ignoring("INFO"),
        case("not if a local member can take it")
            .client(0, client("SUB hop qq 1\r\n"))
            .route(0, p("RS+ $G hop qq 5\r\n"))
            .route(1, q("RS+ $G hop qq 5\r\n"))
            .route(0, "RMSG $G hop | qq 1\r\nx\r\n")
            .ignoring("INFO"),
        case("with headers")
            .route(0, p(""))
            .route(1, q("RS+ $G hop qq 1\r\n"))
            .route(0, format!("HMSG $G hop | qq {HEADERS}"))
            .ignoring("INFO"),
        case("after the local member left")
            .client(0, client("SUB hop qq 1\r\n"))
            .route(0, p(""))
            .route(1, q("RS+ $G hop qq 1\r\n"))
            .leave(To::Client(0))
            .route(0, "RMSG $G hop | qq 1\r\nx\r\n")
            .ignoring("INFO"),
    ];
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn acknowledgement_replies_carry_the_subject_behind_an_at_sign() {
    let replies = [
        "$JS.ACK.S.C.1.1.1.1.0@orig.subj",
        "$JS.ACK.S.C.1.1.1.1.0@orig@subj",
        "$JS.ACK.S.C.1.1.1.1.0@",
        "$JS.ACK.S.C.1.1.1.1.0",
        "$JS.ACK.S@x.C.1.1.1.1.0@orig.subj",
        "$JS.ACK.S.C.1.1.1.1@orig.subj",
        "$JS.ACK.S.C.1.1.1@orig.subj",
        "$JS.ACK.d.h.S.C.1.1.1.1.0@orig.subj",
        "$JS.ACK.@orig.subj",
        "$JS.ACK@orig.subj",
        "other.a.b.c.d.e.f.g.h.i@orig.subj",
    ];
    let mut cases: Vec<_> = replies
        .iter()
        .map(|reply| {
            case(format!("reply {reply}"))
                .client(0, client("SUB inbox.1 1\r\nSUB orig.subj 2\r\n"))
                .route(0, p(&format!("RMSG $G inbox.1 {reply} 2\r\nhi\r\nHMSG $G inbox.1 {reply} {HEADERS}")))
        })
        .collect();
    cases.push(
        case("in a queue")
            .client(0, client("SUB inbox.1 q 1\r\n"))
            .route(0, p("RMSG $G inbox.1 + $JS.ACK.S.C.1.1.1.1.0@orig.subj q 2\r\nhi\r\n")),
    );
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn remote_interest_counts_as_a_responder() {
    let request = "SUB box 1\r\nPUB svc box 0\r\n\r\n";
    let cases = [
        case("nobody").route(0, p("")).client(0, client(request)),
        case("plain interest there").route(0, p("RS+ $G svc\r\n")).client(0, client(request)),
        case("a queue there").route(0, p("RS+ $G svc q 1\r\n")).client(0, client(request)),
        case("a queue of weight zero there").route(0, p("RS+ $G svc q 0\r\n")).client(0, client(request)),
        case("taken back").route(0, p("RS+ $G svc\r\nRS- $G svc\r\n")).client(0, client(request)),
        case("the answer comes back")
            .route(0, p("RS+ $G svc\r\n"))
            .client(0, client(request))
            .route(0, "RMSG $G box 2\r\nok\r\n"),
        case("a notice of another server passes through")
            .client(0, client("SUB box 1\r\n"))
            .route(0, p("HMSG $G box 16 16\r\nNATS/1.0 503\r\n\r\n\r\n")),
    ];
    compare(&one_slot(), &comparable(cases));
}
