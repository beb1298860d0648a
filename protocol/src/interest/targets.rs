//! Who gets a subject, prepared so that a delivery formats nothing but what differs per message.

use std::ops::Range;
use std::sync::Arc;

use super::{Matches, Origin, Subscription};
use crate::account::Account;
use crate::hub::{Directory, Entry, Flag};
use crate::id::ConnectionId;

/// Everybody who gets what one connection publishes to one subject.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    /// The starts of all lines, one behind the other.
    prefixes: Box<[u8]>,
    /// Plain subscriptions of this node's clients.
    pub(crate) clients: Box<[ClientTarget]>,
    /// Queue groups, sorted by name.
    pub(crate) queues: Box<[QueueTargets]>,
    /// Servers that want it, plainly or as queue members; each once.
    pub(crate) routes: Box<[RouteTarget]>,
}

/// One subscription of a client of this node.
#[derive(Debug)]
pub(crate) struct ClientTarget {
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) connection: ConnectionId,
    /// Whether it may be sent headers.
    pub(crate) headers: bool,
    prefix: Prefix,
}

/// One route over which a server wants the subject.
#[derive(Debug)]
pub(crate) struct RouteTarget {
    pub(crate) connection: ConnectionId,
    /// Whether it may be sent headers.
    pub(crate) headers: bool,
    /// Whether it wants it apart from queue groups.
    pub(crate) plain: bool,
    prefix: Prefix,
}

/// One queue group.
#[derive(Debug)]
pub(crate) struct QueueTargets {
    pub(crate) name: Box<[u8]>,
    pub(crate) members: Box<[Member]>,
}

/// One member of a queue group, or several at one other server.
#[derive(Debug)]
pub(crate) enum Member {
    /// A client of this node.
    Client(ClientTarget),
    /// Members at another server, as many as `weight`.
    Route {
        /// Which of [`Targets::routes`].
        route: usize,
        subscription: Arc<Subscription>,
        /// They belong to a leaf node: chosen only if there is nobody else.
        leaf: bool,
    },
}

impl Member {
    /// How many members this stands for.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            Self::Client(_) => 1,
            Self::Route { subscription, .. } => u64::from(subscription.weight()),
        }
    }
}

/// Where a line's start stands in the arena, from its `H` on; without headers it begins one byte later for a
/// client (`MSG`), and with another first byte for a route (`RMSG`).
#[derive(Clone, Copy, Debug)]
struct Prefix {
    start: u32,
    bytes: u32,
}

impl Prefix {
    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.bytes as usize
    }
}

impl Targets {
    /// Prepares what matched `subject` in `account` for messages that come from `publisher`.
    pub(crate) fn new(
        account: &Account,
        directory: &Directory,
        publisher: &Entry,
        subject: &[u8],
        matches: &Matches,
    ) -> Self {
        directory.with(|entry| {
            let mut builder =
                Builder { account, publisher, subject, entry, prefixes: Vec::new(), routes: Vec::new() };
            let clients =
                matches.plain.iter().filter_map(|subscription| builder.plain(subscription)).collect();
            let queues = matches.queues.iter().map(|(name, members)| builder.queue(name, members)).collect();
            Self {
                clients,
                queues,
                routes: builder.routes.into_boxed_slice(),
                prefixes: builder.prefixes.into_boxed_slice(),
            }
        })
    }

    /// Whether nobody gets it.
    pub(crate) fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.queues.is_empty() && self.routes.is_empty()
    }

    /// `MSG <subject> <sid> `, or `HMSG …`.
    pub(crate) fn client_prefix(&self, target: &ClientTarget, with_headers: bool) -> &[u8] {
        &self.prefixes[target.prefix.range()][usize::from(!with_headers)..]
    }

    /// `RMSG [<account>] <subject> `, or `HMSG …`.
    pub(crate) fn route_prefix(&self, target: &RouteTarget, with_headers: bool) -> &[u8] {
        let both = &self.prefixes[target.prefix.range()];
        let half = both.len() / 2;
        if with_headers { &both[..half] } else { &both[half..] }
    }

    /// About how much memory this takes, in bytes.
    pub(crate) fn cost_bytes(&self) -> usize {
        let members: usize =
            self.queues.iter().map(|queue| queue.name.len() + size_of_val(&*queue.members)).sum();
        size_of::<Self>()
            + self.prefixes.len()
            + size_of_val(&*self.clients)
            + size_of_val(&*self.routes)
            + size_of_val(&*self.queues)
            + members
    }
}

struct Builder<'a> {
    account: &'a Account,
    publisher: &'a Entry,
    subject: &'a [u8],
    entry: &'a dyn Fn(ConnectionId) -> Option<Arc<Entry>>,
    prefixes: Vec<u8>,
    routes: Vec<RouteTarget>,
}

impl Builder<'_> {
    fn plain(&mut self, subscription: &Arc<Subscription>) -> Option<ClientTarget> {
        match subscription.origin() {
            Origin::Client => self.client(subscription),
            Origin::Route | Origin::RouteLeaf => {
                if let Some(route) = self.route(subscription.connection()) {
                    self.routes[route].plain = true;
                }
                None
            }
        }
    }

    fn queue(&mut self, name: &[u8], subscriptions: &[Arc<Subscription>]) -> QueueTargets {
        let members = subscriptions.iter().filter_map(|subscription| self.member(subscription)).collect();
        QueueTargets { name: name.into(), members }
    }

    fn member(&mut self, subscription: &Arc<Subscription>) -> Option<Member> {
        let leaf = match subscription.origin() {
            Origin::Client => return self.client(subscription).map(Member::Client),
            Origin::Route => false,
            Origin::RouteLeaf => true,
        };
        let route = self.route(subscription.connection())?;
        Some(Member::Route { route, subscription: subscription.clone(), leaf })
    }

    /// A client's subscription as a target; none if it is the publisher's own and it wants no echo.
    fn client(&mut self, subscription: &Arc<Subscription>) -> Option<ClientTarget> {
        let connection = subscription.connection();
        if connection == self.publisher.id() && self.publisher.has(Flag::NoEcho) {
            return None;
        }
        let headers = (self.entry)(connection)?.has(Flag::Headers);
        let prefix = self.prefix(&[b"HMSG ", self.subject, b" ", subscription.sid(), b" "]);
        Some(ClientTarget { subscription: subscription.clone(), connection, headers, prefix })
    }

    /// The place of a route among the routes, where it is entered if it is new.
    fn route(&mut self, connection: ConnectionId) -> Option<usize> {
        if let Some(known) = self.routes.iter().position(|route| route.connection == connection) {
            return Some(known);
        }
        let entry = (self.entry)(connection)?;
        let account = self.account.name().as_bytes();
        let (account, blank): (&[u8], &[u8]) =
            if entry.has(Flag::Dedicated) { (b"", b"") } else { (account, b" ") };
        let tail = [account, blank, self.subject, b" "].concat();
        let prefix = self.prefix(&[b"HMSG ", &tail, b"RMSG ", &tail]);
        self.routes.push(RouteTarget { connection, headers: entry.has(Flag::Headers), plain: false, prefix });
        Some(self.routes.len() - 1)
    }

    fn prefix(&mut self, parts: &[&[u8]]) -> Prefix {
        let start = self.prefixes.len();
        parts.iter().for_each(|part| self.prefixes.extend_from_slice(part));
        // Far below 4 GiB: a line is limited to 64 KiB and a node's targets of one subject to its connections.
        Prefix { start: start as u32, bytes: (self.prefixes.len() - start) as u32 }
    }
}
