//! Every message of a world: who has to get it, who got it, and whether that was right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::client::SimClient;
use super::ids::{ClientId, MessageId, NodeId, Sid};
use super::net::StreamId;
use super::rule::{Rule, Violation};
use super::subject::matches;
use super::tenants::{Place, Tenants};
use crate::time::Instant;

/// A message that was published.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) publisher: ClientId,
    /// The node that the publisher is connected to.
    pub(super) origin: NodeId,
    /// Where it is published, by the publisher first, then by services.
    pub(super) places: Vec<Place>,
    /// The subject of the answers that the publisher wants.
    pub(super) reply: Option<String>,
    pub(super) published_at: Instant,
    pub(super) payload_bytes: usize,
    /// Why nobody may get it.
    refused: Option<Refused>,
    /// Whether a node takes it is not known here: it may be an answer too many.
    is_doubtful: bool,
    /// Who must get it, because interest in it must be known where it was published.
    expected: Vec<Expected>,
    expected_groups: Vec<(Group, ExpectedGroup)>,
    plain: BTreeSet<Hearing>,
    queues: BTreeMap<Group, (ClientId, Sid)>,
    /// How often it was handed on by a node that it was not published at.
    handed_on: u32,
}

/// A subscription that gets a message which is published in a place of this number.
pub(super) type Hearing = (ClientId, Sid, usize);

/// Those who get a message once for all that are in the group of this name, whatever their accounts, in a place of this number.
pub(super) type Group = (usize, String);

/// Why nobody may get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is larger than the node that it was published at allows.
    TooLarge,
    /// Its publisher may not publish it.
    Forbidden,
}

/// A message as its publisher says it.
pub(super) struct Publication<'a> {
    pub(super) publisher: ClientId,
    pub(super) origin: NodeId,
    pub(super) places: Vec<Place>,
    pub(super) reply: Option<&'a str>,
    pub(super) padding_bytes: usize,
}

/// A subscription that must get a message, unless it ends or one of the routes to it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) hearing: Hearing,
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
    /// One of them may be chosen and not have it, for what its user may not.
    pub(super) may_refuse: bool,
}

/// All messages of a world.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    messages: Vec<Message>,
    /// The last message of a publisher that a subscription got, by where it was published at last: an account takes one way.
    last: BTreeMap<(ClientId, ClientId, Sid, NodeId, Arc<str>), MessageId>,
    /// When a route between two nodes was last lost: what was published before it may be overtaken.
    lost: BTreeMap<(NodeId, NodeId), Instant>,
}

