//! Every message of a world: who has to get it, who got it, and whether that was right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::client::SimClient;
use super::ids::{ClientId, MessageId, NodeId, Sid};
use super::net::StreamId;
use super::rule::{Rule, Violation};
use crate::time::Instant;

/// A message that was published.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) publisher: ClientId,
    /// The node that the publisher is connected to.
    pub(super) origin: NodeId,
    pub(super) account: String,
    pub(super) subject: String,
    pub(super) published_at: Instant,
    pub(super) payload_bytes: usize,
    /// It is larger than the node that it was published at allows.
    is_refused: bool,
    /// Who must get it, because interest in it must be known where it was published.
    expected: Vec<Expected>,
    expected_groups: Vec<(String, ExpectedGroup)>,
    plain: BTreeSet<(ClientId, Sid)>,
    queues: BTreeMap<String, (ClientId, Sid)>,
    /// How often it was handed on by a node that it was not published at.
    handed_on: u32,
}

/// A subscription that must get a message, unless it ends or one of the routes to it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) client: ClientId,
    pub(super) sid: Sid,
    pub(super) via: Vec<StreamId>,
}

/// A queue group of which one member must get a message, unless any member ends or one of the routes to them does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ExpectedGroup {
    /// All that there were until then, those that had ended included.
    pub(super) members: Vec<(ClientId, Sid)>,
    pub(super) via: Vec<StreamId>,
    /// At least one of them must be known where the message was published.
    pub(super) is_known: bool,
}

/// All messages of a world.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    messages: Vec<Message>,
    /// The last message of a publisher that a subscription got.
    last: BTreeMap<(ClientId, ClientId, Sid), MessageId>,
    /// When a route between two nodes was last lost: what was published before it may be overtaken.
    lost: BTreeMap<(NodeId, NodeId), Instant>,
}

