//! A blocking client connection with nothing but a buffer: the cheapest client there is.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::dialect::Dialect;
use super::scan::{Item, Malformed};

/// The most that one read takes, until an item is longer.
const READ_BYTES: usize = 128 * 1024;

/// The longest item that can be received.
const MAX_ITEM_BYTES: usize = 64 * 1024 * 1024;

/// How long a handshake, a fence or a write may take before the server counts as hung.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client connection that finished its handshake.
pub struct Connection {
    stream: TcpStream,
    dialect: Dialect,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Connection {
    /// Connects to a server of NATS, says CONNECT and PING, and waits for the PONG.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Self::open_as(Dialect::Nats, address)
    }

    /// Connects, says what a client of this dialect says first, and waits until it is answered.
    pub fn open_as(dialect: Dialect, address: SocketAddr) -> io::Result<Self> {
        Self::open_with(dialect, address, dialect.greeting())
    }

    /// Connects, says this first, and waits until it is answered.
    pub fn open_with(dialect: Dialect, address: SocketAddr, greeting: &[u8]) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut connection = Self { stream, dialect, buffer: vec![0; READ_BYTES], start: 0, end: 0 };
        connection.send(greeting)?;
        connection.fence()?;
        Ok(connection)
    }

    /// Writes all of `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// PING, then waits for PONG: everything sent before is in force. A message in between is an error.
    pub fn fence(&mut self) -> io::Result<()> {
        self.send(self.dialect.ping())?;
        let mut ponged = false;
        while !ponged {
            self.receive(|item| match item {
                Item::Pong => {
                    ponged = true;
                    Ok(())
                }
                Item::Message { .. } | Item::Notice(_) => {
                    Err(io::Error::other("a message came before the PONG"))
                }
                _ => Ok(()),
            })?;
        }
        Ok(())
    }

    /// Reads once and hands over each complete item; answers PING itself.
    ///
    /// Errors: the end of the stream, `-ERR`, what is not the protocol, and what `handle` returns.
    pub fn receive(&mut self, mut handle: impl FnMut(Item<'_>) -> io::Result<()>) -> io::Result<()> {
        self.fill()?;
        let mut pings = 0;
        while let Some((item, used)) =
            self.dialect.scan(&self.buffer[self.start..self.end]).map_err(malformed)?
        {
            match item {
                Item::Ping => pings += 1,
                Item::Refused(text) => {
                    return Err(io::Error::other(format!("the server refused: {}", text.escape_ascii())));
                }
                item => handle(item)?,
            }
            self.start += used;
        }
        for _ in 0..pings {
            self.send(b"PONG\r\n")?;
        }
        Ok(())
    }

    /// Another handle on the same socket, to write to it or to shut it down while a thread reads.
    pub fn handle(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Lets reads and writes wait for so long.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))?;
        self.stream.set_write_timeout(Some(patience))
    }

    /// Lets reads wait for ever; the reader is ended by [`Self::close`] on its socket's other handle.
    pub fn wait_for_ever(&self) -> io::Result<()> {
        self.stream.set_read_timeout(None)
    }

    /// The bare socket; what was received and not handled is dropped.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Ends both directions of `stream`, which wakes a thread that reads from it.
    pub fn close(stream: &TcpStream) {
        // A socket that the server closed first is closed as wished.
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            if self.end >= MAX_ITEM_BYTES {
                return Err(io::Error::other("an item is longer than any may be"));
            }
            self.buffer.resize(2 * self.end, 0);
        }
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")),
            Ok(read) => {
                self.end += read;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(io::Error::new(ErrorKind::TimedOut, "the server did not answer in time"))
            }
            Err(error) => Err(error),
        }
    }
}

fn malformed(_: Malformed) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the server sent what is not its protocol")
}
