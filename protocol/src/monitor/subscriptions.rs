//! Lists of subscriptions, as several pages show them.

use std::sync::Arc;

use serde::Serialize;

use super::format::{is_default, text};
use super::printer::Printer;
use super::query::Listing;
use super::rendering::Step;
use super::walk::{Found, Order, Walk};
use crate::hash::Position;
use crate::interest::{Subscription, SubscriptionId};

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

/// Lists the subscriptions of a connection step by step, in the order of their creation and in the form that was asked for.
#[derive(Debug)]
pub(super) struct Lister {
    listing: Listing,
    walk: Walk<Position>,
    list: OptionalList,
}

/// A list that is left out if it has no element.
#[derive(Debug)]
pub(super) struct OptionalList {
    name: &'static str,
    is_begun: bool,
}

impl Lister {
    /// Begins; `newest` is the last subscription that there is.
    pub(super) fn new(listing: Listing, newest: SubscriptionId) -> Self {
        let name = match listing {
            Listing::Detail => "subscriptions_list_detail",
            _ => "subscriptions_list",
        };
        Self { listing, walk: Walk::new(Order::ById, newest), list: OptionalList::new(name) }
    }

    /// Goes on, until all that `look` leads to are listed ([`Walk::step`]); `detail` is what is shown of one if that is asked
    /// for.
    pub(super) fn step(
        &mut self,
        printer: &mut Printer,
        look: impl FnOnce(Position, &mut dyn FnMut(&Arc<Subscription>)) -> Option<Position>,
        detail: impl FnOnce(&Subscription) -> Detail,
    ) -> Step {
        if self.listing == Listing::None {
            return Step::Done;
        }
        match self.walk.step(look) {
            Found::Nothing => Step::Looked,
            Found::Subscription(subscription) => {
                self.add(printer, &subscription, detail);
                Step::Wrote
            }
            Found::End => Step::Done,
        }
    }

    /// Goes on with other subscriptions, in the same list.
    pub(super) fn begin_next(&mut self, newest: SubscriptionId) {
        self.walk = Walk::new(Order::ById, newest);
    }

    /// Adds a subscription.
    pub(super) fn add(
        &mut self,
        printer: &mut Printer,
        subscription: &Subscription,
        detail: impl FnOnce(&Subscription) -> Detail,
    ) {
        match self.listing {
            Listing::None => {}
            Listing::Subjects => self.list.add(printer, &text(subscription.subject())),
            Listing::Detail => self.list.add(printer, &detail(subscription)),
        }
    }

    /// Ends the list.
    pub(super) fn end(&mut self, printer: &mut Printer) {
        self.list.end(printer);
    }
}

impl OptionalList {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, is_begun: false }
    }

    pub(super) fn add(&mut self, printer: &mut Printer, value: &impl Serialize) {
        if !self.is_begun {
            printer.open_list(self.name);
            self.is_begun = true;
        }
        printer.element(value);
    }

    pub(super) fn end(&mut self, printer: &mut Printer) {
        if self.is_begun {
            printer.close_list();
        }
    }
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
