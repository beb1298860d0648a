//! One server process: started, watched through its log, asked over HTTP, killed and started again.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::monitor;
use crate::real_server::{Version, target_dir};

/// How long a server may take from its start to `Server is ready`.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may take to read its configuration file again.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(20);

/// Which program to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The binary of this workspace, or the one that the environment variable `ONEHOP_BIN` names.
    Onehop,
    /// The same on the runtime of blocking threads.
    OnehopStd,
    /// A Go server.
    Real(Version),
    /// Whatever a command line named, which speaks as the newest Go server does.
    Program(&'static Path),
}

impl Kind {
    /// The newest Go server: the reference of every comparison.
    pub const REFERENCE: Self = Self::Real(Version::V2_15_1);

    /// Both runtimes, which must answer as the reference does.
    pub const RUNTIMES: [Self; 2] = [Self::Onehop, Self::OnehopStd];

    /// The reference and what is compared with it.
    pub const COMPARED: [Self; 3] = [Self::REFERENCE, Self::Onehop, Self::OnehopStd];

    /// The programs that a command line names, or else onehop and the reference. Those that cannot be had here are left out,
    /// which was said.
    pub fn chosen(binaries: &[&'static Path]) -> Vec<Self> {
        let kinds = match binaries {
            [] => vec![Self::Onehop, Self::REFERENCE],
            paths => paths.iter().copied().map(Self::Program).collect(),
        };
        kinds.into_iter().filter(|kind| kind.binary().is_some()).collect()
    }

    /// The program, or `None` after printing `NOT RUN` (see [`Version::binary`]).
    pub fn binary(self) -> Option<PathBuf> {
        match self {
            Self::Onehop => Some(onehop_binary()),
            Self::OnehopStd => Some(onehop_std_binary()),
            Self::Real(version) => version.binary(),
            Self::Program(path) => Some(path.to_owned()),
        }
    }

    /// Whether the server knows pooled and dedicated routes.
    pub fn pools_routes(self) -> bool {
        match self {
            Self::Onehop | Self::OnehopStd | Self::Program(_) => true,
            Self::Real(version) => version.pools_routes(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Onehop => f.write_str("onehop"),
            Self::OnehopStd => f.write_str("onehop-std"),
            Self::Real(version) => version.fmt(f),
            Self::Program(path) => path.file_name().unwrap_or_default().display().fmt(f),
        }
    }
}

/// What to start a server with. The default listens for clients and monitoring on random ports of 127.0.0.1, without a cluster.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `-n`: the server's name; empty leaves it out.
    pub name: String,
    /// `--cluster_name`, which also opens the route port.
    pub cluster: Option<String>,
    /// Ports of the members given as `--routes`.
    pub routes: Vec<u16>,
    /// The contents of a configuration file, given as `-c`.
    pub config: Option<String>,
    /// More arguments.
    pub args: Vec<String>,
    /// How many files it may have open; `None` leaves that as it is here.
    pub open_files: Option<u32>,
    /// The ports to listen on; zero takes a random one.
    pub ports: Ports,
}

/// The ports of a server; zero is none, or in [`Options`] a random one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Clients.
    pub client: u16,
    /// Routes.
    pub route: u16,
    /// HTTP monitoring.
    pub monitor: u16,
    /// Clients by WebSocket; only a configuration file opens it.
    pub websocket: u16,
}

impl Options {
    /// A member of the cluster `name` called `server`, with `--routes` to the given ports.
    pub fn member(cluster: &str, server: &str, routes: &[u16]) -> Self {
        Self {
            name: server.to_owned(),
            cluster: Some(cluster.to_owned()),
            routes: routes.to_vec(),
            ..Self::default()
        }
    }

    /// A server with this configuration file.
    pub fn configured(config: &str) -> Self {
        Self { config: Some(config.to_owned()), ..Self::default() }
    }

