//! Why servers are dialed, and how often for each reason.

/// Why a server is dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is configured.
    Configured,
    /// A source told of it (design.md 6).
    Discovered,
    /// A peer told of it, as nats-server tells of newcomers.
    Gossip,
    /// A pool with a peer has another slot.
    Pool,
    /// A server that is dialed for one of these reasons gets a connection for an account too.
    Account,
    /// The attempt before it failed.
    Retry,
    /// A connection was lost (`remember`).
    Lost,
    /// A connection has been missing for a while, or the name that it was dialed by led elsewhere (`remember`).
    Gap,
    /// It was lost long ago (`remember`).
    Cold,
    /// A onehop node named it (`compare`).
    Compare,
    /// A nats-server that was asked has a route to it (`ask`).
    Ask,
    /// The other side could have dialed first, and did not (`arbitrate`).
    Arbitrate,
    /// What passes through a third may be to be reached without (`relay`).
    Direct,
}

/// How many attempts were begun for each cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DialCounts([u64; CAUSES.len()]);

impl DialCounts {
    /// The causes, by the names that `/routez` shows, and how often each was one.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CAUSES.into_iter().map(|(_, name)| name).zip(self.0)
    }

    /// How many attempts that were.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn note(&mut self, cause: Cause) {
        let place = CAUSES.iter().position(|(known, _)| *known == cause);
        if let Some(count) = place.and_then(|place| self.0.get_mut(place)) {
            *count += 1;
        }
    }
}

/// Adds up what several nodes began.
impl std::iter::Sum for DialCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, more| Self(std::array::from_fn(|at| sum.0[at] + more.0[at])))
    }
}

const CAUSES: [(Cause, &str); 13] = [
    (Cause::Configured, "configured"),
    (Cause::Discovered, "discovered"),
    (Cause::Gossip, "gossip"),
    (Cause::Pool, "pool"),
    (Cause::Account, "account"),
    (Cause::Retry, "retry"),
    (Cause::Lost, "lost"),
    (Cause::Gap, "gap"),
    (Cause::Cold, "cold"),
    (Cause::Compare, "compare"),
    (Cause::Ask, "ask"),
    (Cause::Arbitrate, "arbitrate"),
    (Cause::Direct, "direct"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_counted_by_its_name() {
        let mut counts = DialCounts::default();
        for (times, (cause, _)) in (1..).zip(CAUSES) {
            (0..times).for_each(|_| counts.note(cause));
        }
        let numbers: Vec<_> = counts.iter().map(|(_, number)| number).collect();
        assert_eq!(numbers, (1..=13).collect::<Vec<_>>());
        assert_eq!(counts.iter().next(), Some(("configured", 1)));
        assert_eq!([counts, counts].into_iter().sum::<DialCounts>().total(), 2 * counts.total());
    }
}
