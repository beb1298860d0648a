//! The interest map: who wants which subjects.
//!
//! One [`Index`] per account holds every subscription that the node knows, its own clients' and those that
//! other servers announced, and answers one question: who matches this subject? It also tells, for every
//! change, what the routes have to hear of it ([`Change`]).
//!
//! What it may touch: subscriptions and identifiers, nothing else. It knows no connection, no clock and no
//! bytes of the wire, and it decides nothing about who of the matching gets a message; that is the room of
//! the loop-prevention rules.
//!
//! Who calls it: client connections at `SUB` and `UNSUB`, route connections at `RS+` and `RS-`, both when
//! they end; publishers when their own cache has no valid entry for a subject; routes from their
//! registration on, to announce everything ([`Index::listen`], [`Index::show`]); monitoring.
//!
//! Inside, top down:
//! - `index`: the door; chooses the part of a subject.
//! - `part`: one lock, one generation, the listeners; where a change and its announcement are made one.
//! - `change`: what a change is to the routes.
//! - `trie`: filters with wildcards, token by token. Those without are in one flat table, a row of shards.
//! - `subscribers`: the subscriptions that share one filter.
//! - `row`: the subscriptions of clients among these, in order.
//! - `crowd`: a row that is too long to be listed.
//! - `search`: how far it is looked for what matches a subject; `matches`: what was found.
//! - `walk`: how far a new listener has been shown what there is.

mod change;
mod crowd;
mod index;
mod matches;
mod part;
mod row;
mod search;
mod subscribers;
mod subscription;
mod trie;
mod walk;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

pub use change::Change;
pub(crate) use change::Extent;
pub use crowd::{Crowd, MAX_LISTED};
pub use index::{Index, Stamp};
pub use matches::{Matches, QueueMatch};
pub use part::Stats;
pub use search::{MAX_COLLECTED, Search};
pub(crate) use subscription::{Admission, Shadow};
pub use subscription::{Source, Subscription, SubscriptionId};
pub use walk::Walk;
