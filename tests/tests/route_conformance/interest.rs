//! What a member hears of the subscriptions here, and what it may say of its own (wire.md 2.7).

use onehop_tests::peer::Identity;
use onehop_tests::script::{To, case, compare};

use super::{client, comparable, one_slot, p, q};

#[test]
fn plain_interest_is_told_when_it_begins_and_when_it_ends() {
    let cases = [
        case("one subscription").route(0, p("")).client(0, client("SUB one 1\r\n")).client(0, "UNSUB 1\r\n"),
        case("two subscriptions to the same subject")
            .route(0, p(""))
            .client(0, client("SUB two 1\r\nSUB two 2\r\n"))
            .client(0, "UNSUB 1\r\n")
            .client(0, "UNSUB 2\r\n"),
        case("two clients")
            .route(0, p(""))
            .client(0, client("SUB both 1\r\n"))
            .client(1, client("SUB both 1\r\n"))
            .leave(To::Client(0))
            .leave(To::Client(1)),
        case("wildcards")
            .route(0, p(""))
            .client(0, client("SUB a.* 1\r\nSUB a.> 2\r\nSUB > 3\r\nSUB * 4\r\n")),
        case("a bad subject is not told").route(0, p("")).client(0, client("SUB a..b 1\r\nSUB ok 2\r\n")),
        case("an id in use is not told").route(0, p("")).client(0, client("SUB first 1\r\nSUB second 1\r\n")),
        case("the same subject plain and in a queue")
            .route(0, p(""))
            .client(0, client("SUB mixed 1\r\nSUB mixed q 2\r\n"))
            .client(0, "UNSUB 1\r\n")
            .client(0, "UNSUB 2\r\n"),
        case("a limit is told only when it is reached")
            .route(0, p(""))
            .client(0, client("SUB au 5\r\nUNSUB 5 2\r\n"))
            .client(0, "PUB au 1\r\nx\r\n")
            .client(0, "PUB au 1\r\ny\r\n"),
        case("a limit reached by messages of the member")
            .route(0, p(""))
            .client(0, client("SUB au 5\r\nUNSUB 5 1\r\n"))
            .route(0, "RMSG $G au 1\r\nx\r\n")
            .route(0, ""),
        case("a second CONNECT drops it")
            .route(0, p(""))
            .client(0, client("SUB dropped 1\r\n"))
            .client(0, client("")),
        case("a burst of the same")
            .route(0, p(""))
            .client(0, client(&"SUB burst 1\r\nUNSUB 1\r\n".repeat(20))),
        case("to both members")
            .route(0, p(""))
            .route(1, q(""))
            .client(0, client("SUB shared 1\r\n"))
            .ignoring("INFO"),
        case("interest of one member is not told to the other")
            .route(0, p(""))
            .route(1, q(""))
            .route(0, "RS+ $G secret\r\n")
            .route(1, "")
            .ignoring("INFO"),
    ];
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn queue_interest_is_told_with_its_weight_at_every_change() {
    let cases = [
        case("two members come and go")
            .route(0, p(""))
            .client(0, client("SUB foo q 1\r\n"))
            .client(0, "SUB foo q 2\r\n")
            .client(0, "UNSUB 1\r\n")
            .client(0, "UNSUB 2\r\n"),
        case("two groups")
            .route(0, p(""))
            .client(0, client("SUB foo q1 1\r\nSUB foo q2 2\r\nSUB foo q1 3\r\n"))
            .client(0, "UNSUB 1\r\nUNSUB 2\r\nUNSUB 3\r\n"),
        case("three members leave with their connection")
            .route(0, p(""))
            .client(0, client("SUB x q 1\r\nSUB x q 2\r\nSUB x q 3\r\n"))
            .leave(To::Client(0)),
        case("some members leave with their connection")
            .route(0, p(""))
            .client(0, client("SUB x q 1\r\nSUB x q 2\r\nSUB x q 3\r\n"))
            .client(1, client("SUB x q 1\r\n"))
            .leave(To::Client(0)),
        case("plain and queue subscriptions leave together")
            .route(0, p(""))
            .client(0, client("SUB a 1\r\nSUB b 2\r\nSUB a q 3\r\nSUB c.* q 4\r\n"))
            .leave(To::Client(0))
            .in_any_order(),
        case("a member with a limit")
            .route(0, p(""))
            .client(0, client("SUB lim q 1\r\nUNSUB 1 2\r\n"))
            .client(0, "PUB lim 1\r\nx\r\n")
            .client(0, "PUB lim 1\r\nx\r\n"),
    ];
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn a_newcomer_hears_of_everything_that_is_there() {
    let cases = [
        case("plain and queue interest")
            .client(0, client("SUB a 1\r\nSUB a 2\r\nSUB b.> 3\r\nSUB a q 4\r\nSUB a q 5\r\n"))
            .route(0, p(""))
            .in_any_order(),
        case("nothing of what is gone")
            .client(0, client("SUB a 1\r\nSUB b 2\r\nUNSUB 1\r\n"))
            .route(0, p("")),
        case("nothing of other members").route(1, q("RS+ $G theirs\r\n")).route(0, p("")).ignoring("INFO"),
        case("a member without pooling hears the same")
            .client(0, client("SUB a 1\r\nSUB a q 4\r\n"))
            .route(0, Identity::without_pool("P").join(""))
            .in_any_order(),
    ];
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn a_members_interest_makes_messages_go_there() {
    let cases = [
        case("before, during, after")
            .route(0, p(""))
            .client(0, client("PUB foo 1\r\n1\r\n"))
            .route(0, "RS+ $G foo\r\n")
            .client(0, "PUB foo 1\r\n2\r\n")
            .route(0, "RS- $G foo\r\n")
            .client(0, "PUB foo 1\r\n3\r\n"),
        case("twice is once")
            .route(0, p("RS+ $G foo\r\nRS+ $G foo\r\n"))
            .client(0, client("PUB foo 1\r\nx\r\n"))
            .route(0, "RS- $G foo\r\n")
            .client(0, "PUB foo 1\r\ny\r\n"),
        case("overlapping subjects get one copy")
            .route(0, p("RS+ $G foo.bar\r\nRS+ $G foo.*\r\nRS+ $G >\r\n"))
            .client(0, client("PUB foo.bar 1\r\nx\r\n")),
        case("unknown interest taken back").route(0, p("RS- $G nothing\r\nRS- $G nothing q\r\n")),
        case("a queue of weight zero")
            .route(0, p("RS+ $G zero q 0\r\n"))
            .client(0, client("PUB zero 1\r\nx\r\n")),
        case("a queue taken back whatever its weight")
            .route(0, p("RS+ $G w q 3\r\nRS- $G w q\r\n"))
            .client(0, client("PUB w 1\r\nx\r\n")),
        case("a weight is replaced, not added")
            .route(0, p("RS+ $G w q 3\r\nRS+ $G w q 1\r\nRS- $G w q\r\n"))
            .client(0, client("PUB w 1\r\nx\r\n")),
        case("plain and queue interest are two things")
            .route(0, p("RS+ $G pq\r\nRS+ $G pq q 1\r\nRS- $G pq\r\n"))
            .client(0, client("PUB pq 1\r\nx\r\n")),
        case("for an unknown account").route(0, p("RS+ ZZ foo\r\n")).client(0, client("PUB foo 1\r\nx\r\n")),
        case("with blanks and in lower case")
            .route(0, p("rs+  $G \t foo  \r\n"))
            .client(0, client("PUB foo 1\r\nx\r\n")),
        case("of a leaf cluster")
            .route(0, p("LS+ lc $G leafy\r\n"))
            .client(0, client("PUB leafy 1\r\nx\r\n"))
            .route(0, "LS- lc $G leafy\r\n")
            .client(0, "PUB leafy 1\r\ny\r\n"),
        case("of a leaf cluster and of the member itself")
            .route(0, p("LS+ lc $G both\r\nRS+ $G both\r\nLS- lc $G both\r\n"))
            .client(0, client("PUB both 1\r\nx\r\n")),
        case("of a queue in a leaf cluster")
            .route(0, p("LS+ lc $G lq q 1\r\n"))
            .client(0, client("PUB lq 1\r\nx\r\n")),
        case("gone with the connection")
            .route(0, p("RS+ $G gone\r\n"))
            .client(0, client("SUB box 1\r\nPUB gone box 0\r\n\r\n"))
            .leave(To::Route(0))
            .client(0, "PUB gone box 0\r\n\r\n"),
    ];
    compare(&one_slot(), &comparable(cases));
}
