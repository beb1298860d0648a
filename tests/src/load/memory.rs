//! Resident memory: at start, per idle connection, per subscription.

use std::fmt::Write as _;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::node::{Binary, Node};
use super::process::{open_file_limit, resident_bytes};
use super::reading::{Metric, Reading};
use super::tenants;
use super::tunnel::TlsTunnels;
use crate::tls::{Begin, TlsConn};

/// How long a server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(1);

/// Open files that are not the connections of the load, in the server and here.
const OTHER_FILES: usize = 100;

/// Subscriptions of each account's client.
const SUBSCRIPTIONS_PER_ACCOUNT: usize = 100;

/// Subscriptions sent per write.
const LINES_PER_WRITE: usize = 2000;

/// Resident memory of a server that nobody uses.
pub fn at_start(binary: &Binary) -> io::Result<Reading> {
    let node = Node::alone(binary)?;
    Ok(reading(settled_bytes(&node)?))
}

/// Resident memory per connection that finished its handshake and then said nothing.
pub fn per_connection(binary: &Binary, count: usize) -> io::Result<Reading> {
    let node = Node::alone(binary)?;
    per_held(&node, count, || {
        Connection::open_as(binary.dialect, node.address()).map(Connection::into_stream)
    })
}

/// Resident memory per connection that speaks TLS, finished its handshakes and then said nothing.
pub fn per_tls_connection(binary: &Binary, count: usize) -> io::Result<Reading> {
    let tunnels = TlsTunnels::new();
    let node = Node::configured(binary, &tunnels.configuration())?;
    per_held(&node, count, || {
        let (mut client, _) = TlsConn::connect(node.address().port(), tunnels.config(), Begin::AfterInfo)?;
        client.ask(binary.dialect.greeting()).map(|_| client)
    })
}

/// Resident memory per subscription, each to a subject of its own, all of one connection.
pub fn per_subscription(binary: &Binary, count: usize) -> io::Result<Reading> {
    let node = Node::alone(binary)?;
    let mut connection = Connection::open(node.address())?;
    let before = settled_bytes(&node)?;
    let numbers: Vec<usize> = (1..=count).collect();
    for numbers in numbers.chunks(LINES_PER_WRITE) {
        connection.send(subscribe_lines(numbers).as_bytes())?;
    }
    connection.fence()?;
    let after = settled_bytes(&node)?;
    Ok(reading((after - before) / count as f64))
}

/// How soon a server serves that has so many accounts, and resident memory per subscription: a client in each has a hundred.
pub fn of_accounts(binary: &Binary, count: usize) -> io::Result<Reading> {
    let start = Instant::now();
    let node = Node::configured(binary, &tenants::accounts(count))?;
    let start_up = start.elapsed();
    let clients = within_file_limit(count);
    let open = |number| {
        Connection::open_with(binary.dialect, node.address(), &tenants::greeting_of(&format!("u{number}")))
    };
    let mut connections = (0..clients).map(open).collect::<Result<Vec<_>, _>>()?;
    let before = settled_bytes(&node)?;
    let numbers: Vec<usize> = (1..=SUBSCRIPTIONS_PER_ACCOUNT).collect();
    let lines = subscribe_lines(&numbers);
    for connection in &mut connections {
        connection.send(lines.as_bytes())?;
        connection.fence()?;
    }
    let after = settled_bytes(&node)?;
    let per_subscription = (after - before) / (clients * SUBSCRIPTIONS_PER_ACCOUNT) as f64;
    let values = [(Metric::StartUp, start_up.as_secs_f64() * 1e3), (Metric::Memory, per_subscription)];
    Ok(Reading { values: values.into(), ..Reading::default() })
}

/// So many connections, or as many as may be open.
fn within_file_limit(count: usize) -> usize {
    open_file_limit().map_or(count, |limit| count.min(limit.saturating_sub(OTHER_FILES)).max(1))
}

/// Resident memory per connection that `open` makes, as long as so many are held.
fn per_held<T>(node: &Node, count: usize, open: impl Fn() -> io::Result<T>) -> io::Result<Reading> {
    let count = within_file_limit(count);
    let before = settled_bytes(node)?;
    let held = (0..count).map(|_| open()).collect::<io::Result<Vec<_>>>()?;
    let after = settled_bytes(node)?;
    drop(held);
    Ok(reading((after - before) / count as f64))
}

fn settled_bytes(node: &Node) -> io::Result<f64> {
    thread::sleep(SETTLE);
    Ok(resident_bytes(node.pid())? as f64)
}

fn subscribe_lines(numbers: &[usize]) -> String {
    let mut lines = String::new();
    for number in numbers {
        // Writing to a String cannot fail.
        let _ = write!(lines, "SUB bench.{number}.data {number}\r\n");
    }
    lines
}

fn reading(bytes: f64) -> Reading {
    Reading { values: [(Metric::Memory, bytes)].into(), ..Reading::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subscription_has_a_subject_and_an_id_of_its_own() {
        assert_eq!(subscribe_lines(&[7, 8]), "SUB bench.7.data 7\r\nSUB bench.8.data 8\r\n");
    }
}
