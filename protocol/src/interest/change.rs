//! What routes hear of, and how much a change was.

use std::ops::AddAssign;

/// A change of the node's own interest, as routes hear of it (wire.md 2.7).
///
/// Those of one kind are ordered by subject, then plain interest before groups, these by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change<'a> {
    /// There is plain interest now and was none before, or a queue group has another number of members.
    Added {
        /// The filter.
        subject: &'a [u8],
        /// The group and how many local members it has now; `None` for plain interest.
        queue: Option<(&'a [u8], u32)>,
    },
    /// The last one left.
    Removed {
        /// The filter.
        subject: &'a [u8],
        /// The group; `None` for plain interest.
        queue: Option<&'a [u8]>,
    },
}

impl<'a> Change<'a> {
    /// What to announce when the number of local subscriptions to a subject, plain or of a queue group, went
    /// from `before` to `after`: plain interest at 0→1 and →0, groups at every change (wire.md 2.7).
    pub(super) fn between(
        subject: &'a [u8],
        queue: Option<&'a [u8]>,
        before: u32,
        after: u32,
    ) -> Option<Self> {
        match (queue, before, after) {
            _ if before == after => None,
            (_, _, 0) => Some(Change::Removed { subject, queue }),
            (None, 1.., _) => None,
            _ => Some(Change::Added { subject, queue: queue.map(|name| (name, after)) }),
        }
    }
}

/// How much a change of interest was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// How many indexes were changed: that of the account, and those of exporters.
    pub(crate) indexes: usize,
    /// How many routes were told, of each.
    pub(crate) told: usize,
    /// How many imports were compared with it.
    pub(crate) compared: usize,
}

impl Extent {
    /// A change that nobody is told of.
    pub(crate) const ONE: Self = Self { indexes: 1, told: 0, compared: 0 };
}

impl AddAssign for Extent {
    fn add_assign(&mut self, other: Self) {
        self.indexes += other.indexes;
        self.told += other.told;
        self.compared += other.compared;
    }
}
