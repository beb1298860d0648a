//! What was found for a subject.

use std::sync::Arc;

use super::Subscription;
use super::crowd::Crowd;

/// Everything that matches a subject. Reusable: clear it before collecting again.
#[derive(Debug, Default)]
pub struct Matches {
    /// Plain subscriptions by id, apart from `crowds`.
    pub plain: Vec<Arc<Subscription>>,
    /// Queue groups by name, with their members by id, apart from `crowds`.
    ///
    /// A group is its name: members that subscribed with different filters, `foo.*` and `foo.bar`, share the
    /// messages that match both, one delivery each, as in the Go server (seen with 2.15.1 and 2.9.10).
    pub queues: Vec<QueueMatch>,
    /// Subscriptions of clients that are too many to be listed, by queue group and filter.
    pub crowds: Vec<Crowd>,
    /// There may be more, which only a [`Search`](super::Search) finds: more than [`MAX_COLLECTED`](super::MAX_COLLECTED) were looked at.
    pub is_cut: bool,
    /// How many subscriptions, and nodes on the way to them, were looked at since somebody took this count.
    pub(crate) looked_at: usize,
}

/// The name of a queue group and its members; never without members.
pub type QueueMatch = (Box<[u8]>, Vec<Arc<Subscription>>);

impl Matches {
    /// Forgets everything, to be used again.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.queues.clear();
        self.crowds.clear();
        self.is_cut = false;
    }

    /// Whether nothing matched, or was found yet.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty() && self.crowds.is_empty() && !self.is_cut
    }

    pub(super) fn add_queues(&mut self, mut members: Vec<Arc<Subscription>>) {
        members.sort_by(|a, b| (a.queue(), a.id()).cmp(&(b.queue(), b.id())));
        for member in members {
            match (member.queue(), self.queues.last_mut()) {
                (Some(queue), Some((name, group))) if **name == *queue => group.push(member),
                (queue, _) => self.queues.push((queue.unwrap_or_default().into(), vec![member])),
            }
        }
    }
}
