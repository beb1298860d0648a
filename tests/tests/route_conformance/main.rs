//! Raw route-port scripts, run against nats-server 2.15.1 and both runtimes in the same test: a made-up member of the cluster
//! joins, and all must answer the same lines to it and to the clients beside it.

mod dialing;
mod gossip;
mod handshake;
mod imports;
mod interest;
mod invalid;
mod messages;
mod moves;
mod permissions;
mod random;
mod transcripts;

use onehop_tests::peer::Identity;
use onehop_tests::script::Case;
use onehop_tests::server::Options;

/// One pooled slot, so that every account but `$SYS` is on the one connection that a script opens.
fn one_slot() -> Options {
    Options::configured("server_name: alpha\ncluster { name: C, listen: \"127.0.0.1:-1\", pool_size: 1 }\n")
}

/// The defaults: three slots.
fn three_slots() -> Options {
    Options::member("C", "alpha", &[])
}

/// `CONNECT` of a client that wants neither `+OK` nor subject checks, followed by `lines`.
fn client(lines: &str) -> String {
    let connect = "{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}";
    format!("CONNECT {connect}\r\n{lines}")
}

/// The made-up server `P` joins, followed by `lines`.
fn p(lines: &str) -> String {
    Identity::new("P").join(lines)
}

/// The made-up server `Q` joins, followed by `lines`.
fn q(lines: &str) -> String {
    Identity::new("Q").join(lines)
}

/// Leaves out what differs for good reasons: interest in the system account, and where between two other lines a `PONG`
/// comes (what one connection causes on another may come a little later; an answer that never comes is noticed anyway).
fn comparable(cases: impl IntoIterator<Item = Case>) -> Vec<Case> {
    cases.into_iter().map(|case| case.ignoring("RS+ $SYS").ignoring("PONG")).collect()
}
