//! Raw clients and small clusters.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use onehop::config::{ClusterConfig, Config, Port};
use onehop_std::Server;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A server for clients only, on a free port.
pub(crate) fn alone() -> Config {
    Config { host: "127.0.0.1".to_owned(), port: Port::Any, ..Config::default() }
}

/// A member of a cluster that knows these addresses of other members.
pub(crate) fn member(name: &str, known: &[SocketAddr]) -> Config {
    let routes = known.iter().map(|address| format!("nats://{address}").parse().unwrap());
    let cluster = ClusterConfig {
        name: Some("std".to_owned()),
        host: "127.0.0.1".to_owned(),
        routes: routes.collect(),
        ..ClusterConfig::default()
    };
    Config { server_name: Some(name.to_owned()), cluster: Some(cluster), ..alone() }
}

/// Waits for something to become true.
pub(crate) fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A client that sends and receives plain lines.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects and makes sure that the server has taken it in.
    pub(crate) fn connect(server: &Server) -> Self {
        Self::connect_to(server.client_addr())
    }

    pub(crate) fn connect_to(address: SocketAddr) -> Self {
        let mut client = Self::greeted(address);
        client.send("CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
        client.flush();
        client
    }

    /// Connects and says nothing yet.
    pub(crate) fn greeted(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self { stream: BufReader::new(stream) };
        assert!(client.line().starts_with("INFO {"));
        client
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Waits until the server has handled what was sent.
    pub(crate) fn flush(&mut self) {
        self.send("PING\r\n");
        assert_eq!(self.line(), "PONG");
    }

    /// The next line, without its end; empty once the server has closed. PINGs are left out.
    pub(crate) fn line(&mut self) -> String {
        loop {
            let line = self.any_line();
            if line != "PING" {
                return line;
            }
        }
    }

    /// The next line, without its end; empty once the server has closed.
    pub(crate) fn any_line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn expect(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.line(), *line);
        }
    }

    /// Whether nothing comes for a while.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        self.stream().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let nothing = self.stream.fill_buf().is_err();
        self.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        nothing
    }

    /// Reads until the server closes; returns how many bytes came.
    pub(crate) fn drain(&mut self) -> u64 {
        let mut buffer = [0; 64 * 1024];
        let mut bytes = 0;
        // A reset is an end too.
        while let Ok(read @ 1..) = self.stream.read(&mut buffer) {
            bytes += read as u64;
        }
        bytes
    }
}
