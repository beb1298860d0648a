//! The list of `/routez`, rendered piece by piece.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::{Head, RouteRest, look, registered, route, sid_account};
use crate::accounts::Account;
use crate::cluster::Circuits;
use crate::hub::{About, Entry};
use crate::id::ConnectionId;
use crate::monitor::budget::Exhausted;
use crate::monitor::query::Listing;
use crate::monitor::rendering::{Context, LongPage, Step};
use crate::monitor::subscriptions::{Detail, Lister};

/// The page, while it is rendered.
#[derive(Debug)]
pub(in crate::monitor) struct RoutezPage {
    listing: Listing,
    /// From so many bytes on nothing more is listed.
    max_bytes: usize,
    /// From so many on no interest: that leaves room for the routes.
    max_bytes_with_interest: usize,
    /// Something was left out because of that.
    is_truncated: bool,
    /// The routes that are still to be shown, the next one last; none before the page was begun.
    routes: Option<Vec<ConnectionId>>,
    shown: Option<Box<Shown>>,
}

/// What a page says at its end if it does not have all that was asked for.
#[derive(Debug, Serialize)]
struct Truncated {
    onehop_truncated: bool,
}

/// How many attempts to reach other servers were begun, by their causes.
#[derive(Debug, Serialize)]
struct Dials {
    onehop_dials: BTreeMap<&'static str, u64>,
}

/// How many circuits pass through this node, and which servers it cannot reach, not even by one.
#[derive(Debug, Serialize)]
struct Relayed {
    #[serde(skip_serializing_if = "Option::is_none")]
    onehop_circuits: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    onehop_unreached: Vec<String>,
}

/// A route that is being shown.
#[derive(Debug)]
struct Shown {
    entry: Arc<Entry>,
    about: About,
    rest: RouteRest,
    lister: Lister,
    /// Those that its interest is still to be listed of, the next one last.
    accounts: Vec<Arc<Account>>,
}

impl LongPage for RoutezPage {
    fn step(&mut self, context: &mut Context<'_>) -> Result<Step, Exhausted> {
        let Some(routes) = &mut self.routes else {
            self.begin(context)?;
            return Ok(Step::Wrote);
        };
        let written_bytes = context.printer.written_bytes();
        let step = match &mut self.shown {
            Some(shown) => {
                if written_bytes >= self.max_bytes_with_interest && self.listing != Listing::None {
                    self.is_truncated |= shown.leave_out_rest();
                }
                shown.step(context)
            }
            None => {
                if written_bytes >= self.max_bytes {
                    self.is_truncated |= !routes.is_empty();
                    routes.clear();
                }
                let Some(next) = routes.pop() else {
                    self.end(context);
                    return Ok(Step::Done);
                };
                // It may be gone by now.
                let entry = context.node.hub().directory().get(next);
                self.shown = entry.map(|entry| Box::new(Shown::begin(context, self.listing, entry)));
                Step::Wrote
            }
        };
        if step == Step::Done {
            self.shown = None;
            return Ok(Step::Wrote);
        }
        Ok(step)
    }
}

impl RoutezPage {
    pub(in crate::monitor) fn new(listing: Listing) -> Self {
        Self::limited(listing, usize::MAX, true)
    }

    /// One that leaves out what comes after about so many bytes, interest first, or all interest. It says so, and its numbers
    /// are those of all.
    pub(in crate::monitor) fn limited(listing: Listing, max_bytes: usize, has_interest: bool) -> Self {
        Self {
            listing,
            max_bytes,
            max_bytes_with_interest: if has_interest { max_bytes } else { 0 },
            is_truncated: false,
            routes: None,
            shown: None,
        }
    }

    fn begin(&mut self, context: &mut Context<'_>) -> Result<(), Exhausted> {
        let routes: Vec<_> = registered(context.node).iter().rev().map(|(entry, _)| entry.id()).collect();
        context.holds(&routes)?;
        let for_routes = routes.len() * ROUTE_BYTES;
        self.max_bytes_with_interest = self.max_bytes_with_interest.saturating_sub(for_routes);
        context.printer.open_object();
        context.printer.fields(&Head::new(context.node, context.facts, routes.len()));
        context.printer.open_list("routes");
        self.routes = Some(routes);
        Ok(())
    }

    fn end(&self, context: &mut Context<'_>) {
        context.printer.close_list();
        let dials = context.node.dial_counts();
        if dials.total() > 0 {
            context.printer.fields(&Dials { onehop_dials: dials.iter().collect() });
        }
        let Circuits { passing, unreached } = context.node.circuits();
        let onehop_circuits = (passing > 0).then_some(passing);
        context.printer.fields(&Relayed { onehop_circuits, onehop_unreached: unreached });
        if self.is_truncated {
            context.printer.fields(&Truncated { onehop_truncated: true });
        }
        context.printer.close_object();
    }
}

impl Shown {
    fn begin(context: &mut Context<'_>, listing: Listing, entry: Arc<Entry>) -> Self {
        let (node, about) = (context.node, entry.about());
        let (start, rest) = route(node, context.facts, &entry, &about);
        context.printer.open_object();
        context.printer.fields(&start);
        let mut accounts = node.hub().accounts().list();
        accounts.reverse();
        let lister = Lister::new(listing, node.hub().newest_subscription());
        Self { entry, about, rest, lister, accounts }
    }

    fn step(&mut self, context: &mut Context<'_>) -> Step {
        let Self { entry, about, rest, lister, accounts } = self;
        let Some(account) = accounts.last() else {
            lister.end(context.printer);
            context.printer.fields(rest);
            context.printer.close_object();
            return Step::Done;
        };
        let named = sid_account(about, account.name());
        let step = lister.step(
            context.printer,
            |at, each| look(entry, account, at, each),
            |subscription| Detail::of_route(named, entry.cid(), subscription),
        );
        if step == Step::Done {
            accounts.pop();
            lister.begin_next(context.node.hub().newest_subscription());
            return Step::Wrote;
        }
        step
    }

    /// Lists no more of its interest. Whether there may have been more.
    fn leave_out_rest(&mut self) -> bool {
        let had_rest = !self.accounts.is_empty() && self.entry.interest().len() > 0;
        self.accounts.clear();
        had_rest
    }
}

/// What is kept free for each route, without its interest: twice what it usually takes.
const ROUTE_BYTES: usize = 1024;
