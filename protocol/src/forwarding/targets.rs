//! Who gets a subject, prepared so that a delivery formats nothing but what differs per message.

use std::ops::Range;
use std::sync::Arc;

use crate::accounts::Account;
use crate::hub::{Directory, Entry, Flag};
use crate::id::{AccountId, ConnectionId};
use crate::interest::{Crowd, Matches, Source, Subscription};

/// Everybody who gets what one connection publishes to one subject.
#[derive(Debug)]
pub(crate) struct Targets {
    /// The starts of all lines, one behind the other, as far as [`MAX_PREFIX_BYTES`] go.
    prefixes: Box<[u8]>,
    /// The subjects, by account, if some lines had no room among the prefixes.
    subjects: Box<[Box<[u8]>]>,
    /// Plain subscriptions of this node's clients.
    pub(crate) clients: Box<[ClientTarget]>,
    /// Queue groups: those of the publisher's own account, sorted by name, then those of others.
    pub(crate) queues: Box<[QueueTargets]>,
    /// Servers that want it, plainly or as queue members; each once for an account.
    pub(crate) routes: Box<[RouteTarget]>,
    /// Services of this node.
    pub(crate) services: Box<[Arc<Subscription>]>,
    /// Clients' subscriptions to filters that very many share: they are gone through in slices.
    pub(super) crowds: Box<[CrowdTarget]>,
    /// Where so many filters match that nothing is listed: all who get it are looked for in slices.
    pub(super) cuts: Box<[Cut]>,
    own_queues: usize,
    account: AccountId,
    other_accounts: Box<[AccountId]>,
}

/// What is looked up for a message: a subject in an account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup<'a> {
    pub(super) account: &'a Arc<Account>,
    /// As those who want it there know it.
    pub(super) subject: &'a [u8],
}

/// One subscription of a client of this node.
#[derive(Debug)]
pub(crate) struct ClientTarget {
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) connection: ConnectionId,
    /// Whether it may be sent headers.
    pub(crate) headers: bool,
    /// Whether it may answer what it gets.
    pub(super) may_respond: bool,
    /// Zero for the publisher's account, else one more than its place among the others.
    account: u16,
    prefix: Prefix,
}

/// Very many subscriptions of clients of this node to one filter.
#[derive(Clone, Debug)]
pub(super) struct CrowdTarget {
    pub(super) account: Arc<Account>,
    /// As they know it.
    pub(super) subject: Box<[u8]>,
    pub(super) crowd: Crowd,
}

/// An account in which too many filters match.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub(super) account: Arc<Account>,
    /// As it is known there.
    pub(super) subject: Box<[u8]>,
}

/// One route over which a server wants the subject.
#[derive(Debug)]
pub(crate) struct RouteTarget {
    pub(crate) connection: ConnectionId,
    /// Whether it may be sent headers.
    pub(crate) headers: bool,
    /// Whether it understands message tracing.
    pub(crate) traces: bool,
    /// Whether it wants it apart from queue groups.
    pub(crate) plain: bool,
    prefix: Prefix,
}

/// One queue group.
#[derive(Debug)]
pub(crate) struct QueueTargets {
    pub(crate) name: Box<[u8]>,
    pub(crate) members: Box<[Member]>,
    /// Members that are too many to be listed.
    pub(super) crowds: Vec<CrowdTarget>,
}

