//! What sources tell of servers reaches the node.

use std::io;
use std::sync::Arc;

use onehop::config::Source;
use onehop::discovery::{DamagedFile, Found, ReachedAt};
use onehop::driver;
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
    let own = Own::of(&shared.node, route_port);
    Sources::start(&config.discovery, &own, Arc::new(Ear(shared.clone()))).map(Some)
}

/// Where the node hears of them.
struct Ear(Arc<Shared>);

impl Listener for Ear {
    fn found(&self, source: Source, teller: &str, found: Vec<Found>) {
        self.0.node.handle_found(self.0.now(), source, teller, &found);
        self.0.pass_on_attention();
    }

    fn reached_at(&self, source: Source, reached: ReachedAt) {
        let Self(shared) = self;
        driver::handle_reached_at(&shared.node, shared.now(), source, reached, &mut shared.staging());
        self.0.pass_on_attention();
    }

    fn load(&self, text: &str) -> Result<(), DamagedFile> {
        self.0.node.load_known_servers(self.0.now(), text)
    }
}
