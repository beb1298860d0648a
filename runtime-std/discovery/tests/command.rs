//! A program that prints addresses.
#![cfg(all(feature = "command", unix))]

mod common;

use std::{env, fs, process};

use common::{Note, address, own, settings, start, wait_until};
use onehop::config::{Discovery, Source};

fn shell(script: &str) -> Discovery {
    Discovery { command: ["sh", "-c", script].map(str::to_owned).to_vec(), ..settings() }
}

#[test]
fn a_program_is_asked_again_and_again() {
    let (sources, notes) = start(&shell("echo a:1; echo b"), &own("NA", "C"));
    wait_until("it was told of three times", || notes.count() >= 3);
    drop(sources);
    for Note { source, teller, found } in notes.all() {
        assert_eq!((source, teller.as_str()), (Source::Command, ""));
        let addresses: Vec<_> = found.into_iter().map(|found| found.address).collect();
        assert_eq!(addresses, [address("a:1"), address("b")]);
    }
}

#[test]
fn a_program_that_is_not_there_stops_nobody() {
    let missing = Discovery { command: vec!["/no/such/program".to_owned()], ..settings() };
    let (sources, notes) = start(&missing, &own("NA", "C"));
    drop(sources);
    assert_eq!(notes.count(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn whoever_ends_the_sources_leaves_no_process() {
    let file = env::temp_dir().join(format!("onehop-discovery-{}", process::id()));
    let shown = file.display();
    let script =
        format!("sleep 1000 & echo $$ $! >'{shown}.new'; mv '{shown}.new' '{shown}'; echo a:1; wait");
    let (sources, notes) = start(&shell(&script), &own("NA", "C"));
    wait_until("the program runs", || file.exists());
    let ids = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| is_running(*id)));
    drop(sources);
    wait_until("both are gone", || !ids.iter().any(|id| is_running(*id)));
    assert_eq!(notes.count(), 0, "nothing is told any more");
}

/// Who has ended and was not asked for by its parent runs no more.
#[cfg(target_os = "linux")]
fn is_running(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/stat"));
    status.is_ok_and(|status| !status.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}