impl QueueTargets {
    /// How many members are not listed.
    pub(super) fn crowded(&self) -> usize {
        self.crowds.iter().map(|target| target.crowd.count()).sum()
    }
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
    /// Prepares what the indexes have for messages that come from `publisher`: a connection, or a service (none), which
    /// no service hears.
    pub(super) fn collect(
        matches: &mut Matches,
        directory: &Directory,
        publisher: Option<&Entry>,
        own: &Lookup<'_>,
        others: &[Lookup<'_>],
    ) -> Self {
        let mut builder = Builder::new(publisher);
        builder.look_up(0, own, directory, matches);
        let own_queues = builder.queues.len();
        for (place, other) in others.iter().enumerate() {
            builder.look_up(place as u16 + 1, other, directory, matches);
        }
        builder.build(own, others, own_queues)
    }

    /// Prepares some of a crowd.
    pub(super) fn of_some(
        subscriptions: &[Arc<Subscription>],
        directory: &Directory,
        publisher: Option<&Entry>,
        own: &Lookup<'_>,
    ) -> Self {
        let mut builder = Builder::new(publisher);
        directory.with(|entry| {
            let place = Place { number: 0, account: own.account, subject: own.subject, entry };
            subscriptions.iter().for_each(|subscription| builder.plain(place, subscription));
        });
        builder.build(own, &[], 0)
    }

    /// Prepares what was found in one account, and leaves nothing of it.
    pub(super) fn of_found(
        found: &mut Matches,
        directory: &Directory,
        publisher: Option<&Entry>,
        own: &Lookup<'_>,
    ) -> Self {
        let mut builder = Builder::new(publisher);
        builder.enter(0, own, directory, found);
        let own_queues = builder.queues.len();
        builder.build(own, &[], own_queues)
    }

    /// The account that a subscription is in.
    pub(super) fn account(&self, target: &ClientTarget) -> AccountId {
        match target.account {
            0 => self.account,
            other => self.other_accounts[usize::from(other) - 1],
        }
    }

    /// The groups of the account that the message was published in, sorted by name.
    pub(super) fn own_queues(&self) -> &[QueueTargets] {
        &self.queues[..self.own_queues]
    }

    /// How many subscriptions, groups and routes get it at once, apart from crowds and those who are looked for.
    pub(crate) fn listed(&self) -> usize {
        self.clients.len() + self.queues.len() + self.routes.len()
    }

    /// Whether nobody gets it.
    pub(crate) fn is_empty(&self) -> bool {
        self.clients.is_empty()
            && self.queues.is_empty()
            && self.routes.is_empty()
            && self.services.is_empty()
            && self.crowds.is_empty()
            && self.cuts.is_empty()
    }

    /// `MSG <subject> <sid> `, or `HMSG …`, if it is prepared.
    pub(crate) fn client_prefix(&self, target: &ClientTarget, with_headers: bool) -> &[u8] {
        &self.prefixes[target.prefix.range()][usize::from(!with_headers)..]
    }

    /// The subject of a target whose line is not prepared.
    pub(super) fn unprepared_subject(&self, target: &ClientTarget) -> Option<&[u8]> {
        (target.prefix.bytes == 0).then(|| &*self.subjects[usize::from(target.account)])
    }

    /// `RMSG [<account>] <subject> `, or `HMSG …`.
    pub(crate) fn route_prefix(&self, target: &RouteTarget, with_headers: bool) -> &[u8] {
        let both = &self.prefixes[target.prefix.range()];
        let half = both.len() / 2;
        if with_headers { &both[..half] } else { &both[half..] }
    }

    /// About how much memory this takes, in bytes.
    pub(crate) fn cost_bytes(&self) -> usize {
        let members: usize = self
            .queues
            .iter()
            .map(|queue| queue.name.len() + size_of_val(&*queue.members) + size_of_val(&*queue.crowds))
            .sum();
        size_of::<Self>()
            + self.prefixes.len()
            + self.subjects.iter().map(|subject| size_of_val(subject) + subject.len()).sum::<usize>()
            + size_of_val(&*self.clients)
            + size_of_val(&*self.routes)
            + size_of_val(&*self.queues)
            + size_of_val(&*self.services)
            + size_of_val(&*self.crowds)
            + size_of_val(&*self.cuts)
            + size_of_val(&*self.other_accounts)
            + members
    }
}

struct Builder<'a> {
    publisher: Option<&'a Entry>,
    clients: Vec<ClientTarget>,
    queues: Vec<QueueTargets>,
    services: Vec<Arc<Subscription>>,
    prefixes: Vec<u8>,
    /// There was no room for a line among the prefixes.
    is_full: bool,
    routes: Vec<RouteTarget>,
    /// The first of the routes that belongs to the account in hand.
    first_route: usize,
    crowds: Vec<CrowdTarget>,
    cuts: Vec<Cut>,
}

