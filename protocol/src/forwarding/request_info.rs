//! Who asks a service of another account, as the header `Nats-Request-Info` says it (wire.md 1.12).

use serde::Serialize;

use super::Courier;
use crate::accounts::Account;
use crate::hub::{About, Entry};
use crate::wire::system::to_json;

/// Who sent the request at first, where it goes through several accounts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    account: &'a Account,
    /// The exporter is told who in the account it is.
    is_shown: bool,
    /// And at which server, since one of the imports shares that.
    has_server: bool,
}

/// What the header says; what is empty is left out.
#[derive(Debug, Default, Serialize)]
struct RequestInfo<'a> {
    #[serde(skip_serializing_if = "String::is_empty")]
    start: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    #[serde(skip_serializing_if = "is_zero")]
    id: u64,
    acc: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    svc: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ver: String,
    #[serde(skip_serializing_if = "is_zero")]
    rtt: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    server: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_type: &'static str,
}

impl<'a> Asker<'a> {
    /// Somebody in the account of the first importer, who is shown if that shares it.
    pub(super) fn new(account: &'a Account, is_shown: bool) -> Self {
        Self { account, is_shown, has_server: is_shown }
    }

    /// The same behind one more import.
    pub(super) fn behind(self, shares: bool) -> Self {
        Self { has_server: self.has_server || shares, ..self }
    }

    /// The value of the header, where the request comes out of `importer`.
    pub(super) fn info<S>(&self, courier: &Courier<'_, S>, importer: &Account) -> Vec<u8> {
        let acc = self.account.name();
        let svc = if importer.id() == self.account.id() { "" } else { importer.name() };
        let rtt = courier.publisher.map_or(0, |publisher| publisher.rtt().as_nanos() as u64);
        let mut info = RequestInfo { acc, svc, rtt, ..RequestInfo::default() };
        if self.has_server {
            info.server = courier.hub.server_name();
            info.cluster = courier.keeper.cluster_name().unwrap_or_default();
        }
        if let Some(publisher) = courier.publisher.filter(|_| self.is_shown) {
            info.show(publisher, courier.keeper.time(publisher.start()));
        }
        to_json(&info)
    }
}

impl RequestInfo<'_> {
    fn show(&mut self, publisher: &Entry, start: String) {
        let About { name, lang, version, user, .. } = publisher.about();
        self.start = start;
        self.host = publisher.origin().ip().to_string();
        self.id = publisher.cid();
        self.user = user.unwrap_or_default();
        (self.name, self.lang, self.ver) = (name, lang, version);
        (self.kind, self.client_type) = ("Client", publisher.client_type());
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
