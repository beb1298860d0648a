//! Who gets a subject, prepared so that a delivery formats nothing but what differs per message.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::accounts::{Account, ServiceImport};
use crate::hub::{Directory, Entry, Flag};
use crate::id::{AccountId, ConnectionId};
use crate::interest::{Admission, Crowd, Matches, Shadow, Source, Subscription};
use crate::mapping::Choice;

/// Everybody who gets what one connection publishes to one subject.
#[derive(Debug)]
pub(crate) struct Targets {
    /// The starts of all lines, one behind the other, as far as [`MAX_PREFIX_BYTES`] go.
    prefixes: Box<[u8]>,
    /// The account that it is published in.
    account: AccountId,
    /// The subject, if some lines had no room among the prefixes.
    subject: Box<[u8]>,
    /// How clients of other accounts know it, by each import.
    views: Box<[View]>,
    /// Plain subscriptions of this node's clients.
    pub(crate) clients: Box<[ClientTarget]>,
    /// Queue groups, sorted by name.
    pub(crate) queues: Box<[QueueTargets]>,
    /// Servers that want it, plainly or as queue members; each once.
    pub(crate) routes: Box<[RouteTarget]>,
    /// Services of this node.
    pub(crate) services: Box<[Arc<Subscription>]>,
    /// Clients' subscriptions to filters that very many share: they are gone through in slices.
    pub(super) crowds: Box<[CrowdTarget]>,
    /// Where so many filters match that nothing is listed: all who get it are looked for in slices.
    pub(super) cuts: Box<[Cut]>,
    /// What comes of it in other accounts; none nearly always.
    pub(super) across: Option<Box<Across>>,
}

/// What comes of a message in other accounts.
#[derive(Debug, Default)]
pub(super) struct Across {
    /// Services that it is a request for.
    pub(super) requests: Vec<Request>,
    /// There are more of them than there may be.
    pub(super) is_cut: bool,
    /// The account that it is published in, if it may be an answer of that to a request of another.
    pub(super) answerer: Option<Arc<Account>>,
    /// How many get the requests at once.
    listed: usize,
}

/// Another account in which clients hear a message, and the subject that they know it by.
#[derive(Debug)]
pub(super) struct View {
    pub(super) account: AccountId,
    pub(super) subject: Box<[u8]>,
}

/// A service that a message is a request for, and those who get it there.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) import: Arc<ServiceImport>,
    pub(super) importer: Arc<Account>,
    pub(super) exporter: Arc<Account>,
    /// As the exporter knows it.
    pub(super) subject: Box<[u8]>,
    pub(super) course: Course,
}

/// What becomes of a request at its exporter.
#[derive(Debug)]
pub(super) enum Course {
    /// These get it.
    Settled(Targets),
    /// The exporter draws for each message where it maps the subject to.
    Drawn(Choice),
}

impl Request {
    /// Whether nobody gets it, whatever is drawn.
    pub(super) fn is_for_nobody(&self) -> bool {
        matches!(&self.course, Course::Settled(targets) if targets.is_empty())
    }

    /// How many get it at once, apart from those who are looked for with each message.
    fn listed(&self) -> usize {
        match &self.course {
            Course::Settled(targets) => targets.listed(),
            Course::Drawn(_) => 0,
        }
    }
}

/// What is looked up for a message: a subject in an account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup<'a> {
    pub(super) account: &'a Arc<Account>,
    /// As those who want it there know it.
    pub(super) subject: &'a [u8],
    /// It comes from another account, as a request or an answer: those who import streams do not hear it.
    pub(super) is_passed_on: bool,
}

impl<'a> Lookup<'a> {
    /// A message that is published in this account.
    pub(super) fn published(account: &'a Arc<Account>, subject: &'a [u8]) -> Self {
        Self { account, subject, is_passed_on: false }
    }
}

/// One subscription of a client of this node.
#[derive(Debug)]
pub(crate) struct ClientTarget {
    /// In the account that it is published in: for an importer that which stands for its own.
    subscription: Arc<Subscription>,
    pub(crate) connection: ConnectionId,
    /// Whether it may be sent headers.
    pub(crate) headers: bool,
    /// Whether it may answer what it gets.
    pub(super) may_respond: bool,
    /// Zero for the account that it is published in, else one more than the place among [`Targets::views`].
    view: u32,
    prefix: Prefix,
}

/// Very many subscriptions of clients of this node to one filter.
#[derive(Clone, Debug)]
pub(super) struct CrowdTarget {
    pub(super) account: Arc<Account>,
    /// As they know it.
    pub(super) subject: Box<[u8]>,
    pub(super) crowd: Crowd,
    pub(super) is_passed_on: bool,
}

