//! Messages with headers, to those who understand them and to those who do not (wire.md 1.4).

use onehop_tests::script::{case, compare};
use onehop_tests::server::Options;

use super::{modern, terse};

#[test]
fn headers_reach_those_who_understand_them_and_are_stripped_for_the_others() {
    let message = "HPUB head 22 25\r\nNATS/1.0\r\nName: v1\r\n\r\nabc\r\n";
    let with_reply = "HPUB head re.ply 12 14\r\nNATS/1.0\r\n\r\nhi\r\n";
    let cases = [
        case("to one who understands").client(0, modern("SUB head 1\r\n")).client(1, modern(message)),
        case("to one who does not").client(0, terse("SUB head 1\r\n")).client(1, modern(message)),
        case("to one who never connected").client(0, "SUB head 1\r\n").client(1, modern(message)),
        case("with a reply").client(0, modern("SUB head 1\r\n")).client(1, modern(with_reply)),
        case("with a reply, stripped").client(0, terse("SUB head 1\r\n")).client(1, modern(with_reply)),
        case("a plain message to one who understands headers")
            .client(0, modern("SUB head 1\r\n"))
            .client(1, modern("PUB head 2\r\nhi\r\n")),
        case("to both kinds at once")
            .client(0, terse("SUB head 1\r\n"))
            .client(2, modern("SUB head 1\r\n"))
            .client(1, modern(message)),
        case("understood after a second CONNECT")
            .client(0, terse(""))
            .client(0, modern("SUB head 1\r\n"))
            .client(1, modern(message)),
    ];
    compare(&Options::default(), &cases);
}

#[test]
fn the_header_block_itself_is_never_looked_at() {
    let blocks = [
        ("no headers at all", "0 2\r\nhi\r\n"),
        ("headers without a payload", "12 12\r\nNATS/1.0\r\n\r\n\r\n"),
        ("nothing of either", "0 0\r\n\r\n"),
        ("a status", "32 32\r\nNATS/1.0 503 No Responders 2\r\n\r\n\r\n"),
        ("a block that is none", "5 7\r\nxxxxxhi\r\n"),
        ("one byte of headers", "1 2\r\nhi\r\n"),
        ("a reply", "re.ply 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
        ("leading zeros", "012 0014\r\nNATS/1.0\r\n\r\nhi\r\n"),
        ("tabs", "\t12\t14\r\nNATS/1.0\r\n\r\nhi\r\n"),
        ("a verb in lower case would be the same", "12 14 \r\nNATS/1.0\r\n\r\nhi\r\n"),
        ("a payload that ends wrongly", "12 14\r\nNATS/1.0\r\n\r\nhi!\r\n"),
    ];
    let cases = blocks.map(|(name, block)| {
        case(name)
            .client(0, modern("SUB block 1\r\n"))
            .client(2, terse("SUB block 2\r\n"))
            .client(1, modern(&format!("hPUB block {block}")))
    });
    compare(&Options::default(), &cases);
}

#[test]
fn headers_must_have_been_negotiated() {
    let message = "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n";
    let cases = [
        case("without CONNECT").client(0, format!("SUB a 1\r\n{message}")),
        case("headers not mentioned").client(0, terse(&format!("SUB a 1\r\n{message}"))),
        case("headers refused").client(0, format!("CONNECT {{\"headers\":false}}\r\n{message}")),
        case("headers withdrawn by a second CONNECT").client(0, modern("")).client(0, terse(message)),
    ];
    compare(&Options::default(), &cases);
}
