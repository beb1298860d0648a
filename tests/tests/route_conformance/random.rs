//! Random scripts from fixed seeds: a client and two members of the cluster say what they like, and both servers pass on the
//! same.
//!
//! What the Go server leaves to chance is avoided: each queue group has one member in the cluster, and answers are compared
//! as a multiset; one subscription at most matches the inbox, since only one gets the notice that nobody responds.

use fastrand::Rng;
use onehop_tests::script::{Case, case, compare};

use super::{client, comparable, one_slot, p, q};

const SUBJECTS: &[&str] = &["a", "b", "a.b", "a.c", "a.b.c", "svc"];
const FILTERS: &[&str] = &["a", "b", "a.b", "a.*", "a.>", "*", "a.b.c", "svc"];
/// The queue groups of the client; those of the members begin with their own letters.
const LOCAL_QUEUES: &[&str] = &["c1", "c2", "c3"];

#[test]
fn random_interest_and_messages_are_passed_on_alike() {
    let cases = (0..120).map(|seed| {
        let mut rng = Rng::with_seed(seed);
        let mut case: Case = case(format!("seed {seed}"))
            .client(0, client("SUB my.box 9\r\n"))
            .route(0, p(""))
            .route(1, q(""))
            .ignoring("INFO")
            .in_any_order();
        for _ in 0..6 {
            case = case.client(0, lines(&mut rng, client_line));
            case = case.route(0, lines(&mut rng, |rng| member_line(rng, "p")));
            case = case.route(1, lines(&mut rng, |rng| member_line(rng, "q")));
        }
        case
    });
    compare(&one_slot(), &comparable(cases));
}

fn lines(rng: &mut Rng, line: impl Fn(&mut Rng) -> String) -> String {
    (0..4).map(|_| line(rng)).collect()
}

fn client_line(rng: &mut Rng) -> String {
    let id = 1 + rng.usize(..3);
    match rng.u8(..10) {
        0..=1 => format!("SUB {} {id}\r\n", pick(rng, FILTERS)),
        // The id names the queue group, so that no group has two members.
        2 => format!("SUB {} {} {id}\r\n", pick(rng, FILTERS), LOCAL_QUEUES[id - 1]),
        3 => format!("UNSUB {id}\r\n"),
        4 => format!("UNSUB {id} {}\r\n", rng.u8(1..4)),
        5..=6 => format!("PUB {} 2\r\nhi\r\n", pick(rng, SUBJECTS)),
        7..=8 => format!("PUB {} my.box 2\r\nhi\r\n", pick(rng, SUBJECTS)),
        _ => format!("HPUB {} my.box 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", pick(rng, SUBJECTS)),
    }
}

fn member_line(rng: &mut Rng, member: &str) -> String {
    let (filter, subject) = (pick(rng, FILTERS), pick(rng, SUBJECTS));
    let queue = format!("{member}{}", rng.u8(..2));
    let local = pick(rng, LOCAL_QUEUES);
    match rng.u8(..14) {
        0 => format!("RS+ $G {filter}\r\n"),
        1 => ["RS+ $G >\r\n", "RS- $G >\r\n"][rng.usize(..2)].to_owned(),
        // One filter for each group, since a group on several filters would have several members. No weight of zero: the
        // Go server selects such a member or not, depending on what its cache of matches holds.
        2..=3 => format!("RS+ $G a.> {queue} {}\r\n", rng.u8(1..4)),
        4 => format!("RS- $G {filter}\r\n"),
        5 => format!("RS- $G a.> {queue}\r\n"),
        6..=7 => format!("RMSG $G {subject} 2\r\nhi\r\n"),
        8 => format!("RMSG $G {subject} rep 2\r\nhi\r\n"),
        9 => format!("RMSG $G {subject} | {local} 2\r\nhi\r\n"),
        10 => format!("RMSG $G {subject} + rep {local} {queue} 2\r\nhi\r\n"),
        11 => format!("HMSG $G {subject} 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
        12 => format!("HMSG $G {subject} | {local} 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
        _ => format!("RMSG $G {subject} | p0 q1 2\r\nhi\r\n"),
    }
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}
