//! A connection as `/connz` shows it.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::Options;
use crate::accounts::GLOBAL_ACCOUNT;
use crate::hub::{Closed, Entry, Flag};
use crate::monitor::Facts;
use crate::monitor::format::{age, is_default, round_trip};
use crate::monitor::printer::Printer;
use crate::monitor::rendering::Step;
use crate::monitor::subscriptions::{Detail, Lister};
use crate::node::Node;
use crate::time::Instant;
use crate::transport::PeerCertificate;

/// A connection that may be shown.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) entry: Arc<Entry>,
    /// The name of its account.
    pub(super) account: Arc<str>,
    pub(super) closed: Option<Arc<Closed>>,
}

impl Candidate {
    pub(super) fn open(node: &Node, entry: Arc<Entry>) -> Self {
        let account = node.hub().account_of(&entry);
        Self {
            account: account.map_or_else(|| "".into(), |account| account.shared_name()),
            entry,
            closed: None,
        }
    }

    pub(super) fn closed(closed: Arc<Closed>) -> Self {
        Self { entry: closed.entry.clone(), account: closed.account.clone(), closed: Some(closed) }
    }

    /// The account that it is in by its user, or was; the global one is nobody's.
    pub(super) fn named_account(&self) -> Option<&str> {
        Some(&*self.account).filter(|name| !name.is_empty() && *name != GLOBAL_ACCOUNT)
    }

    /// Until when its times are counted.
    fn end(&self, facts: &Facts<'_>) -> Instant {
        self.closed.as_ref().map_or(facts.now, |closed| closed.stop)
    }

    pub(super) fn uptime(&self, facts: &Facts<'_>) -> Duration {
        self.end(facts).since(self.entry.start())
    }

    pub(super) fn pending_bytes(&self, facts: &Facts<'_>) -> u64 {
        if self.closed.is_some() { 0 } else { (facts.pending_bytes)(self.entry.id()) }
    }

    pub(super) fn subscription_count(&self) -> usize {
        self.closed
            .as_ref()
            .map_or_else(|| self.entry.subscriptions().len(), |closed| closed.subscription_count)
    }

    /// The fields before the list of subscriptions.
    pub(super) fn show(&self, facts: &Facts<'_>, options: &Options, printer: &mut Printer) {
        printer.fields(&Conn::new(facts, options, self));
    }

    /// Goes on with that list.
    pub(super) fn list(&self, lister: &mut Lister, printer: &mut Printer) -> Step {
        let cid = self.entry.cid();
        let Some(closed) = &self.closed else {
            return lister.step(
                printer,
                |at, each| self.entry.subscriptions().visit(at, each),
                |subscription| Detail::of_client(None, cid, subscription),
            );
        };
        // These are few. As in nats-server, only they are shown with their account.
        for subscription in &closed.subscriptions {
            lister.add(printer, subscription, |each| Detail::of_client(Some(&self.account), cid, each));
        }
        Step::Done
    }

    /// The fields after it.
    pub(super) fn show_rest(&self, options: &Options, printer: &mut Printer) {
        let is_named = options.auth && (self.closed.is_none() || self.named_account().is_some());
        printer
            .fields(&ConnRest { name_tag: if is_named { self.account.to_string() } else { String::new() } });
    }
}

/// What is shown of it, in nats-server's order, but for what follows the list of its subscriptions.
#[derive(Debug, Serialize)]
struct Conn {
    cid: u64,
    kind: &'static str,
    #[serde(rename = "type")]
    protocol: &'static str,
    ip: String,
    port: u16,
    start: String,
    last_activity: String,
    #[serde(skip_serializing_if = "is_default")]
    stop: String,
    #[serde(skip_serializing_if = "is_default")]
    reason: &'static str,
    rtt: String,
    uptime: String,
    idle: String,
    pending_bytes: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subscriptions: usize,
    #[serde(skip_serializing_if = "is_default")]
    name: String,
    #[serde(skip_serializing_if = "is_default")]
    lang: String,
    #[serde(skip_serializing_if = "is_default")]
    version: String,
    #[serde(skip_serializing_if = "is_default")]
    tls_version: String,
    #[serde(skip_serializing_if = "is_default")]
    tls_cipher_suite: String,
    #[serde(skip_serializing_if = "is_default")]
    tls_peer_certs: Vec<PeerCert>,
    #[serde(skip_serializing_if = "is_default")]
    tls_first: bool,
    #[serde(skip_serializing_if = "is_default")]
    authorized_user: String,
    #[serde(skip_serializing_if = "is_default")]
    account: String,
}

/// A certificate that a client showed.
#[derive(Debug, PartialEq, Serialize)]
struct PeerCert {
    subject: String,
    spki_sha256: String,
    cert_sha256: String,
}

impl PeerCert {
    fn new(shown: &PeerCertificate) -> Self {
        Self {
            subject: shown.subject.clone(),
            spki_sha256: HEXLOWER.encode(&shown.key_hash),
            cert_sha256: HEXLOWER.encode(&shown.hash),
        }
    }
}

#[derive(Debug, Serialize)]
struct ConnRest {
    #[serde(skip_serializing_if = "is_default")]
    name_tag: String,
}

impl Conn {
    fn new(facts: &Facts<'_>, options: &Options, candidate: &Candidate) -> Self {
        let Candidate { entry, closed, .. } = candidate;
        let (about, traffic, tls) = (entry.about(), entry.traffic(), entry.tls());
        let shows_peer = options.auth && closed.is_none();
        let peer = tls.filter(|_| shows_peer).map_or(&[][..], |tls| &tls.peer);
        Self {
            cid: entry.cid(),
            kind: "Client",
            protocol: entry.client_type(),
            ip: entry.origin().ip().to_string(),
            port: entry.origin().port(),
            start: facts.time(entry.start()),
            last_activity: facts.time(entry.last_activity()),
            stop: closed.as_ref().map(|closed| facts.time(closed.stop)).unwrap_or_default(),
            reason: closed.as_ref().map_or("", |closed| closed.reason.as_str()),
            rtt: round_trip(entry.rtt()),
            uptime: age(candidate.uptime(facts)),
            idle: age(candidate.end(facts).since(entry.last_activity())),
            pending_bytes: candidate.pending_bytes(facts),
            in_msgs: traffic.in_messages(),
            out_msgs: traffic.out_messages(),
            in_bytes: traffic.in_bytes(),
            out_bytes: traffic.out_bytes(),
            subscriptions: candidate.subscription_count(),
            name: about.name,
            lang: about.lang,
            version: about.version,
            tls_version: tls.map_or_else(String::new, |tls| tls.version.to_string()),
            tls_cipher_suite: tls.map_or_else(String::new, |tls| tls.cipher_suite.clone()),
            tls_peer_certs: peer.iter().map(PeerCert::new).collect(),
            tls_first: entry.has(Flag::TlsFirst),
            authorized_user: about.user.filter(|_| options.auth).unwrap_or_default(),
            account: candidate.named_account().filter(|_| options.auth).unwrap_or_default().to_owned(),
        }
    }
}
