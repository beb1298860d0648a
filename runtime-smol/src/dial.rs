//! Dialing other servers.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use async_io::{Async, Timer};
use onehop::{DialError, DialRequest};
use smol::future::FutureExt;

/// Resolves the name and tries its addresses, from a random one on, until one answers.
pub(crate) async fn dial(request: &DialRequest) -> Result<(TcpStream, SocketAddr), DialError> {
    let resolved = smol::net::resolve((request.host.as_str(), request.port)).await;
    let mut addresses =
        resolved.map_err(|fault| DialError::Failed(format!("lookup {:.128}: {fault}", request.host)))?;
    let found = addresses.len();
    addresses.retain(|address| !request.own_addresses.contains(address));
    if addresses.is_empty() {
        let nowhere = DialError::Failed(format!("lookup {:.128}: no address", request.host));
        return Err(if found > 0 { DialError::OnlySelf } else { nowhere });
    }
    let first = fastrand::usize(..addresses.len());
    addresses.rotate_left(first);
    let mut why = String::new();
    for address in addresses {
        match connect(address).await {
            Ok(socket) => return Ok((socket, address)),
            Err(fault) => why = format!("dial tcp {address}: {fault}"),
        }
    }
    Err(DialError::Failed(why))
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let timeout = async {
        Timer::after(DIAL_TIMEOUT).await;
        Err(io::Error::new(io::ErrorKind::TimedOut, "i/o timeout"))
    };
    Async::<TcpStream>::connect(address).or(timeout).await?.into_inner()
}

/// How long one address may take to answer (wire.md 2.3).
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);
