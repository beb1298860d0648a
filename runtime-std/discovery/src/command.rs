//! A program that prints addresses.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{self, Child, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{Level, log};
use onehop::config::{Discovery, HostPort, Source, without_user_info};
use onehop::discovery::Found;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::audience::{Audience, pause};
use crate::{COMMAND_TIMEOUT, MAX_ADDRESSES, MAX_OUTPUT_BYTES};

/// Asks until it is dropped, which kills the program if it runs.
pub(crate) struct Command {
    /// Its other end hears that this one is closed, wherever it waits.
    life: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// How much a program may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) output_bytes: usize,
    pub(crate) addresses: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: COMMAND_TIMEOUT, output_bytes: MAX_OUTPUT_BYTES, addresses: MAX_ADDRESSES }
    }
}

impl Command {
    pub(crate) fn start(settings: &Discovery, limits: Limits, audience: Arc<Audience>) -> io::Result<Self> {
        let (life, end) = UnixStream::pair()?;
        let (command, interval) = (settings.command.clone(), settings.interval);
        let thread = thread::Builder::new().name("onehop-command".to_owned());
        let thread =
            thread.spawn(move || ask_again_and_again(&command, interval, limits, &end, &audience))?;
        Ok(Self { life: Some(life), thread: Some(thread) })
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        drop(self.life.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("The thread that asks a program for servers panicked");
        }
    }
}

fn ask_again_and_again(
    command: &[String],
    interval: Duration,
    limits: Limits,
    end: &UnixStream,
    audience: &Audience,
) {
    let mut last_trouble = None;
    loop {
        let trouble = match ask(command, limits, end) {
            Ok(answer) => {
                let trouble = answer.trouble();
                audience.tell(Source::Command, "", answer.found);
                trouble
            }
            Err(fault) => Some(Trouble { kind: fault.to_string(), details: String::new() }),
        };
        if let Some(trouble) = &trouble {
            let is_known = last_trouble.as_ref() == Some(&trouble.kind);
            let level = if is_known { Level::Debug } else { Level::Warn };
            log!(
                level,
                "Asking {} for servers: {}{}",
                quote(command[0].as_bytes()),
                trouble.kind,
                trouble.details
            );
        }
        last_trouble = trouble.map(|trouble| trouble.kind);
        if !audience.wait(pause(interval)) {
            return;
        }
    }
}

/// Runs the program once, to its end or until `end` hears that nobody waits any more.
fn ask(command: &[String], limits: Limits, end: &UnixStream) -> io::Result<Answer> {
    let mut child = process::Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut output = Pipe::new(child.stdout.take().map(OwnedFd::from), limits.output_bytes);
    let mut complaints = Pipe::new(child.stderr.take().map(OwnedFd::from), QUOTED_BYTES);
    let ending = listen(&child, &mut output, &mut complaints, limits, end);
    let status = kill(&mut child)?;
    Ok(Answer::read(ending?, status, &output, complaints.bytes, limits))
}

/// Hears the program until it ends or may go on no longer.
fn listen(
    child: &Child,
    output: &mut Pipe,
    complaints: &mut Pipe,
    limits: Limits,
    end: &UnixStream,
) -> io::Result<Ending> {
    let started = Instant::now();
    while output.is_open() || complaints.is_open() || !has_ended(child)? {
        let Some(remaining) = limits.timeout.checked_sub(started.elapsed()) else {
            return Ok(Ending::TooLate);
        };
        match wait(&mut [&mut *output, &mut *complaints], remaining, end)? {
            Heard::End => return Ok(Ending::NobodyWaits),
            Heard::Program if output.is_overfull => return Ok(Ending::TooMuch),
            Heard::Program => {}
        }
    }
    Ok(Ending::Itself)
}

/// Waits until there is something to read, and reads that.
fn wait(pipes: &mut [&mut Pipe], remaining: Duration, end: &UnixStream) -> io::Result<Heard> {
    let is_any_open = pipes.iter().any(|pipe| pipe.is_open());
    // Nothing but a look tells that a program has ended that said nothing more before.
    let timeout = if is_any_open { remaining } else { remaining.min(LOOK_PAUSE) };
    let timeout = timeout.try_into().map_err(io::Error::other)?;
    let files: Vec<_> = pipes.iter().filter_map(|pipe| pipe.file.as_ref()).collect();
    let mut polled = vec![PollFd::new(end, PollFlags::IN)];
    polled.extend(files.into_iter().map(|file| PollFd::new(file, PollFlags::IN)));
    match poll(&mut polled, Some(&timeout)) {
        Err(rustix::io::Errno::INTR) => return Ok(Heard::Program),
        polled => polled?,
    };
    let is_ready: Vec<_> = polled.iter().map(|polled| !polled.revents().is_empty()).collect();
    if is_ready[0] {
        return Ok(Heard::End);
    }
    let open = pipes.iter_mut().filter(|pipe| pipe.is_open());
    for (pipe, _) in open.zip(&is_ready[1..]).filter(|(_, is_ready)| **is_ready) {
        pipe.read()?;
    }
    Ok(Heard::Program)
}

