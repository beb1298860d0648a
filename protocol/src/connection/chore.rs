//! What takes a connection more than one turn (design.md 3).

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use crate::accounts::{Account, Imports};
use crate::cluster::Void;
use crate::forwarding::LongDelivery;
use crate::hub::{BySid, ByText, Entry, Held, RemoteInterest};
use crate::id::AccountId;
use crate::interest::Subscription;
use crate::node::{Node, Untold};
use crate::sink::Sink;
use crate::time::Instant;

/// Work that is done a slice at a time, so that nobody waits longer for it than for anything else that is read.
#[derive(Debug)]
pub(super) enum Chore {
    /// A route is told of the local interest that there was when it came.
    Tell(Untold),
    /// What a client subscribed to before another CONNECT is removed, before more of its input is handled; or what a peer
    /// wanted of an account that has a connection of its own now.
    Remove(Removal),
    /// Very many get a message, before the next one is handled.
    Deliver(Box<LongDelivery>),
    /// Nothing more is said on this circuit. Whoever waits for that hears it in the next turn: what came before it in this one has
    /// reached nobody yet.
    LastLine { is_next_turn: bool },
}

impl Chore {
    /// Does a slice; true once it is all done.
    pub(super) fn handle_slice<S: Sink>(
        &mut self,
        node: &Node,
        entry: &Entry,
        now: Instant,
        sink: &mut S,
    ) -> bool {
        match self {
            Self::Tell(untold) => node.tell_interest(entry, untold, sink),
            Self::Remove(removal) => removal.handle_slice(now, sink),
            Self::Deliver(delivery) => deliver(node, delivery, now, sink),
            Self::LastLine { is_next_turn: false } => {
                *self = Self::LastLine { is_next_turn: true };
                false
            }
            Self::LastLine { is_next_turn: true } => {
                node.cluster().iter_mut().for_each(|cluster| cluster.handle_last_line(entry.id()));
                true
            }
        }
    }

    /// Whether input waits for it.
    pub(super) fn holds_input(&self) -> bool {
        matches!(self, Self::Remove(_) | Self::Deliver(_))
    }
}

fn deliver<S: Sink>(node: &Node, delivery: &mut LongDelivery, now: Instant, sink: &mut S) -> bool {
    delivery.handle_slice(node.hub(), now, sink, node)
}

/// What a connection leaves to be done: very many may still have to get its last message; then the subscriptions of a client,
/// or those that a route brought, are removed.
///
/// It is driven on like the connection was that left it: [`Removal::handle_slice`] until that says so, with pauses between
/// for others.
#[derive(Debug)]
pub struct Removal {
    node: Arc<Node>,
    message: Option<Box<LongDelivery>>,
    left: VecDeque<Left>,
    /// Taken out of the first of these.
    taken: Vec<Arc<Subscription>>,
}

#[derive(Debug)]
enum Left {
    ByClient {
        account: Arc<Account>,
        held: Held<BySid>,
        /// Whether some of them may reach other accounts.
        may_reach_others: bool,
    },
    ByRoute(AccountId, Held<ByText>),
}

impl Removal {
    pub(super) fn of_client(
        node: &Arc<Node>,
        account: &Arc<Account>,
        entry: &Entry,
        may_reach_others: bool,
    ) -> Self {
        let (account, held) = (account.clone(), entry.subscriptions().take());
        Self::of(node, [Left::ByClient { account, held, may_reach_others }])
    }

    pub(super) fn of_route(node: &Arc<Node>, entry: &Entry) -> Self {
        Self::of_interest(node, &mut entry.interest())
    }

    pub(super) fn of_interest(node: &Arc<Node>, interest: &mut RemoteInterest) -> Self {
        let brought = interest.take().into_iter();
        Self::of(node, brought.map(|(account, held)| Left::ByRoute(account, held)))
    }

