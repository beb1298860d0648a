//! Listening ports, and the thread that takes in what connects to them.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_io::{Async, Timer};
use onehop::Node;
use onehop::config::{Port, without_user_info};
use onehop::driver::{ACCEPT_BACKLOG, AcceptFaults, SocketKind};
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::{FutureExt, pending, yield_now};

use crate::clock::Clock;
use crate::worker::Job;

/// Binds a port; an error names the address.
pub(crate) fn listen(host: &str, port: Port) -> Result<Async<TcpListener>, (String, io::Error)> {
    let address = format!("{}:{}", without_user_info(host), port.to_bind());
    let bind = || {
        let listener = bind_first((host, port.to_bind()).to_socket_addrs()?)?;
        // The standard library lets 128 wait. To listen once more changes only that.
        rustix::net::listen(&listener, ACCEPT_BACKLOG)?;
        Async::new(listener)
    };
    bind().map_err(|fault| (address, fault))
}

/// A listener of the first address that can be bound.
fn bind_first(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpListener> {
    let mut fault = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match bind_address(address) {
            Ok(listener) => return Ok(listener),
            Err(other) => fault = other,
        }
    }
    Err(fault)
}

/// A listener of an address. Those of 0.0.0.0 and `::` are reached by both versions of IP, as in nats-server, if the system
/// has both.
fn bind_address(address: SocketAddr) -> io::Result<TcpListener> {
    if address.ip().is_unspecified() {
        match bind_both(address.port()) {
            Err(fault)
                if matches!(fault.kind(), io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable) => {}
            bound => return bound,
        }
    }
    TcpListener::bind(address)
}

fn bind_both(port: u16) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketType, bind, ipproto, socket, sockopt};
    let socket = socket(AddressFamily::INET6, SocketType::STREAM, Some(ipproto::TCP)).map_err(|fault| {
        let is_unknown = fault == rustix::io::Errno::AFNOSUPPORT;
        if is_unknown { io::ErrorKind::Unsupported.into() } else { io::Error::from(fault) }
    })?;
    #[cfg(unix)]
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_ipv6_v6only(&socket, false)?;
    bind(&socket, &SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))?;
    Ok(socket.into())
}

/// What is said of a port that cannot be bound.
pub(crate) fn listen_error(what: &str, (address, fault): &(String, io::Error)) -> String {
    let fault = match fault.kind() {
        io::ErrorKind::AddrInUse => "bind: address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "bind: cannot assign requested address".to_owned(),
        _ => fault.to_string(),
    };
    format!("Error listening on {what}: {address}, \"listen tcp {address}: {fault}\"")
}

/// A port's address as it was configured, with the number that it got.
pub(crate) fn shown(host: &str, listener: &Async<TcpListener>) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port(listener)).to_string(),
        Err(_) => format!("{host}:{}", port(listener)),
    }
}

/// The number of a port.
pub(crate) fn port(listener: &Async<TcpListener>) -> u16 {
    listener.get_ref().local_addr().map_or(0, |address| address.port())
}

/// All addresses of this host.
pub(crate) fn all_interfaces() -> Vec<IpAddr> {
    if_addrs::get_if_addrs().unwrap_or_default().iter().map(|interface| interface.ip()).collect()
}

/// The addresses by which others may reach this host.
pub(crate) fn interfaces() -> Vec<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    let global = all.into_iter().filter(|interface| !interface.is_loopback() && !interface.is_link_local());
    global.map(|interface| interface.ip()).collect()
}

/// The open ports for clients and for other servers, which a thread serves that does nothing else: no work of the node
/// keeps anybody waiting there.
#[derive(Debug)]
pub(crate) struct Ports {
    open: Sender<()>,
    thread: JoinHandle<()>,
}

impl Ports {
    /// Gives `assign` what connects to `listeners`. The port for clients is closed once `clients_closed` is.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub(crate) fn open(
        listeners: Vec<(Async<TcpListener>, SocketKind)>,
        clients_closed: Receiver<()>,
        node: Arc<Node>,
        clock: Clock,
        assign: impl Fn(Job) + Send + 'static,
    ) -> io::Result<Self> {
        let (open, closed) = bounded(1);
        let thread = thread::Builder::new().name("accept".to_owned());
        let thread =
            thread.spawn(move || serve(listeners, &clients_closed, &node, clock, assign, &closed))?;
        Ok(Self { open, thread })
    }

    /// Closes the ports: once it returns, nobody connects any more.
    pub(crate) fn close(self) {
        drop(self.open);
        // The thread has no reason to panic, and if it did, the ports are closed too.
        let _ = self.thread.join();
    }
}

fn serve(
    listeners: Vec<(Async<TcpListener>, SocketKind)>,
    clients_closed: &Receiver<()>,
    node: &Node,
    clock: Clock,
    assign: impl Fn(Job),
    closed: &Receiver<()>,
) {
    let executor = LocalExecutor::new();
    for (listener, kind) in listeners {
        let is_closed = async move {
            match kind {
                SocketKind::Client | SocketKind::WebSocket => drop(clients_closed.recv().await),
                _ => pending().await,
            }
        };
        executor.spawn(accept_all(listener, kind, node, clock, &assign).or(is_closed)).detach();
    }
    // Nothing is ever sent.
    let _ = async_io::block_on(executor.run(closed.recv()));
}

/// Takes in what connects to a port, for good.
async fn accept_all(
    listener: Async<TcpListener>,
    kind: SocketKind,
    node: &Node,
    clock: Clock,
    assign: impl Fn(Job),
) {
    let mut faults = AcceptFaults::default();
    loop {
        for _ in 0..ACCEPTS_AT_ONCE {
            match listener.read_with(TcpListener::accept).await {
                Ok((stream, remote)) => {
                    faults.handle_accepted();
                    assign(Job { stream, remote, kind });
                }
                Err(fault) => {
                    Timer::after(faults.handle_fault(node, clock.now(), &fault)).await;
                }
            }
        }
        yield_now().await;
    }
}

/// How many are accepted before another port has its turn.
const ACCEPTS_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    #[test]
    fn every_interface_is_listened_on_by_both_versions_of_ip() {
        for host in ["0.0.0.0", "::"] {
            let listener = listen(host, Port::Any).unwrap();
            let is_reached = |ip: IpAddr| TcpStream::connect((ip, port(&listener))).is_ok();
            assert!(is_reached(Ipv4Addr::LOCALHOST.into()), "{host}");
            let has_v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
            assert_eq!(is_reached(Ipv6Addr::LOCALHOST.into()), has_v6, "{host}");
            assert_eq!(
                listen(host, Port::Fixed(port(&listener))).unwrap_err().1.kind(),
                io::ErrorKind::AddrInUse
            );
        }
        let one = listen("127.0.0.1", Port::Any).unwrap();
        assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, port(&one))).is_err());
    }
}
