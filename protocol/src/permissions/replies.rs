//! The reply subjects that one client may answer to for a while.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::ResponsePermission;
use crate::time::Instant;

/// The reply subjects of messages that a client was sent and may not publish to otherwise.
///
/// What has expired is found out when it is asked for, or when there are too many; there is no timer. The
/// permission is asked for with each call, so that a new one holds at once.
#[derive(Debug, Default)]
pub struct Replies {
    tracked: BTreeMap<Arc<[u8]>, Tracked>,
    /// All of them by their number, the oldest first: they expire in this order.
    order: BTreeMap<u64, Arc<[u8]>>,
    next_number: u64,
    /// Of the subjects.
    bytes: usize,
}

#[derive(Debug)]
struct Tracked {
    number: u64,
    since: Instant,
    uses: u32,
}

impl Replies {
    /// Notes that the client was sent a message with this reply subject, to which its lists do not let it publish.
    ///
    /// A further message with the same reply does not begin anew: it counts as an answer. If there are too many, the oldest is
    /// forgotten.
    pub fn track(&mut self, reply: &[u8], now: Instant, permission: &ResponsePermission) {
        if !self.take(reply, now, permission) {
            self.begin(reply, now, permission);
        }
    }

    /// Whether the client may publish to `subject` because it is an answer, which is counted.
    #[must_use]
    pub fn take(&mut self, subject: &[u8], now: Instant, permission: &ResponsePermission) -> bool {
        let Some(tracked) = self.tracked.get_mut(subject) else {
            return false;
        };
        let may_answer = !tracked.is_over(now, permission);
        tracked.uses = tracked.uses.saturating_add(1);
        if tracked.is_over(now, permission) {
            self.forget(subject);
        }
        may_answer
    }

    /// How many there are, with those that expired and were not noticed yet.
    pub fn len(&self) -> usize {
        self.tracked.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tracked.is_empty()
    }

    /// Tracks a reply that is not there.
    fn begin(&mut self, reply: &[u8], now: Instant, permission: &ResponsePermission) {
        if reply.len() > MAX_REPLIES_BYTES {
            return;
        }
        self.forget_expired(now, permission);
        while self.len() >= MAX_REPLIES || self.bytes + reply.len() > MAX_REPLIES_BYTES {
            self.forget_oldest();
        }
        let (reply, number) = (Arc::<[u8]>::from(reply), self.next_number);
        self.next_number += 1;
        self.bytes += reply.len();
        self.order.insert(number, reply.clone());
        self.tracked.insert(reply, Tracked { number, since: now, uses: 0 });
    }

    /// A few at a time: one comes at most for each call, so that none stay, and nobody waits for the end of very many.
    fn forget_expired(&mut self, now: Instant, permission: &ResponsePermission) {
        for _ in 0..EXPIRED_AT_ONCE {
            let oldest = self.order.first_key_value().and_then(|(_, oldest)| self.tracked.get(oldest));
            if oldest.is_some_and(|oldest| oldest.is_over(now, permission)) {
                self.forget_oldest();
            }
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, oldest)) = self.order.pop_first() {
            self.tracked.remove(&oldest);
            self.bytes -= oldest.len();
        }
    }

    fn forget(&mut self, reply: &[u8]) {
        if let Some(tracked) = self.tracked.remove(reply) {
            self.order.remove(&tracked.number);
            self.bytes -= reply.len();
        }
    }
}

impl Tracked {
    /// Used up, or expired.
    fn is_over(&self, now: Instant, permission: &ResponsePermission) -> bool {
        permission.max.is_some_and(|max| self.uses >= max)
            || permission.expires.is_some_and(|expires| now.since(self.since) >= expires)
    }
}

/// No more reply subjects are tracked for one client.
pub const MAX_REPLIES: usize = 16_384;

/// Their bytes.
pub const MAX_REPLIES_BYTES: usize = 1024 * 1024;

/// So many are forgotten for each that comes, if they have expired.
const EXPIRED_AT_ONCE: usize = 2;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ONCE: ResponsePermission =
        ResponsePermission { max: Some(1), expires: Some(Duration::from_secs(1)) };
    const ENDLESS: ResponsePermission = ResponsePermission { max: None, expires: None };

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_message_may_be_answered_as_often_and_as_long_as_it_is_allowed() {
        let mut replies = Replies::default();
        replies.track(b"r", at(0), &ONCE);
        assert!(!replies.take(b"s", at(0), &ONCE));
        assert!(replies.take(b"r", at(999), &ONCE));
        assert!(!replies.take(b"r", at(999), &ONCE), "used up");
        replies.track(b"r", at(999), &ONCE);
        assert!(!replies.take(b"r", at(1999), &ONCE), "expired");
        replies.track(b"r", at(2000), &ENDLESS);
        assert!((0..1000).all(|hour| replies.take(b"r", at(hour * 3_600_000), &ENDLESS)));
        replies.track(b"never", at(0), &ResponsePermission { max: Some(0), expires: None });
        assert!(!replies.take(b"never", at(0), &ResponsePermission { max: Some(0), expires: None }));
    }

    #[test]
    fn a_further_message_with_the_same_reply_counts_as_an_answer_and_does_not_prolong() {
        let twice = ResponsePermission { max: Some(2), ..ONCE };
        let mut replies = Replies::default();
        replies.track(b"r", at(0), &twice);
        replies.track(b"r", at(900), &twice);
        assert!(replies.take(b"r", at(900), &twice) && !replies.take(b"r", at(900), &twice));
        replies.track(b"r", at(1000), &ONCE);
        replies.track(b"r", at(1000), &ONCE);
        assert!(!replies.take(b"r", at(1000), &ONCE), "the second message used the first one up");
        replies.track(b"r", at(1000), &twice);
        replies.track(b"r", at(2000), &twice);
        assert!(replies.take(b"r", at(2999), &twice), "an expired one begins anew");
    }

    #[test]
    fn only_so_many_replies_are_tracked_and_the_oldest_give_way() {
        let mut replies = Replies::default();
        let name = |i: usize| format!("r.{i}").into_bytes();
        for i in 0..=MAX_REPLIES {
            replies.track(&name(i), at(0), &ENDLESS);
        }
        assert_eq!(replies.len(), MAX_REPLIES);
        assert!(!replies.take(&name(0), at(0), &ENDLESS) && replies.take(&name(1), at(0), &ENDLESS));
        replies.track(&[b'x'; MAX_REPLIES_BYTES], at(0), &ENDLESS);
        assert_eq!((replies.len(), replies.bytes), (1, MAX_REPLIES_BYTES));
        replies.track(&[b'y'; MAX_REPLIES_BYTES + 1], at(0), &ENDLESS);
        assert!(
            replies.take(&[b'x'; MAX_REPLIES_BYTES], at(0), &ENDLESS),
            "what is too long leaves the others be"
        );
    }

    #[test]
    fn expired_replies_go_while_others_come() {
        let mut replies = Replies::default();
        for i in 0..10_000_u64 {
            replies.track(format!("r.{i}").as_bytes(), at(i), &ONCE);
            assert!(replies.len() <= 1000 && replies.len() == replies.order.len());
        }
        for i in 9001..10_000_u64 {
            assert!(replies.take(format!("r.{i}").as_bytes(), at(10_000), &ONCE), "{i}");
        }
        assert!(replies.len() <= 1, "of what was used up nothing stays");
    }
}