    /// What a peer wanted of an account over these routes, and wants no more.
    pub(super) fn of_void(node: &Arc<Node>, void: &Void) -> Self {
        let hub = node.hub();
        let Some(account) = hub.accounts().find(void.account.as_bytes()) else { return Self::nothing(node) };
        let routes = void.over.iter().filter_map(|id| hub.directory().get(*id));
        let held = routes.filter_map(|route| hub.take_learned(&route, account.id()));
        let left: Vec<_> = held.map(|held| Left::ByRoute(account.id(), held)).collect();
        Self::of(node, left)
    }

    pub(super) fn nothing(node: &Arc<Node>) -> Self {
        Self::of(node, [])
    }

    fn of(node: &Arc<Node>, left: impl IntoIterator<Item = Left>) -> Self {
        Self { node: node.clone(), message: None, left: left.into_iter().collect(), taken: Vec::new() }
    }

    /// Takes over what another removal had left.
    pub(super) fn absorb(&mut self, other: Self) {
        // What the other took out already belongs to the first that it has left.
        debug_assert!(self.taken.is_empty(), "it has not begun");
        self.taken = other.taken;
        let own = std::mem::replace(&mut self.left, other.left);
        self.left.extend(own);
    }

    /// Lets the message be delivered before anything is removed.
    pub(super) fn deliver_first(&mut self, delivery: Box<LongDelivery>) {
        self.message = Some(delivery);
    }

    /// Does some; true once nothing is left. When the node stops, nobody looks for subscriptions any more.
    pub fn handle_slice<S: Sink>(&mut self, now: Instant, sink: &mut S) -> bool {
        if self.node.is_stopping() {
            self.left.clear();
        }
        if let Some(delivery) = &mut self.message {
            if deliver(&self.node, delivery, now, sink) {
                self.message = None;
            }
            return self.is_over();
        }
        let mut removed = 0;
        while let Some(left) = self.left.front_mut()
            && removed < SLICE
        {
            if self.taken.is_empty() {
                self.taken = left.take_some();
            }
            if self.taken.is_empty() {
                self.left.pop_front();
                continue;
            }
            let each = left.indexes();
            let most = ((SLICE - removed) / each).max(1);
            let rest = self.taken.split_off(self.taken.len().min(most));
            let slice = std::mem::replace(&mut self.taken, rest);
            removed += slice.len() * each;
            match left {
                Left::ByClient { account, may_reach_others, .. } => {
                    self.node.unsubscribe_all(account, slice, *may_reach_others, sink);
                }
                Left::ByRoute(account, _) => self.node.hub().unlearn_all(*account, slice),
            }
        }
        tidy_memory();
        self.is_over()
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.message.is_none() && self.left.is_empty()
    }

    /// Makes the results of look-ups stale that name what will only be removed later: its connection is gone already.
    pub(super) fn outdate(&self) {
        for left in &self.left {
            match left {
                Left::ByClient { account, may_reach_others, .. } => {
                    self.node.outdate(account, *may_reach_others);
                }
                Left::ByRoute(account, _) => {
                    let account = self.node.hub().accounts().get(*account);
                    account.iter().for_each(|account| account.index().outdate_all());
                }
            }
        }
    }
}

impl Left {
    /// How many indexes a subscription may stand in: that of its account and, once for each stream, those of exporters.
    fn indexes(&self) -> usize {
        match self {
            Self::ByClient { account, may_reach_others: true, .. } => {
                1 + account.imports().map_or(0, Imports::streams)
            }
            Self::ByClient { .. } | Self::ByRoute(..) => 1,
        }
    }

    fn take_some(&mut self) -> Vec<Arc<Subscription>> {
        match self {
            Self::ByClient { held, .. } => held.take_some(),
            Self::ByRoute(_, held) => held.take_some(),
        }
    }
}

/// Lets the allocator put together what a slice freed. That of the GNU C library leaves small pieces apart until a large one
/// is freed, and then joins all that there are: 30 ms for those of half a million subscriptions, in whichever turn that comes.
fn tidy_memory() {
    drop(black_box(Vec::<u8>::with_capacity(LARGE_PIECE)));
}

/// What that allocator calls large.
const LARGE_PIECE: usize = 64 * 1024;

/// So many subscriptions are removed in one slice: one to two milliseconds.
const SLICE: usize = 500;