/// Where a builder looks: the account, by its place, and the subject.
#[derive(Clone, Copy)]
struct Place<'a> {
    number: u16,
    account: &'a Account,
    subject: &'a [u8],
    /// Finds connections, many with one lock.
    entry: &'a dyn Fn(ConnectionId) -> Option<Arc<Entry>>,
}

impl<'a> Builder<'a> {
    fn new(publisher: Option<&'a Entry>) -> Self {
        Self {
            publisher,
            clients: Vec::new(),
            queues: Vec::new(),
            services: Vec::new(),
            prefixes: Vec::new(),
            is_full: false,
            routes: Vec::new(),
            first_route: 0,
            crowds: Vec::new(),
            cuts: Vec::new(),
        }
    }

    fn build(self, own: &Lookup<'_>, others: &[Lookup<'_>], own_queues: usize) -> Targets {
        let subjects = std::iter::once(own).chain(others).filter(|_| self.is_full);
        Targets {
            subjects: subjects.map(|lookup| lookup.subject.into()).collect(),
            prefixes: self.prefixes.into(),
            clients: self.clients.into(),
            queues: self.queues.into(),
            routes: self.routes.into(),
            services: self.services.into(),
            crowds: self.crowds.into(),
            cuts: self.cuts.into(),
            own_queues,
            account: own.account.id(),
            other_accounts: others.iter().map(|other| other.account.id()).collect(),
        }
    }

    fn look_up(&mut self, number: u16, lookup: &Lookup<'_>, directory: &Directory, matches: &mut Matches) {
        let Lookup { account, subject } = *lookup;
        matches.clear();
        // Before the directory is held: those who change interest look into the directory meanwhile.
        account.index().collect(subject, matches);
        if matches.is_cut {
            self.cuts.push(Cut { account: account.clone(), subject: subject.into() });
            matches.clear();
        }
        self.enter(number, lookup, directory, matches);
    }

    /// Takes over what was found in an account.
    fn enter(&mut self, number: u16, lookup: &Lookup<'_>, directory: &Directory, matches: &mut Matches) {
        let Lookup { account, subject } = *lookup;
        self.first_route = self.routes.len();
        let first_queue = self.queues.len();
        directory.with(|entry| {
            let place = Place { number, account, subject, entry };
            matches.plain.iter().for_each(|subscription| self.plain(place, subscription));
            for (name, members) in &matches.queues {
                let members =
                    members.iter().filter_map(|subscription| self.member(place, subscription)).collect();
                self.queues.push(QueueTargets { name: name.clone(), members, crowds: Vec::new() });
            }
        });
        for crowd in matches.crowds.drain(..) {
            let target = CrowdTarget { account: account.clone(), subject: subject.into(), crowd };
            match target.crowd.queue() {
                None => self.crowds.push(target),
                Some(_) => self.queue_crowd(first_queue, target),
            }
        }
        matches.clear();
    }

    fn plain(&mut self, place: Place<'_>, subscription: &Arc<Subscription>) {
        match subscription.source() {
            Source::Client => {
                let target = self.client(place, subscription);
                self.clients.extend(target);
            }
            Source::Service => {
                self.services.extend(self.publisher.is_some().then(|| subscription.clone()));
            }
            Source::Route | Source::RouteLeaf => {
                if let Some(route) = self.route(place, subscription.connection()) {
                    self.routes[route].plain = true;
                }
            }
        }
    }

    /// Enters a crowd among the groups of its account, which are sorted by name.
    fn queue_crowd(&mut self, first_queue: usize, target: CrowdTarget) {
        let name = target.crowd.queue().unwrap_or_default();
        let place = self.queues[first_queue..].binary_search_by(|queue| (*queue.name).cmp(name));
        let number = first_queue + place.unwrap_or_else(|place| place);
        if place.is_err() {
            let queue = QueueTargets { name: name.into(), members: Box::default(), crowds: Vec::new() };
            self.queues.insert(number, queue);
        }
        self.queues[number].crowds.push(target);
    }

    fn member(&mut self, place: Place<'_>, subscription: &Arc<Subscription>) -> Option<Member> {
        let leaf = match subscription.source() {
            Source::Client => return self.client(place, subscription).map(Member::Client),
            Source::Service => return None,
            Source::Route => false,
            Source::RouteLeaf => true,
        };
        let route = self.route(place, subscription.connection())?;
        Some(Member::Route { route, subscription: subscription.clone(), leaf })
    }

    /// A client's subscription as a target; none if it is the publisher's own and it wants no echo, or if it may not have this
    /// subject.
    fn client(&mut self, place: Place<'_>, subscription: &Arc<Subscription>) -> Option<ClientTarget> {
        let connection = subscription.connection();
        let wants_no_echo = |publisher: &Entry| connection == publisher.id() && publisher.has(Flag::NoEcho);
        if self.publisher.is_some_and(wants_no_echo) {
            return None;
        }
        let entry = (place.entry)(connection)?;
        if entry.is_hidden(place.subject, subscription.queue()) {
            return None;
        }
        let (headers, may_respond) = (entry.has(Flag::Headers), entry.has(Flag::MayRespond));
        let prefix = self.client_prefix(place.subject, subscription.sid());
        let account = place.number;
        let subscription = subscription.clone();
        Some(ClientTarget { subscription, connection, headers, may_respond, account, prefix })
    }

    /// The start of a client's line. A long subject that thousands want is not written down for each of them.
    fn client_prefix(&mut self, subject: &[u8], sid: &[u8]) -> Prefix {
        if self.prefixes.len() >= MAX_PREFIX_BYTES {
            self.is_full = true;
            return Prefix { start: 0, bytes: 0 };
        }
        self.prefix(&[b"HMSG ", subject, b" ", sid, b" "])
    }

    /// The place of a route among the routes, where it is entered if it is new; none if the peer may not have this subject.
    fn route(&mut self, place: Place<'_>, connection: ConnectionId) -> Option<usize> {
        let mut known = self.routes.iter().skip(self.first_route);
        if let Some(known) = known.position(|route| route.connection == connection) {
            return Some(self.first_route + known);
        }
        let entry = (place.entry)(connection)?;
        // The configuration names no groups between servers.
        if entry.is_hidden(place.subject, None) {
            return None;
        }
        let (account, blank): (&[u8], &[u8]) =
            entry.line_account(place.account).map_or((b"", b""), |account| (account, b" "));
        let tail = [account, blank, place.subject, b" "].concat();
        let prefix = self.prefix(&[b"HMSG ", &tail, b"RMSG ", &tail]);
        let (headers, traces) = (entry.has(Flag::Headers), entry.has(Flag::Traces));
        self.routes.push(RouteTarget { connection, headers, traces, plain: false, prefix });
        Some(self.routes.len() - 1)
    }

    fn prefix(&mut self, parts: &[&[u8]]) -> Prefix {
        let start = self.prefixes.len();
        parts.iter().for_each(|part| self.prefixes.extend_from_slice(part));
        // Far below 4 GiB: clients' lines end at a limit, and there are few routes.
        Prefix { start: start as u32, bytes: (self.prefixes.len() - start) as u32 }
    }
}

/// Once the starts of lines of one subject take so much, those of further clients are made anew for each message.
const MAX_PREFIX_BYTES: usize = 1024 * 1024;
