//! Names whose addresses are servers.
#![cfg(feature = "dns")]

mod common;

use common::{Note, address, own, settings, start, wait_until};
use onehop::config::{Discovery, Source};

#[test]
fn a_name_is_asked_for_again_and_again_and_others_that_fail_stop_nobody() {
    let dns = vec![address("nobody.invalid:1"), address("localhost:7")];
    let (sources, notes) = start(&Discovery { dns, ..settings() }, &own("NA", "C"));
    wait_until("localhost was told of three times", || notes.count() >= 3);
    drop(sources);
    for Note { source, teller, found } in notes.all() {
        assert_eq!((source, teller.as_str()), (Source::Dns, "localhost:7"));
        assert!(found.iter().all(|found| found.address.port == Some(7) && found.server_id.is_none()));
    }
}
