//! `/accountz`: which accounts there are, or one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::accstatz::connections_of;
use super::format::is_default;
use super::query::{BadQuery, Query};
use super::sharing::{Exported, Imported, Responses};
use super::subsz::SublistStats;
use super::{Facts, Response};
use crate::accounts::Account;
use crate::config::{Mapping, MappingDestination};
use crate::node::Node;

/// What `/accountz` shows, in nats-server's order.
#[derive(Debug, Serialize)]
struct Accountz {
    server_id: String,
    now: String,
    #[serde(skip_serializing_if = "is_default")]
    system_account: String,
    #[serde(skip_serializing_if = "is_default")]
    accounts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_detail: Option<Detail>,
}

/// One account.
#[derive(Debug, Serialize)]
struct Detail {
    account_name: String,
    update_time: String,
    #[serde(skip_serializing_if = "is_default")]
    is_system: bool,
    expired: bool,
    complete: bool,
    jetstream_enabled: bool,
    leafnode_connections: usize,
    client_connections: usize,
    subscriptions: u64,
    #[serde(skip_serializing_if = "is_default")]
    mappings: BTreeMap<String, Vec<Destination>>,
    #[serde(skip_serializing_if = "is_default")]
    exports: Vec<Exported>,
    #[serde(skip_serializing_if = "is_default")]
    imports: Vec<Imported>,
    name_tag: String,
    sublist_stats: SublistStats,
    #[serde(flatten)]
    responses: Responses,
}

/// Where messages to a subject go, up to which of 100.
#[derive(Debug, PartialEq, Serialize)]
struct Destination {
    subject: String,
    weight: u8,
    #[serde(skip_serializing_if = "is_default")]
    cluster: String,
}

/// Lists the accounts, or shows the one that is asked for.
pub(super) fn accountz(node: &Node, facts: &Facts<'_>, query: &Query) -> Result<Response, BadQuery> {
    let hub = node.hub();
    let name = query.text("acc");
    let account_detail = match hub.accounts().find(name.as_bytes()) {
        Some(account) => Some(Detail::new(node, facts, &account)),
        None if name.is_empty() => None,
        None => return Err(BadQuery(format!("Account {name} does not exist"))),
    };
    let accounts = match account_detail {
        Some(_) => Vec::new(),
        None => hub.accounts().list().iter().map(|account| account.name().to_owned()).collect(),
    };
    Ok(Response::pretty(&Accountz {
        server_id: hub.server_id().to_owned(),
        now: facts.time_now(),
        system_account: hub.system_account().map_or_else(String::new, |account| account.name().to_owned()),
        accounts,
        account_detail,
    }))
}

impl Detail {
    fn new(node: &Node, facts: &Facts<'_>, account: &Arc<Account>) -> Self {
        let stats = account.index().stats();
        let system = node.hub().system_account();
        let config = node.hub().config();
        let mappings = config.mappings_of(account.name()).iter();
        let named = config.account(account.name());
        Self {
            account_name: account.name().to_owned(),
            update_time: facts.time(facts.start),
            is_system: system.is_some_and(|system| system.id() == account.id()),
            expired: false,
            complete: true,
            jetstream_enabled: false,
            leafnode_connections: 0,
            client_connections: connections_of(node.hub(), account),
            subscriptions: stats.subscriptions,
            mappings: mappings.map(|mapping| (mapping.source.clone(), destinations(mapping))).collect(),
            exports: named.map(Exported::all_of).unwrap_or_default(),
            imports: named.map(Imported::all_of).unwrap_or_default(),
            name_tag: account.name().to_owned(),
            sublist_stats: SublistStats::new(&[stats]),
            responses: Responses::of(node.hub(), account, facts.now),
        }
    }
}

fn destinations(mapping: &Mapping) -> Vec<Destination> {
    let shown = |MappingDestination { subject, weight, cluster }| Destination {
        subject,
        weight,
        cluster: cluster.unwrap_or_default(),
    };
    mapping.added_up().into_iter().map(shown).collect()
}
