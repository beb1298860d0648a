//! A walk through many subscriptions.

use std::cmp::Ordering;
use std::sync::{Arc, Weak};

use crate::interest::{Subscription, SubscriptionId};

/// Goes through subscriptions in an order, while they come and go.
///
/// Who holds them keeps them in tables, in no order, and is not to be kept from changing these for longer than it takes to
/// look through a shard of one. So a walk looks through all of them for those that come next, [`WINDOW`] at most, before it
/// goes through these; and between two windows it keeps none of them alive.
#[derive(Debug)]
pub(super) struct Walk<P> {
    order: Order,
    /// Those after this one are not gone to: else whoever makes new ones all the time would never be done with.
    newest: SubscriptionId,
    /// Those up to this one are behind.
    reached: Option<Arc<Subscription>>,
    /// What is to be looked through next; none once the window has all that it is to have.
    place: Option<P>,
    /// What was found so far of what comes next, in no order.
    window: Vec<Candidate>,
    /// There are others behind the window, after this one.
    end: Option<Arc<Subscription>>,
    /// What comes next once all is looked through, the next one last.
    ahead: Vec<Weak<Subscription>>,
}

/// What decides which of two subscriptions comes first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// In the order of their creation.
    ById,
    /// By subject and queue group, of these in the order of their creation.
    BySubject,
}

/// A subscription with its key ([`Order::key`]), so that to put many in order does not mean to look at each of them again and
/// again, wherever it is.
#[derive(Debug)]
struct Candidate {
    key: u64,
    subscription: Arc<Subscription>,
}

/// What a step of a walk leads to.
#[derive(Debug)]
pub(super) enum Found {
    /// The next subscription.
    Subscription(Arc<Subscription>),
    /// Nothing yet: go on.
    Nothing,
    /// All were gone through.
    End,
}

impl<P: Default> Walk<P> {
    /// Begins. `newest` is the last subscription that exists.
    pub(super) fn new(order: Order, newest: SubscriptionId) -> Self {
        Self {
            order,
            newest,
            reached: None,
            place: Some(P::default()),
            window: Vec::new(),
            end: None,
            ahead: Vec::new(),
        }
    }

    /// Goes on. `look` calls back with what is at a place, whatever the order, and returns the place to look at next; in the
    /// end it has shown at least once what was there all the time.
    pub(super) fn step(
        &mut self,
        look: impl FnOnce(P, &mut dyn FnMut(&Arc<Subscription>)) -> Option<P>,
    ) -> Found {
        if let Some(place) = self.place.take() {
            self.place = look(place, &mut |subscription| self.consider(subscription));
            if self.place.is_none() {
                self.arrange();
            }
            return Found::Nothing;
        }
        while let Some(next) = self.ahead.pop() {
            if let Some(subscription) = next.upgrade() {
                return Found::Subscription(subscription);
            }
        }
        let Some(end) = self.end.take() else { return Found::End };
        (self.reached, self.place) = (Some(end), Some(P::default()));
        Found::Nothing
    }

    fn consider(&mut self, subscription: &Arc<Subscription>) {
        let is_after = |other: &Arc<_>| self.order.compare(subscription, other).is_gt();
        let is_before = |other: &Arc<_>| self.order.compare(subscription, other).is_lt();
        if subscription.id() <= self.newest
            && self.reached.as_ref().is_none_or(is_after)
            && self.end.as_ref().is_none_or(is_before)
        {
            let key = self.order.key(subscription);
            self.window.push(Candidate { key, subscription: subscription.clone() });
            if self.window.len() == 2 * WINDOW {
                self.cut();
            }
        }
    }

    /// Keeps those of the window that come first.
    fn cut(&mut self) {
        if self.window.len() > WINDOW {
            let compare = |a: &Candidate, b: &Candidate| a.compare(b, self.order);
            let (_, last, _) = self.window.select_nth_unstable_by(WINDOW - 1, compare);
            self.end = Some(last.subscription.clone());
            self.window.truncate(WINDOW);
        }
    }

    /// Everything was looked through.
    fn arrange(&mut self) {
        self.cut();
        let mut window = std::mem::take(&mut self.window);
        window.sort_unstable_by(|a, b| b.compare(a, self.order));
        window.dedup_by_key(|candidate| candidate.subscription.id());
        self.ahead = window.iter().map(|candidate| Arc::downgrade(&candidate.subscription)).collect();
    }
}

impl Order {
    fn compare(self, a: &Subscription, b: &Subscription) -> Ordering {
        match self {
            Self::ById => a.id().cmp(&b.id()),
            Self::BySubject => (a.subject(), a.queue(), a.id()).cmp(&(b.subject(), b.queue(), b.id())),
        }
    }

    /// What is less only if the subscription comes first.
    fn key(self, of: &Subscription) -> u64 {
        match self {
            Self::ById => of.id().0,
            Self::BySubject => {
                let mut start = [0; 8];
                let (subject, bytes) = (of.subject(), of.subject().len().min(8));
                start[..bytes].copy_from_slice(&subject[..bytes]);
                u64::from_be_bytes(start)
            }
        }
    }
}

impl Candidate {
    fn compare(&self, other: &Self, order: Order) -> Ordering {
        let by_key = self.key.cmp(&other.key);
        by_key.then_with(|| order.compare(&self.subscription, &other.subscription))
    }
}

