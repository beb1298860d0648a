//! `/subsz`: the interest index, and the subscriptions of this node's own clients, each in all accounts that it reaches.

use std::sync::Arc;

use serde::Serialize;

use super::budget::Exhausted;
use super::format::Float;
use super::query::{BadQuery, Query};
use super::rendering::{Context, LongPage, Step};
use super::subscriptions::{Detail, OptionalList};
use super::walk::{Found, Order, Walk};
use crate::accounts::{Account, Imports};
use crate::hash::Position;
use crate::hub::{Hub, Kind};
use crate::id::{AccountId, ConnectionId};
use crate::interest::{Stats, Subscription};
use crate::node::Node;
use crate::wire::subject::{filter_matches, is_valid_publish};

/// What is to be listed.
#[derive(Debug, Default)]
pub(super) struct Options {
    lists: bool,
    offset: usize,
    limit: usize,
    /// Only this account's.
    account: String,
    /// Only those that would get a message to this subject.
    test: String,
}

/// The page, while it is rendered: it lists one account after the other.
#[derive(Debug)]
pub(super) struct Subsz {
    options: Options,
    stage: Stage,
    /// Whose subscriptions are listed, and in which accounts.
    sources: Vec<Source>,
    /// How many subscriptions there are that the list is cut from.
    total: usize,
}

#[derive(Debug)]
enum Stage {
    /// Looks for clients, from this place in the directory on.
    Find(usize),
    /// Counts what is wanted.
    Count(Place),
    List(Box<List>),
}

/// The subscriptions of a client in one account: its own, or by an import those that stand for them at the exporter.
#[derive(Clone, Copy, Debug)]
struct Source {
    account: AccountId,
    client: ConnectionId,
    /// Which stream of its account.
    import: Option<u32>,
}

/// A source, by its place in the list of them, and a place in what the client holds.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    source: usize,
    position: Position,
}

/// The list, as far as it was written.
#[derive(Debug)]
struct List {
    list: OptionalList,
    walk: Walk<Place>,
    /// The accounts that are still to be listed, the next one last.
    accounts: Vec<Arc<Account>>,
    /// How many of those that come next are before the offset.
    skipped: usize,
    /// How many are listed at most.
    left: usize,
}

/// What stands before the list, in nats-server's order.
#[derive(Debug, Serialize)]
struct Head<'a> {
    server_id: &'a str,
    now: String,
    #[serde(flatten)]
    stats: SublistStats,
    total: usize,
    offset: usize,
    limit: usize,
}

/// What an index, or several, count.
#[derive(Debug, Serialize)]
pub(super) struct SublistStats {
    num_subscriptions: u64,
    num_cache: u64,
    num_inserts: u64,
    num_removes: u64,
    num_matches: u64,
    cache_hit_rate: Float,
    max_fanout: u64,
    avg_fanout: Float,
}

impl SublistStats {
    /// What was found for a subject is kept by each connection, not by the index, so there is no shared cache to tell of.
    pub(super) fn new(stats: &[Stats]) -> Self {
        let sum = |count: fn(&Stats) -> u64| stats.iter().map(count).sum();
        Self {
            num_subscriptions: sum(|stats| stats.subscriptions),
            num_cache: 0,
            num_inserts: sum(|stats| stats.inserts),
            num_removes: sum(|stats| stats.removes),
            num_matches: sum(|stats| stats.lookups),
            cache_hit_rate: Float(0.0),
            max_fanout: 0,
            avg_fanout: Float(0.0),
        }
    }
}

impl Options {
    pub(super) fn read(query: &Query) -> Result<Self, BadQuery> {
        let lists = query.flag("subs")?;
        let (offset, limit) = read_page(query)?;
        let test = query.text("test").to_owned();
        if !test.is_empty() && !is_valid_publish(test.as_bytes()) {
            return Err(BadQuery(format!("invalid test subject, must be valid publish subject: {test}")));
        }
        Ok(Self { lists, offset, limit, account: query.text("acc").to_owned(), test })
    }

