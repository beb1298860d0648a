//! Request and reply, one at a time.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::batch::{MIN_PAYLOAD_BYTES, sequence_of, stamp};
use super::connection::Connection;
use super::flow::Until;
use super::node::{Binary, Node};
use super::process::CpuTime;
use super::reading::{Faults, Metric, Reading};
use super::scan::Item;
use super::statistics::percentile;
use super::stop;

/// Requests before the measurement starts.
const WARM_UP_REQUESTS: u64 = 500;

/// More requests than this are not needed for a p99, and each takes memory.
const MAX_REQUESTS: u64 = 2_000_000;

/// Runs requests on a new server: latency as the requester sees it, CPU time of the server per request.
pub fn run(binary: &Binary, until: Until) -> io::Result<Reading> {
    let node = Node::alone(binary)?;
    let _responder = Responder::open(node.address())?;
    let mut requester = Requester::open(node.address())?;
    requester.run(Until::Messages(WARM_UP_REQUESTS))?;
    let cpu_before = CpuTime::of(node.pid())?;
    let generator_before = CpuTime::of(std::process::id())?;
    let outcome = requester.run(until)?;
    let cpu = CpuTime::of(node.pid())?.since(&cpu_before);
    let generator = CpuTime::of(std::process::id())?.since(&generator_before);
    Ok(outcome.reading(cpu, generator))
}

/// The latencies of answered requests, and the fault of the request that was not.
#[derive(Debug, Default)]
struct Outcome {
    nanos: Vec<u64>,
    faults: Faults,
}

impl Outcome {
    fn reading(mut self, cpu: Duration, generator: Duration) -> Reading {
        self.nanos.sort_unstable();
        let answered = self.nanos.len().max(1) as f64;
        let micros = |percent| percentile(&self.nanos, percent) as f64 / 1e3;
        let values = [
            (Metric::CpuPerRequest, cpu.as_secs_f64() * 1e6 / answered),
            (Metric::LatencyP50, micros(50)),
            (Metric::LatencyP99, micros(99)),
        ];
        let generator_micros = generator.as_secs_f64() * 1e6 / answered;
        Reading { values: values.into(), faults: self.faults, generator_micros }
    }
}

/// Sends a request, waits for its reply, sends the next.
struct Requester {
    connection: Connection,
    next: u64,
}

impl Requester {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let mut connection = Connection::open(address)?;
        connection.send(b"SUB _INBOX.versus.* 1\r\n")?;
        connection.fence()?;
        Ok(Self { connection, next: 0 })
    }

    fn run(&mut self, until: Until) -> io::Result<Outcome> {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        let more = |done: u64| match until {
            _ if stop::requested() => false,
            Until::Messages(count) => done < count,
            Until::Elapsed(time) => start.elapsed() < time,
        };
        while more(outcome.nanos.len() as u64) && (outcome.nanos.len() as u64) < MAX_REQUESTS {
            let sent = Instant::now();
            match self.ask() {
                Ok(true) => outcome.nanos.push(u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX)),
                Ok(false) => outcome.faults.foreign += 1,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    outcome.faults.lost += 1;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }

    /// One request; whether the right reply came. Each has a reply subject of its own, as real clients do it.
    fn ask(&mut self) -> io::Result<bool> {
        let number = self.next;
        self.next += 1;
        let mut payload = [b'x'; MIN_PAYLOAD_BYTES];
        stamp(&mut payload, number);
        let line = format!("PUB service _INBOX.versus.{number} {MIN_PAYLOAD_BYTES}\r\n");
        self.connection.send(&[line.as_bytes(), &payload, b"\r\n"].concat())?;
        let head = format!("_INBOX.versus.{number} 1 ");
        let mut right = None;
        while right.is_none() {
            self.connection.receive(|item| {
                match item {
                    Item::Message { head: found, payload } => {
                        right = Some(found == head.as_bytes() && sequence_of(payload) == Some(number));
                    }
                    Item::Notice(_) => return Err(io::Error::other("the server sees no responder")),
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok(right == Some(true))
    }
}

/// Answers each request with its own payload; dropping it ends its thread.
struct Responder {
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let mut connection = Connection::open(address)?;
        connection.send(b"SUB service 1\r\n")?;
        connection.fence()?;
        connection.wait_for_ever()?;
        let stream = connection.handle()?;
        let thread = thread::spawn(move || while respond(&mut connection).is_ok() {});
        Ok(Self { stream, thread: Some(thread) })
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        Connection::close(&self.stream);
        if let Some(thread) = self.thread.take() {
            // If it panicked, its requests stayed without a reply, which the requester reported.
            let _ = thread.join();
        }
    }
}

fn respond(connection: &mut Connection) -> io::Result<()> {
    let mut replies = Vec::new();
    connection.receive(|item| {
        if let Item::Message { head, payload } = item {
            reply(head, payload, &mut replies);
        }
        Ok(())
    })?;
    connection.send(&replies)
}

/// Appends the answer to a request with the head `service 1 reply `; without a reply subject there is none.
fn reply(head: &[u8], payload: &[u8], replies: &mut Vec<u8>) {
    let Some(subject) = head.split(|&byte| byte == b' ').nth(2).filter(|subject| !subject.is_empty()) else {
        return;
    };
    replies.extend_from_slice(b"PUB ");
    replies.extend_from_slice(subject);
    replies.extend_from_slice(format!(" {}\r\n", payload.len()).as_bytes());
    replies.extend_from_slice(payload);
    replies.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_carries_the_payload_to_the_reply_subject() {
        let mut replies = Vec::new();
        reply(b"service 1 _INBOX.versus.7 ", b"abc", &mut replies);
        assert_eq!(replies, b"PUB _INBOX.versus.7 3\r\nabc\r\n");
    }

    #[test]
    fn a_message_without_a_reply_subject_is_not_answered() {
        let mut replies = Vec::new();
        reply(b"service 1 ", b"abc", &mut replies);
        assert!(replies.is_empty());
    }

    #[test]
    fn a_reading_of_requests_is_in_microseconds() {
        let outcome = Outcome { nanos: vec![3000, 1000, 2000], faults: Faults::default() };
        let reading = outcome.reading(Duration::from_micros(30), Duration::from_micros(60));
        assert_eq!(reading.values[&Metric::CpuPerRequest], 10.0);
        assert_eq!(reading.values[&Metric::LatencyP50], 2.0);
        assert_eq!(reading.values[&Metric::LatencyP99], 3.0);
        assert_eq!(reading.generator_micros, 20.0);
    }
}
