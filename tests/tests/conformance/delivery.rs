//! Who gets a message: echo, queue groups, no responders, other connections (wire.md 1.6, 7).

use onehop_tests::script::{To, case, compare};
use onehop_tests::server::Options;

use super::{modern, terse};

#[test]
fn messages_reach_subscribers_on_other_connections_in_order() {
    let burst: String = (0..50).map(|number| format!("PUB burst.{number} 2\r\n{number:02}\r\n")).collect();
    let cases = [
        case("one publisher, one subscriber")
            .client(0, terse("SUB one 9\r\n"))
            .client(1, terse("PUB one 2\r\nhi\r\n")),
        case("a reply travels along")
            .client(0, terse("SUB with.reply 9\r\n"))
            .client(1, terse("PUB with.reply the.reply 2\r\nhi\r\n")),
        case("two subscribers")
            .client(0, terse("SUB both 1\r\n"))
            .client(2, terse("SUB both other\r\n"))
            .client(1, terse("PUB both 2\r\nhi\r\n")),
        case("fifty messages in order").client(0, terse("SUB burst.* 1\r\n")).client(1, terse(&burst)),
        case("two subscriptions of one connection")
            .client(0, terse("SUB twice 1\r\nSUB twice 2\r\nSUB twice.* 3\r\n"))
            .client(1, terse("PUB twice 2\r\nhi\r\n"))
            .in_any_order(),
        case("an empty message").client(0, terse("SUB empty 1\r\n")).client(1, terse("PUB empty 0\r\n\r\n")),
        case("a large message")
            .client(0, terse("SUB large 1\r\n"))
            .client(1, terse(&format!("PUB large 1000000\r\n{}\r\n", "x".repeat(1_000_000))))
            .whole_only(),
        case("a subject of many tokens")
            .client(0, terse(&format!("SUB {}.> 1\r\n", ["t"; 40].join("."))))
            .client(1, terse(&format!("PUB {} 1\r\nx\r\n", ["t"; 41].join(".")))),
        case("subscribed before and after")
            .client(1, terse("PUB later 1\r\n1\r\n"))
            .client(0, terse("SUB later 1\r\n"))
            .client(1, "PUB later 1\r\n2\r\n"),
    ];
    compare(&Options::default(), &cases);
}

#[test]
fn echo_is_about_the_publishing_connection_alone() {
    let no_echo = "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false,\"headers\":true,\"no_responders\":true}\r\n";
    let cases = [
        case("to itself, by default").client(0, terse("SUB self 1\r\nPUB self 1\r\nx\r\n")),
        case("to itself, without echo").client(0, format!("{no_echo}SUB self 1\r\nPUB self 1\r\nx\r\n")),
        case("to others, without echo")
            .client(0, format!("{no_echo}SUB all 1\r\n"))
            .client(1, terse("SUB all 1\r\n"))
            .client(0, "PUB all 1\r\nx\r\n"),
        case("a queue whose only member publishes, without echo")
            .client(0, format!("{no_echo}SUB qself q 1\r\nPUB qself 1\r\nx\r\n")),
        case("a queue with another member, without echo").client(1, terse("SUB qpair q 1\r\n")).client(
            0,
            format!("{no_echo}SUB qpair q 1\r\nPUB qpair 1\r\nx\r\nPUB qpair 1\r\ny\r\nPUB qpair 1\r\nz\r\n"),
        ),
        case("no responders, when the only one is oneself without echo")
            .client(0, format!("{no_echo}SUB box 1\r\nSUB selfsvc 2\r\nPUB selfsvc box 1\r\nx\r\n")),
    ];
    compare(&Options::default(), &cases);
}

