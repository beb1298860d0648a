//! How many answers a request gets, worked out from who answers what.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::World;
use crate::sim::client::{Received, SimClient, SimSubscription};
use crate::sim::ids::{ClientId, MessageId, Sid};
use crate::sim::ledger::Message;
use crate::sim::rule::{Rule, Violation};
use crate::sim::tenants::{Place, Verdict};

/// From how many answers to how many there may be.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    least: usize,
    most: usize,
}

impl World {
    /// Checks that a client got as many answers as it should to a request that was published into a whole mesh: one of each who is to
    /// answer in its account, and of all others together one.
    pub(in crate::sim) fn check_reply(
        &self,
        client: ClientId,
        (request, sid): (MessageId, Sid),
    ) -> Result<(), Violation> {
        let Some(message) = self.ledger.get(request) else {
            return Ok(());
        };
        // That there is nobody to answer is said by the server, not by a message of the world.
        let is_answer = |it: &&Received| {
            it.sid == sid && Some(&it.subject) == message.reply.as_ref() && it.message.is_some()
        };
        let replies = self.received(client).iter().filter(is_answer).count();
        let expected = self.answers_to(message);
        if expected.contains(&replies) {
            return Ok(());
        }
        let text = format!("{client} got {replies} replies to {request}, not {expected:?}");
        Err(Violation { at: self.now, ..Violation::new(Rule::Reply, text) })
    }

    fn answers_to(&self, request: &Message) -> RangeInclusive<usize> {
        if !request.is_owed() {
            return 0..=0;
        }
        let (mut own, mut of_services) = (Answers::default(), Answers::default());
        for (number, place) in request.places.iter().enumerate() {
            let answers = if number == 0 { &mut own } else { &mut of_services };
            answers.add(self.answers_in(place, request));
        }
        // All come by the reply that the first of the services was asked with, which takes one.
        own.least + of_services.least.min(1)..=own.most + of_services.most.min(1)
    }

    /// The answers that are given in one place.
    fn answers_in(&self, place: &Place, request: &Message) -> Answers {
        let mut plain = Answers::default();
        let mut groups: BTreeMap<&str, Answers> = BTreeMap::new();
        for (client, _, subscription, is_hidden) in self.listeners(place, request) {
            if subscription.is_ended {
                continue;
            }
            let given =
                if is_hidden { Answers::default() } else { given_by(client, subscription, place, request) };
            match &subscription.queue {
                None => plain.add(given),
                Some(queue) => {
                    let one_of = groups.entry(queue).or_insert(given);
                    one_of.least = one_of.least.min(given.least);
                    one_of.most = one_of.most.max(given.most);
                }
            }
        }
        groups.into_values().for_each(|answers| plain.add(answers));
        plain
    }
}

impl Answers {
    fn add(&mut self, others: Self) {
        self.least += others.least;
        self.most += others.most;
    }
}

/// The answers of one who gets a request. Who imports it as a stream does not know where the answer should go.
fn given_by(client: &SimClient, subscription: &SimSubscription, place: &Place, request: &Message) -> Answers {
    if !subscription.responds || client.account != place.account {
        return Answers::default();
    }
    let reply = request.reply.as_deref().filter(|_| *place == request.places[0]).unwrap_or(SOME_ANSWER);
    match client.rights.map_or(Verdict::May, |rights| rights.verdict_on(reply)) {
        Verdict::May => Answers { least: 1, most: 1 },
        Verdict::MayAnswer => Answers { least: 0, most: 1 },
        Verdict::MayNot => Answers::default(),
    }
}

/// A subject as nodes give them to those who answer.
const SOME_ANSWER: &str = "_R_.a.b";
