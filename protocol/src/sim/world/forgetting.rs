//! Servers that are gone are forgotten on time: nobody has them as peers, tells of them or sends clients to them, and nobody dials
//! them but as one that is cold, once in ten minutes (design.md 5).

use std::net::IpAddr;
use std::time::Duration;

use super::World;
use super::limits::Watch;
use crate::routes::COLD_PAUSE;
use crate::sim::ids::NodeId;
use crate::sim::node::{DEATH_IS_NOTICED, SimNode};
use crate::sim::rule::{Rule, Violation};
use crate::time::Instant;

/// A server that is no more.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Gone {
    at: Instant,
    connect_urls: Vec<String>,
}

impl World {
    /// A node that ran is gone: all others have to forget the server that it was.
    pub(in crate::sim) fn note_gone(&mut self, id: NodeId) {
        let node = &self.nodes[id.0];
        let server_id = node.server_id.clone();
        let connect_urls = node.urls().cloned().collect();
        self.vacated.insert(node.ip(), self.now);
        for other in &self.nodes {
            let at = self.now + other.remembers_for();
            self.watches.push(at, Watch::Forgotten(server_id.clone(), other.id));
        }
        self.gone.insert(server_id, Gone { at: self.now, connect_urls });
    }

    /// When the last server that is gone must be forgotten by all.
    pub fn forgotten_at(&self) -> Option<Instant> {
        let last = self.gone.values().map(|gone| gone.at).max()?;
        let longest = self.nodes.iter().map(|node| node.remembers_for()).max()?;
        Some(last + longest)
    }

    /// It is time: the node must not know it any more, now and later.
    pub(in crate::sim) fn check_forgotten(&mut self, server_id: String, by: NodeId) {
        let Some(engine) = &self.nodes[by.0].engine else {
            return self.watches.push(self.now + LOOK_AGAIN, Watch::Forgotten(server_id, by));
        };
        let memory = engine.node().cluster().and_then(|cluster| cluster.memory_of(&server_id));
        let shown = engine.node().shown_urls();
        let is_shown = |url| shown.plain.contains(url) || shown.websocket.contains(url);
        let dead = self
            .gone
            .get(&server_id)
            .and_then(|gone| gone.connect_urls.iter().find(|url| is_shown(url) && !self.is_url_of_any(url)));
        let memory = memory.map(str::to_owned).or_else(|| dead.map(|url| format!("sends clients to {url}")));
        if let Some(memory) = memory {
            let since = self.gone.get(&server_id).map_or(self.now, |gone| gone.at);
            let text = format!("{by} {memory}: {server_id}, which is gone since {since:?}");
            return self.fail(Violation::new(Rule::Forgotten, text));
        }
        self.watches.push(self.now + LOOK_AGAIN, Watch::Forgotten(server_id, by));
    }

    /// A node dials an address, and not because it is configured: somebody must have been there lately, or it is one of the few
    /// attempts to reach who is cold.
    pub(in crate::sim) fn check_dialed_address(&mut self, id: NodeId, host: &str) {
        let Ok(ip) = host.parse::<IpAddr>() else {
            return;
        };
        if self.sources.contains_key(&id) {
            // What sources told is tried for longer.
            return;
        }
        let node = &mut self.nodes[id.0];
        let left_at = self.vacated.get(&ip).copied();
        let Some(left_at) = left_at.filter(|left_at| self.now > *left_at + node.remembers_for()) else {
            return;
        };
        let most = node.cold_rounds(self.now) * node.spec.kinds() as u64;
        let late = node.late_dials.entry(ip).or_default();
        *late += 1;
        if *late > most {
            let text = format!("{id} dials {host}, where nobody is since {left_at:?}, {late} times too late");
            self.fail(Violation::new(Rule::Forgotten, text));
        }
    }

    /// A node writes an INFO to another: nobody tells of servers that it cannot have a connection to.
    pub(in crate::sim) fn check_told(&self, id: NodeId, info: &[u8]) -> Result<(), Violation> {
        let overdue = |gone: &Gone| self.now > gone.at + TOLD_SLACK;
        // Who asks for a circuit, or refuses one, says nothing of where a server is.
        let tells = memchr::memmem::find(info, b"\"onehop_circuit\"").is_none();
        let names = |server_id: &str| tells && memchr::memmem::find(info, server_id.as_bytes()).is_some();
        match self.gone.iter().find(|(server_id, gone)| overdue(gone) && names(server_id)) {
            Some((server_id, gone)) => {
                let text = format!("{id} tells of {server_id}, which is gone since {:?}", gone.at);
                Err(Violation::new(Rule::Forgotten, text))
            }
            None => Ok(()),
        }
    }

    fn is_url_of_any(&self, url: &String) -> bool {
        self.nodes.iter().any(|node| node.engine.is_some() && node.urls().any(|own| own == url))
    }
}

impl SimNode {
    /// How long after a server is gone this node may remember it.
    pub(in crate::sim) fn remembers_for(&self) -> Duration {
        let healing = self.healing().filter(|healing| healing.remember);
        let remembered = healing.map(|healing| healing.forget_after + healing.max_retry_pause);
        remembered.unwrap_or_default() + FORGETTING_SLACK
    }

    /// How often it may have tried those that are cold. The first of them can be cold when it has run for as long as it
    /// remembers servers.
    fn cold_rounds(&self, now: Instant) -> u64 {
        let healing = self.healing().filter(|healing| healing.remember && !healing.forget_after.is_zero());
        let runs_for = now.since(self.pace.started_at);
        let cold_for = healing.and_then(|healing| runs_for.checked_sub(healing.forget_after));
        cold_for.unwrap_or_default().as_secs() / COLD_PAUSE.as_secs()
    }
}

/// A server that is gone is forgotten within [`forget_after`](crate::config::Healing::forget_after), one more pause between
/// attempts, and this: twice until its death is noticed, since others may tell of it so long; an attempt that still finds
/// somebody at its address, and waits for a handshake; and the moments between.
pub const FORGETTING_SLACK: Duration = Duration::from_secs(45);
/// After so long nobody tells others of it.
const TOLD_SLACK: Duration = DEATH_IS_NOTICED.saturating_mul(2);
const LOOK_AGAIN: Duration = Duration::from_secs(5);