/// An account in which too many filters match.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub(super) account: Arc<Account>,
    /// As it is known there.
    pub(super) subject: Box<[u8]>,
    pub(super) is_passed_on: bool,
}

/// One route over which a server wants the subject.
#[derive(Debug)]
pub(crate) struct RouteTarget {
    /// By whose id the server's interest goes.
    label: ConnectionId,
    entry: Arc<Entry>,
    /// Whether it may be sent headers.
    pub(crate) headers: bool,
    /// Whether it understands message tracing.
    pub(crate) traces: bool,
    /// Whether it wants it apart from queue groups.
    pub(crate) plain: bool,
    /// Whether others are nearer, by the affinity of this node.
    far: bool,
    prefix: Prefix,
}

/// One queue group.
#[derive(Debug)]
pub(crate) struct QueueTargets {
    pub(crate) name: Box<[u8]>,
    /// Tier by tier.
    pub(crate) members: Box<[Member]>,
    /// Where each tier ends.
    tier_ends: [usize; TIERS],
    /// Members that are too many to be listed.
    pub(super) crowds: Vec<CrowdTarget>,
    /// A client here is a member that may not have the message.
    pub(super) has_hidden: bool,
}

impl ClientTarget {
    /// The client's subscription: what is delivered counts there, whichever way it came.
    pub(crate) fn original(&self) -> &Arc<Subscription> {
        self.subscription.shadow().map_or(&self.subscription, |shadow| &shadow.original)
    }

    /// The client's name for it.
    pub(super) fn sid(&self) -> &[u8] {
        self.subscription.sid()
    }

    /// Takes one delivery from what it may still get.
    #[inline]
    pub(super) fn admit(&self) -> Admission {
        if self.view == 0 { self.subscription.admit() } else { self.original().admit() }
    }
}

/// Into so many tiers a group is parted where affinity tells its members apart.
const TIERS: usize = 4;

impl RouteTarget {
    /// The connection over which the server is reached now.
    #[inline]
    pub(crate) fn link(&self) -> ConnectionId {
        self.entry.link()
    }
}

impl QueueTargets {
    /// A group with these members, which are parted if some are at servers that are far. So what the one that publishes is to
    /// prefer is settled here, and not for each message.
    fn new(name: Box<[u8]>, mut members: Vec<Member>, routes: &[RouteTarget]) -> Self {
        let mut tier_ends = [members.len(); TIERS];
        if members.iter().any(|member| member.is_far(routes)) {
            members.sort_by_key(|member| member.tier(routes));
            tier_ends =
                std::array::from_fn(|tier| members.partition_point(|member| member.tier(routes) <= tier));
        }
        Self { name, members: members.into(), tier_ends, crowds: Vec::new(), has_hidden: false }
    }

    /// The listed members of this node and near it; all, where none is far.
    pub(super) fn near(&self) -> &[Member] {
        &self.members[..self.tier_ends[0]]
    }

    /// The others, those first who are asked before the next.
    pub(super) fn farther(&self) -> impl Iterator<Item = &[Member]> {
        self.tier_ends.windows(2).map(|ends| &self.members[ends[0]..ends[1]])
    }

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

    /// Whether this is at one of those of `routes` that others are nearer than.
    fn is_far(&self, routes: &[RouteTarget]) -> bool {
        matches!(self, Self::Route { route, .. } if routes[*route].far)
    }

    /// The place in the order of who is asked before whom. Leaf nodes come behind all servers of the cluster, far or near: where
    /// a leaf node is, the tag of its server does not say.
    fn tier(&self, routes: &[RouteTarget]) -> usize {
        let is_leaf = matches!(self, Self::Route { leaf: true, .. });
        usize::from(self.is_far(routes)) + 2 * usize::from(is_leaf)
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
        lookup: &Lookup<'_>,
    ) -> Self {
        let mut builder = Builder::new(publisher, lookup);
        builder.look_up(directory, matches);
        builder.build()
    }

    /// Prepares some of a crowd.
    pub(super) fn of_some(
        subscriptions: &[Arc<Subscription>],
        directory: &Directory,
        publisher: Option<&Entry>,
        lookup: &Lookup<'_>,
    ) -> Self {
        let mut builder = Builder::new(publisher, lookup);
        directory.with(|find| {
            subscriptions.iter().for_each(|subscription| builder.plain(find, subscription));
        });
        builder.build()
    }

