//! A client that speaks TLS by rustls, which knows nothing of onehop.

use std::io::{self, BufRead, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::raw::read_up_to;

/// A connection to a server, encrypted from some byte on.
pub struct TlsConn {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

/// Whether a client waits for INFO before it begins with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It reads INFO first.
    AfterInfo,
    /// It does not.
    AtOnce,
}

impl TlsConn {
    /// Connects to a port of 127.0.0.1 and shakes hands. Returns the INFO that came first, too, or nothing.
    ///
    /// # Errors
    ///
    /// The handshake failed, which may become known only when something is read.
    pub fn connect(port: u16, config: Arc<ClientConfig>, begin: Begin) -> io::Result<(Self, String)> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let info = match begin {
            // What comes behind it may be encrypted.
            Begin::AfterInfo => String::from_utf8_lossy(&read_up_to(&mut socket, b"\n")?).into_owned(),
            Begin::AtOnce => String::new(),
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok((Self { stream }, info))
    }

    /// What it is made of.
    pub fn into_parts(self) -> (ClientConnection, TcpStream) {
        (self.stream.conn, self.stream.sock)
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// As of a socket.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads a line.
    ///
    /// # Errors
    ///
    /// As of a socket; the end of input too, even in the middle of a line.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.ends_with(b"\n") {
            Ok(String::from_utf8_lossy(&line).into_owned())
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }

    /// Sends bytes and a PING, and reads all that comes up to its PONG.
    ///
    /// # Errors
    ///
    /// As of a socket.
    pub fn ask(&mut self, bytes: &[u8]) -> io::Result<String> {
        self.send(&[bytes, b"PING\r\n"].concat())?;
        let mut answer = String::new();
        loop {
            let line = self.line()?;
            if line == "PONG\r\n" {
                return Ok(answer);
            }
            answer += &line;
        }
    }
}
