//! `/subsz`: the interest index, and the subscriptions of this node's own clients.

use std::sync::Arc;

use serde::Serialize;

use super::Facts;
use super::format::Float;
use super::query::{BadQuery, Query};
use super::subscriptions::Detail;
use crate::accounts::Account;
use crate::interest::{Source, Subscription};
use crate::node::Node;
use crate::wire::subject::{filter_matches, is_valid_publish};

/// What is to be listed.
#[derive(Debug, Default)]
pub(crate) struct Options {
    lists: bool,
    offset: usize,
    limit: usize,
    /// Only this account's.
    account: String,
    /// Only those that would get a message to this subject.
    test: String,
}

/// What `/subsz` shows, in nats-server's order.
#[derive(Debug, Serialize)]
pub(crate) struct Subsz {
    server_id: String,
    now: String,
    num_subscriptions: u64,
    num_cache: u64,
    num_inserts: u64,
    num_removes: u64,
    num_matches: u64,
    cache_hit_rate: Float,
    max_fanout: u64,
    avg_fanout: Float,
    total: usize,
    offset: usize,
    limit: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<Detail>,
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

    fn wants_account(&self, account: &Account) -> bool {
        self.account.is_empty() || self.account == account.name()
    }

    fn wants(&self, subscription: &Subscription) -> bool {
        subscription.source() == Source::Client
            && (self.test.is_empty() || filter_matches(subscription.subject(), self.test.as_bytes()))
    }
}

/// Which part of a long list is wanted: where it begins, and how long it may be.
pub(super) fn read_page(query: &Query) -> Result<(usize, usize), BadQuery> {
    let offset = usize::try_from(query.int("offset")?).unwrap_or(0);
    let limit = usize::try_from(query.int("limit")?).ok().filter(|limit| *limit > 0);
    Ok((offset, limit.unwrap_or(DEFAULT_LIMIT)))
}

/// Gathers what `/subsz` shows.
///
/// What was found for a subject is kept by each connection, not by the index, so there is no shared cache to tell of.
pub(crate) fn subsz(node: &Node, facts: &Facts<'_>, options: &Options) -> Subsz {
    let mut accounts = node.hub().accounts().list();
    accounts.retain(|account| options.wants_account(account));
    let stats = || accounts.iter().map(|account| account.index().stats());
    let wanted = if options.lists { wanted(&accounts, options) } else { Vec::new() };
    let page = wanted.iter().skip(options.offset).take(options.limit);
    Subsz {
        server_id: node.hub().server_id().to_owned(),
        now: facts.time_now(),
        num_subscriptions: stats().map(|stats| stats.subscriptions).sum(),
        num_cache: 0,
        num_inserts: stats().map(|stats| stats.inserts).sum(),
        num_removes: stats().map(|stats| stats.removes).sum(),
        num_matches: stats().map(|stats| stats.lookups).sum(),
        cache_hit_rate: Float(0.0),
        max_fanout: 0,
        avg_fanout: Float(0.0),
        total: wanted.len(),
        offset: options.offset,
        limit: options.limit,
        subscriptions_list: page
            .map(|(account, subscription)| {
                let cid =
                    node.hub().directory().get(subscription.connection()).map_or(0, |entry| entry.cid());
                Detail::of_client(Some(account.name()), cid, subscription)
            })
            .collect(),
    }
}

/// The subscriptions that the list is cut from, by account and subject.
fn wanted<'a>(accounts: &'a [Arc<Account>], options: &Options) -> Vec<(&'a Account, Arc<Subscription>)> {
    let mut wanted = Vec::new();
    for account in accounts {
        account.index().for_each(&mut |subscription| {
            if options.wants(subscription) {
                wanted.push((&**account, subscription.clone()));
            }
        });
    }
    wanted
}

/// How long a list is unless it is asked for another length.
const DEFAULT_LIMIT: usize = 1024;