    /// Prepares what was found in one account, and leaves nothing of it.
    pub(super) fn of_found(
        found: &mut Matches,
        directory: &Directory,
        publisher: Option<&Entry>,
        lookup: &Lookup<'_>,
    ) -> Self {
        let mut builder = Builder::new(publisher, lookup);
        builder.enter(directory, found);
        builder.build()
    }

    /// The account that a subscription is in.
    pub(super) fn account_of(&self, target: &ClientTarget) -> AccountId {
        self.view(target).map_or(self.account, |view| view.account)
    }

    /// How many subscriptions, groups and routes get it at once, apart from crowds and those who are looked for.
    pub(crate) fn listed(&self) -> usize {
        let across = self.across.as_ref().map_or(0, |across| across.listed);
        self.clients.len() + self.queues.len() + self.routes.len() + across
    }

    /// Lets these services have it, too.
    pub(super) fn add_requests(&mut self, requests: Vec<Request>, is_cut: bool) {
        if !requests.is_empty() || is_cut {
            let across = self.across.get_or_insert_default();
            across.listed = requests.iter().map(|request| 1 + request.listed()).sum();
            across.requests = requests;
            across.is_cut = is_cut;
        }
    }

    /// Whether nobody gets it.
    pub(crate) fn is_empty(&self) -> bool {
        self.clients.is_empty()
            && self.queues.is_empty()
            && self.routes.is_empty()
            && self.services.is_empty()
            && self.crowds.is_empty()
            && self.cuts.is_empty()
            && self.across.is_none()
    }

    /// `MSG <subject> <sid> `, or `HMSG …`, if it is prepared.
    pub(crate) fn client_prefix(&self, target: &ClientTarget, with_headers: bool) -> &[u8] {
        &self.prefixes[target.prefix.range()][usize::from(!with_headers)..]
    }

    /// The subject of a target whose line is not prepared.
    pub(super) fn unprepared_subject(&self, target: &ClientTarget) -> Option<&[u8]> {
        let is_prepared = target.prefix.bytes > 0;
        (!is_prepared).then(|| self.view(target).map_or(&*self.subject, |view| &*view.subject))
    }

    /// How a client knows the message that is in another account.
    pub(super) fn view(&self, target: &ClientTarget) -> Option<&View> {
        self.views.get((target.view as usize).checked_sub(1)?)
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
            + self.subject.len()
            + self.views.iter().map(|view| size_of_val(view) + view.subject.len()).sum::<usize>()
            + size_of_val(&*self.clients)
            + size_of_val(&*self.routes)
            + size_of_val(&*self.queues)
            + size_of_val(&*self.services)
            + size_of_val(&*self.crowds)
            + size_of_val(&*self.cuts)
            + self.across.as_ref().map_or(0, |across| across.cost_bytes())
            + members
    }
}

impl Across {
    fn cost_bytes(&self) -> usize {
        size_of::<Self>() + self.requests.iter().map(Request::cost_bytes).sum::<usize>()
    }
}

impl Request {
    fn cost_bytes(&self) -> usize {
        let targets = match &self.course {
            Course::Settled(targets) => targets.cost_bytes() - size_of::<Targets>(),
            Course::Drawn(_) => 0,
        };
        size_of::<Self>() + self.subject.len() + targets
    }
}

struct Builder<'a> {
    publisher: Option<&'a Entry>,
    lookup: &'a Lookup<'a>,
    clients: Vec<ClientTarget>,
    queues: Vec<QueueTargets>,
    services: Vec<Arc<Subscription>>,
    prefixes: Vec<u8>,
    /// There was no room for a line among the prefixes.
    is_full: bool,
    routes: Vec<RouteTarget>,
    crowds: Vec<CrowdTarget>,
    cuts: Vec<Cut>,
    views: Vec<View>,
    /// The number of each view, by account and import.
    view_numbers: BTreeMap<(AccountId, usize), u32>,
    across: Option<Box<Across>>,
    /// Some client was left out that may not have the message.
    has_hidden: bool,
}

/// Finds connections, many with one lock.
type Find<'a> = &'a dyn Fn(ConnectionId) -> Option<Arc<Entry>>;

impl<'a> Builder<'a> {
    fn new(publisher: Option<&'a Entry>, lookup: &'a Lookup<'a>) -> Self {
        Self {
            publisher,
            lookup,
            clients: Vec::new(),
            queues: Vec::new(),
            services: Vec::new(),
            prefixes: Vec::new(),
            is_full: false,
            routes: Vec::new(),
            crowds: Vec::new(),
            cuts: Vec::new(),
            views: Vec::new(),
            view_numbers: BTreeMap::new(),
            across: None,
            has_hidden: false,
        }
    }

