//! A TCP connection for raw bytes: what a test wants to send, and whatever comes back.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::frame::Frame;

/// How bytes are cut into writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// One write for all of them.
    Whole,
    /// One write for each byte, so that a server meets them in pieces.
    ByteByByte,
}

/// A raw connection to a server.
#[derive(Debug)]
pub struct RawConn {
    stream: TcpStream,
    unparsed: Vec<u8>,
    frames: Vec<Frame>,
    closed: bool,
}

impl RawConn {
    /// Connects to a port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If nobody listens there.
    pub fn connect(port: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
            .unwrap_or_else(|error| panic!("cannot connect to port {port}: {error}"));
        Self::new(stream)
    }

    /// Takes over a connected stream.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a TCP stream has this option");
        Self { stream, unparsed: Vec::new(), frames: Vec::new(), closed: false }
    }

    /// Everything received so far.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Bytes after the last complete frame.
    pub fn unparsed(&self) -> &[u8] {
        &self.unparsed
    }

    /// Whether the server has closed the connection, as far as was read.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Sends bytes. A server that has closed meanwhile is not an error: reading will show it.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.send_cut(bytes.as_ref(), Cut::Whole);
    }

    /// Sends bytes in the given pieces.
    pub fn send_cut(&mut self, bytes: &[u8], cut: Cut) {
        let step = match cut {
            Cut::Whole => bytes.len().max(1),
            Cut::ByteByByte => 1,
        };
        for piece in bytes.chunks(step) {
            if self.stream.write_all(piece).is_err() {
                return;
            }
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads until `done` says so, the server closes, or the time is over; tells whether `done` held.
    pub fn read_until(&mut self, timeout: Duration, mut done: impl FnMut(&[Frame]) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        while !done(&self.frames) {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.closed || left.is_zero() {
                return false;
            }
            self.read_once(left);
        }
        true
    }

    /// Reads until nothing has come for `quiet`, or the server closes.
    pub fn read_until_quiet(&mut self, quiet: Duration) {
        while !self.closed && self.read_once(quiet) {}
    }

    /// Reads until the server closes; tells whether it did within the time.
    pub fn read_until_closed(&mut self, timeout: Duration) -> bool {
        self.read_until(timeout, |_| false);
        self.closed
    }

    /// The first frame with this operation that comes after the frames counted by `after`.
    ///
    /// # Panics
    ///
    /// If none comes within five seconds.
    pub fn expect(&mut self, after: usize, op: &str) -> Frame {
        let find = |frames: &[Frame]| frames.iter().skip(after).find(|frame| frame.op() == op).cloned();
        self.read_until(Duration::from_secs(5), |frames| find(frames).is_some());
        find(&self.frames).unwrap_or_else(|| panic!("no {op} came, only {:?}", &self.frames[after..]))
    }

    /// Sends `PING` and reads up to the `PONG`: all that was sent before has been processed then.
    ///
    /// # Panics
    ///
    /// If no answer comes within five seconds.
    pub fn ping(&mut self) {
        let before = count_pongs(&self.frames);
        self.send("PING\r\n");
        let answered = self.read_until(Duration::from_secs(5), |frames| count_pongs(frames) > before);
        assert!(answered, "no PONG came (closed: {}), only {:?}", self.closed, self.frames);
    }

    /// Waits for bytes once; false if none came in time.
    fn read_once(&mut self, timeout: Duration) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        let _ = self.stream.set_read_timeout(Some(timeout.max(Duration::from_millis(1))));
        match self.stream.read(&mut chunk) {
            Ok(0) => self.closed = true,
            Ok(count) => self.unparsed.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.closed = true,
        }
        while let Some(frame) = Frame::take(&mut self.unparsed) {
            self.frames.push(frame);
        }
        true
    }
}

/// Reads until what came ends so, and no byte more: what is behind it may be for another reader.
///
/// # Errors
///
/// As of what is read from; its end, too.
pub fn read_up_to(from: &mut impl Read, end: &[u8]) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        read.extend(byte);
    }
    Ok(read)
}

/// How many of the frames are `PONG`.
pub fn count_pongs(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.line == b"PONG").count()
}