impl Ledger {
    pub(super) fn publish(&mut self, publication: Publication<'_>, at: Instant) -> MessageId {
        let id = MessageId(self.messages.len());
        let Publication { publisher, origin, places, reply, padding_bytes } = publication;
        self.messages.push(Message {
            publisher,
            origin,
            places,
            reply: reply.map(str::to_owned),
            published_at: at,
            payload_bytes: id.payload_bytes(padding_bytes),
            refused: None,
            is_doubtful: false,
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
    pub(super) fn refuse(&mut self, id: MessageId, why: Refused) {
        if let Some(message) = self.messages.get_mut(id.0) {
            message.refused = Some(why);
        }
    }

    /// A message may be taken or not.
    pub(super) fn doubt(&mut self, id: MessageId) {
        if let Some(message) = self.messages.get_mut(id.0) {
            message.is_doubtful = true;
        }
    }

    pub(super) fn expect(
        &mut self,
        id: MessageId,
        expected: Vec<Expected>,
        groups: Vec<(Group, ExpectedGroup)>,
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
        account: &str,
        queues: bool,
    ) -> Result<(), Violation> {
        let Some(message) = self.messages.get_mut(id.0) else {
            return Err(Violation::new(Rule::UnknownMessage, format!("{id} was never published")));
        };
        let mut places = message.places.iter().filter(|place| *place.account == *account).peekable();
        if places.peek().is_none() {
            let text = format!("{sender} sends {id} in {account}, not in {}", message.accounts());
            return Err(Violation::new(Rule::Isolation, text));
        }
        if places.any(|place| place.at == sender) {
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
        subject: &str,
        tenants: &Tenants,
    ) -> Result<(), Violation> {
        let (client, echo) = (by.id, by.echo);
        let Some(message) = self.messages.get_mut(id.0) else {
            return Err(Violation::new(Rule::UnknownMessage, format!("{client} got {id}")));
        };
        let Some(number) = message.heard_in(by, subject, tenants) else {
            let (account, places) = (&by.account, message.accounts());
            let text =
                format!("{client} in {account} got {id} on {subject}, which was published in {places}");
            return Err(Violation::new(Rule::Isolation, text));
        };
        message.check_allowed(id, by, sid, subject)?;
        // Who gets a message that was handed on gets it as if it were new, since no line of the protocol is for a group
        // alone or names the publisher: plain subscriptions there may hear it again, and the publisher its own.
        let was_handed_on = message.handed_on > 0;
        if message.publisher == client && !echo && !was_handed_on {
            return Err(Violation::new(Rule::NoEcho, format!("{client} got its own {id}")));
        }
        match by.queue_of(sid) {
            Some(queue) => {
                let group = (number, queue.to_owned());
                if let Some((other, other_sid)) = message.queues.insert(group, (client, sid)) {
                    let text =
                        format!("{id} came to {other}/{other_sid} and {client}/{sid} of group {queue}");
                    return Err(Violation::new(Rule::OneMember, text));
                }
                Ok(())
            }
            None => {
                if !message.plain.insert((client, sid, number)) {
                    if was_handed_on {
                        return Ok(());
                    }
                    let text = format!("{id} came twice to {client}/{sid}");
                    return Err(Violation::new(Rule::NoDuplicate, text));
                }
                self.check_order(id, by, sid, number)
            }
        }
    }

    /// Whether it came after all that its publisher published before it, which took the same way.
    fn check_order(
        &mut self,
        id: MessageId,
        by: &SimClient,
        sid: Sid,
        number: usize,
    ) -> Result<(), Violation> {
        let (client, at) = (by.id, by.node);
        let Message { publisher, origin, ref places, .. } = self.messages[id.0];
        let Place { at: sender, ref account, .. } = places[number];
        let last = self.last.entry((publisher, client, sid, sender, account.clone())).or_insert(id);
        if *last <= id {
            *last = id;
            return Ok(());
        }
        let earlier = self.messages[id.0].published_at;
        if self.messages[id.0].handed_on > 0 || self.messages[last.0].handed_on > 0 {
            return Ok(());
        }
        let is_overtaken = |a: NodeId, b: NodeId| {
            let lost_at = self.lost.get(&(a.min(b), a.max(b)));
            lost_at.is_some_and(|lost_at| *lost_at >= earlier)
        };
        if is_overtaken(origin, sender) || is_overtaken(sender, at) {
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
            for Expected { hearing, via } in &message.expected {
                let (client, sid, _) = hearing;
                let is_there = message.plain.contains(hearing);
                if !is_there && is_live(*client, *sid) && via.iter().copied().all(&is_whole) {
                    return lost(id, message, format_args!("{client}/{sid}"));
                }
            }
            for (key, group) in message.expected_groups.iter().filter(|(_, group)| group.is_owed()) {
                let is_there = message.queues.contains_key(key);
                let stayed = group.members.iter().all(|(client, sid)| is_live(*client, *sid));
                if !is_there && stayed && group.via.iter().copied().all(&is_whole) {
                    return lost(id, message, format_args!("anybody of group {}", key.1));
                }
            }
        }
        Ok(())
    }

    /// Checks that a message came to exactly these, and to each group of which no member may refuse it.
    pub(super) fn check_exact(
        &self,
        id: MessageId,
        plain: &BTreeSet<Hearing>,
        queues: &BTreeMap<Group, ExpectedGroup>,
    ) -> Result<(), Violation> {
        let Some(message) = self.get(id) else {
            return Err(Violation::new(Rule::UnknownMessage, format!("{id} was never published")));
        };
        if message.plain != *plain {
            let text = format!("{id} in {:?} came to {:?}, not to {plain:?}", message.places, message.plain);
            return Err(Violation::new(Rule::Delivery, text));
        }
        let served = &message.queues;
        let is_exact = served.keys().all(|group| queues.contains_key(group))
            && queues.iter().all(|(group, members)| members.may_refuse || served.contains_key(group));
        if !is_exact {
            let text = format!("{id} in {:?} came to groups {served:?}, not to {queues:?}", message.places);
            return Err(Violation::new(Rule::Delivery, text));
        }
        Ok(())
    }
}

impl Message {
    /// Whether whoever can hear of it must.
    pub(super) fn is_owed(&self) -> bool {
        self.refused.is_none() && !self.is_doubtful
    }

    /// The number of the place in which a client may have heard it by this subject. Where there are no tenants, there is but one.
    fn heard_in(&self, by: &SimClient, subject: &str, tenants: &Tenants) -> Option<usize> {
        if tenants.is_empty() {
            return (self.places[0].account == by.account).then_some(0);
        }
        // Who is handed it on does not know what it is, be it the node that it came from.
        let at = (self.handed_on == 0).then_some(by.node);
        self.places.iter().position(|place| {
            let known_as = tenants.known_as(place, &by.account, at);
            known_as.is_some_and(|known_as| known_as == subject || matches(&known_as, subject))
        })
    }

    /// Whether anybody may have it, and this client by this subscription.
    fn check_allowed(&self, id: MessageId, by: &SimClient, sid: Sid, subject: &str) -> Result<(), Violation> {
        let (rule, why) = match self.refused {
            Some(Refused::TooLarge) => {
                (Rule::Configuration, format!("of {} bytes, which is too large", self.payload_bytes))
            }
            Some(Refused::Forbidden) => {
                (Rule::Permissions, format!("which {} may not publish", self.publisher))
            }
            None if !by.may_hear(sid, subject) => (Rule::Permissions, format!("and may not hear {subject}")),
            None => return Ok(()),
        };
        Err(Violation::new(rule, format!("{} got {id} {why}", by.id)))
    }

    /// The accounts that it is published in, for readers.
    fn accounts(&self) -> String {
        let accounts: Vec<_> = self.places.iter().map(|place| &*place.account).collect();
        accounts.join(" and ")
    }
}

impl ExpectedGroup {
    /// Whether one member must get the message.
    fn is_owed(&self) -> bool {
        self.is_known && !self.may_refuse
    }
}

/// How often a message may be handed on, which ends when the news of the change arrives.
const MAX_HANDED_ON: u32 = 64;
