//! Lists of subscriptions, as several pages show them.

use std::sync::Arc;

use serde::Serialize;

use super::format::{is_default, text};
use super::query::Listing;
use crate::interest::Subscription;

/// One subscription with all that is known of it.
#[derive(Debug, Serialize)]
pub(crate) struct Detail {
    #[serde(skip_serializing_if = "is_default")]
    account: String,
    #[serde(skip_serializing_if = "is_default")]
    account_tag: String,
    subject: String,
    #[serde(skip_serializing_if = "is_default")]
    qgroup: String,
    sid: String,
    msgs: u64,
    #[serde(skip_serializing_if = "is_default")]
    max: u64,
    cid: u64,
}

/// The subscriptions of a connection, in the form that was asked for.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Listed {
    #[serde(skip_serializing_if = "is_default")]
    subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list_detail: Vec<Detail>,
}

impl Detail {
    /// A client's subscription. Its account is not shown in every list.
    pub(super) fn of_client(account: Option<&str>, cid: u64, subscription: &Subscription) -> Self {
        let account = account.unwrap_or_default().to_owned();
        let detail = Self::new(cid, text(subscription.sid()), subscription);
        Self { account_tag: account.clone(), account, ..detail }
    }

    /// A route's interest, which has no name at the other end: it gets one from what it is.
    pub(super) fn of_route(account: Option<&str>, rid: u64, subscription: &Subscription) -> Self {
        let subject = text(subscription.subject());
        let queue = subscription.queue().map(text);
        let parts = [Some("R"), account, Some(&subject), queue.as_deref()];
        let sid = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Self::new(rid, sid, subscription)
    }

    fn new(cid: u64, sid: String, subscription: &Subscription) -> Self {
        Self {
            account: String::new(),
            account_tag: String::new(),
            subject: text(subscription.subject()),
            qgroup: subscription.queue().map(text).unwrap_or_default(),
            sid,
            msgs: subscription.delivered(),
            max: subscription.max().unwrap_or(0),
            cid,
        }
    }
}

impl Listed {
    /// Lists `subscriptions`, each with what `detail` makes of it where detail is asked for.
    pub(super) fn new<'a>(
        listing: Listing,
        subscriptions: impl Iterator<Item = &'a Arc<Subscription>>,
        mut detail: impl FnMut(&Subscription) -> Detail,
    ) -> Self {
        let mut listed = Self::default();
        match listing {
            Listing::None => {}
            Listing::Subjects => {
                listed.subscriptions_list = subscriptions.map(|each| text(each.subject())).collect();
            }
            Listing::Detail => {
                listed.subscriptions_list_detail = subscriptions.map(|each| detail(each)).collect();
            }
        }
        listed
    }

    /// Adds what another list of the same form has.
    pub(super) fn append(&mut self, mut other: Self) {
        self.subscriptions_list.append(&mut other.subscriptions_list);
        self.subscriptions_list_detail.append(&mut other.subscriptions_list_detail);
    }
}
