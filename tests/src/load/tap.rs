//! A tap on the route between two servers: passes its bytes on as they are, and counts them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The most that is passed on at once.
const PASSED_AT_ONCE_BYTES: usize = 64 * 1024;

/// A port whose connections are passed on to another one. Its threads end with the connections, or with the process.
pub struct Tap {
    port: u16,
    passed: Arc<AtomicU64>,
}

impl Tap {
    /// One before a port of 127.0.0.1.
    pub fn before(target: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let passed = Arc::new(AtomicU64::new(0));
        let counter = passed.clone();
        thread::spawn(move || serve(&listener, target, &counter));
        Ok(Self { port, passed })
    }

    /// Where to connect instead.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many bytes passed so far, both ways.
    pub fn passed_bytes(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

/// Passes on what comes until accepting fails. A connection that cannot be passed on is closed, which its dialer sees.
fn serve(listener: &TcpListener, target: u16, passed: &Arc<AtomicU64>) -> io::Result<()> {
    loop {
        let (near, _) = listener.accept()?;
        let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { continue };
        for (from, to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
            let passed = passed.clone();
            thread::spawn(move || pass(from, to, &passed));
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, passed: &AtomicU64) -> io::Result<()> {
    to.set_nodelay(true)?;
    let mut bytes = vec![0; PASSED_AT_ONCE_BYTES];
    loop {
        let count = from.read(&mut bytes)?;
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        // Counted first: whoever reads what passed may ask for the number at once.
        passed.fetch_add(count as u64, Ordering::Relaxed);
        to.write_all(&bytes[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_the_same_and_is_counted_both_ways() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let tap = Tap::before(listener.local_addr().unwrap().port()).unwrap();
        let mut near = TcpStream::connect((Ipv4Addr::LOCALHOST, tap.port())).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.write_all(b"there").unwrap();
        let mut bytes = [0; 5];
        far.read_exact(&mut bytes).unwrap();
        far.write_all(b"back").unwrap();
        drop(far);
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).unwrap();
        assert_eq!((&bytes, &rest[..], tap.passed_bytes()), (b"there", &b"back"[..], 9));
    }
}