/// Whether the program itself ended. It is left as it is, so that its number still stands for it and what it started.
fn has_ended(child: &Child) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(Pid::from_child(child)), options) {
        // Where SIGCHLD is ignored, nobody is kept for who waits.
        Err(Errno::CHILD) => Ok(true),
        status => Ok(status?.is_some()),
    }
}

/// Ends the program, and what it started and left in its group.
fn kill(child: &mut Child) -> io::Result<ExitStatus> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if let Err(Errno::CHILD) = waitid(WaitId::Pid(Pid::from_child(child)), options) {
        // Its number may be another's by now, and nobody knows how it ended.
        return Ok(ExitStatus::default());
    }
    // There may be nobody left.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    child.wait()
}

/// What was heard while the program ran.
enum Heard {
    Program,
    End,
}

/// Why a program was heard no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Itself,
    TooLate,
    TooMuch,
    NobodyWaits,
}

/// One end of what the program writes to.
struct Pipe {
    file: Option<File>,
    bytes: Vec<u8>,
    most_bytes: usize,
    is_overfull: bool,
}

impl Pipe {
    fn new(file: Option<OwnedFd>, most_bytes: usize) -> Self {
        Self { file: file.map(File::from), bytes: Vec::new(), most_bytes, is_overfull: false }
    }

    fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Reads what there is, and keeps as much as there is room for.
    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let read = match file.read(&mut buffer) {
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => return Ok(()),
            read => read?,
        };
        if read == 0 {
            self.file = None;
        }
        let kept = read.min(self.most_bytes - self.bytes.len());
        self.is_overfull |= kept < read;
        self.bytes.extend_from_slice(&buffer[..kept]);
        Ok(())
    }
}

/// What a program said, and how it ended.
#[derive(Debug)]
struct Answer {
    ending: Ending,
    status: ExitStatus,
    found: Vec<Found>,
    /// Addresses beyond the limit.
    left_out: usize,
    bad_lines: usize,
    first_bad_line: Vec<u8>,
    complaints: Vec<u8>,
}

impl Answer {
    fn read(ending: Ending, status: ExitStatus, output: &Pipe, complaints: Vec<u8>, limits: Limits) -> Self {
        let mut answer = Self {
            ending,
            status,
            found: Vec::new(),
            left_out: 0,
            bad_lines: 0,
            first_bad_line: Vec::new(),
            complaints: complaints.trim_ascii().to_vec(),
        };
        let whole_lines = match ending {
            Ending::Itself => output.bytes.len(),
            // The last line may have been cut.
            _ => output.bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0),
        };
        let lines = output.bytes[..whole_lines].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
            answer.read_line(line, limits);
        }
        answer
    }

    fn read_line(&mut self, line: &[u8], limits: Limits) {
        match str::from_utf8(line).ok().map(HostPort::from_str) {
            Some(Ok(_)) if self.found.len() == limits.addresses => self.left_out += 1,
            Some(Ok(address)) => self.found.push(Found { address, server_id: None }),
            _ => {
                if self.bad_lines == 0 {
                    self.first_bad_line = line.to_vec();
                }
                self.bad_lines += 1;
            }
        }
    }

    /// What an operator should know.
    fn trouble(&self) -> Option<Trouble> {
        let mut trouble = Trouble { kind: String::new(), details: String::new() };
        match self.ending {
            Ending::NobodyWaits => return None,
            Ending::Itself if self.status.success() => {}
            Ending::Itself => trouble.add(self.status),
            Ending::TooLate => trouble.add("it took too long and was killed"),
            Ending::TooMuch => trouble.add("it printed too much and was killed"),
        }
        if self.left_out > 0 {
            trouble.add("it printed too many addresses");
        }
        if self.bad_lines > 0 {
            trouble.add("it printed what is no address");
            let first = quote(&self.first_bad_line);
            trouble.details += &format!("; bad lines: {}, the first: {first}", self.bad_lines);
        }
        if !self.complaints.is_empty() {
            trouble.add("it wrote to its standard error");
            trouble.details += &format!("; it wrote: {}", quote(&self.complaints));
        }
        (!trouble.kind.is_empty()).then_some(trouble)
    }
}

/// What an operator should know of a run.
#[derive(Debug)]
struct Trouble {
    /// Said again only after it was another one.
    kind: String,
    /// May be different each time, such as a text with the time in it.
    details: String,
}

