//! `/accstatz`: what the connections of each account have sent and received.

use serde::Serialize;

use super::query::{BadQuery, Query};
use super::{Facts, Response};
use crate::accounts::{Account, Traffic};
use crate::hub::{Entry, Kind, Totals};
use crate::node::Node;

/// What `/accstatz` shows, in nats-server's order.
#[derive(Debug, Serialize)]
struct Accstatz {
    server_id: String,
    now: String,
    account_statz: Vec<Statistics>,
}

#[derive(Debug, Serialize)]
struct Statistics {
    acc: String,
    name: String,
    conns: usize,
    leafnodes: usize,
    total_conns: usize,
    num_subscriptions: u64,
    sent: Sums,
    received: Sums,
    slow_consumers: u64,
}

/// All of one direction, and what of it was between servers.
#[derive(Debug, Default, Serialize)]
struct Sums {
    msgs: u64,
    bytes: u64,
    gateways: Sum,
    routes: Sum,
    leafs: Sum,
}

#[derive(Debug, Default, Serialize)]
struct Sum {
    msgs: u64,
    bytes: u64,
}

/// Shows the accounts that have connections, those that are asked for by name, or all.
pub(super) fn accstatz(node: &Node, facts: &Facts<'_>, query: &Query) -> Result<Response, BadQuery> {
    let shows_unused = query.flag("unused")?;
    let accounts = node.hub().accounts().list();
    let shown = accounts.iter().map(|account| (account, Gathered::of(node, account)));
    let shown = shown.filter(|(_, gathered)| shows_unused || gathered.connections > 0);
    Ok(Response::pretty(&Accstatz {
        server_id: node.hub().server_id().to_owned(),
        now: facts.time_now(),
        account_statz: shown.map(|(account, gathered)| gathered.into_statistics(account)).collect(),
    }))
}

/// What the connections of an account have done. What a route carries of several accounts counts for that of clients that name
/// none.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Clients that are connected.
    pub(super) connections: usize,
    sent: Sums,
    received: Sums,
    slow_consumers: u64,
}

impl Gathered {
    /// Looks through all connections, a part of the directory at a time. Who comes or goes meanwhile may be missed.
    pub(super) fn of(node: &Node, account: &Account) -> Self {
        let hub = node.hub();
        let departed = account.departed();
        let slow_consumers = Totals::get(&departed.slow_clients);
        let mut gathered = Self { slow_consumers, ..Self::default() };
        gathered.add(Kind::Client, &departed.clients);
        gathered.add(Kind::Route, &departed.routes);
        for kind in [Kind::Client, Kind::Route] {
            let mut from = Some(0);
            while let Some(start) = from {
                let (entries, next) = hub.directory().slice(kind, start);
                let is_of = |entry: &&std::sync::Arc<Entry>| {
                    hub.account_for(entry).is_some_and(|of| of.id() == account.id())
                };
                entries.iter().filter(is_of).for_each(|entry| gathered.add_open(entry));
                from = next;
            }
        }
        gathered
    }

    fn add_open(&mut self, entry: &Entry) {
        self.connections += usize::from(entry.kind() == Kind::Client);
        self.add(entry.kind(), entry.traffic());
    }

    fn add(&mut self, kind: Kind, traffic: &Traffic) {
        let is_route = kind == Kind::Route;
        self.sent.add(traffic.out_messages(), traffic.out_bytes(), is_route);
        self.received.add(traffic.in_messages(), traffic.in_bytes(), is_route);
    }

    fn into_statistics(self, account: &Account) -> Statistics {
        Statistics {
            acc: account.name().to_owned(),
            name: account.name().to_owned(),
            conns: self.connections,
            leafnodes: 0,
            total_conns: self.connections,
            num_subscriptions: account.index().stats().subscriptions,
            sent: self.sent,
            received: self.received,
            slow_consumers: self.slow_consumers,
        }
    }
}

impl Sums {
    fn add(&mut self, msgs: u64, bytes: u64, is_route: bool) {
        self.msgs += msgs;
        self.bytes += bytes;
        if is_route {
            self.routes.msgs += msgs;
            self.routes.bytes += bytes;
        }
    }
}
