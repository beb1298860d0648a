//! A listener that keeps what it is told.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::io::{self, Write};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, thread};

use onehop::config::{Discovery, HostPort, Source};
use onehop::discovery::{DamagedFile, Found};
use onehop_discovery::{Listener, Own, Sources};

/// Others may use the machine, too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// All that was told, in order.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Note>>>);

/// What was told at once.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) source: Source,
    pub(crate) teller: String,
    pub(crate) found: Vec<Found>,
}

impl Listener for Notes {
    fn found(&self, source: Source, teller: &str, found: Vec<Found>) {
        self.0.lock().unwrap().push(Note { source, teller: teller.to_owned(), found });
    }

    fn load(&self, text: &str) -> Result<(), DamagedFile> {
        panic!("{text} is loaded")
    }
}

impl Notes {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn all(&self) -> Vec<Note> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn tellers(&self) -> Vec<String> {
        self.all().into_iter().map(|note| note.teller).collect()
    }
}

pub(crate) fn own(server_id: &str, cluster: &str) -> Own {
    Own {
        server_id: server_id.to_owned(),
        cluster: cluster.to_owned(),
        route_port: 6222,
        client_port: 4222,
        advertise: None,
    }
}

/// Settings that ask as often as possible.
pub(crate) fn settings() -> Discovery {
    Discovery { interval: Duration::from_millis(10), ..Discovery::default() }
}

pub(crate) fn start(settings: &Discovery, own: &Own) -> (Sources, Notes) {
    let notes = Notes::default();
    let sources = Sources::start(settings, own, Arc::new(notes.clone())).unwrap();
    (sources, notes)
}

pub(crate) fn address(text: &str) -> HostPort {
    text.parse().unwrap()
}

/// Waits for something to become true.
pub(crate) fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    assert!(is_true_in_time(&mut is_true), "not within {PATIENCE:?}: {what}");
}

pub(crate) fn is_true_in_time(mut is_true: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !is_true() {
        if started.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Runs the test of this name again in a network of its own, where this returns true: nobody else is to hear of its servers.
/// Elsewhere it returns false when that is over.
pub(crate) fn is_own_network(test: &str) -> bool {
    const MARK: &str = "ONEHOP_OWN_NETWORK";
    if env::var_os(MARK).is_some() {
        return true;
    }
    let run = |program: &str, arguments: &[&str]| {
        let script = "ip link set lo up && ip link set lo multicast on && ip route add 224.0.0.0/4 dev lo && exec \"$0\" \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "sh", "-c", script, program]).args(arguments);
        command.env(MARK, "1").output().map_err(|fault| fault.to_string())
    };
    let said = |output: &Output| {
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
    };
    match run("true", &[]) {
        Ok(output) if output.status.success() => {}
        other => {
            let why = other.map_or_else(|fault| fault, |output| said(&output));
            // Whether there are namespaces is not ours to choose, in CI either.
            let _ = writeln!(io::stderr(), "NOT RUN: no network of its own: {}", why.trim());
            return false;
        }
    }
    let program = env::current_exe().unwrap().display().to_string();
    let output = run(&program, &["--exact", test, "--nocapture"]).unwrap();
    assert!(output.status.success() && said(&output).contains("1 passed"), "{}", said(&output));
    false
}