/// How many subscriptions are known ahead: the more, the fewer times all of them are looked through. Tests pass over the
/// end of a window with fewer.
const WINDOW: usize = if cfg!(test) { 300 } else { 16 * 1024 };

/// The most memory that a walk takes, with that of subscriptions that ended while they were known.
pub(super) const WALK_BYTES: usize =
    WINDOW * (2 * size_of::<Candidate>() + 3 * size_of::<usize>() + size_of::<Subscription>());

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::{KeyedState, Position};
    use crate::hub::{ByText, Held};
    use crate::id::ConnectionId;
    use crate::interest::Source;

    /// A subscription whose place by subject is another than by number.
    fn subscription(id: u64) -> Arc<Subscription> {
        let number = id.wrapping_mul(7919) % 1000;
        let subject = format!("s.{}.of.{number}", number % 7);
        let sid = id.to_string();
        let connection = ConnectionId::new(0, 0);
        let (id, source) = (SubscriptionId(id), Source::Client);
        Arc::new(Subscription::new(id, connection, source, subject.as_bytes(), b"", sid.as_bytes()))
    }

    fn held(ids: impl Iterator<Item = u64>) -> Held<ByText> {
        let mut held = Held::new(KeyedState::new(1));
        ids.for_each(|id| assert!(held.insert(subscription(id))));
        held
    }

    /// Goes on to the next one, and returns it.
    fn next(walk: &mut Walk<Position>, held: &Held<ByText>) -> Option<Arc<Subscription>> {
        loop {
            match walk.step(|at, each| held.visit(at, each)) {
                Found::Subscription(subscription) => return Some(subscription),
                Found::Nothing => assert!(walk.window.len() < 2 * WINDOW && walk.ahead.len() <= WINDOW),
                Found::End => return None,
            }
        }
    }

    #[test]
    fn all_are_met_in_their_order_however_many_there_are() {
        let window = WINDOW as u64;
        for count in [0, 1, window - 1, window, window + 1, 2 * window, 2 * window + 1, 9 * window + 3] {
            for order in [Order::ById, Order::BySubject] {
                let held = held(1..=count);
                let mut expected: Vec<_> = (1..=count).map(subscription).collect();
                expected.sort_unstable_by(|a, b| order.compare(a, b));
                let mut walk = Walk::new(order, SubscriptionId(count));
                let met = std::iter::from_fn(|| next(&mut walk, &held)).map(|each| each.id());
                assert!(met.eq(expected.iter().map(|each| each.id())), "{count}");
            }
        }
    }

    #[test]
    fn what_is_shown_twice_is_met_once() {
        let held = held(1..=WINDOW as u64 / 2);
        let mut walk = Walk::new(Order::ById, SubscriptionId(u64::MAX));
        let mut met = Vec::new();
        loop {
            // As when a shard was joined into the next one.
            let found = walk.step(|time: usize, each| {
                assert_eq!(held.visit(Position::START, each), None);
                (time < 1).then_some(time + 1)
            });
            match found {
                Found::Subscription(subscription) => met.push(subscription.id().0),
                Found::Nothing => {}
                Found::End => break,
            }
        }
        assert!(met.into_iter().eq(1..=WINDOW as u64 / 2));
    }

    #[test]
    fn what_is_known_ahead_is_not_kept_alive() {
        let mut held = held(1..=WINDOW as u64);
        let mut walk = Walk::new(Order::ById, SubscriptionId(u64::MAX));
        assert_eq!(next(&mut walk, &held).map(|each| each.id()), Some(SubscriptionId(1)));
        let gone = held.take_all().pop().map(|last| Arc::downgrade(&last));
        assert!(gone.is_some_and(|gone| gone.upgrade().is_none()));
        assert!(next(&mut walk, &held).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_stays_is_met_once_and_in_order_whatever_comes_and_goes_meanwhile(
            stays in 0..1_000_u64,
            by in 0..2_usize,
            changes in prop::collection::vec((0..2_000_u64, 0..500_u64, any::<bool>()), 1..40),
            pace in 1..200_usize,
        ) {
            const OTHERS: u64 = 10_000;
            let order = [Order::ById, Order::BySubject][by];
            let mut held = held((1..=stays).chain(OTHERS..OTHERS + 1_000));
            let mut changes = changes.into_iter().cycle();
            let mut walk = Walk::new(order, SubscriptionId(OTHERS + 2_000));
            let mut met: Vec<Arc<Subscription>> = Vec::new();
            let mut steps = 0;
            loop {
                steps += 1;
                let mut is_time = steps % pace == 0;
                match walk.step(|at, each| held.visit(at, each)) {
                    Found::Subscription(subscription) => met.push(subscription),
                    Found::Nothing => is_time = true,
                    Found::End => break,
                }
                if is_time {
                    let (first, count, is_added) = changes.next().unwrap_or_default();
                    for id in OTHERS + first..OTHERS + first + count {
                        let changed = subscription(id);
                        if is_added { held.insert(changed); } else { held.remove(changed.text()); }
                    }
                }
            }
            prop_assert!(met.windows(2).all(|pair| order.compare(&pair[0], &pair[1]).is_lt()));
            let stayed = met.iter().filter(|each| each.id().0 <= stays).count() as u64;
            prop_assert_eq!(stayed, stays);
        }
    }
}
