//! What sources tell of servers reaches the node.

use std::sync::Arc;

use onehop::config::Source;
use onehop::discovery::{DamagedFile, Found, ReachedAt};
use onehop::driver;
use onehop_discovery::{Listener, Own, Sources};

use crate::worker::{self, Shared};

/// Starts the sources that are configured, if any are.
///
/// # Errors
///
/// One of them is not built in, or the system has no thread left. The text is ready to be shown.
pub(crate) fn start(shared: &Shared, route_port: u16) -> Result<Option<Sources>, String> {
    let node = &shared.node;
    let config = node.hub().config();
    if !config.discovery.is_on() {
        return Ok(None);
    }
    let own = Own::of(node, route_port);
    let started = Sources::start(&config.discovery, &own, Arc::new(Ear(shared.clone())));
    started.map(Some).map_err(|fault| format!("cannot look for other servers: {fault}"))
}

/// Where the node hears of them.
struct Ear(Shared);

impl Listener for Ear {
    fn found(&self, source: Source, teller: &str, found: Vec<Found>) {
        let Shared { node, clock, attention, .. } = &self.0;
        node.handle_found(clock.now(), source, teller, &found);
        attention.notify(1);
    }

    fn reached_at(&self, source: Source, reached: ReachedAt) {
        let Shared { node, sockets, clock, attention, .. } = &self.0;
        let mut staging = worker::staging(node, sockets);
        driver::handle_reached_at(node, clock.now(), source, reached, &mut staging);
        attention.notify(1);
    }

    fn load(&self, text: &str) -> Result<(), DamagedFile> {
        self.0.node.load_known_servers(self.0.clock.now(), text)
    }
}
