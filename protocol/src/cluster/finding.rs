//! Candidates and routes put together: what sources told of is dialed, and what came of that is told.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::config::{HostPort, RouteUrl};
use crate::discovery::{Address, Candidates, KnownServers, Trial};
use crate::routes::{DialId, Led, Routes};
use crate::time::Instant;

/// What a node knows of servers beside those that it is configured with and those that its peers tell of.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) candidates: Candidates,
    pub(super) known: KnownServers,
    /// What is being tried.
    trials: BTreeMap<DialId, Address>,
}

impl Finding {
    pub(super) fn new(rng: Rng) -> Self {
        Self { candidates: Candidates::new(rng), known: KnownServers::default(), trials: BTreeMap::new() }
    }

    /// Hears what came of attempts, and begins with those that are due.
    pub(super) fn follow(&mut self, now: Instant, routes: &mut Routes) {
        for (id, led) in routes.take_led() {
            let Some(address) = self.trials.remove(&id) else { continue };
            let trial = match led {
                // By now it may be gone.
                Led::To(server) if routes.is_peer(&server) => Trial::Joined(server),
                Led::ToItself => Trial::Itself,
                Led::To(_) | Led::Nowhere => Trial::Failed,
            };
            self.candidates.handle_trial(now, &address, trial);
        }
        while let Some(address) = self.candidates.poll(now) {
            match routes.try_found(now, address.url()) {
                Some(id) => drop(self.trials.insert(id, address)),
                None => self.candidates.handle_trial(now, &address, Trial::Busy),
            }
        }
    }

    /// When [`Finding::follow`] has something to begin with.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.candidates.poll_timeout()
    }

    /// Hears that a server is a member, which can be dialed there.
    pub(super) fn handle_joined(&mut self, server: &str, url: Option<&RouteUrl>) {
        self.candidates.handle_member(server);
        self.note(server, url);
    }

    /// Notes where a member can be dialed.
    pub(super) fn note(&mut self, server: &str, url: Option<&RouteUrl>) {
        let told = url.map(|url| HostPort { host: url.host.clone(), port: Some(url.port) });
        if let Some(address) = told.and_then(|told| Address::new(&told)) {
            self.known.note(address, server);
        }
    }

    /// Hears that there are no routes to a server any more.
    pub(super) fn handle_lost(&mut self, now: Instant, server: &str) {
        self.candidates.handle_lost(now, server);
    }
}