    /// The same with a name.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The same with more arguments.
    pub fn with(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Whether the server will open a route port, and log that it did.
    fn is_clustered(&self) -> bool {
        self.cluster.is_some() || self.config.as_ref().is_some_and(|config| config.contains("cluster"))
    }

    fn command_line(&self, config_file: Option<&Path>) -> Vec<String> {
        let port = |port: u16| if port == 0 { "-1".to_owned() } else { port.to_string() };
        let mut args =
            vec!["-a".to_owned(), "127.0.0.1".to_owned(), "-p".to_owned(), port(self.ports.client)];
        args.extend(["-m".to_owned(), port(self.ports.monitor)]);
        if !self.name.is_empty() {
            args.extend(["-n".to_owned(), self.name.clone()]);
        }
        if let Some(file) = config_file {
            args.extend(["-c".to_owned(), file.display().to_string()]);
        }
        if let Some(cluster) = &self.cluster {
            args.extend(["--cluster_name".to_owned(), cluster.clone()]);
            args.extend(["--cluster".to_owned(), format!("nats://127.0.0.1:{}", port(self.ports.route))]);
        }
        if !self.routes.is_empty() {
            let urls: Vec<_> = self.routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
            args.extend(["--routes".to_owned(), urls.join(",")]);
        }
        args.extend(self.args.iter().cloned());
        args
    }
}

/// A running server. Dropping it kills the process, and prints its log if a test is failing.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    binary: PathBuf,
    options: Options,
    config_file: Option<PathBuf>,
    process: Child,
    log: Arc<Log>,
    ports: Ports,
}

impl Server {
    /// Starts a server and waits until it is ready; `None` if its program cannot be had here (`NOT RUN` was printed).
    ///
    /// # Panics
    ///
    /// If it exits or is not ready within ten seconds, with its log.
    pub fn start(kind: Kind, options: Options) -> Option<Self> {
        let binary = kind.binary()?;
        let config_file = options.config.as_deref().map(write_config);
        let (process, log) = spawn(&binary, &options, config_file.as_deref());
        let ports = Ports::default();
        let mut server = Self { kind, binary, options, config_file, process, log, ports };
        server.wait_until_ready();
        Some(server)
    }

    /// Which program this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// The ports that it listens on.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.ports.client)
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// How many bytes it has logged so far: a mark for [`wait_for_log_since`](Self::wait_for_log_since), until it is restarted.
    pub fn log_bytes(&self) -> usize {
        self.log.bytes()
    }

    /// Waits until the log contains `text`.
    ///
    /// # Panics
    ///
    /// If it does not within `timeout`.
    pub fn wait_for_log(&self, text: &str, timeout: Duration) {
        self.wait_for_log_since(0, text, timeout);
    }

    /// Waits until the log contains `text` behind its first `mark` bytes, and returns what stands there.
    ///
    /// # Panics
    ///
    /// If it does not within `timeout`.
    pub fn wait_for_log_since(&self, mark: usize, text: &str, timeout: Duration) -> String {
        let news = |log: &str| Some(&log[mark..]).filter(|news| news.contains(text)).map(str::to_owned);
        let found = self.log.wait(timeout, news);
        found.unwrap_or_else(|| panic!("{} never logged {text:?}:\n{}", self.name(), self.log()))
    }

    /// A monitoring page, for example `/varz`, of a server that is there to show it.
    ///
    /// # Panics
    ///
    /// If it does not, with what went wrong.
    pub fn page(&self, path: &str) -> Value {
        self.monitor(path).unwrap_or_else(|why| panic!("{} shows no page: {why}", self.name()))
    }

    /// The same of one that may be gone.
    ///
    /// # Errors
    ///
    /// What went wrong, in words.
    pub fn monitor(&self, path: &str) -> Result<Value, String> {
        monitor::get(self.ports.monitor, path)
    }

