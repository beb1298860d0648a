//! TLS and WebSocket for clients that speak neither: each connects to a tunnel of its own here, which speaks it to the server.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustls::{ClientConfig, ClientConnection};

use super::frames;
use super::node::free_port;
use crate::certificates::Authority;
use crate::tls::{Begin, TlsConn};

/// As much as one read takes.
pub(super) const READ_BYTES: usize = 128 * 1024;

/// By which way clients come to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As they are.
    Plain,
    /// By TLS.
    Tls,
    /// By WebSocket, without compression.
    WebSocket,
}

/// Tunnels to one server.
pub enum Tunnels {
    /// By TLS.
    Tls(Box<TlsTunnels>),
    /// By WebSocket, to this port.
    WebSocket(u16),
}

impl Tunnels {
    /// Those of a way, once a server has their configuration; none where clients come as they are.
    pub fn by(way: Way) -> io::Result<Option<Self>> {
        Ok(match way {
            Way::Plain => None,
            Way::Tls => Some(Self::Tls(Box::default())),
            Way::WebSocket => Some(Self::WebSocket(free_port()?)),
        })
    }

    /// What a server is to be configured with.
    pub fn configuration(&self) -> String {
        match self {
            Self::Tls(tunnels) => tunnels.configuration(),
            Self::WebSocket(port) => format!("websocket {{ listen: \"127.0.0.1:{port}\", no_tls: true }}\n"),
        }
    }

    /// The address of a new tunnel to a server, for one connection.
    pub fn open(&self, server: SocketAddr) -> io::Result<SocketAddr> {
        match self {
            Self::Tls(tunnels) => {
                let config = tunnels.config();
                listen(move |client| pass_on(client, server.port(), config))
            }
            Self::WebSocket(port) => {
                let server = (Ipv4Addr::LOCALHOST, *port).into();
                listen(move |client| frames::pass_on(client, server))
            }
        }
    }
}

/// Lets one connection to a new port be served. Both sides hear of the end when what serves it drops their connections.
fn listen(serve: impl FnOnce(TcpStream) -> io::Result<()> + Send + 'static) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        // Whoever connected finds its connection closed.
        let _ = listener.accept().and_then(|(client, _)| {
            client.set_nodelay(true)?;
            serve(client)
        });
    });
    Ok(address)
}

/// Who signed the server's certificate.
pub struct TlsTunnels {
    authority: Authority,
    config: Arc<ClientConfig>,
}

impl TlsTunnels {
    /// Ready to be opened, once a server has the configuration.
    pub fn new() -> Self {
        let authority = Authority::new("versus");
        let config = authority.client(None);
        Self { authority, config }
    }

    /// What a server is to be configured with. Whoever only looks whether it serves may do without TLS.
    pub fn configuration(&self) -> String {
        let own = self.authority.sign("server");
        format!("allow_non_tls: true\n{}", self.authority.block(&own, "timeout: 10"))
    }

    /// What a client needs to connect by itself.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }
}

impl Default for TlsTunnels {
    fn default() -> Self {
        Self::new()
    }
}

/// Connects to a server by TLS, and lets a client speak through it.
fn pass_on(mut client: TcpStream, port: u16, config: Arc<ClientConfig>) -> io::Result<()> {
    let (connection, info) = TlsConn::connect(port, config, Begin::AfterInfo)?;
    client.write_all(info.as_bytes())?;
    let (mut tls, mut server) = connection.into_parts();
    tls.set_buffer_limit(None);
    pump(&mut client, &mut server, &mut tls)
}

/// Waits until one of the two has something to be read, and says which.
pub(super) fn wait_for_either(client: &TcpStream, server: &TcpStream) -> io::Result<[bool; 2]> {
    let mut ready = [PollFd::new(client, PollFlags::IN), PollFd::new(server, PollFlags::IN)];
    poll(&mut ready, None)?;
    Ok([0, 1].map(|side: usize| !ready[side].revents().is_empty()))
}

fn pump(client: &mut TcpStream, server: &mut TcpStream, tls: &mut ClientConnection) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let [from_client, from_server] = wait_for_either(client, server)?;
        if from_client {
            match client.read(&mut buffer)? {
                0 => return Ok(()),
                read => tls.writer().write_all(&buffer[..read])?,
            }
            while tls.wants_write() {
                tls.write_tls(server)?;
            }
        }
        if from_server {
            if tls.read_tls(server)? == 0 {
                return Ok(());
            }
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let plain = state.plaintext_bytes_to_read();
            buffer.resize(buffer.len().max(plain), 0);
            tls.reader().read_exact(&mut buffer[..plain])?;
            client.write_all(&buffer[..plain])?;
        }
    }
}
