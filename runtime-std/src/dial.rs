//! Connecting to other servers.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::thread::{self, Scope};
use std::time::Duration;

use onehop::driver::SocketKind;
use onehop::{DialError, DialId, DialRequest};

use crate::connection;
use crate::shared::Shared;

/// Starts a thread that dials; it becomes the reading thread of the connection.
pub(crate) fn start<'scope>(scope: &'scope Scope<'scope, '_>, shared: &'scope Shared, request: DialRequest) {
    let id = request.id;
    let spawned =
        thread::Builder::new().name("onehop-dial".to_owned()).spawn_scoped(scope, move || {
            match dial(shared, &request) {
                Ok((stream, remote)) => connection::run(shared, stream, remote, SocketKind::Dialed(id)),
                Err(why) => fail(shared, id, &why),
            }
        });
    if let Err(error) = spawned {
        fail(shared, id, &DialError::Failed(format!("cannot start a thread: {error}")));
    }
}

/// Connects to the first address of the host that takes the connection.
fn dial(shared: &Shared, request: &DialRequest) -> Result<(TcpStream, SocketAddr), DialError> {
    let failed = |error| DialError::Failed(format!("{:.128}:{}: {error}", request.host, request.port));
    let addresses = (request.host.as_str(), request.port).to_socket_addrs().map_err(failed)?;
    let mut why = None;
    for address in addresses.filter(|address| !request.own_addresses.contains(address)) {
        if shared.is_shutting_down() {
            return Err(DialError::Failed("the server shuts down".to_owned()));
        }
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => why = Some(DialError::Failed(format!("{address}: {error}"))),
        }
    }
    Err(why.unwrap_or(DialError::OnlySelf))
}

fn fail(shared: &Shared, id: DialId, why: &DialError) {
    shared.node.handle_dial_failed(shared.now(), id, why);
    shared.pass_on_attention();
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
