//! The program `versus`, from the outside: what it prints when it does not come to its end.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use onehop_tests::server::Kind;
use rustix::process::{Pid, Signal, kill_process};

/// A comparison of a server with itself and the relay that would take many minutes.
struct Run {
    child: Child,
    progress: Lines<BufReader<ChildStderr>>,
    svg: PathBuf,
}

impl Run {
    fn start(name: &str) -> Self {
        let onehop = Kind::Onehop.binary().expect("it is built");
        let svg = env::temp_dir().join(format!("versus-test-{}-{name}.svg", std::process::id()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_versus"));
        command.arg("--a").arg(&onehop).arg("--b").arg(&onehop).arg("--svg").arg(&svg);
        command.args("--also relay --loads one-to-one-16 --rounds 1000 --seconds 0.05".split(' '));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let progress = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        Self { child, progress, svg }
    }

    /// Reads what it says until a line begins so, and returns what it said before.
    fn read_until(&mut self, beginning: &str) -> Vec<String> {
        let mut before = Vec::new();
        for line in self.progress.by_ref() {
            let line = line.expect("it says text");
            if line.starts_with(beginning) {
                return before;
            }
            before.push(line);
        }
        panic!("it ended before {beginning:?}: {before:?}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// How it ended, its tables and its drawing. Nobody reads its progress any more.
    fn end(mut self) -> (ExitStatus, String, String) {
        drop(self.progress);
        let mut tables = String::new();
        let mut stdout = self.child.stdout.take().expect("it is piped");
        stdout.read_to_string(&mut tables).expect("tables are text");
        let status = self.child.wait().expect("it is a child of this process");
        let drawing = fs::read_to_string(&self.svg).expect("it draws");
        fs::remove_file(&self.svg).expect("the drawing can be removed");
        (status, tables, drawing)
    }
}

/// Logs of servers that a comparison has not ended: each goes together with its server.
fn logs_of(pid: u32) -> usize {
    let prefix = format!("versus-{pid}-");
    let entries = fs::read_dir(env::temp_dir()).expect("there is a directory for temporary files");
    entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).count()
}

fn assert_partial((status, tables, drawing): (ExitStatus, String, String), pid: u32) {
    assert_eq!(status.code(), Some(3), "{tables}");
    assert!(tables.contains("one-to-one-16"), "{tables}");
    assert!(tables.contains("Beside other servers") && tables.contains("relay"), "{tables}");
    assert!(!tables.contains("failed"), "the interrupted run is no failure: {tables}");
    assert!(drawing.starts_with("<svg") && drawing.contains(">relay</text>"), "{drawing}");
    assert_eq!(logs_of(pid), 0, "its servers ended with it");
}

#[test]
fn interrupted_by_a_signal_it_prints_and_draws_what_it_measured_until_then() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut run = Run::start("signal");
        let pid = run.child.id();
        let said = run.read_until("[7/3000, ");
        assert!(said.iter().any(|line| line.starts_with("3000 runs, about ")), "{said:?}");
        run.signal(signal);
        assert_partial(run.end(), pid);
    }
}

#[test]
fn it_stops_and_prints_what_it_measured_when_nobody_reads_its_progress_any_more() {
    let mut run = Run::start("pipe");
    let pid = run.child.id();
    run.read_until("[7/3000, ");
    assert_partial(run.end(), pid);
}
