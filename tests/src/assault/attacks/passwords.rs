//! Passwords that are tried out.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::assault::figure::Figure;
use crate::assault::victim::{Arena, Watch, clients_of};
use crate::server::Options;

/// How long is guessed.
const FLOOD: Duration = Duration::from_secs(5);

/// Who guesses, and who comes with the right password. Others come from elsewhere.
const GUESSER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OWNER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// So many clients guess at the same time.
const GUESSERS: usize = 32;

/// The pause between two connects of the owner of the password.
const PAUSE: Duration = Duration::from_millis(50);

/// How long nobody waits any longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Users with passwords of the usual cost; who presents nothing is one of them.
const CONFIG: &str = "no_auth_user: anybody\n\
    authorization { timeout: 10, users: [\n\
    { user: anybody, password: none }\n\
    { user: me, password: \"HASH\" } ] }\n";

/// Of `the right one`; the cost is 10.
const HASH: &str = "$2b$10$abcdefghijklmnopqrstuuZNXCgRcsFU2Xv9WjljsL74ZAur5Kn4C";

/// Clients of one host guess the password of a user, who comes from another one again and again.
pub fn guessed(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::configured(&CONFIG.replace("HASH", HASH)))?;
    let address = clients_of(&server);
    let until = Instant::now() + arena.time(FLOOD);
    let watch = Watch::begin(&server)?;
    let guessers: Vec<_> = (0..GUESSERS).map(|_| thread::spawn(move || guess(address, until))).collect();
    let owner = come_in(address, until);
    let guesses: usize = guessers.into_iter().filter_map(|guesser| guesser.join().ok()).sum();
    let (logins, refusals, longest) = owner?;
    watch.end(vec![
        Figure::effort("guesses", guesses),
        Figure::effort("logins", logins),
        Figure::broken("the right password refused", refusals),
        Figure::wait("the right password: PONG", Some(longest)),
    ])
}

/// Guesses until then; how often that was answered.
fn guess(server: SocketAddr, until: Instant) -> usize {
    let mut guesses = 0;
    while Instant::now() < until {
        guesses +=
            usize::from(present(GUESSER, server, "the wrong one").is_ok_and(|answer| answer == *b"-E"));
    }
    guesses
}

/// Comes in again and again until then: how often, how often in vain, and how long that took at the most.
fn come_in(server: SocketAddr, until: Instant) -> io::Result<(usize, usize, Duration)> {
    let (mut logins, mut refusals, mut longest) = (0, 0, Duration::ZERO);
    while Instant::now() < until {
        let started = Instant::now();
        let answer = present(OWNER, server, "the right one")?;
        longest = longest.max(started.elapsed());
        logins += 1;
        refusals += usize::from(answer != *b"PO");
        thread::sleep(PAUSE);
    }
    Ok((logins, refusals, longest))
}

/// Presents a password; how the answer begins.
fn present(from: Ipv4Addr, server: SocketAddr, password: &str) -> io::Result<[u8; 2]> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(from, 0))?;
    connect(&socket, &server)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    let connect =
        format!("CONNECT {{\"verbose\":false,\"user\":\"me\",\"pass\":\"{password}\"}}\r\nPING\r\n");
    stream.write_all(connect.as_bytes())?;
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte)?;
    }
    let mut answer = [0; 2];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