impl Ledger {
    pub(super) fn publish(
        &mut self,
        publisher: ClientId,
        origin: NodeId,
        account: &str,
        subject: &str,
        padding_bytes: usize,
        at: Instant,
    ) -> MessageId {
        let id = MessageId(self.messages.len());
        self.messages.push(Message {
            publisher,
            origin,
            account: account.to_owned(),
            subject: subject.to_owned(),
            published_at: at,
            payload_bytes: id.payload_bytes(padding_bytes),
            is_refused: false,
            expected: Vec::new(),
            expected_groups: Vec::new(),
            plain: BTreeSet::new(),
            queues: BTreeMap::new(),
            handed_on: 0,
        });
        id
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn get(&self, id: MessageId) -> Option<&Message> {
        self.messages.get(id.0)
    }

    /// Nobody may get a message.
    pub(super) fn refuse(&mut self, id: MessageId) {
        if let Some(message) = self.messages.get_mut(id.0) {
            message.is_refused = true;
        }
    }

    pub(super) fn expect(
        &mut self,
        id: MessageId,
        expected: Vec<Expected>,
        groups: Vec<(String, ExpectedGroup)>,
    ) {
        if let Some(message) = self.messages.get_mut(id.0) {
            message.expected = expected;
            message.expected_groups = groups;
        }
    }

    pub(super) fn handle_route_lost(&mut self, a: NodeId, b: NodeId, at: Instant) {
        self.lost.insert((a.min(b), a.max(b)), at);
    }

    /// Notes that a message crosses a route, sent by `sender` in this account. `queues` is whether the line names queue groups.
    pub(super) fn cross(
        &mut self,
        id: MessageId,
        sender: NodeId,
        account: &[u8],
        queues: bool,
    ) -> Result<(), Violation> {
        let Some(message) = self.messages.get_mut(id.0) else {
            return Err(Violation::new(Rule::UnknownMessage, format!("{id} was never published")));
        };
        if message.account.as_bytes() != account {
            let text = format!(
                "{sender} sends {id} in {}, not in {}",
                String::from_utf8_lossy(account),
                message.account
            );
            return Err(Violation::new(Rule::Isolation, text));
        }
        if message.origin == sender {
            return Ok(());
        }
        message.handed_on += 1;
        if queues && message.handed_on <= MAX_HANDED_ON {
            // The chosen member of a group vanished meanwhile: the one exception (wire.md 7.5).
            return Ok(());
        }
        let text = format!("{sender} forwards {id}, which was published at {}", message.origin);
        Err(Violation::new(Rule::OneHop, text))
    }

    /// Notes that a client got a message for a subscription.
    pub(super) fn receive(
        &mut self,
        id: MessageId,
        by: &SimClient,
        sid: Sid,
        queue: Option<&str>,
    ) -> Result<(), Violation> {
        let (client, at_node, echo) = (by.id, by.node, by.echo);
        let Some(message) = self.messages.get_mut(id.0) else {
            return Err(Violation::new(Rule::UnknownMessage, format!("{client} got {id}")));
        };
        if message.account != by.account {
            let text =
                format!("{client} in {} got {id}, which was published in {}", by.account, message.account);
            return Err(Violation::new(Rule::Isolation, text));
        }
        if message.is_refused {
            let text = format!("{client} got {id} of {} bytes, which is too large", message.payload_bytes);
            return Err(Violation::new(Rule::Configuration, text));
        }
        // Who gets a message that was handed on gets it as if it were new, since no line of the protocol is for a group
        // alone or names the publisher: plain subscriptions there may hear it again, and the publisher its own.
        let was_handed_on = message.handed_on > 0;
        if message.publisher == client && !echo && !was_handed_on {
            return Err(Violation::new(Rule::NoEcho, format!("{client} got its own {id}")));
        }
        match queue {
            Some(queue) => {
                if let Some((other, other_sid)) = message.queues.insert(queue.to_owned(), (client, sid)) {
                    let text =
                        format!("{id} came to {other}/{other_sid} and {client}/{sid} of group {queue}");
                    return Err(Violation::new(Rule::OneMember, text));
                }
                Ok(())
            }
            None => {
                if !message.plain.insert((client, sid)) {
                    if was_handed_on {
                        return Ok(());
                    }
                    let text = format!("{id} came twice to {client}/{sid}");
                    return Err(Violation::new(Rule::NoDuplicate, text));
                }
                self.check_order(id, client, sid, at_node)
            }
        }
    }

    fn check_order(
        &mut self,
        id: MessageId,
        client: ClientId,
        sid: Sid,
        at: NodeId,
    ) -> Result<(), Violation> {
        let Message { publisher, origin, .. } = self.messages[id.0];
        let last = self.last.entry((publisher, client, sid)).or_insert(id);
        if *last <= id {
            *last = id;
            return Ok(());
        }
        let earlier = self.messages[id.0].published_at;
        if self.messages[id.0].handed_on > 0 || self.messages[last.0].handed_on > 0 {
            return Ok(());
        }
        let lost_at = self.lost.get(&(origin.min(at), origin.max(at)));
        if lost_at.is_some_and(|lost_at| *lost_at >= earlier) {
            return Ok(());
        }
        Err(Violation::new(Rule::Order, format!("{client}/{sid} got {id} of {publisher} after {last}")))
    }

    /// Checks that nothing was lost that must have arrived by now.
    pub(super) fn check_losses(
        &self,
        is_whole: impl Fn(StreamId) -> bool,
        is_live: impl Fn(ClientId, Sid) -> bool,
    ) -> Result<(), Violation> {
        let lost = |id: usize, message: &Message, whom: fmt::Arguments<'_>| {
            let (id, origin) = (MessageId(id), message.origin);
            Err(Violation::new(Rule::NoLoss, format!("{id}, published at {origin}, never came to {whom}")))
        };
        for (id, message) in self.messages.iter().enumerate() {
            for Expected { client, sid, via } in &message.expected {
                let is_there = message.plain.contains(&(*client, *sid));
                if !is_there && is_live(*client, *sid) && via.iter().copied().all(&is_whole) {
                    return lost(id, message, format_args!("{client}/{sid}"));
                }
            }
            for (queue, group) in message.expected_groups.iter().filter(|(_, group)| group.is_known) {
                let is_there = message.queues.contains_key(queue);
                let stayed = group.members.iter().all(|(client, sid)| is_live(*client, *sid));
                if !is_there && stayed && group.via.iter().copied().all(&is_whole) {
                    return lost(id, message, format_args!("anybody of group {queue}"));
                }
            }
        }
        Ok(())
    }

    /// Checks that a message came to exactly these.
    pub(super) fn check_exact(
        &self,
        id: MessageId,
        plain: &BTreeSet<(ClientId, Sid)>,
        queues: &BTreeSet<String>,
    ) -> Result<(), Violation> {
        let Some(message) = self.get(id) else {
            return Err(Violation::new(Rule::UnknownMessage, format!("{id} was never published")));
        };
        if message.plain != *plain {
            let text = format!("{id} on {} came to {:?}, not to {plain:?}", message.subject, message.plain);
            return Err(Violation::new(Rule::Delivery, text));
        }
        if !message.queues.keys().eq(queues) {
            let text =
                format!("{id} on {} came to groups {:?}, not to {queues:?}", message.subject, message.queues);
            return Err(Violation::new(Rule::Delivery, text));
        }
        Ok(())
    }
}

/// How often a message may be handed on, which ends when the news of the change arrives.
const MAX_HANDED_ON: u32 = 64;
