//! A made-up server that joins a cluster by one route and says what an attack wants.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::peer::Identity;

/// How long a fence or a write may take before the server counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// A route to a server. A thread reads it and answers its PINGs, until it is dropped or [`Self::stop_reading`].
pub struct Member {
    stream: TcpStream,
    heard: Arc<Heard>,
    /// Held while something is written, so that no PONG gets into the middle of a line.
    writing: Arc<Mutex<()>>,
}

#[derive(Default)]
struct Heard {
    pongs: AtomicU64,
    messages: AtomicU64,
    interest: AtomicU64,
    bytes: AtomicU64,
    is_deaf: AtomicBool,
    is_closed: AtomicBool,
}

impl Member {
    /// Joins the cluster of the server with this route port.
    pub fn join(route_port: u16, identity: &Identity) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, route_port))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let heard = Arc::new(Heard::default());
        let mut member = Self { stream, heard, writing: Arc::default() };
        member.listen()?;
        member.send(identity.join("").as_bytes())?;
        Ok(member)
    }

    /// Writes all of `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        write(&mut self.stream, &self.writing, bytes)
    }

    /// PING, then waits for PONG: everything sent before is in force.
    pub fn fence(&mut self) -> io::Result<()> {
        let before = self.heard.pongs.load(Ordering::Relaxed);
        self.send(b"PING\r\n")?;
        let ponged = |heard: &Heard| heard.pongs.load(Ordering::Relaxed) > before;
        if self.wait(PATIENCE, ponged) { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
    }

    /// Waits until it got so many messages; tells how many it has.
    pub fn wait_for_messages(&self, count: u64, patience: Duration) -> u64 {
        self.wait(patience, |heard| heard.messages.load(Ordering::Relaxed) >= count);
        self.heard.messages.load(Ordering::Relaxed)
    }

    /// Waits until it was told of interest in so many subjects; tells of how many it was.
    pub fn wait_for_interest(&self, count: u64, patience: Duration) -> u64 {
        self.wait(patience, |heard| heard.interest.load(Ordering::Relaxed) >= count);
        self.heard.interest.load(Ordering::Relaxed)
    }

    /// How many bytes the server sent.
    pub fn received_bytes(&self) -> u64 {
        self.heard.bytes.load(Ordering::Relaxed)
    }

    /// Whether the server has ended the route.
    pub fn is_closed(&self) -> bool {
        self.heard.is_closed.load(Ordering::Relaxed)
    }

    /// From now on what the server sends is left where it is, but for what the next read takes.
    pub fn stop_reading(&self) {
        self.heard.is_deaf.store(true, Ordering::Relaxed);
    }

    fn wait(&self, patience: Duration, done: impl Fn(&Heard) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while !done(&self.heard) {
            if self.is_closed() || Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn listen(&self) -> io::Result<()> {
        let (mut stream, heard) = (self.stream.try_clone()?, Arc::clone(&self.heard));
        let writing = Arc::clone(&self.writing);
        thread::spawn(move || {
            let _ = heard.listen(&mut stream, &writing);
            heard.is_closed.store(true, Ordering::Relaxed);
        });
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Both wake the thread that reads; a route that the server closed first is closed as wished.
        self.heard.is_deaf.store(false, Ordering::Relaxed);
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Heard {
    /// Reads until the end. A payload that looks like a line counts as one: no attack sends any such.
    fn listen(&self, stream: &mut TcpStream, writing: &Mutex<()>) -> io::Result<()> {
        let (mut chunk, mut line_start) = (vec![0; 256 * 1024], Vec::new());
        loop {
            while self.is_deaf.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(10));
            }
            let read = stream.read(&mut chunk)?;
            if read == 0 {
                return Ok(());
            }
            self.bytes.fetch_add(read as u64, Ordering::Relaxed);
            for piece in chunk[..read].split_inclusive(|&byte| byte == b'\n') {
                // Only how a line begins matters, and lines may be long.
                let wanted = piece.len().min(LINE_START - line_start.len());
                line_start.extend_from_slice(&piece[..wanted]);
                if piece.ends_with(b"\n") {
                    self.hear(&line_start, stream, writing)?;
                    line_start.clear();
                }
            }
        }
    }

    fn hear(&self, line_start: &[u8], stream: &mut TcpStream, writing: &Mutex<()>) -> io::Result<()> {
        if line_start.starts_with(b"PING") {
            write(stream, writing, b"PONG\r\n")?;
        } else if line_start.starts_with(b"PONG") {
            self.pongs.fetch_add(1, Ordering::Relaxed);
        } else if line_start.starts_with(b"RMSG ") {
            self.messages.fetch_add(1, Ordering::Relaxed);
        } else if line_start.starts_with(b"RS+ $G assault") {
            self.interest.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn write(stream: &mut TcpStream, writing: &Mutex<()>, bytes: &[u8]) -> io::Result<()> {
    let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
    stream.write_all(bytes)
}

/// How much of a line is kept to know what it is.
const LINE_START: usize = 16;
