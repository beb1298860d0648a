//! What sources tell of servers reaches the node, and where its members are reaches the peers file and those who
//! look for them.

use std::io;
use std::sync::Arc;

use onehop::config::{ClusterConfig, Source};
use onehop::discovery::{DamagedFile, Found};
use onehop_discovery::{Listener, Own, Sources};

use crate::shared::Shared;

/// Starts the sources that are configured, if any are.
///
/// # Errors
/// One of them is not built in ([`io::ErrorKind::Unsupported`]), or no thread can be started.
pub(crate) fn start(shared: &Arc<Shared>, route_port: u16) -> io::Result<Option<Sources>> {
    let config = shared.node.hub().config();
    if !config.discovery.is_on() {
        return Ok(None);
    }
    let own = Own {
        server_id: shared.node.hub().server_id().to_owned(),
        cluster: shared.node.cluster_name().unwrap_or_default(),
        route_port,
        advertise: config.cluster.as_ref().and_then(ClusterConfig::reached_at),
    };
    Sources::start(&config.discovery, &own, Arc::new(Ear(shared.clone()))).map(Some)
}

/// Lets the peers file follow where members are.
pub(crate) fn keep(shared: &Shared, sources: Option<&Sources>) {
    if let Some(sources) = sources
        && let Some(text) = shared.node.take_known_servers()
    {
        sources.keep(text);
    }
}

/// Lets those who look for the cluster know who can be reached.
pub(crate) fn tell(shared: &Shared, sources: Option<&Sources>) {
    if let Some(sources) = sources.filter(|sources| sources.tells()) {
        sources.tell(shared.node.reach());
    }
}

/// Where the node hears of them.
struct Ear(Arc<Shared>);

impl Listener for Ear {
    fn found(&self, source: Source, teller: &str, found: Vec<Found>) {
        self.0.node.handle_found(self.0.now(), source, teller, &found);
        self.0.pass_on_attention();
    }

    fn load(&self, text: &str) -> Result<(), DamagedFile> {
        self.0.node.load_known_servers(self.0.now(), text)
    }
}
