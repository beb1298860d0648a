//! The command line of `versus`.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dialect::Dialect;
use super::flow::Until;
use super::node::Binary;

/// What `--help` prints.
pub const USAGE: &str = "\
Compares two NATS servers on the same loads, in interleaved rounds: CPU time per message, throughput, latency, memory,
bytes that cross a route.
Besides, other servers get the loads that they can do, too (one to one, fan-out, idle connections): redis-server (RESP)
and mosquitto (MQTT 3.1.1 at QoS 0) where they are installed, and a relay of this program that copies bytes unread, as
the floor. Interrupted (SIGINT, SIGTERM, nobody reads its progress), it prints what it has measured until then.

Usage: versus [OPTIONS]

  --a PATH           server a (default: the onehop binary next to this program)
  --b PATH           server b (default: nats-server 2.15.1 in target/real-servers, else $NATS_SERVER)
  --a-args \"ARGS\"    more arguments for server a, for example \"--workers 2\"
  --b-args \"ARGS\"    more arguments for server b
  --also NAMES       other servers: of redis-server, mosquitto and relay these, separated by commas, or none
                     (default: those that are found; relay always is)
  --loads NAMES      only these loads, by name or beginning of a name, separated by commas (an unknown name lists them)
  --big              also loads that take gigabytes of memory
  --rounds N         rounds for each load and server; the median is reported (default 3)
  --seconds S        how long each load publishes (default 2)
  --messages N       publish so many messages instead
  --svg PATH         also draw the medians, to this file
  --markdown         print the tables as Markdown
  --check RATIO      fail if a needs more than RATIO of b's CPU time per message on the main loads
  --help             print this

Exit status: 0; 1 if a lost, reordered or damaged a message, failed, or missed --check; 2 if the comparison cannot run;
3 if it was interrupted.
";

/// The other servers, by the names of their programs; the relay is this program.
const OTHERS: [(&str, Dialect); 3] =
    [("redis-server", Dialect::Resp), ("mosquitto", Dialect::Mqtt), ("relay", Dialect::Copied)];

/// What to compare and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The server under test; `None` means the default.
    pub a: Option<PathBuf>,
    /// The server that it is compared with; `None` means the default.
    pub b: Option<PathBuf>,
    /// More arguments for server a.
    pub a_args: Vec<String>,
    /// More arguments for server b.
    pub b_args: Vec<String>,
    /// Names of other servers to compare; `None` means those that are found.
    pub also: Option<Vec<String>>,
    /// Where to draw the medians.
    pub svg: Option<PathBuf>,
    /// Be the relay, for clients at this port.
    pub relay: Option<u16>,
    /// Names of loads; none means all.
    pub loads: Vec<String>,
    /// Whether to run the loads that take gigabytes.
    pub big: bool,
    /// Rounds per load and server, at least one.
    pub rounds: usize,
    /// How long each load publishes.
    pub until: Until,
    /// Whether to print Markdown.
    pub markdown: bool,
    /// The highest allowed ratio of CPU time per message.
    pub check: Option<f64>,
    /// Whether only the usage is wanted.
    pub help: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            a: None,
            b: None,
            a_args: Vec::new(),
            b_args: Vec::new(),
            also: None,
            svg: None,
            relay: None,
            loads: Vec::new(),
            big: false,
            rounds: 3,
            until: Until::Elapsed(Duration::from_secs(2)),
            markdown: false,
            check: None,
            help: false,
        }
    }
}

impl Options {
    /// Reads the arguments, program name excluded; the error is for the user.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--big" => options.big = true,
                "--markdown" => options.markdown = true,
                "--help" | "-h" => options.help = true,
                _ => {
                    let value =
                        arguments.next().ok_or_else(|| format!("{name} is unknown or lacks its value"))?;
                    options.set(&name, &value)?;
                }
            }
        }
        Ok(options)
    }

    /// Server a: as given, else the binary that the workspace builds next to this program.
    pub fn binary_a(&self) -> Result<Binary, String> {
        let default = || Some(program_dir()?.join("onehop"));
        let candidates = self.a.clone().or_else(default);
        find(candidates, Dialect::Nats, &self.a_args)
            .ok_or_else(|| "onehop is not found: build it, or give --a PATH".to_owned())
    }

    /// Server b: as given, else the downloaded release, else what the environment variable names.
    pub fn binary_b(&self) -> Result<Binary, String> {
        const RELEASE: &str = "real-servers/2.15.1/bin/nats-server";
        // The tests fetch it into the target directory that they were built in, which need not be the workspace's own.
        let beside = program_dir().and_then(|profile| Some(profile.parent()?.join(RELEASE)));
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(RELEASE);
        let defaults = [beside, Some(workspace), env::var_os("NATS_SERVER").map(PathBuf::from)];
        let candidates = match &self.b {
            Some(path) => vec![path.clone()],
            None => defaults.into_iter().flatten().collect(),
        };
        find(candidates, Dialect::Nats, &self.b_args)
            .ok_or_else(|| "nats-server is not found: give --b PATH or set NATS_SERVER".to_owned())
    }

    /// The other servers with their names: those that were asked for, all of which must be found, or those that are.
    pub fn others(&self) -> Result<Vec<(&'static str, Binary)>, String> {
        let wanted = |name: &str| self.also.as_ref().is_none_or(|names| names.iter().any(|it| it == name));
        let mut found = Vec::new();
        for (name, dialect) in OTHERS.into_iter().filter(|(name, _)| wanted(name)) {
            match other(name, dialect) {
                Some(binary) => found.push((name, binary)),
                None if self.also.is_none() => {}
                None => return Err(format!("{name} is not found: install it, or leave it out of --also")),
            }
        }
        Ok(found)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--a" => self.a = Some(value.into()),
            "--b" => self.b = Some(value.into()),
            "--a-args" => self.a_args = words(value),
            "--b-args" => self.b_args = words(value),
            "--also" => self.also = Some(others(value)?),
            "--svg" => self.svg = Some(value.into()),
            "--relay" => self.relay = Some(number(name, value, 1.0, 65535.0)? as u16),
            "--loads" => self.loads = value.split(',').map(|name| name.trim().to_owned()).collect(),
            "--rounds" => self.rounds = number(name, value, 1.0, 1000.0)? as usize,
            // A server pings a client that only listens after two minutes; publishers do not answer.
            "--seconds" => {
                self.until = Until::Elapsed(Duration::from_secs_f64(number(name, value, 0.01, 100.0)?))
            }
            "--messages" => self.until = Until::Messages(number(name, value, 10.0, 1e9)? as u64),
            "--check" => self.check = Some(number(name, value, 0.0, 1e6)?),
            _ => return Err(format!("{name} is unknown; see --help")),
        }
        Ok(())
    }
}

