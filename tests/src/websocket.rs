//! A client by WebSocket that does what a test wants of it, right or wrong.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use onehop::sim::websocket::push_frame;

use crate::raw::read_up_to;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The lines of a good request behind the first, without the empty one at its end.
pub const ASKS: &str = "Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What offers to compress messages.
pub const OFFERS_COMPRESSION: &str = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";

/// The first byte of a frame that is a whole message of bytes.
pub const MESSAGE: u8 = 0x82;
/// The same of a compressed one.
pub const COMPRESSED_MESSAGE: u8 = 0xc2;
/// Of a ping.
pub const PING: u8 = 0x89;
/// Of a pong.
pub const PONG: u8 = 0x8a;
/// Of the last frame.
pub const CLOSE: u8 = 0x88;

/// A connection that was granted a WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    stream: TcpStream,
}

/// A frame of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub first: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl WebSocket {
    /// Asks for one with these headers besides, and returns what was answered, without its end.
    ///
    /// # Panics
    ///
    /// If it is not granted.
    pub fn ask(port: u16, headers: &str) -> (Self, String) {
        let mut stream = connect(port);
        let head = request_on(&mut stream, headers).expect("a WebSocket");
        (Self { stream }, head.trim_end().to_owned())
    }

    /// One that was greeted; the greeting is returned.
    pub fn open(port: u16) -> (Self, String) {
        let (mut websocket, _) = Self::ask(port, "");
        let greeting = websocket.next_frame().expect("a greeting");
        (websocket, String::from_utf8(greeting.payload).expect("text"))
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        // Who breaks rules may be cut off before it has done.
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a whole message.
    pub fn send(&mut self, message: impl AsRef<[u8]>) {
        self.send_raw(&frame(MESSAGE, message.as_ref()));
    }

    /// The next frame; none at the end of the connection.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let [first, short] = self.read()?;
        let bytes = match short {
            126 => u64::from(u16::from_be_bytes(self.read()?)),
            127 => u64::from_be_bytes(self.read()?),
            short => u64::from(short),
        };
        let mut payload = vec![0; bytes as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(Frame { first, payload })
    }

    /// Reads until what came in messages ends with `text`, and returns it all.
    ///
    /// # Panics
    ///
    /// If the connection ends before.
    pub fn read_until(&mut self, text: &str) -> Vec<u8> {
        let mut read = Vec::new();
        while !read.ends_with(text.as_bytes()) {
            let frame = self.next_frame().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&read)));
            assert_eq!(frame.first, MESSAGE, "{frame:?}");
            read.extend(frame.payload);
        }
        read
    }

    /// All that comes until the end of the connection.
    pub fn read_to_end(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next_frame()).collect()
    }

    fn read<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).ok().map(|()| bytes)
    }
}

/// Asks for a WebSocket on a connection, with these headers besides, and returns the head of the answer.
///
/// # Errors
///
/// As of a socket; what was answered, if it is not granted.
pub fn request_on(stream: &mut TcpStream, headers: &str) -> io::Result<String> {
    stream.write_all(format!("GET / HTTP/1.1\r\n{ASKS}{headers}\r\n").as_bytes())?;
    let head = String::from_utf8(read_up_to(stream, b"\r\n\r\n")?).map_err(io::Error::other)?;
    if head.starts_with("HTTP/1.1 101 ") { Ok(head) } else { Err(io::Error::other(head)) }
}

/// A frame of a client, masked.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    push_frame(&mut frame, first, [0x5a, 0, 0xff, 0x21], payload);
    frame
}

/// What a server answers to bytes that are perhaps no request: up to the end of the connection, or of the answer.
pub fn answer_to(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port);
    // It may be refused before it is read.
    let _ = stream.write_all(bytes);
    let (mut answer, mut chunk) = (String::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        answer += &String::from_utf8_lossy(&chunk[..read]);
        if is_whole(&answer) {
            break;
        }
    }
    answer
}

/// Whether an answer whose length is said has it all, or has no body.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    head.contains(" 101 ")
        || length.and_then(|length| length.parse().ok()).is_some_and(|length: usize| body.len() >= length)
}

fn connect(port: u16) -> TcpStream {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, TIMEOUT).expect("the port for WebSockets is open");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    stream
}
