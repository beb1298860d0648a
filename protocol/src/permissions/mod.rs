//! What a client may publish and subscribe to (wire.md 1.12), made ready to be asked for each message.
//!
//! It knows subjects, queue groups and the time, and no connection: a connection asks [`Permissions`] and keeps [`Replies`],
//! and whoever delivers a message asks whether it is hidden from its target.

mod filters;
#[cfg(test)]
mod model_tests;
mod replies;
mod rules;

pub use filters::Filters;
pub use replies::{MAX_REPLIES, MAX_REPLIES_BYTES, Replies};

use crate::config::{self, ResponsePermission};
use rules::{PublishRules, SubscribeRules};

/// What one user may do. All who are this user can share it.
///
/// Nothing here checks subjects: what is asked for is taken as a literal subject, whatever it is. One with an empty token is in
/// no list, so that a list of what is allowed never allows it, and a list of what is denied never denies it.
#[derive(Debug, Default)]
pub struct Permissions {
    publish: PublishRules,
    subscribe: SubscribeRules,
    responses: Option<ResponsePermission>,
}

impl Permissions {
    /// Makes ready what an operator chose.
    pub fn new(chosen: &config::Permissions) -> Self {
        Self {
            publish: PublishRules::new(&chosen.publish),
            subscribe: SubscribeRules::new(&chosen.subscribe),
            responses: chosen.responses,
        }
    }

    /// Whether a message may be published to `subject`. If not, it may still be an answer: see [`Replies::take`].
    pub fn may_publish(&self, subject: &[u8]) -> bool {
        self.publish.allow(subject)
    }

    /// Whether there may be a subscription to the filter `subject`, as a member of the group `queue` or of none.
    pub fn may_subscribe(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.subscribe.allow(subject, queue)
    }

    /// Whether a message to `subject` is kept from a subscription that was allowed, because its wildcards match what is denied.
    pub fn hides(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.subscribe.deny(subject, queue)
    }

    /// Which answers may be published although [`may_publish`](Self::may_publish) says no.
    pub fn responses(&self) -> Option<ResponsePermission> {
        self.responses
    }

    /// Whether there is anything that may not be published. If not, nobody needs to ask.
    pub fn restricts_publish(&self) -> bool {
        self.publish.restrict()
    }

    /// Whether any message can be hidden from a subscription. If not, nobody needs to ask.
    pub fn can_hide(&self) -> bool {
        self.subscribe.deny_some()
    }
}