    /// Ends the process at once, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Sends a signal by its name without `SIG`, for example `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{name} to {}", self.name());
    }

    /// Lets it read its configuration file again, and returns what it logged meanwhile.
    ///
    /// # Errors
    ///
    /// The same, where it goes on as it was because of a fault.
    ///
    /// # Panics
    ///
    /// If it says neither within twenty seconds.
    pub fn reload(&self) -> Result<String, String> {
        let mark = self.log_bytes();
        self.signal("HUP");
        let outcome = |log: &str| {
            let news = log[mark..].to_owned();
            if news.contains("Failed to reload server configuration: ") {
                return Some(Err(news));
            }
            news.contains("Reloaded server configuration").then_some(Ok(news))
        };
        let found = self.log.wait(RELOAD_TIMEOUT, outcome);
        found.unwrap_or_else(|| panic!("{} did not read its file:\n{}", self.name(), self.log()))
    }

    /// Waits for the process to exit by itself.
    pub fn wait_exit(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// Kills the process if it runs, and starts it again with the same options on the same ports.
    pub fn restart(&mut self) {
        self.kill();
        self.options.ports = self.ports;
        (self.process, self.log) = spawn(&self.binary, &self.options, self.config_file.as_deref());
        self.wait_until_ready();
    }

    /// Writes another configuration file in the place of the one that it was started with, to be read when it is told so.
    pub fn rewrite_config(&mut self, text: &str) {
        let file = self.config_file.as_ref().expect("it was started with a file");
        std::fs::write(file, text).expect("the temporary directory can be written");
        self.options.config = Some(text.to_owned());
    }

    /// Leaves the routes out that it was given, from its next start on: others have to dial it.
    pub fn forget_routes(&mut self) {
        self.options.routes.clear();
    }

    fn wait_until_ready(&mut self) {
        let wants_routes = self.options.is_clustered();
        let ready = self.log.wait(START_TIMEOUT, |log| {
            let ports = Ports {
                client: port_after(log, "Listening for client connections on ")?,
                monitor: port_after(log, "Starting http monitor on ")?,
                // The only one of them that is said after the server is ready.
                route: match port_after(log, "Listening for route connections on ") {
                    None if wants_routes => return None,
                    found => found.unwrap_or(0),
                },
                websocket: port_after(log, "Listening for websocket clients on ws").unwrap_or(0),
            };
            log.contains("Server is ready").then_some(ports)
        });
        self.ports = ready.unwrap_or_else(|| {
            let state = self.process.try_wait();
            panic!("{} did not become ready ({state:?}):\n{}", self.kind, self.log());
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if let Some(file) = &self.config_file {
            let _ = std::fs::remove_file(file);
        }
        if std::thread::panicking() {
            println!("--- log of {} {} ---\n{}", self.kind, self.name(), self.log());
        }
    }
}

/// A port of 127.0.0.1 that is free now and that the system does not hand out by itself.
///
/// Needed where a server must be named before it runs, as in a ring.
pub fn reserve_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Below the range that Linux takes outgoing ports from; processes start at different places.
    let offset = std::process::id().wrapping_mul(61);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (offset.wrapping_add(step) % 12_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// What a process has written to its standard error, collected by a thread of its own.
#[derive(Debug, Default)]
struct Log {
    text: Mutex<(String, bool)>,
    changed: Condvar,
}

impl Log {
    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).0.clone()
    }

    fn bytes(&self) -> usize {
        self.text.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).0.len()
    }

    fn collect(&self, from: impl std::io::Read) {
        let mut lines = BufReader::new(from);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            self.text.lock().expect("no holder panics").0.push_str(&String::from_utf8_lossy(&line));
            self.changed.notify_all();
            line.clear();
        }
        self.text.lock().expect("no holder panics").1 = true;
        self.changed.notify_all();
    }

    /// Waits until `find` finds something, the process ends its log, or the time is over.
    fn wait<T>(&self, timeout: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut guard = self.text.lock().ok()?;
        loop {
            if let Some(found) = find(&guard.0) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if guard.1 || left.is_zero() {
                return None;
            }
            guard = self.changed.wait_timeout(guard, left).ok()?.0;
        }
    }
}

fn spawn(binary: &Path, options: &Options, config_file: Option<&Path>) -> (Child, Arc<Log>) {
    let mut process = limited(binary, options.open_files)
        .args(options.command_line(config_file))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", binary.display()));
    let stderr = process.stderr.take().expect("it was piped");
    let log = Arc::new(Log::default());
    let collector = Arc::clone(&log);
    std::thread::spawn(move || collector.collect(stderr));
    (process, log)
}

/// A shell lowers the limit and then becomes the program.
fn limited(binary: &Path, open_files: Option<u32>) -> Command {
    let Some(limit) = open_files else { return Command::new(binary) };
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]).arg(binary);
    shell
}

fn write_config(text: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("onehop-tests-{}-{number}.conf", std::process::id()));
    std::fs::write(&path, text).expect("the temporary directory can be written");
    path
}

/// The port at the end of the first complete line that contains `prefix`.
fn port_after(log: &str, prefix: &str) -> Option<u16> {
    let rest = &log[log.find(prefix)? + prefix.len()..];
    rest[..rest.find('\n')?].trim_end().rsplit(':').next()?.parse().ok()
}

/// Builds a binary of the workspace once in a process, so that a test never meets an old one.
fn onehop_binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY
        .get_or_init(|| match std::env::var_os("ONEHOP_BIN") {
            Some(path) => path.into(),
            None => build("onehop-smol", "onehop"),
        })
        .clone()
}

fn onehop_std_binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build("onehop-tests", "onehop-std")).clone()
}

fn build(package: &str, binary: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", package, "--bin", binary, "--target-dir"]).arg(target_dir());
    if profile == "release" {
        command.arg("--release");
    }
    let status = command.status().expect("cargo can be started");
    assert!(status.success(), "the binary {binary} does not build");
    target_dir().join(profile).join(binary)
}
