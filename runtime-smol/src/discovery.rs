//! What sources tell of servers reaches the node.

use std::sync::Arc;

use event_listener::Event;
use onehop::Node;
use onehop::config::Source;
use onehop::discovery::{DamagedFile, Found};
use onehop_discovery::{Listener, Own, Sources};

use crate::clock::Clock;
use crate::worker::Shared;

/// Starts the sources that are configured, if any are.
///
/// # Errors
///
/// One of them is not built in, or the system has no thread left. The text is ready to be shown.
pub(crate) fn start(shared: &Shared, route_port: u16) -> Result<Option<Sources>, String> {
    let Shared { node, clock, attention, .. } = shared;
    let config = node.hub().config();
    if !config.discovery.is_on() {
        return Ok(None);
    }
    let own = Own::of(node, route_port);
    let ear = Ear { node: node.clone(), clock: *clock, attention: attention.clone() };
    let started = Sources::start(&config.discovery, &own, Arc::new(ear));
    started.map(Some).map_err(|fault| format!("cannot look for other servers: {fault}"))
}

/// Where the node hears of them.
struct Ear {
    node: Arc<Node>,
    clock: Clock,
    attention: Arc<Event>,
}

impl Listener for Ear {
    fn found(&self, source: Source, teller: &str, found: Vec<Found>) {
        self.node.handle_found(self.clock.now(), source, teller, &found);
        self.attention.notify(1);
    }

    fn load(&self, text: &str) -> Result<(), DamagedFile> {
        self.node.load_known_servers(self.clock.now(), text)
    }
}
