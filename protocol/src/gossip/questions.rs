//! Questions to nats-server peers: which servers do you have routes to?

use std::time::Duration;

use crate::time::Instant;

/// Asks one peer at a time.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// Who was asked last, and when.
    pub(super) asked: Option<(String, Instant)>,
    /// Its answer has not come yet.
    pub(super) awaits_answer: bool,
}

impl Questions {
    /// Whether it is time to ask the next.
    pub(super) fn is_due(&self, now: Instant, interval: Duration) -> bool {
        self.asked.as_ref().is_none_or(|(_, at)| now.since(*at) >= interval)
    }

    /// Who was asked last.
    pub(super) fn last(&self) -> Option<&str> {
        self.asked.as_ref().map(|(peer, _)| peer.as_str())
    }

    pub(super) fn handle_asked(&mut self, now: Instant, peer: &str) {
        self.asked = Some((peer.to_owned(), now));
        self.awaits_answer = true;
    }

    /// Whether an answer of this peer is waited for.
    pub(super) fn awaits(&self, peer: &str) -> bool {
        self.awaits_answer && self.last() == Some(peer)
    }

    /// Hears an answer; false if nobody waited for it.
    pub(super) fn handle_answered(&mut self, peer: &str) -> bool {
        let is_awaited = self.awaits(peer);
        self.awaits_answer &= !is_awaited;
        is_awaited
    }
}

/// A peer is not asked before it was connected for so long: it says first what it listens to, and those that it told of this
/// node dial.
pub(super) const ASK_AFTER: Duration = Duration::from_secs(2);

/// Nobody is asked sooner after another, who may still have to answer.
pub(super) const ASK_PAUSE: Duration = Duration::from_secs(1);