/// Where this program lies, and with it what the workspace builds in the same profile.
fn program_dir() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.parent()?.to_path_buf())
}

/// The first of `candidates` that is a file.
fn find(
    candidates: impl IntoIterator<Item = PathBuf>,
    dialect: Dialect,
    arguments: &[String],
) -> Option<Binary> {
    let path = candidates.into_iter().find(|path| path.is_file())?;
    Some(Binary { dialect, path, arguments: arguments.to_vec() })
}

/// The program called `name`, where programs are looked for; the relay is this one.
fn other(name: &str, dialect: Dialect) -> Option<Binary> {
    if dialect == Dialect::Copied {
        return find(env::current_exe(), dialect, &[]);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian has servers where the PATH of people who are not root does not lead.
    let dirs = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    find(dirs.map(|dir| dir.join(name)), dialect, &[])
}

/// The names of other servers; `none` stands for none.
fn others(value: &str) -> Result<Vec<String>, String> {
    if value == "none" {
        return Ok(Vec::new());
    }
    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| !OTHERS.iter().any(|(known, _)| known == name)) {
        Some(unknown) => {
            Err(format!("--also knows no {unknown:?}; it takes redis-server, mosquitto, relay, or none"))
        }
        None => Ok(names),
    }
}

fn words(value: &str) -> Vec<String> {
    value.split_whitespace().map(str::to_owned).collect()
}

fn number(name: &str, value: &str, low: f64, high: f64) -> Result<f64, String> {
    let parsed = value.parse().ok().filter(|number| (low..=high).contains(number));
    parsed.ok_or_else(|| format!("{name} takes a number from {low} to {high}, not {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Options, String> {
        Options::parse(line.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn no_arguments_give_the_defaults() {
        assert_eq!(parse(&[]), Ok(Options::default()));
    }

    #[test]
    fn every_option_is_taken() {
        let line =
            "--a x --b y --loads route,queue-3 --big --rounds 5 --messages 1000 --markdown --check 0.25";
        let mut words: Vec<_> = line.split(' ').collect();
        words.extend(["--a-args", "--workers 2", "--also", "relay,mosquitto", "--svg", "z"]);
        let options = parse(&words).unwrap();
        assert_eq!((options.a, options.b), (Some("x".into()), Some("y".into())));
        assert_eq!(options.a_args, ["--workers", "2"]);
        assert_eq!(options.also, Some(vec!["relay".to_owned(), "mosquitto".to_owned()]));
        assert_eq!((options.svg, options.relay), (Some("z".into()), None));
        assert_eq!(options.loads, ["route", "queue-3"]);
        assert_eq!((options.big, options.rounds, options.markdown), (true, 5, true));
        assert_eq!((options.until, options.check), (Until::Messages(1000), Some(0.25)));
        assert_eq!(parse(&["--seconds", "0.5"]).unwrap().until, Until::Elapsed(Duration::from_millis(500)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in
            [["--rounds", "0"], ["--seconds", "x"], ["--check", "NaN"], ["--nothing", "1"], ["--big", "--a"]]
        {
            assert!(parse(&line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn other_servers_are_those_that_were_asked_for() {
        let names = |also| {
            let others = parse(&["--also", also]).unwrap().others().unwrap();
            others.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names("none"), [""; 0]);
        assert_eq!(names("relay"), ["relay"]);
        assert!(parse(&["--also", "rabbit"]).unwrap_err().contains("mosquitto"));
        let found = Options::default().others().unwrap();
        assert!(found.iter().any(|(name, _)| *name == "relay"), "{found:?}");
    }

    #[test]
    fn a_server_that_is_not_there_is_said_so() {
        let options = parse(&["--a", "/nowhere/onehop", "--b", "/nowhere/nats-server"]).unwrap();
        assert!(options.binary_a().unwrap_err().contains("--a PATH"));
        assert!(options.binary_b().unwrap_err().contains("NATS_SERVER"));
    }
}
