//! Servers that a peer has routes to and this node lacks. Where they can be dialed is a guess.

use std::collections::BTreeMap;

use crate::config::ClusterConfig;
use crate::time::Instant;
use std::time::Duration;

/// How often servers were tried that are somewhere, after longer and longer pauses.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    pub(super) tried: BTreeMap<String, Tried>,
}

/// How a server was tried.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) attempts: u32,
    not_before: Instant,
}

impl Guesses {
    /// Forgets the servers that are connected meanwhile.
    pub(super) fn forget(&mut self, is_connected: impl Fn(&str) -> bool) {
        self.tried.retain(|id, _| !is_connected(id));
    }

    /// Whether it is time to try a server; notes that it is tried.
    pub(super) fn may_try(&mut self, now: Instant, id: &str, config: &ClusterConfig) -> bool {
        if !self.tried.contains_key(id) && self.tried.len() >= MAX_TRIED {
            return false;
        }
        let tried = self.tried.entry(id.to_owned()).or_insert(Tried { attempts: 0, not_before: now });
        if now < tried.not_before {
            return false;
        }
        let pause = config.healing.ask_interval.saturating_mul(1 << tried.attempts.min(16));
        tried.attempts = tried.attempts.saturating_add(1);
        tried.not_before = now + pause.min(LONGEST_TRY_PAUSE);
        true
    }
}

/// So many servers are kept in mind that were tried in vain.
const MAX_TRIED: usize = 1024;

/// The pauses between tries of the same server double up to this.
const LONGEST_TRY_PAUSE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_servers_are_tried_in_vain_until_some_of_them_are_connected() {
        let (mut guesses, config) = (Guesses::default(), ClusterConfig::default());
        let may_try =
            |guesses: &mut Guesses, id: usize| guesses.may_try(Instant::ZERO, &id.to_string(), &config);
        assert!((0..MAX_TRIED).all(|id| may_try(&mut guesses, id)));
        assert!(!may_try(&mut guesses, MAX_TRIED));
        assert_eq!(guesses.tried.len(), MAX_TRIED);
        guesses.forget(|id| id == "0");
        assert!(may_try(&mut guesses, MAX_TRIED));
    }
}