impl Trouble {
    fn add(&mut self, kind: impl fmt::Display) {
        let separator = if self.kind.is_empty() { "" } else { ", " };
        self.kind += &format!("{separator}{kind}");
    }
}

/// The start of what somebody else wrote, as a log may show it: without user and password of a URL.
fn quote(text: &[u8]) -> String {
    let start = String::from_utf8_lossy(&text[..text.len().min(QUOTED_BYTES)]);
    let start: String = without_user_info(&start).chars().take(MAX_QUOTED_CHARS).collect();
    format!("{start:?}")
}

/// No more of what a program wrote stands in one line of the log.
const MAX_QUOTED_CHARS: usize = 128;

/// Enough for that many characters.
const QUOTED_BYTES: usize = 4 * MAX_QUOTED_CHARS;

/// How long a program may have ended that had closed its output before.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    fn ask_shell(script: &str, limits: Limits) -> Answer {
        let (_life, end) = UnixStream::pair().unwrap();
        ask(&shell(script), limits, &end).unwrap()
    }

    fn patient() -> Limits {
        Limits { timeout: PATIENCE, ..Limits::default() }
    }

    fn addresses(answer: &Answer) -> Vec<String> {
        answer.found.iter().map(|found| found.address.to_string()).collect()
    }

    #[test]
    fn each_line_is_an_address_but_for_blank_ones_and_comments() {
        let answer = ask_shell("printf '# all\\na:1\\n\\n  [::1]:2\\r\\nb'", patient());
        assert_eq!(addresses(&answer), ["a:1", "[::1]:2", "b"]);
        assert!(answer.trouble().is_none());
    }

    #[test]
    fn arguments_are_passed_as_they_are() {
        let (_life, end) = UnixStream::pair().unwrap();
        let command = ["printf", "%s\\n", "a:1", "$HOME *"].map(str::to_owned);
        let answer = ask(&command, patient(), &end).unwrap();
        assert_eq!(addresses(&answer), ["a:1"]);
        assert_eq!(answer.first_bad_line, b"$HOME *");
    }

    #[test]
    fn a_program_reads_nothing() {
        assert_eq!(addresses(&ask_shell("cat; echo a:1", patient())), ["a:1"]);
    }

    #[test]
    fn garbage_is_quoted_by_its_start_and_the_rest_counts() {
        let answer = ask_shell("head -c 3000 /dev/zero; echo; printf 'x y\\n\\377\\na:1\\n'", patient());
        assert_eq!(addresses(&answer), ["a:1"]);
        assert_eq!(answer.bad_lines, 3);
        let trouble = answer.trouble().unwrap();
        assert_eq!(trouble.kind, "it printed what is no address");
        let zeros = format!("\"{}\"", "\\0".repeat(MAX_QUOTED_CHARS));
        assert_eq!(trouble.details, format!("; bad lines: 3, the first: {zeros}"));
    }

    #[test]
    fn a_program_that_prints_too_much_is_killed_and_whole_lines_count() {
        let limits = Limits { output_bytes: 6, ..patient() };
        let answer = ask_shell("yes a:1", limits);
        assert_eq!((answer.ending, addresses(&answer)), (Ending::TooMuch, vec!["a:1".to_owned()]));
        let answer = ask_shell("yes a:1", patient());
        assert_eq!((answer.ending, answer.found.len()), (Ending::TooMuch, MAX_ADDRESSES));
        assert_eq!(answer.left_out, MAX_OUTPUT_BYTES / "a:1\n".len() - MAX_ADDRESSES);
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_what_it_started() {
        let limits = Limits { timeout: Duration::from_millis(500), ..Limits::default() };
        let started = Instant::now();
        for script in ["echo a:1; sleep 1000; true", "exec >&- 2>&-; sleep 1000", "sleep 1000 & echo a:1"] {
            assert_eq!(ask_shell(script, limits).ending, Ending::TooLate, "{script}");
        }
        assert!(started.elapsed() < PATIENCE);
    }

    #[test]
    fn a_program_that_fails_says_why_and_what_it_printed_counts() {
        let answer = ask_shell("echo a:1; echo no network >&2; exit 3", patient());
        assert_eq!(addresses(&answer), ["a:1"]);
        let trouble = answer.trouble().unwrap();
        assert_eq!(trouble.kind, "exit status: 3, it wrote to its standard error");
        assert_eq!(trouble.details, "; it wrote: \"no network\"");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let (_life, end) = UnixStream::pair().unwrap();
        let error = ask(&["/no/such/program".to_owned()], patient(), &end).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_program_is_killed_when_nobody_waits_any_more() {
        let (life, end) = UnixStream::pair().unwrap();
        drop(life);
        let answer = ask(&shell("sleep 1000; true"), patient(), &end).unwrap();
        assert_eq!(answer.ending, Ending::NobodyWaits);
        assert!(answer.trouble().is_none());
    }
}
