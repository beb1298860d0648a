//! What `/api/status` says: all tunnels by their kinds, and which of them leads to a port.

use std::collections::BTreeMap;
use std::net::IpAddr;

use onehop::config::HostPort;
use onehop::discovery::Address;
use serde::Deserialize;
use serde_json::Value;

/// A tunnel as the client of FRP shows it (a proxy, as it calls it). A field that is lacking is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tunnel {
    name: String,
    /// `new`, `wait start`, `start error`, `running`, `check failed` or `closed`.
    status: String,
    /// Why it is not running.
    err: String,
    /// Where it ends, `host:port`, with IPv6 in brackets; empty where no port is configured.
    local_addr: String,
    /// What serves it instead of who listens there.
    plugin: String,
    /// Where it begins: the host that the FRP client was told to connect to (`serverAddr`), and behind that, once it is running, a colon
    /// and a port, with no brackets around IPv6. Empty where there is an error.
    remote_addr: String,
}

/// Those of TCP: others lead nowhere that a server could dial.
pub(super) fn read(body: &[u8]) -> Result<Vec<Tunnel>, String> {
    let why = |fault: serde_json::Error| if fault.is_data() { NO_STATUS } else { "the answer is no JSON" };
    let kinds: BTreeMap<String, Value> = serde_json::from_slice(body).map_err(why)?;
    match kinds.get("tcp") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(tunnels) => Vec::deserialize(tunnels).map_err(|_| NO_STATUS.to_owned()),
    }
}

/// By which address others reach who listens at this port. Where several tunnels lead there, by the one that was known before; or
/// one that ends on this host before one that ends elsewhere, by name. `quote` makes of what the
/// other end wrote what may be shown.
pub(super) fn leading_to(
    tunnels: &[Tunnel],
    port: u16,
    before: Option<&HostPort>,
    quote: &dyn Fn(&str) -> String,
) -> Result<HostPort, String> {
    let mut tunnels: Vec<_> = tunnels.iter().filter(|tunnel| tunnel.leads_to(port)).collect();
    tunnels.sort_by_key(|tunnel| (!tunnel.ends_here(), &tunnel.name));
    let addresses: Vec<_> = tunnels.iter().map(|tunnel| tunnel.begins_at(quote)).collect();
    let running = || addresses.iter().flatten();
    if let Some(address) = running().find(|address| Some(*address) == before).or(running().next()) {
        return Ok(address.clone());
    }
    match (tunnels.first(), addresses.into_iter().next()) {
        (Some(tunnel), Some(Err(why))) => {
            Err(format!("the tunnel {} to port {port} {why}", quote(&tunnel.name)))
        }
        _ => Err(format!("no tcp tunnel leads to port {port}")),
    }
}

impl Tunnel {
    fn leads_to(&self, port: u16) -> bool {
        let local = self.local_addr.rsplit_once(':').map(|(_, local)| local.parse());
        self.plugin.is_empty() && local == Some(Ok(port))
    }

    fn ends_here(&self) -> bool {
        let host = self.local_addr.rsplit_once(':').map_or("", |(host, _)| unbracketed(host));
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
    }

    /// Where others come in, or why they do not.
    fn begins_at(&self, quote: &dyn Fn(&str) -> String) -> Result<HostPort, String> {
        if self.status != RUNNING {
            let why = if self.err.is_empty() { String::new() } else { format!(": {}", quote(&self.err)) };
            return Err(format!("is not running: {}{why}", quote(&self.status)));
        }
        if self.remote_addr.is_empty() {
            return Err("is running and has no address".to_owned());
        }
        let is_single = |address: &HostPort| {
            address.host.parse::<IpAddr>().map_or(true, |ip| !ip.is_unspecified() && !ip.is_multicast())
        };
        remote(&self.remote_addr).filter(is_single).ok_or_else(|| {
            format!(
                "begins at {}, where nobody can be reached: the FRP client needs a serverAddr that others can connect to",
                quote(&self.remote_addr)
            )
        })
    }
}

/// A host, a colon and a port, which are the text behind the last colon.
fn remote(text: &str) -> Option<HostPort> {
    let (host, port) = text.rsplit_once(':')?;
    let told = HostPort { host: unbracketed(host).to_owned(), port: Some(port.parse().ok()?) };
    Address::new(&told).map(|address| address.host_port())
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

const RUNNING: &str = "running";

const NO_STATUS: &str = "the answer is JSON of another kind than FRP's";
