//! Random scripts from fixed seeds: whatever a client says, both servers answer the same.
//!
//! What the Go server leaves to chance is avoided: each queue group has one member, and answers are compared as a multiset,
//! since a message may reach several subscriptions in any order; one subscription at most matches an inbox, since only one
//! gets the notice that nobody responds.

use fastrand::Rng;
use onehop_tests::script::{Case, case, compare};
use onehop_tests::server::Options;

const SUBJECTS: &[&str] =
    &["a", "b", "a.b", "a.c", "a.b.c", "svc", "$SYS.x", "_INBOX.1", "a.*", "x..y", "_GR_.x.y"];
const FILTERS: &[&str] =
    &["a", "b", "a.b", "a.*", "a.>", "*", "*.*", "a.b.c", "*.b.>", "_INBOX.*", "a..b", "a.>.b"];
const REPLIES: &[&str] = &["_INBOX.me.and.1", "_INBOX.me.and.2", "_R_.x", "nobody.is.listening.here"];
const BLANKS: &[&str] = &[" ", "  ", "\t", " \t "];

#[test]
fn random_operations_of_one_client_are_answered_alike() {
    let cases: Vec<Case> = (0..150)
        .map(|seed| {
            let mut rng = Rng::with_seed(seed);
            let script = connect(&mut rng) + "SUB _INBOX.me.> 6\r\n" + &operations(&mut rng, 25, 1);
            case(format!("seed {seed}")).client(0, script).in_any_order()
        })
        .collect();
    compare(&Options::default(), &cases);
}

#[test]
fn random_operations_of_two_clients_are_answered_alike() {
    let cases: Vec<Case> = (1000..1100)
        .map(|seed| {
            let mut rng = Rng::with_seed(seed);
            let mut case = case(format!("seed {seed}")).in_any_order();
            for turn in 0..6 {
                let number = turn % 2;
                let connect = if turn < 2 { connect(&mut rng) } else { String::new() };
                let operations = operations(&mut rng, 5, 10 * (1 + usize::from(number)));
                case = case.client(number, connect + &operations);
            }
            case
        })
        .collect();
    compare(&Options::default(), &cases);
}

/// Never pedantic: of a bad subject the Go server tells once or twice, depending on where its reads end.
fn connect(rng: &mut Rng) -> String {
    let headers = rng.u8(..4) > 0;
    let no_responders = headers && rng.bool();
    format!(
        "CONNECT {{\"verbose\":{},\"pedantic\":false,\"echo\":{},\"headers\":{headers},\"no_responders\":{no_responders},\
         \"protocol\":{}}}\r\n",
        rng.u8(..4) == 0,
        rng.u8(..4) > 0,
        rng.u8(..2),
    )
}

/// Subscription ids count from `first_id`, and name the queue groups, so that each group has one member.
fn operations(rng: &mut Rng, count: usize, first_id: usize) -> String {
    (0..count).map(|_| operation(rng, first_id)).collect()
}

fn operation(rng: &mut Rng, first_id: usize) -> String {
    let blank = if rng.u8(..8) == 0 { pick(rng, BLANKS) } else { " " };
    let id = first_id + rng.usize(..5);
    match rng.u8(..100) {
        0..=24 => format!("SUB{blank}{}{blank}{id}\r\n", pick(rng, FILTERS)),
        25..=32 => format!("SUB {}{blank}q{id} {id}\r\n", pick(rng, FILTERS)),
        33..=39 => format!("UNSUB{blank}{id}\r\n"),
        40..=47 => format!("UNSUB {id}{blank}{}\r\n", rng.u8(..4)),
        48..=66 => publish(rng, blank, ""),
        67..=78 => {
            let reply = format!("{blank}{}", pick(rng, REPLIES));
            publish(rng, blank, &reply)
        }
        79..=88 => headers(rng, blank),
        89..=91 => "PING\r\n".to_owned(),
        93 => "PONG\r\n".to_owned(),
        92 => format!("SUB _INBOX.me.> {}\r\n", first_id + 5),
        94 => "+OK\r\n".to_owned(),
        95 => "INFO {}\r\n".to_owned(),
        96..=97 => connect(rng),
        98 => format!("PUB {} {}\r\nxyz\r\n", pick(rng, SUBJECTS), rng.u8(..5)),
        _ => ["XX\r\n", "SUB\r\n", "PUB a\r\n", "-ERR 'x'\r\n", "\r\n"][rng.usize(..5)].to_owned(),
    }
}

fn publish(rng: &mut Rng, blank: &str, reply: &str) -> String {
    let size = rng.usize(..6);
    format!("PUB{blank}{}{reply} {size}\r\n{}\r\n", pick(rng, SUBJECTS), "x".repeat(size))
}

fn headers(rng: &mut Rng, blank: &str) -> String {
    let reply = if rng.bool() { format!(" {}", pick(rng, REPLIES)) } else { String::new() };
    let size = rng.usize(..4);
    format!(
        "HPUB{blank}{}{reply} 12 {}\r\nNATS/1.0\r\n\r\n{}\r\n",
        pick(rng, SUBJECTS),
        12 + size,
        "h".repeat(size)
    )
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}
