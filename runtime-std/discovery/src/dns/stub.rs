//! Asks name servers for the SRV records of a name: by UDP, and by TCP where an answer is too long for that.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::name_servers::NameServers;
use super::packet::{self, Failure, Service};
use crate::MAX_DNS_ANSWER_BYTES;

/// Asks one server after the other until one knows, for as long as somebody wants to.
///
/// # Errors
/// What an operator should know. It is the same text for the same trouble.
pub(super) fn ask(
    name: &str,
    servers: &NameServers,
    is_wanted: impl Fn() -> bool,
) -> Result<Service, String> {
    let mut trouble = String::new();
    for _ in 0..servers.attempts {
        for server in &servers.addresses {
            match ask_server(name, *server, servers.timeout) {
                Ok(Ok(service)) => return Ok(service),
                Ok(Err(failure)) if failure.is_final() => return Err(failure.to_string()),
                Ok(Err(failure)) => trouble = format!("the name server {server}: {failure}"),
                Err(fault) => trouble = format!("the name server {server}: {fault}"),
            }
            if !is_wanted() {
                return Err(trouble);
            }
        }
    }
    Err(trouble)
}

/// Asks a server once, with an id and a port that others have to guess.
fn ask_server(name: &str, server: SocketAddr, timeout: Duration) -> io::Result<Result<Service, Failure>> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let query = match packet::query(u16::from_be_bytes(id), name) {
        Ok(query) => query,
        Err(failure) => return Ok(Err(failure)),
    };
    let deadline = Deadline { timeout, began: Instant::now() };
    let mut answer = ask_by_udp(&query, server, &deadline)?;
    if packet::is_truncated(&answer) {
        answer = ask_by_tcp(&query, server, &deadline)?;
    }
    Ok(packet::read(&answer))
}

/// What does not answer the query is passed over, since anybody may send it.
fn ask_by_udp(query: &[u8], server: SocketAddr, deadline: &Deadline) -> io::Result<Vec<u8>> {
    let socket = match server {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    }?;
    // From then on nobody else is heard.
    socket.connect(server)?;
    socket.send(query)?;
    let mut packet = vec![0; MAX_DNS_ANSWER_BYTES];
    loop {
        socket.set_read_timeout(Some(deadline.remaining()?))?;
        let received = again_if_interrupted(socket.recv(&mut packet), deadline)?.unwrap_or(0);
        if packet::is_reply(query, &packet[..received]) {
            packet.truncate(received);
            return Ok(packet);
        }
    }
}

/// The same with the length before each packet. It has two bytes, so no packet is longer than [`MAX_DNS_ANSWER_BYTES`].
fn ask_by_tcp(query: &[u8], server: SocketAddr, deadline: &Deadline) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, deadline.remaining()?)?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.set_write_timeout(Some(deadline.remaining()?))?;
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    loop {
        let mut length = [0; 2];
        read_whole(&mut stream, &mut length, deadline)?;
        let mut packet = vec![0; u16::from_be_bytes(length).into()];
        read_whole(&mut stream, &mut packet, deadline)?;
        if packet::is_reply(query, &packet) {
            return Ok(packet);
        }
    }
}

/// Fills a buffer, in time however slowly the bytes come.
fn read_whole(stream: &mut TcpStream, mut buffer: &mut [u8], deadline: &Deadline) -> io::Result<()> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(deadline.remaining()?))?;
        match again_if_interrupted(stream.read(buffer), deadline)? {
            Some(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Some(read) => buffer = &mut buffer[read..],
            None => {}
        }
    }
    Ok(())
}

/// Nothing was received by who was interrupted.
fn again_if_interrupted(received: io::Result<usize>, deadline: &Deadline) -> io::Result<Option<usize>> {
    match received {
        Ok(received) => Ok(Some(received)),
        Err(fault) if fault.kind() == ErrorKind::Interrupted => Ok(None),
        Err(fault) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(deadline.fault())
        }
        Err(fault) => Err(fault),
    }
}

/// When one attempt is over, whatever comes.
struct Deadline {
    timeout: Duration,
    began: Instant,
}

impl Deadline {
    fn remaining(&self) -> io::Result<Duration> {
        let remaining = self.timeout.saturating_sub(self.began.elapsed());
        if remaining.is_zero() { Err(self.fault()) } else { Ok(remaining) }
    }

    fn fault(&self) -> io::Error {
        io::Error::new(ErrorKind::TimedOut, format!("no answer within {:?}", self.timeout))
    }
}