    fn is_about(&self, account: &Account) -> bool {
        self.account.is_empty() || self.account == account.name()
    }

    /// The only account that is listed, if that is there; none if all are.
    fn wanted_account(&self, hub: &Hub) -> Option<Option<AccountId>> {
        let find = || hub.accounts().find(self.account.as_bytes()).map(|account| account.id());
        (!self.account.is_empty()).then(find)
    }

    fn wants(&self, subscription: &Subscription) -> bool {
        self.test.is_empty() || filter_matches(subscription.subject(), self.test.as_bytes())
    }
}

/// Which part of a long list is wanted: where it begins, and how long it may be.
pub(super) fn read_page(query: &Query) -> Result<(usize, usize), BadQuery> {
    let offset = usize::try_from(query.int("offset")?).unwrap_or(0);
    let limit = usize::try_from(query.int("limit")?).ok().filter(|limit| *limit > 0);
    Ok((offset, limit.unwrap_or(DEFAULT_LIMIT)))
}

impl LongPage for Subsz {
    fn step(&mut self, context: &mut Context<'_>) -> Result<Step, Exhausted> {
        match &mut self.stage {
            Stage::Find(from) => {
                let from = *from;
                self.find(context, from)?;
                Ok(Step::Looked)
            }
            Stage::Count(place) => {
                let place = *place;
                self.count(context, place);
                Ok(Step::Looked)
            }
            Stage::List(list) => Ok(list.step(context, &self.options, &self.sources)),
        }
    }
}

impl Subsz {
    pub(super) fn new(options: Options) -> Self {
        Self { options, stage: Stage::Find(0), sources: Vec::new(), total: 0 }
    }

    fn find(&mut self, context: &mut Context<'_>, from: usize) -> Result<(), Exhausted> {
        let hub = context.node.hub();
        let wanted = self.options.wanted_account(hub);
        let (entries, next) = hub.directory().slice(Kind::Client, from);
        let lists = self.options.lists;
        for entry in entries.iter().filter(|_| lists) {
            if let Some(account) = hub.account_of(entry) {
                let sources = Source::all_of(entry.id(), &account);
                let is_wanted = |source: &Source| wanted.is_none_or(|wanted| wanted == Some(source.account));
                self.sources.extend(sources.filter(is_wanted));
                context.holds(&self.sources)?;
            }
        }
        self.stage = next.map_or(Stage::Count(Place::default()), Stage::Find);
        Ok(())
    }

    fn count(&mut self, context: &mut Context<'_>, place: Place) {
        let Self { options, sources, total, .. } = self;
        let next = look(context.node, sources, None, place, &mut |subscription| {
            *total += usize::from(options.wants(subscription));
        });
        match next {
            Some(place) => self.stage = Stage::Count(place),
            None => self.begin(context),
        }
    }

    fn begin(&mut self, context: &mut Context<'_>) {
        let hub = context.node.hub();
        let mut accounts = hub.accounts().list();
        accounts.retain(|account| self.options.is_about(account));
        context.printer.open_object();
        context.printer.fields(&self.head(context, &accounts));
        accounts.reverse();
        self.stage = Stage::List(Box::new(List {
            list: OptionalList::new("subscriptions_list"),
            walk: Walk::new(Order::BySubject, hub.newest_subscription()),
            accounts,
            skipped: self.options.offset,
            left: if self.total > self.options.offset { self.options.limit } else { 0 },
        }));
    }

    fn head<'a>(&self, context: &Context<'a>, accounts: &[Arc<Account>]) -> Head<'a> {
        let stats: Vec<_> = accounts.iter().map(|account| account.index().stats()).collect();
        Head {
            server_id: context.node.hub().server_id(),
            now: context.facts.time_now(),
            stats: SublistStats::new(&stats),
            total: self.total,
            offset: self.options.offset,
            limit: self.options.limit,
        }
    }
}

