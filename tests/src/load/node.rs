//! A server process under test.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::dialect::Dialect;
use super::tap::Tap;

/// How long a server may take to accept its first client.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// A server binary and the arguments that every process of it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// What its clients speak.
    pub dialect: Dialect,
    /// The executable.
    pub path: PathBuf,
    /// Arguments besides those that a load needs.
    pub arguments: Vec<String>,
}

impl Binary {
    /// What the binary says of its version, first line.
    pub fn version(&self) -> io::Result<String> {
        let flag = match self.dialect {
            Dialect::Nats | Dialect::Resp => "--version",
            Dialect::Mqtt => "-h",
            Dialect::Copied => return Ok("a relay of this program that copies bytes".to_owned()),
        };
        let output = Command::new(&self.path).arg(flag).stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().next().unwrap_or("says nothing of its version");
        // Redis goes on with how it was built.
        Ok(line.split(" sha=").next().unwrap_or(line).trim().to_owned())
    }

    /// A server for clients at `port` of 127.0.0.1, and what it reads from its standard input.
    ///
    /// Where a server could drop messages or cut off a subscriber that lags, it is told not to: the window of the load is
    /// below the limit that servers of NATS have for that, and no load is to measure what drops cost.
    fn command(&self, port: u16) -> (Command, String) {
        let mut command = Command::new(&self.path);
        let mut input = String::new();
        match self.dialect {
            Dialect::Nats => command.args(["-a", "127.0.0.1", "-p"]).arg(port.to_string()),
            Dialect::Resp => {
                command.args(["--bind", "127.0.0.1", "--port"]).arg(port.to_string());
                command.args(["--save", "", "--client-output-buffer-limit", "pubsub 0 0 0"])
            }
            Dialect::Mqtt => {
                input = format!(
                    "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n\
                     max_queued_messages 0\n"
                );
                command.args(["-c", "/dev/stdin"])
            }
            Dialect::Copied => command.arg("--relay").arg(port.to_string()),
        };
        command.args(&self.arguments);
        (command, input)
    }
}

/// A running server on 127.0.0.1; dropping it ends the process.
pub struct Node {
    child: Child,
    dialect: Dialect,
    client_port: u16,
    log: PathBuf,
}

impl Node {
    /// Starts one server by itself and waits until it serves clients.
    pub fn alone(binary: &Binary) -> io::Result<Self> {
        Self::start(binary, None, &[])
    }

    /// Starts one server of NATS by itself with this configuration.
    pub fn configured(binary: &Binary, configuration: &str) -> io::Result<Self> {
        let path = temporary_path("conf");
        fs::write(&path, configuration)?;
        let arguments = ["-c".to_owned(), path.to_string_lossy().into_owned()];
        let node = Self::start(binary, None, &arguments);
        // It was read when the first client came in.
        fs::remove_file(&path)?;
        node
    }

    /// Starts two servers joined by a route, in a cluster of their own.
    pub fn pair(binary: &Binary) -> io::Result<[Self; 2]> {
        let first_port = free_port()?;
        let first = Self::start(binary, Some(first_port), &[])?;
        let seed = ["--routes".to_owned(), format!("nats://127.0.0.1:{first_port}")];
        let second = Self::start(binary, Some(free_port()?), &seed)?;
        Ok([first, second])
    }

    /// The same with this `compression` of the route, which passes a tap.
    pub fn tapped_pair(binary: &Binary, compression: &str) -> io::Result<([Self; 2], Tap)> {
        let [first, second] = [free_port()?, free_port()?];
        let tap = Tap::before(first)?;
        let nodes = [
            Self::clustered(binary, first, first, compression)?,
            Self::clustered(binary, second, tap.port(), compression)?,
        ];
        Ok((nodes, tap))
    }

    /// The same, where nothing stands in between.
    pub fn compressed_pair(binary: &Binary) -> io::Result<[Self; 2]> {
        let [first, second] = [free_port()?, free_port()?];
        let start = |port| Self::clustered(binary, port, first, "s2_fast");
        Ok([start(first)?, start(second)?])
    }

    /// A server with routes at `port`, which dials `seed`.
    fn clustered(binary: &Binary, port: u16, seed: u16, compression: &str) -> io::Result<Self> {
        Self::configured(
            binary,
            &format!(
                "cluster {{ name: versus, listen: \"127.0.0.1:{port}\", \
                 routes: [\"nats://127.0.0.1:{seed}\"], compression: {compression} }}\n"
            ),
        )
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.client_port).into()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn start(binary: &Binary, cluster_port: Option<u16>, more: &[String]) -> io::Result<Self> {
        let client_port = free_port()?;
        let log = temporary_path("log");
        let file = File::create(&log)?;
        let (mut command, input) = binary.command(client_port);
        if let Some(port) = cluster_port {
            command.args(["--cluster_name", "versus", "--cluster"]).arg(format!("nats://127.0.0.1:{port}"));
        }
        command.args(more).stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        // Whoever interrupts this program from a terminal does not mean to end the server in the midst of a round.
        command.process_group(0);
        let child = command.spawn().map_err(|error| start_error(&binary.path, &error.to_string()))?;
        let mut node = Self { child, dialect: binary.dialect, client_port, log };
        if let Some(mut stdin) = node.child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        node.wait_until_serving().map_err(|error| start_error(&binary.path, &error.to_string()))?;
        Ok(node)
    }

    fn wait_until_serving(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("it ended with {status}: {}", self.last_words())));
            }
            match Connection::open_as(self.dialect, self.address()) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(io::Error::other(format!(
                        "no client gets in: {error}; {}",
                        self.last_words()
                    )));
                }
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// The last lines of the server's output.
    fn last_words(&self) -> String {
        let output = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&output);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(3)..].join(" | ")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Nothing is to be saved by a graceful end, and nobody to tell if this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

fn start_error(path: &Path, reason: &str) -> io::Error {
    io::Error::other(format!("cannot start {}: {reason}", path.display()))
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn temporary_path(extension: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("versus-{}-{number}.{extension}", std::process::id()))
}
