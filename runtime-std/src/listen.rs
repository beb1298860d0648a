//! Listening ports and the threads that accept.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::thread::{self, Scope};
use std::time::{Duration, SystemTime};

use log::error;
use onehop::Listening;
use onehop::config::{Config, without_user_info};
use onehop::driver::{self, ACCEPT_BACKLOG, AcceptFaults, SocketKind};

use crate::connection;
use crate::shared::Shared;

/// The bound ports of a server.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) clients: TcpListener,
    pub(crate) websockets: Option<TcpListener>,
    pub(crate) routes: Option<TcpListener>,
    pub(crate) monitoring: Option<TcpListener>,
}

impl Listeners {
    pub(crate) fn bind(config: &Config) -> io::Result<Self> {
        let clients = bind(&config.host, config.port.to_bind())?;
        let websocket = config.websocket.as_ref();
        let websockets = websocket.map(|own| bind(&own.host, own.port.to_bind())).transpose()?;
        let cluster = config.cluster.as_ref();
        let routes = cluster.map(|cluster| bind(&cluster.host, cluster.port.to_bind())).transpose()?;
        let monitoring = config.monitoring_address();
        let monitoring = monitoring.map(|address| bind(&address.host, address.port.to_bind())).transpose()?;
        if let Some(monitoring) = &monitoring {
            driver::log_monitoring_port(monitoring.local_addr()?);
        }
        if let (Some(own), Some(websockets)) = (websocket, &websockets) {
            driver::log_websocket_port(own, websockets.local_addr()?);
        }
        driver::log_client_port(config, clients.local_addr()?);
        if let (Some(cluster), Some(routes)) = (cluster, &routes) {
            driver::log_route_port(cluster, routes.local_addr()?);
        }
        Ok(Self { clients, websockets, routes, monitoring })
    }

    pub(crate) fn listening(&self) -> io::Result<Listening> {
        let clients = self.clients.local_addr()?;
        let websockets = self.websockets.as_ref().map(TcpListener::local_addr).transpose()?;
        let everywhere =
            [Some(clients), websockets].into_iter().flatten().find(|own| own.ip().is_unspecified());
        let routes = self.routes.as_ref().map(TcpListener::local_addr).transpose()?;
        Ok(Listening {
            client_port: clients.port(),
            websocket_port: websockets.map_or(0, |websockets| websockets.port()),
            route_port: routes.map_or(0, |routes| routes.port()),
            // The machines' clock starts now.
            unix_nanos_at_zero: unix_nanos(),
            interfaces: everywhere.map_or_else(Vec::new, |own| interfaces(own.ip())),
        })
    }
}

/// Starts a thread that serves what connects to `listener`, until the server shuts down; then the port is closed.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    shared: &'scope Shared,
    listener: TcpListener,
    kind: SocketKind,
) -> io::Result<()> {
    let name = format!("onehop-accept-{}", listener.local_addr()?.port());
    thread::Builder::new().name(name).spawn_scoped(scope, move || {
        let mut faults = AcceptFaults::default();
        while !shared.is_shutting_down() {
            let started = match listener.accept() {
                Ok(_) if shared.is_shutting_down() => return,
                Ok((stream, remote)) => connection::start(scope, shared, stream, remote, kind),
                Err(fault) => Err(fault),
            };
            match started {
                Ok(()) => faults.handle_accepted(),
                Err(fault) => thread::sleep(faults.handle_fault(&shared.node, shared.now(), &fault)),
            }
        }
    })?;
    Ok(())
}

/// Lets a thread that accepts on `listening` see that the server shuts down: `accept` cannot be interrupted otherwise.
pub(crate) fn wake(listening: SocketAddr) {
    let reachable = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(reachable, listening.port());
    if let Err(error) = TcpStream::connect_timeout(&address, WAKE_TIMEOUT) {
        error!("Cannot connect to {address} to stop listening there: {error}");
    }
}

/// The wall clock, in nanoseconds since 1970 (UTC).
pub(crate) fn unix_nanos() -> u64 {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX)
}

fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let bind = || {
        let listener = bind_first((host, port).to_socket_addrs()?)?;
        // The standard library lets 128 wait. To listen once more changes only that.
        rustix::net::listen(&listener, ACCEPT_BACKLOG)?;
        Ok(listener)
    };
    bind().map_err(|error: io::Error| {
        let host = without_user_info(host);
        io::Error::new(error.kind(), format!("cannot listen on {host}:{port}: {error}"))
    })
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

/// The address that this host sends from. Connecting a UDP socket looks up a way to its (documentation-only) target and
/// sends nothing.
fn interfaces(unspecified: IpAddr) -> Vec<IpAddr> {
    let target = match unspecified {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    };
    let local = UdpSocket::bind((unspecified, 0)).and_then(|socket| {
        socket.connect((target, 9))?;
        socket.local_addr()
    });
    local.into_iter().map(|address| address.ip()).filter(|ip| !ip.is_unspecified()).collect()
}

/// How long a thread that accepts may take to be reached.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);