impl List {
    fn step(&mut self, context: &mut Context<'_>, options: &Options, sources: &[Source]) -> Step {
        let Some(account) = self.accounts.last().filter(|_| self.left > 0) else {
            self.list.end(context.printer);
            context.printer.close_object();
            return Step::Done;
        };
        let found = self.walk.step(|place, each| {
            look(context.node, sources, Some(account.id()), place, &mut |subscription| {
                if options.wants(subscription) {
                    each(subscription);
                }
            })
        });
        match found {
            Found::Nothing => return Step::Looked,
            Found::Subscription(_) if self.skipped > 0 => self.skipped -= 1,
            Found::Subscription(subscription) => {
                // Its client may be gone by now.
                if let Some(detail) = detail(context.node.hub(), account, &subscription) {
                    self.list.add(context.printer, &detail);
                    self.left -= 1;
                }
            }
            Found::End => {
                self.accounts.pop();
                self.walk = Walk::new(Order::BySubject, context.node.hub().newest_subscription());
            }
        }
        Step::Wrote
    }
}

/// What is shown of a subscription in this account: of what an importer has there its own account. None if that, or the client, is
/// gone.
fn detail(hub: &Hub, account: &Arc<Account>, subscription: &Subscription) -> Option<Detail> {
    let importer = subscription.shadow().map(|shadow| hub.accounts().get(shadow.account));
    let owner = importer.unwrap_or_else(|| Some(account.clone()))?;
    let entry = hub.directory().get(subscription.connection())?;
    Some(Detail::of_client(Some(owner.name()), entry.cid(), subscription))
}

/// Shows a shard of a source, the first from `place` on, of one account or of all; returns where to go on.
fn look(
    node: &Node,
    sources: &[Source],
    account: Option<AccountId>,
    place: Place,
    each: &mut dyn FnMut(&Arc<Subscription>),
) -> Option<Place> {
    let is_wanted = |source: &Source| account.is_none_or(|account| account == source.account);
    let source = place.source + sources.get(place.source..)?.iter().position(is_wanted)?;
    let next = sources[source].look(node.hub(), place.position, each);
    let after = Place { source: source + 1, position: Position::START };
    Some(next.map_or(after, |position| Place { source, position }))
}

impl Source {
    /// Where a client of this account may have subscriptions.
    fn all_of(client: ConnectionId, account: &Account) -> impl Iterator<Item = Self> {
        let own = Self { account: account.id(), client, import: None };
        let exporters = account.imports().into_iter().flat_map(Imports::exporters_of_streams);
        let there =
            exporters.zip(0..).map(move |(account, import)| Self { account, client, import: Some(import) });
        std::iter::once(own).chain(there)
    }

    /// Shows a shard of what the client holds, if it is there; returns where to go on.
    fn look(&self, hub: &Hub, at: Position, each: &mut dyn FnMut(&Arc<Subscription>)) -> Option<Position> {
        let entry = hub.directory().get(self.client)?;
        let Some(import) = self.import else { return entry.subscriptions().visit(at, each) };
        let (importer, exporter) = (hub.account_of(&entry)?, hub.accounts().get(self.account)?);
        let mut held = Vec::new();
        let next = entry.subscriptions().visit(at, &mut |subscription| held.push(subscription.clone()));
        // The index is asked once the client's subscriptions are free again.
        for subscription in held {
            let reached = importer
                .imports()
                .and_then(|imports| imports.reached_through(import as usize, &subscription));
            let there = reached.filter(|reached| reached.exporter == self.account);
            let shadow = there.and_then(|reached| exporter.index().get(&reached.key_of(&subscription)));
            shadow.iter().for_each(&mut *each);
        }
        next
    }
}

/// How long a list is unless it is asked for another length.
const DEFAULT_LIMIT: usize = 1024;
