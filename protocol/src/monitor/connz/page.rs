//! The list of `/connz`, rendered piece by piece.

use std::sync::{Arc, Weak};

use serde::Serialize;

use super::conn::Candidate;
use super::{Options, Order, State};
use crate::hub::{Closed, Kind};
use crate::id::ConnectionId;
use crate::monitor::budget::Exhausted;
use crate::monitor::rendering::{Context, LongPage, Step};
use crate::monitor::subscriptions::Lister;
use crate::node::Node;

/// The page, while it is rendered: of each connection that it is to show it keeps where that is found, and no more.
#[derive(Debug)]
pub(in crate::monitor) struct Connz {
    options: Options,
    stage: Stage,
    /// How many connections of the wanted state and account there are.
    total: usize,
    /// Those that are wanted; once they are sorted, those that are still to be shown, the next one last.
    keys: Vec<Key>,
}

#[derive(Debug)]
enum Stage {
    /// Looks for open connections, from this place in the directory on.
    Find(usize),
    /// Shows the next connection.
    Next,
    /// Lists the subscriptions of this one.
    Within(Box<(Candidate, Lister)>),
}

/// What is kept of a connection.
#[derive(Debug)]
struct Key {
    order: Order,
    cid: u64,
    place: Place,
}

/// Where a connection is found, unless it is gone.
#[derive(Debug)]
enum Place {
    Open(ConnectionId),
    Closed(Weak<Closed>),
}

/// What stands before the list, in nats-server's order.
#[derive(Debug, Serialize)]
struct Head<'a> {
    server_id: &'a str,
    now: String,
    num_connections: usize,
    total: usize,
    offset: usize,
    limit: usize,
}

/// What stands in the place of the list if there is no such account.
#[derive(Debug, Serialize)]
struct NoList {
    connections: Option<()>,
}

impl LongPage for Connz {
    fn step(&mut self, context: &mut Context<'_>) -> Result<Step, Exhausted> {
        match &mut self.stage {
            Stage::Find(from) => {
                let from = *from;
                self.find(context, from)
            }
            Stage::Next => Ok(self.show_next(context)),
            Stage::Within(shown) => {
                let (candidate, lister) = &mut **shown;
                let step = candidate.list(lister, context.printer);
                if step != Step::Done {
                    return Ok(step);
                }
                lister.end(context.printer);
                candidate.show_rest(&self.options, context.printer);
                context.printer.close_object();
                self.stage = Stage::Next;
                Ok(Step::Wrote)
            }
        }
    }
}

impl Connz {
    pub(in crate::monitor) fn new(options: Options) -> Self {
        Self { options, stage: Stage::Find(0), total: 0, keys: Vec::new() }
    }

    fn find(&mut self, context: &mut Context<'_>, from: usize) -> Result<Step, Exhausted> {
        let (entries, next) = context.node.hub().directory().slice(Kind::Client, from);
        let wants_open = self.options.state != State::Closed;
        for entry in entries.into_iter().filter(|_| wants_open) {
            self.consider(context, Place::Open(entry.id()), &Candidate::open(context.node, entry));
        }
        context.holds(&self.keys)?;
        if let Some(next) = next {
            self.stage = Stage::Find(next);
            return Ok(Step::Looked);
        }
        if self.options.state != State::Open {
            for closed in context.node.hub().closed().to_vec() {
                self.consider(context, Place::Closed(Arc::downgrade(&closed)), &Candidate::closed(closed));
            }
        }
        self.cut();
        context.holds(&self.keys)?;
        Ok(self.begin(context))
    }

    fn consider(&mut self, context: &Context<'_>, place: Place, candidate: &Candidate) {
        if !self.options.is_about(candidate) {
            return;
        }
        self.total += 1;
        if self.options.wants(candidate) {
            let order = self.options.sort.order(context.facts, candidate);
            self.keys.push(Key { order, cid: candidate.entry.cid(), place });
        }
    }

    /// Cuts the page out of what was found.
    fn cut(&mut self) {
        let Self { options, keys, .. } = self;
        keys.sort_unstable_by(|a, b| (&b.order, b.cid).cmp(&(&a.order, a.cid)));
        keys.truncate(keys.len().saturating_sub(options.offset));
        keys.drain(..keys.len().saturating_sub(options.limit));
        keys.shrink_to_fit();
    }

    fn begin(&mut self, context: &mut Context<'_>) -> Step {
        let Self { options, keys, total, .. } = self;
        let hub = context.node.hub();
        let is_known =
            options.account.is_empty() || hub.accounts().find(options.account.as_bytes()).is_some();
        context.printer.open_object();
        context.printer.fields(&Head {
            server_id: if is_known { hub.server_id() } else { "" },
            now: context.facts.time_now(),
            num_connections: keys.len(),
            total: *total,
            offset: options.offset,
            limit: options.limit,
        });
        if !is_known {
            // nats-server answers so, without its id too.
            context.printer.fields(&NoList { connections: None });
            context.printer.close_object();
            return Step::Done;
        }
        context.printer.open_list("connections");
        self.stage = Stage::Next;
        Step::Wrote
    }

    fn show_next(&mut self, context: &mut Context<'_>) -> Step {
        let Some(key) = self.keys.pop() else {
            context.printer.close_list();
            context.printer.close_object();
            return Step::Done;
        };
        let Some(candidate) = key.place.candidate(context.node) else { return Step::Looked };
        context.printer.open_object();
        candidate.show(context.facts, &self.options, context.printer);
        let lister = Lister::new(self.options.listing, context.node.hub().newest_subscription());
        self.stage = Stage::Within(Box::new((candidate, lister)));
        Step::Wrote
    }
}

impl Place {
    /// What is there, unless it is gone.
    fn candidate(&self, node: &Node) -> Option<Candidate> {
        match self {
            Self::Open(id) => Some(Candidate::open(node, node.hub().directory().get(*id)?)),
            Self::Closed(closed) => closed.upgrade().map(Candidate::closed),
        }
    }
}
