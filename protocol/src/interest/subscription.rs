//! One subscription, as the index, the deliverers and its owner share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::id::{AccountId, ConnectionId};
use crate::mapping::ImportTransform;

/// Order of creation within one node; later subscriptions have larger numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// Where interest comes from, which decides how it is served and whether it is announced to routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A client of this node: served directly and announced to routes.
    Client,
    /// A service of this node itself: handed over to it and announced to routes. A plain subscriber, in no queue group.
    Service,
    /// Requests that others sent to the services of this account: what is published to it answers one of them. Announced to
    /// routes, since who answers may be anywhere.
    Answers,
    /// A server of the cluster (`RS+`): served over its route, never announced.
    Route,
    /// A leaf node of another server (`LS+`): served over that server's route; as a queue member only if
    /// nobody else can.
    RouteLeaf,
}

impl Source {
    /// Whether it is this node's own interest, which its routes are told of.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Client | Self::Service | Self::Answers)
    }
}

/// Whether a subscription may get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Granted,
    /// Its last: it is to be removed after this delivery.
    Last,
    Refused,
}

/// One subscription.
///
/// The texts live in one allocation, because a server holds many subscriptions and few of anything else.
#[derive(Debug)]
pub struct Subscription {
    id: SubscriptionId,
    connection: ConnectionId,
    source: Source,
    closed: AtomicBool,
    weight: AtomicU32,
    queue_start: u32,
    sid_start: u32,
    delivered: AtomicU64,
    max: AtomicU64,
    text: Box<[u8]>,
    shadow: Option<Box<Shadow>>,
}

/// What a subscription in the account of an exporter stands for: one of a client in the account of an importer, which the
/// imported messages are delivered to.
#[derive(Clone, Debug)]
pub(crate) struct Shadow {
    pub(crate) original: Arc<Subscription>,
    /// The importer's account.
    pub(crate) account: AccountId,
    /// Which import of that account this is.
    pub(crate) import: usize,
    /// What the exporter's subjects are for the importer.
    pub(crate) transform: Arc<ImportTransform>,
}

impl Subscription {
    /// A subscription of `connection` to `subject`, as a member of `queue` unless that is empty.
    ///
    /// `sid` is the client's name for it, the leaf origin for [`Source::RouteLeaf`], or for [`Source::Service`] which
    /// service it is.
    pub fn new(
        id: SubscriptionId,
        connection: ConnectionId,
        source: Source,
        subject: &[u8],
        queue: &[u8],
        sid: &[u8],
    ) -> Self {
        // Blanks between, which no part can contain, make the whole text unique for its parts.
        let text = [subject, queue, sid].join(&b' ');
        Self {
            id,
            connection,
            source,
            closed: AtomicBool::new(false),
            weight: AtomicU32::new(1),
            // Control lines are limited far below 4 GiB, so the casts keep their values.
            queue_start: (subject.len() + 1) as u32,
            sid_start: (subject.len() + queue.len() + 2) as u32,
            delivered: AtomicU64::new(0),
            max: AtomicU64::new(0),
            text: text.into_boxed_slice(),
            shadow: None,
        }
    }

    /// The subscription in an exporter's account, to this subject of it, that stands for one of an importer.
    pub(crate) fn new_shadow(id: SubscriptionId, subject: &[u8], shadow: Shadow) -> Self {
        let Shadow { original, .. } = &shadow;
        let queue = original.queue().unwrap_or_default();
        let new = Self::new(id, original.connection, original.source, subject, queue, original.sid());
        Self { shadow: Some(Box::new(shadow)), ..new }
    }

    /// What it stands for, if it is in the account of an exporter for one of an importer.
    pub(crate) fn shadow(&self) -> Option<&Shadow> {
        self.shadow.as_deref()
    }

    /// Which subscription this is.
    pub fn id(&self) -> SubscriptionId {
        self.id
    }

    /// Who gets its messages.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Where it comes from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Its subject, possibly with wildcards.
    pub fn subject(&self) -> &[u8] {
        &self.text[..self.queue_start as usize - 1]
    }

    /// Its queue group, if it is a member of one.
    pub fn queue(&self) -> Option<&[u8]> {
        let queue = &self.text[self.queue_start as usize..self.sid_start as usize - 1];
        (!queue.is_empty()).then_some(queue)
    }

    /// The client's name for it, the leaf origin, or which service of the node it is.
    pub fn sid(&self) -> &[u8] {
        &self.text[self.sid_start as usize..]
    }

    /// Subject, queue and sid, separated by blanks: what identifies interest within one route and account.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// How many deliveries it got. Of one that stands for another that is not counted: to count twice for each message costs as
    /// much as all else that an import does. What it stands for got these, and those of other imports, and of its own account.
    pub fn delivered(&self) -> u64 {
        let counted = self.shadow().map_or(self, |shadow| &shadow.original);
        counted.delivered.load(Ordering::Relaxed)
    }

    /// After how many deliveries it ends, if that was asked for.
    pub fn max(&self) -> Option<u64> {
        Some(self.max.load(Ordering::Relaxed)).filter(|max| *max > 0)
    }

    /// Sets after how many deliveries it ends; false if it got as many already.
    pub(crate) fn set_max(&self, max: u64) -> bool {
        self.max.store(max, Ordering::Relaxed);
        // Adding nothing puts this in order with [`admit`](Self::admit): a delivery that is not counted here sees the new
        // limit. Otherwise the last one could go unnoticed on both sides, and the subscription would stay for good.
        self.delivered.fetch_add(0, Ordering::Release) < max
    }

    /// No more deliveries from now on. False if it was closed already.
    pub(crate) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::Relaxed)
    }

    /// Takes one delivery from what it may still get. Several publishers may ask at once.
    pub(crate) fn admit(&self) -> Admission {
        if self.closed.load(Ordering::Relaxed) {
            return Admission::Refused;
        }
        let delivered = self.delivered.fetch_add(1, Ordering::Acquire) + 1;
        match self.max.load(Ordering::Relaxed) {
            0 => Admission::Granted,
            max if delivered < max => Admission::Granted,
            max if delivered == max => Admission::Last,
            _ => {
                self.delivered.fetch_sub(1, Ordering::Relaxed);
                Admission::Refused
            }
        }
    }

    /// Whether it got its last message, so that it is to be ended as soon as somebody comes to it.
    pub(crate) fn is_spent(&self) -> bool {
        self.max().is_some_and(|max| self.delivered() >= max)
    }

    /// How many queue members a remote subscription stands for; 1 for local ones. Zero is never selected.
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Sets how many queue members it stands for. Absolute, not additive (wire.md 2.7).
    pub(crate) fn set_weight(&self, weight: u32) {
        self.weight.store(weight, Ordering::Relaxed);
    }
}
