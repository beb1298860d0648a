//! A relay that copies what publishers send to all subscribers, unread: the floor below which no server's cost can be.
//!
//! It is a process of its own (`versus --relay PORT`), a thread for each connection. A connection first says lines: `PING`,
//! which is answered, `SUB …`, by which it gets all copies, or [`COPY`], after which all that it sends is copied.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The line after which nothing that a connection sends is looked at any more.
pub const COPY: &[u8] = b"COPY\r\n";

/// The most that is copied at once.
const COPY_BYTES: usize = 64 * 1024;

/// Those who get the copies. Each is locked for a whole write, since its own thread answers its pings.
#[derive(Default)]
struct Subscribers(Mutex<Vec<Arc<Mutex<TcpStream>>>>);

/// Relays until accepting fails.
pub fn serve(listener: &TcpListener) -> io::Result<()> {
    let subscribers = Arc::new(Subscribers::default());
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let subscribers = Arc::clone(&subscribers);
        // A connection that fails is over, and nobody is told: its other end has seen it.
        thread::spawn(move || converse(stream, &subscribers));
    }
}

fn converse(stream: TcpStream, subscribers: &Subscribers) -> io::Result<()> {
    let answers = Arc::new(Mutex::new(stream.try_clone()?));
    let mut reader = BufReader::with_capacity(COPY_BYTES, stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        if line == COPY {
            return copy(&mut reader, subscribers);
        } else if line.starts_with(b"SUB ") {
            subscribers.add(&answers);
        } else {
            write(&answers, b"PONG\r\n")?;
        }
        line.clear();
    }
    Ok(())
}

fn copy(reader: &mut BufReader<TcpStream>, subscribers: &Subscribers) -> io::Result<()> {
    loop {
        let bytes = reader.fill_buf()?;
        let count = bytes.len();
        if count == 0 {
            return Ok(());
        }
        subscribers.send(bytes);
        reader.consume(count);
    }
}

impl Subscribers {
    /// Adds a connection; once, however often it subscribes.
    fn add(&self, stream: &Arc<Mutex<TcpStream>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.iter().any(|known| Arc::ptr_eq(known, stream)) {
            all.push(Arc::clone(stream));
        }
    }

    /// Sends to all, and forgets those who are gone.
    fn send(&self, bytes: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|stream| write(stream, bytes).is_ok());
    }
}

fn write(stream: &Mutex<TcpStream>, bytes: &[u8]) -> io::Result<()> {
    stream.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::Ipv4Addr;

    use super::*;

    fn connect() -> [TcpStream; 3] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        // The thread waits for connections until the test's process ends.
        thread::spawn(move || serve(&listener));
        [(); 3].map(|()| TcpStream::connect(address).unwrap())
    }

    fn expect(mut stream: &TcpStream, expected: &[u8]) {
        let mut bytes = vec![0; expected.len()];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn all_that_a_publisher_sends_is_copied_to_each_subscriber_once() {
        let [publisher, first, second] = connect();
        for mut subscriber in [&first, &second] {
            subscriber.write_all(b"SUB bench.0 1\r\nSUB ready 2\r\nPING\r\n").unwrap();
            expect(subscriber, b"PONG\r\n");
        }
        (&publisher).write_all(b"COPY\r\nPING\r\nMSG bench.0 1 3\r\nabc\r\n").unwrap();
        for mut subscriber in [&first, &second] {
            expect(subscriber, b"PING\r\nMSG bench.0 1 3\r\nabc\r\n");
            subscriber.write_all(b"PING\r\n").unwrap();
            expect(subscriber, b"PONG\r\n");
        }
    }

    #[test]
    fn a_subscriber_that_is_gone_takes_nothing_from_the_others() {
        let [publisher, first, second] = connect();
        for mut subscriber in [&first, &second] {
            subscriber.write_all(b"SUB bench.0 1\r\nPING\r\n").unwrap();
            expect(subscriber, b"PONG\r\n");
        }
        drop(first);
        (&publisher).write_all(COPY).unwrap();
        let parts: Vec<String> = (0..100).map(|number| format!("part {number}\r\n")).collect();
        for part in &parts {
            (&publisher).write_all(part.as_bytes()).unwrap();
        }
        expect(&second, parts.concat().as_bytes());
    }
}