#[test]
fn one_member_of_a_queue_group_gets_a_message() {
    let cases = [
        case("a group of one").client(0, terse("SUB job q 1\r\nPUB job 1\r\nx\r\n")),
        case("a member twice in a group gets one copy at a time")
            .client(0, terse("SUB dup q 1\r\nSUB dup q 1\r\nPUB dup 1\r\nx\r\n")),
        case("two groups and a plain subscription all get one")
            .client(0, terse("SUB mix q1 1\r\nSUB mix q2 2\r\nSUB mix 3\r\n"))
            .client(1, terse("PUB mix 1\r\nx\r\n"))
            .in_any_order(),
        case("the same group on overlapping filters counts once for each filter")
            .client(0, terse("SUB over.a q 1\r\n"))
            .client(1, terse("PUB over.a 1\r\nx\r\nPUB over.b 1\r\ny\r\n")),
        case("the member that is left gets everything")
            .client(0, terse("SUB rest q 1\r\nSUB rest q 2\r\nUNSUB 1\r\n"))
            .client(1, terse("PUB rest 1\r\nx\r\nPUB rest 1\r\ny\r\nPUB rest 1\r\nz\r\n")),
        case("a group name is any word").client(0, terse("SUB word a.b-c_*> 1\r\nPUB word 1\r\nx\r\n")),
    ];
    compare(&Options::default(), &cases);
}

#[test]
fn a_requester_hears_that_nobody_responds() {
    let plain_headers = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n";
    let verbose = "CONNECT {\"verbose\":true,\"headers\":true,\"no_responders\":true}\r\n";
    let cases = [
        case("nobody there").client(0, modern("SUB box 1\r\nPUB svc box 2\r\nhi\r\n")),
        case("nobody there, with headers")
            .client(0, modern("SUB box 1\r\nHPUB svc box 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")),
        case("a long subject")
            .client(0, modern(&format!("SUB box 1\r\nPUB {} box 0\r\n\r\n", "s".repeat(200)))),
        case("a wildcard inbox").client(0, modern("SUB _INBOX.me.* 7\r\nPUB nosvc _INBOX.me.42 0\r\n\r\n")),
        case("two subscriptions on the inbox get one notice")
            .client(0, modern("SUB two 1\r\nSUB two 2\r\nPUB nosvc two 0\r\n\r\n"))
            .taking("HMSG two 2 ", "HMSG two 1 "),
        case("a queue subscription on the inbox")
            .client(0, modern("SUB qbox q 1\r\nPUB nosvc qbox 0\r\n\r\n")),
        case("no subscription on the inbox").client(0, modern("PUB nosvc box 0\r\n\r\n")),
        case("the inbox belongs to another connection")
            .client(1, modern("SUB theirs 1\r\n"))
            .client(0, modern("PUB nosvc theirs 0\r\n\r\n")),
        case("without a reply").client(0, modern("SUB nosvc2 1\r\nUNSUB 1\r\nPUB nosvc2 0\r\n\r\n")),
        case("not asked for").client(0, format!("{plain_headers}SUB box 1\r\nPUB nosvc box 0\r\n\r\n")),
        case("asked for by a verbose client")
            .client(0, format!("{verbose}SUB box 1\r\nPUB nosvc box 0\r\n\r\n")),
        case("the requester itself responds")
            .client(0, modern("SUB box 1\r\nSUB me 2\r\nPUB me box 0\r\n\r\n")),
        case("a queue member responds")
            .client(0, modern("SUB box 1\r\nSUB qme q 2\r\nPUB qme box 0\r\n\r\n")),
        case("the request goes to its own inbox").client(0, modern("SUB loop 1\r\nPUB loop loop 0\r\n\r\n")),
        case("the inbox has a limit of one")
            .client(0, modern("SUB once 1\r\nUNSUB 1 1\r\nPUB nosvc once 0\r\n\r\nPUB nosvc once 0\r\n\r\n")),
        case("a subject with an empty token").client(0, modern("SUB box 1\r\nPUB no..svc box 0\r\n\r\n")),
        case("a wildcard in the request's subject").client(0, modern("SUB box 1\r\nPUB no.* box 0\r\n\r\n")),
        case("the other side took it, then left")
            .client(1, modern("SUB leaving 1\r\n"))
            .client(0, modern("SUB box 1\r\nPUB leaving box 0\r\n\r\n"))
            .leave(To::Client(1))
            .client(0, "PUB leaving box 0\r\n\r\n"),
    ];
    compare(&Options::default(), &cases);
}
