//! The frames of a WebSocket, as the client of a tunnel speaks them (RFC 6455 5).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use onehop::sim::websocket::push_frame;

use super::tunnel::{READ_BYTES, wait_for_either};
use crate::websocket::{MESSAGE, request_on};

/// Any will do.
const MASK: [u8; 4] = [0x17, 0x2a, 0x9c, 0x55];

/// Asks a server for a WebSocket, and lets a client speak through it.
pub(super) fn pass_on(client: TcpStream, server: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    request_on(&mut server, "")?;
    pump(&client, &server)
}

fn pump(mut client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let (mut frame, mut plain) = (Vec::new(), Vec::new());
    let mut reader = Reader::default();
    loop {
        let [from_client, from_server] = wait_for_either(client, server)?;
        if from_client {
            let read = client.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            frame.clear();
            push_frame(&mut frame, MESSAGE, MASK, &buffer[..read]);
            server.write_all(&frame)?;
        }
        if from_server {
            let read = server.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            plain.clear();
            reader.read(&buffer[..read], &mut plain);
            client.write_all(&plain)?;
        }
    }
}

/// Takes the heads of frames out of what a server sends, which masks nothing.
#[derive(Debug, Default)]
struct Reader {
    head: Vec<u8>,
    /// So much of the payload is still to come.
    missing: usize,
}

impl Reader {
    fn read(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let payload = bytes.len().min(self.missing);
            plain.extend_from_slice(&bytes[..payload]);
            self.missing -= payload;
            bytes = &bytes[payload..];
            if self.missing == 0
                && let Some((first, rest)) = bytes.split_first()
            {
                self.head.push(*first);
                bytes = rest;
                self.finish_head();
            }
        }
    }

    /// Learns how long the payload is, once the head is whole.
    fn finish_head(&mut self) {
        let length = match self.head[..] {
            [_, length @ ..126] => usize::from(length),
            [_, 126, high, low] => usize::from(u16::from_be_bytes([high, low])),
            [_, 127, a, b, c, d, e, f, g, h] => u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize,
            _ => return,
        };
        self.head.clear();
        self.missing = length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_all_lengths_are_framed_and_found_again_however_they_are_divided() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let payload: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            let mut frame = Vec::new();
            push_frame(&mut frame, MESSAGE, MASK, &payload);
            // As a server writes it: without the mask.
            let head = frame.len() - length - MASK.len();
            let mut unmasked = frame[..head].to_vec();
            unmasked[1] &= 0x7f;
            unmasked
                .extend(frame[head + MASK.len()..].iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
            for at_once in [1, 7, unmasked.len()] {
                let (mut reader, mut plain) = (Reader::default(), Vec::new());
                unmasked.chunks(at_once).for_each(|part| reader.read(part, &mut plain));
                assert!(plain == payload, "{length} in {at_once}");
            }
        }
    }
}
