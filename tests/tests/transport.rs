//! Connections that are switched from plain bytes to frames, in both runtimes (design.md 3): a cluster of one node in each,
//! whose clients and whose routes go on in frames.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use onehop::config::{ClusterConfig, Config, Port};
use onehop::transport::{DecodeError, Decoder, Encoder, Inbound};
use onehop_tests::mesh::wait_until;
use onehop_tests::raw::read_up_to;
use smol::channel::{self, Sender};

const KEY: u64 = 5;
const PATIENCE: Duration = Duration::from_secs(20);

fn member(name: &str, known: &[SocketAddr]) -> Config {
    let routes = known.iter().map(|address| format!("nats://{address}").parse().expect("a URL"));
    let cluster = ClusterConfig {
        name: Some("frames".to_owned()),
        host: "127.0.0.1".to_owned(),
        routes: routes.collect(),
        ..ClusterConfig::default()
    };
    Config {
        server_name: Some(name.to_owned()),
        host: "127.0.0.1".to_owned(),
        port: Port::Any,
        cluster: Some(cluster),
        rehearsed_transport: Some(KEY),
        ..Config::default()
    }
}

/// A node in the runtime of blocking threads and one on smol, each with a route to the other.
struct Pair {
    std: onehop_std::Server,
    smol_client_port: u16,
    end_of_smol: Sender<()>,
    smol: Option<thread::JoinHandle<()>>,
}

impl Pair {
    fn start() -> Self {
        let std = onehop_std::Server::start(member("std", &[])).expect("a server");
        let known = std.route_addr().expect("a clustered node");
        let server = onehop_smol::server::Server::bind(member("smol", &[known]), 2).expect("a server");
        let node = server.node().clone();
        let (end_of_smol, ended) = channel::bounded(1);
        let smol = thread::spawn(move || {
            let served = server.serve_until(async move {
                let _ = ended.recv().await;
            });
            served.expect("a thread");
        });
        let routes = || node.hub().directory().count(onehop::hub::Kind::Route);
        wait_until("a whole route", PATIENCE, || routes() >= 4);
        Self { std, smol_client_port: node.hub().client_port(), end_of_smol, smol: Some(smol) }
    }

    /// The client ports of both.
    fn addresses(&self) -> [SocketAddr; 2] {
        [self.std.client_addr(), SocketAddr::from(([127, 0, 0, 1], self.smol_client_port))]
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self.end_of_smol.try_send(());
        let ended = self.smol.take().map(thread::JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()), "the server panicked");
    }
}

/// A client that goes on in frames.
struct Client {
    stream: TcpStream,
    encoder: Encoder,
    inbound: Inbound,
    heard: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(b"CONNECT {\"verbose\":true}\r\n").expect("written");
        read_up_to(&mut stream, b"+OK\r\n").expect("a greeting");
        let mut inbound = Inbound::default();
        inbound.switch(Decoder::framed(KEY));
        let mut client = Self { stream, encoder: Encoder::framed(KEY), inbound, heard: Vec::new() };
        client.send(b"CONNECT {\"verbose\":false}\r\n");
        client
    }

    fn send(&mut self, plain: &[u8]) {
        let mut encoded = Vec::new();
        let mut rest = plain;
        while !rest.is_empty() {
            let taken = self.encoder.encode(rest, &mut encoded);
            rest = &rest[taken..];
        }
        self.stream.write_all(&encoded).expect("written");
    }

    /// Reads until what was heard ends so.
    fn wait_for(&mut self, end: &[u8]) {
        while !self.heard.ends_with(end) {
            self.read().expect("good frames");
        }
    }

    fn read(&mut self) -> Result<(), DecodeError> {
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer).expect("something to read");
        assert!(read > 0, "the end of the stream without a word");
        self.inbound.decode_into(&buffer[..read], &mut self.heard)
    }
}

#[test]
fn frames_carry_every_message_in_order_between_clients_of_both_runtimes() {
    let pair = Pair::start();
    for (from, to) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
        let mut listener = Client::connect(pair.addresses()[to]);
        listener.send(b"SUB a 1\r\nPING\r\n");
        listener.wait_for(b"PONG\r\n");
        let mut speaker = Client::connect(pair.addresses()[from]);
        // Interest crossed the route before the PONG was sent, but may be on its way still.
        thread::sleep(Duration::from_millis(100));
        let mut expected = Vec::new();
        let mut said = Vec::new();
        for number in 0..300 {
            let body = format!("{number}-{}", "x".repeat(if number % 50 == 0 { 200_000 } else { number }));
            said.extend(format!("PUB a {}\r\n{body}\r\n", body.len()).into_bytes());
            expected.extend(format!("MSG a 1 {}\r\n{body}\r\n", body.len()).into_bytes());
        }
        listener.heard.clear();
        thread::scope(|scope| {
            scope.spawn(|| said.chunks(70_001).for_each(|chunk| speaker.send(chunk)));
            while listener.heard.len() < expected.len() {
                listener.read().expect("good frames");
            }
        });
        assert!(listener.heard == expected, "from {from} to {to}");
    }
}

#[test]
fn the_last_words_of_both_runtimes_come_in_frames_and_say_that_nothing_follows() {
    let pair = Pair::start();
    for address in pair.addresses() {
        let mut client = Client::connect(address);
        client.send(b"PING\r\nNONSENSE\r\n");
        let end = loop {
            if let Err(end) = client.read() {
                break end;
            }
        };
        assert_eq!(end, DecodeError::Ended);
        let heard = String::from_utf8_lossy(&client.heard).into_owned();
        assert_eq!(heard, "PONG\r\n-ERR 'Unknown Protocol Operation'\r\n");
    }
}

#[test]
fn a_client_that_is_switched_and_reads_nothing_is_a_slow_consumer() {
    let pair = Pair::start();
    for address in pair.addresses() {
        let mut slow = Client::connect(address);
        slow.send(b"SUB a 1\r\nPING\r\n");
        slow.wait_for(b"PONG\r\n");
        let mut speaker = Client::connect(address);
        let message = [b"PUB a 1000000\r\n".as_slice(), &[b'x'; 1_000_000], b"\r\n"].concat();
        for _ in 0..80 {
            speaker.send(&message);
        }
        speaker.send(b"PING\r\n");
        speaker.wait_for(b"PONG\r\n");
        // It is closed, and what it did not read in time is cut off.
        let mut buffer = vec![0; 1_000_000];
        let end = loop {
            match slow.stream.read(&mut buffer) {
                Ok(1..) => {}
                end => break end,
            }
        };
        assert!(end.is_ok_and(|read| read == 0), "{address}");
        let mut other = Client::connect(address);
        other.send(b"PING\r\n");
        other.wait_for(b"PONG\r\n");
    }
}