    fn build(self) -> Targets {
        Targets {
            account: self.lookup.account.id(),
            subject: if self.is_full { self.lookup.subject.into() } else { Box::default() },
            views: self.views.into(),
            prefixes: self.prefixes.into(),
            clients: self.clients.into(),
            queues: self.queues.into(),
            routes: self.routes.into(),
            services: self.services.into(),
            crowds: self.crowds.into(),
            cuts: self.cuts.into(),
            across: self.across,
        }
    }

    fn look_up(&mut self, directory: &Directory, matches: &mut Matches) {
        let Lookup { account, subject, is_passed_on } = *self.lookup;
        matches.clear();
        // Before the directory is held: those who change interest look into the directory meanwhile.
        account.index().collect(subject, matches);
        if matches.is_cut {
            self.cuts.push(Cut { account: account.clone(), subject: subject.into(), is_passed_on });
            matches.clear();
        }
        self.enter(directory, matches);
    }

    /// Takes over what was found.
    fn enter(&mut self, directory: &Directory, matches: &mut Matches) {
        directory.with(|find| {
            matches.plain.iter().for_each(|subscription| self.plain(find, subscription));
            for (name, members) in &matches.queues {
                self.has_hidden = false;
                let members =
                    members.iter().filter_map(|subscription| self.member(find, subscription)).collect();
                let queue = QueueTargets::new(name.clone(), members, &self.routes);
                self.queues.push(QueueTargets { has_hidden: self.has_hidden, ..queue });
            }
        });
        let Lookup { account, subject, is_passed_on } = *self.lookup;
        for crowd in matches.crowds.drain(..) {
            let (account, subject) = (account.clone(), subject.into());
            let target = CrowdTarget { account, subject, crowd, is_passed_on };
            match target.crowd.queue() {
                None => self.crowds.push(target),
                Some(_) => self.queue_crowd(target),
            }
        }
        matches.clear();
    }

    fn plain(&mut self, find: Find<'_>, subscription: &Arc<Subscription>) {
        match subscription.source() {
            Source::Client => {
                let target = self.client(find, subscription);
                self.clients.extend(target);
            }
            Source::Service => {
                self.services.extend(self.publisher.is_some().then(|| subscription.clone()));
            }
            Source::Answers => {
                self.across.get_or_insert_default().answerer = Some(self.lookup.account.clone());
            }
            Source::Route | Source::RouteLeaf => {
                if let Some(route) = self.route(find, subscription.connection()) {
                    self.routes[route].plain = true;
                }
            }
        }
    }

    /// Enters a crowd among the groups, which are sorted by name.
    fn queue_crowd(&mut self, target: CrowdTarget) {
        let name = target.crowd.queue().unwrap_or_default();
        let place = self.queues.binary_search_by(|queue| (*queue.name).cmp(name));
        let number = place.unwrap_or_else(|place| place);
        if place.is_err() {
            self.queues.insert(number, QueueTargets::new(name.into(), Vec::new(), &[]));
        }
        self.queues[number].crowds.push(target);
    }

    fn member(&mut self, find: Find<'_>, subscription: &Arc<Subscription>) -> Option<Member> {
        let leaf = match subscription.source() {
            Source::Client => return self.client(find, subscription).map(Member::Client),
            Source::Service | Source::Answers => return None,
            Source::Route => false,
            Source::RouteLeaf => true,
        };
        let route = self.route(find, subscription.connection())?;
        Some(Member::Route { route, subscription: subscription.clone(), leaf })
    }

    /// A client's subscription as a target; none if it is the publisher's own and it wants no echo, or if it may not have this
    /// subject.
    fn client(&mut self, find: Find<'_>, subscription: &Arc<Subscription>) -> Option<ClientTarget> {
        let connection = subscription.connection();
        let wants_no_echo = |publisher: &Entry| connection == publisher.id() && publisher.has(Flag::NoEcho);
        if self.publisher.is_some_and(wants_no_echo) {
            return None;
        }
        let entry = find(connection)?;
        match subscription.shadow() {
            None => self.client_target(&entry, subscription, 0, self.lookup.subject),
            Some(_) if self.lookup.is_passed_on => None,
            Some(shadow) => {
                let view = self.view(shadow);
                let place = view as usize - 1;
                let subject = std::mem::take(&mut self.views[place].subject);
                let target = self.client_target(&entry, subscription, view, &subject);
                self.views[place].subject = subject;
                target
            }
        }
    }

