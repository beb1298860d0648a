//! What a world knows of the streams of its network: who holds their ends, and what was said over them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::framing::Deframer;
use super::ids::{ClientId, NodeId, Sid};
use super::label::Label;
use super::net::{Both, End, StreamId};
use super::tap::Tap;
use super::websocket::FrameReader;
use crate::id::ConnectionId;

/// Who holds one end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Node(NodeId, ConnectionId),
    Client(ClientId),
}

/// A stream that joins two servers, or a client and its server.
#[derive(Debug)]
pub(super) struct Joint {
    /// None where the dialer does not know yet that it is connected.
    pub(super) holders: Both<Option<Holder>>,
    /// The nodes that the ends are or were at; both the same for a client's.
    pub(super) nodes: Both<NodeId>,
    /// Which dial made it; none for a client's.
    pub(super) label: Option<Label>,
    /// What it is for, once its dialer said so.
    pub(super) purpose: Option<Purpose>,
    pub(super) said: Both<Said>,
}

/// What one end wrote.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The subscriptions of the writer's clients that the reader knows of once it has read so many bytes.
    pub(super) told: BTreeMap<(ClientId, Sid), u64>,
    /// What is said by WebSocket goes through this first.
    pub(super) websocket: Option<FrameReader>,
    pub(super) deframer: Deframer,
    pub(super) tap: Tap,
}

impl Joint {
    pub(super) fn new(holders: [Option<Holder>; 2], nodes: [NodeId; 2], label: Option<Label>) -> Self {
        let mut said = Both::<Said>::default();
        if label.is_some() {
            said.0.iter_mut().for_each(|said| said.deframer = Deframer::compressed_or_not());
        }
        Self { holders: Both(holders), nodes: Both(nodes), label, purpose: None, said }
    }

    /// Whether it joins two servers.
    pub(super) fn is_route(&self) -> bool {
        self.label.is_some()
    }
}

/// What a connection between servers is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// For several accounts, which each line names.
    Pooled,
    /// For one, which no line names.
    Dedicated(Arc<str>),
}

impl Purpose {
    /// What a dialer says of it in the first INFO of its own.
    pub(super) fn of(info: &[u8]) -> Self {
        const KEY: &[u8] = b"\"route_account\":\"";
        let value = memchr::memmem::find(info, KEY).map(|at| &info[at + KEY.len()..]);
        let account = value.and_then(|value| value.split(|byte| *byte == b'"').next());
        account.map_or(Self::Pooled, |account| Self::Dedicated(String::from_utf8_lossy(account).into()))
    }
}

/// What is known of all streams that are not over.
#[derive(Debug, Default)]
pub(super) struct Joints {
    /// By the number of the stream.
    joints: Vec<Option<Box<Joint>>>,
}

impl Joints {
    pub(super) fn insert(&mut self, id: StreamId, joint: Joint) {
        if self.joints.len() <= id.number() {
            self.joints.resize_with(id.number() + 1, || None);
        }
        self.joints[id.number()] = Some(Box::new(joint));
    }

    pub(super) fn get(&self, id: StreamId) -> Option<&Joint> {
        self.joints.get(id.number())?.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Joint> {
        self.joints.get_mut(id.number())?.as_deref_mut()
    }

    pub(super) fn holder(&self, end: End) -> Option<Holder> {
        self.get(end.stream)?.holders[end.side]
    }

    pub(super) fn remove(&mut self, id: StreamId) {
        if let Some(joint) = self.joints.get_mut(id.number()) {
            *joint = None;
        }
    }
}