    /// A client's subscription as a target, where it knows the message by this subject.
    fn client_target(
        &mut self,
        entry: &Entry,
        subscription: &Arc<Subscription>,
        view: u32,
        subject: &[u8],
    ) -> Option<ClientTarget> {
        if entry.is_hidden(subject, subscription.queue()) {
            self.has_hidden = true;
            return None;
        }
        let (headers, may_respond) = (entry.has(Flag::Headers), entry.has(Flag::MayRespond));
        let prefix = self.client_prefix(subject, subscription.sid());
        let (subscription, connection) = (subscription.clone(), entry.id());
        Some(ClientTarget { subscription, connection, headers, may_respond, view, prefix })
    }

    /// The number of the view of those who import this, which is entered if it is new.
    fn view(&mut self, shadow: &Shadow) -> u32 {
        let Shadow { account, import, transform, .. } = shadow;
        let known = self.view_numbers.entry((*account, *import));
        *known.or_insert_with(|| {
            let mut subject = Vec::new();
            transform.apply(self.lookup.subject, &mut subject);
            self.views.push(View { account: *account, subject: subject.into() });
            // Fewer than there are subscriptions, which are listed up to a limit.
            self.views.len() as u32
        })
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
    fn route(&mut self, find: Find<'_>, label: ConnectionId) -> Option<usize> {
        if let Some(known) = self.routes.iter().position(|route| route.label == label) {
            return Some(known);
        }
        let entry = find(label)?;
        let Lookup { account, subject, .. } = *self.lookup;
        // The configuration names no groups between servers.
        if entry.is_hidden(subject, None) {
            return None;
        }
        let (account, blank): (&[u8], &[u8]) =
            entry.line_account(account).map_or((b"", b""), |account| (account, b" "));
        let tail = [account, blank, subject, b" "].concat();
        let prefix = self.prefix(&[b"HMSG ", &tail, b"RMSG ", &tail]);
        let (headers, traces) = (entry.has(Flag::Headers), entry.has(Flag::Traces));
        let far = entry.has(Flag::Far);
        self.routes.push(RouteTarget { label, entry, headers, traces, plain: false, far, prefix });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::hub::{Hub, Kind};
    use crate::interest::SubscriptionId;
    use crate::time::Instant;

    const ROUTES: [ConnectionId; 2] = [ConnectionId::new(0, 0), ConnectionId::new(1, 0)];

    /// A group with members at the two routes, of these weights, the second of which is far, if `far` says so.
    fn group(members: &[(usize, Source, u32)], far: bool) -> QueueTargets {
        let hub = Hub::new(Config::default(), 4222);
        let remote = "127.0.0.1:1".parse().expect("an address");
        let insert = || hub.directory().insert(1, Kind::Route, remote, Instant::ZERO, hub.hasher());
        let routes = ROUTES.map(|label| RouteTarget {
            label,
            entry: insert(),
            headers: true,
            traces: true,
            plain: false,
            far: far && label == ROUTES[1],
            prefix: Prefix { start: 0, bytes: 0 },
        });
        let member = |(route, source, weight): &(usize, Source, u32)| {
            let subscription = Subscription::new(SubscriptionId(1), ROUTES[*route], *source, b"a", b"q", b"");
            subscription.set_weight(*weight);
            let leaf = *source == Source::RouteLeaf;
            Member::Route { route: *route, subscription: Arc::new(subscription), leaf }
        };
        QueueTargets::new(b"q".as_slice().into(), members.iter().map(member).collect(), &routes)
    }

    fn weights(members: &[Member]) -> Vec<u64> {
        members.iter().map(Member::weight).collect()
    }

    #[test]
    fn members_are_asked_from_near_to_far_and_leaf_nodes_last() {
        use Source::{Route, RouteLeaf};
        let members = [
            (1, RouteLeaf, 1),
            (0, RouteLeaf, 2),
            (1, Route, 3),
            (0, Route, 4),
            (1, Route, 5),
            (0, Route, 6),
        ];
        let group = group(&members, true);
        assert_eq!(weights(group.near()), [4, 6]);
        assert_eq!(group.farther().map(weights).collect::<Vec<_>>(), [vec![3, 5], vec![2], vec![1]]);
    }

    #[test]
    fn where_nobody_is_far_all_are_near_in_any_order() {
        use Source::{Route, RouteLeaf};
        let members = [(1, RouteLeaf, 1), (1, Route, 2), (0, RouteLeaf, 3), (0, Route, 4)];
        let of_both = group(&members, false);
        assert_eq!(weights(of_both.near()), [1, 2, 3, 4]);
        assert!(of_both.farther().all(<[_]>::is_empty));
        // A far server that has no member of this group counts for nothing.
        let of_one = group(&members[2..], true);
        assert_eq!(weights(of_one.near()), [3, 4]);
    }
}
