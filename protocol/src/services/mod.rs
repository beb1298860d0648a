//! What a node answers itself: subscribers that are not sockets.
//!
//! [`Services`] stand in the index of the system account like a client, so that clients of that account and other servers
//! reach them alike, and what they answer goes the way of a client's message. Whoever reads a question only puts it into
//! the hub's mailbox; it is answered by the driver of the node.
//!
//! What it may touch: the node, monitoring, whose pages it sends, and forwarding, which delivers them. Who calls it: the
//! driver that also dials for the node, once for each node.
//!
//! Today it answers which routes this server has, and hears what other servers answer to that (wire.md 10.3): a
//! nats-server tells a newcomer to the members and never the members to a newcomer, so a node that heals asks.

use std::sync::Arc;

use fastrand::Rng;

use crate::forwarding::{self, Courier, Scratch};
use crate::hub::Letter;
use crate::id::ConnectionId;
use crate::identity::{self, Stream};
use crate::interest::{Source, Subscription};
use crate::monitor::{Facts, Listing, Routez, routez};
use crate::node::Node;
use crate::sink::Sink;
use crate::time::Instant;
use crate::wire::Message;
use crate::wire::system::{self, Answer, Fault, Question, Server};

/// The services of one node.
#[derive(Debug)]
pub struct Services {
    node: Arc<Node>,
    /// How many answers were given, which are numbered.
    answers: u64,
    /// How many messages were dropped when that was last reported.
    reported_drops: u64,
    rng: Rng,
    scratch: Scratch,
}

impl Services {
    /// The services of a node, which begins to listen for them. To be made before the first connection.
    pub fn new<S: Sink>(node: &Arc<Node>, sink: &mut S) -> Self {
        let id = node.hub().server_id();
        let (own, inbox) = (system::question_to(id), system::inbox_of(id));
        for (subject, service) in [(system::QUESTION_TO_ALL, ROUTES), (&own, ROUTES), (&inbox, ANSWERS)] {
            let id = node.hub().next_subscription();
            let (connection, subject) = (ConnectionId::SERVICES, subject.as_bytes());
            let new = Subscription::new(id, connection, Source::Service, subject, b"", service);
            node.subscribe(node.hub().system_account(), Arc::new(new), sink);
        }
        Self {
            node: node.clone(),
            answers: 0,
            reported_drops: 0,
            rng: identity::stream(node.hub().config().seed, Stream::Services),
            scratch: Scratch::default(),
        }
    }

    /// Answers what waits. To be called when [`Node::take_attention`] says so; harmless otherwise.
    pub fn handle_requests<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        for letter in self.node.hub().mailbox().take() {
            match letter.to.sid() {
                ROUTES => self.answer_question(now, &letter, sink),
                _ => self.hear_answer(now, &letter, sink),
            }
        }
        self.report_drops(now);
    }

    /// Says which routes there are, if the question is for this server.
    fn answer_question<S: Sink>(&mut self, now: Instant, letter: &Letter, sink: &mut S) {
        if let Some(reply) = &letter.reply
            && let Some(answer) = self.answer(now, &letter.payload)
        {
            self.publish(reply, &answer, sink);
        }
    }

    /// Hears which routes another server has. Its text is read before the cluster is held, and only if it was asked for.
    fn hear_answer<S: Sink>(&mut self, now: Instant, letter: &Letter, sink: &mut S) {
        let is_awaited = self.node.cluster().is_some_and(|cluster| cluster.awaits_answer(letter.from));
        if is_awaited {
            let neighbours = system::neighbours(&letter.payload);
            self.node.with_cluster(now, sink, |cluster, _| {
                cluster.handle_neighbours(now, letter.from, neighbours)
            });
        }
    }

    fn is_asked(&self, question: &Question) -> bool {
        let hub = self.node.hub();
        let cluster = self.node.cluster_name().unwrap_or_default();
        question.is_for(hub.server_name(), &cluster, &hub.config().host)
    }

    /// The answer to a question; none if it is meant for others.
    fn answer(&mut self, now: Instant, question: &[u8]) -> Option<Vec<u8>> {
        let question = Question::from_payload(question);
        if question.as_ref().is_ok_and(|question| !self.is_asked(question)) {
            return None;
        }
        self.answers += 1;
        let (node, hub) = (&self.node, self.node.hub());
        let facts = Facts::of_core(now, node.start(), node.unix_nanos_at_zero());
        let server = Server {
            name: hub.server_name(),
            host: &hub.config().host,
            id: hub.server_id(),
            cluster: &node.cluster_name().unwrap_or_default(),
            ver: identity::NATS_VERSION,
            jetstream: false,
            flags: 0,
            seq: self.answers,
            time: facts.time_now(),
        };
        let (data, error): (Option<Routez>, _) = match question {
            Ok(question) => (Some(routez(node, &facts, listing(&question))), None),
            Err(fault) => (None, Some(Fault { code: 400, description: fault.to_string() })),
        };
        Some(Answer { server, data, error }.to_json())
    }

    fn publish<S: Sink>(&mut self, subject: &[u8], payload: &[u8], sink: &mut S) {
        let body = [payload, b"\r\n"].concat();
        let message = Message { subject, reply: None, header_len: 0, line_tail: None, body: &body };
        let node = &self.node;
        let mut courier = Courier {
            hub: node.hub(),
            publisher: None,
            sink,
            rng: &mut self.rng,
            scratch: &mut self.scratch,
            expire: &mut |account, subscription, sink| node.expire(account, subscription, sink),
        };
        forwarding::from_service(&mut courier, node.hub().system_account(), &message);
    }

    /// Says that messages were dropped.
    fn report_drops(&mut self, now: Instant) {
        let dropped = self.node.hub().mailbox().dropped();
        if dropped > self.reported_drops {
            self.reported_drops = dropped;
            let by = format_args!("{dropped} requests for this server's own services are dropped so far");
            self.node.hub().limit_log().hit(now, "MAX_WAITING_MESSAGES or MAX_WAITING_BYTES", by);
        }
    }
}

fn listing(question: &Question) -> Listing {
    match (question.subscriptions_detail, question.subscriptions) {
        (true, _) => Listing::Detail,
        (false, true) => Listing::Subjects,
        (false, false) => Listing::None,
    }
}

/// The service that says which routes this server has.
const ROUTES: &[u8] = b"routes";

/// The service that hears which routes others have.
const ANSWERS: &[u8] = b"answers";

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::{ClusterConfig, Config};
    use crate::node::Listening;

    fn services() -> Services {
        let cluster = ClusterConfig { name: Some("c".to_owned()), ..ClusterConfig::default() };
        let config = Config {
            server_name: Some("A".to_owned()),
            host: "127.0.0.1".to_owned(),
            cluster: Some(cluster),
            ..Config::default()
        };
        Services::new(&Node::new(config, &Listening::default(), Instant::ZERO), &mut ())
    }

    fn ask(services: &mut Services, question: &str) -> Option<Value> {
        let answer = services.answer(Instant::ZERO, question.as_bytes())?;
        Some(serde_json::from_slice(&answer).expect("an answer is JSON"))
    }

    #[test]
    fn a_question_is_answered_with_who_answers_and_its_routes() {
        let mut services = services();
        let answer = ask(&mut services, "").expect("it is for everybody");
        assert_eq!(answer["server"]["name"], "A");
        assert_eq!(answer["server"]["cluster"], "c");
        assert_eq!(answer["server"]["id"], services.node.hub().server_id());
        assert_eq!(answer["server"]["seq"], 1);
        assert_eq!(answer["data"]["num_routes"], 0);
        assert_eq!(answer["data"]["server_id"], services.node.hub().server_id());
        assert_eq!(answer.get("error"), None);
    }

    #[test]
    fn a_question_that_is_for_others_is_not_answered() {
        let mut services = services();
        for own in [
            r#"{"server_name":"A"}"#,
            r#"{"host":"0.0"}"#,
            r#"{"cluster":"c","exact_match":true}"#,
            r#"{"name":"B"}"#,
            "null",
            " {} ",
        ] {
            assert!(ask(&mut services, own).is_some(), "{own}");
        }
        for other in [
            r#"{"server_name":"a"}"#,
            r#"{"Server_Name":"B"}"#,
            r#"{"host":"0.0","exact_match":true}"#,
            r#"{"cluster":"d"}"#,
            r#"{"tags":["x"]}"#,
            r#"{"domain":"x"}"#,
        ] {
            assert_eq!(ask(&mut services, other), None, "{other}");
        }
    }

    #[test]
    fn a_question_that_cannot_be_read_is_answered_with_an_error() {
        for faulty in ["nonsense", "[]", "5", r#"{"subscriptions":5}"#] {
            let answer = ask(&mut services(), faulty).expect("nobody else is meant");
            assert_eq!(answer["error"]["code"], 400, "{faulty}");
            assert_eq!(answer.get("data"), None, "{faulty}");
        }
    }

    #[test]
    fn the_answer_of_one_node_can_be_heard_by_another() {
        let answer = services().answer(Instant::ZERO, b"").expect("it is for everybody");
        assert_eq!(system::neighbours(&answer), []);
    }

    #[test]
    fn questions_beyond_the_limit_are_dropped_and_the_rest_answered() {
        let mut services = services();
        let node = services.node.clone();
        let mailbox = node.hub().mailbox();
        let to = Arc::new(Subscription::new(
            node.hub().next_subscription(),
            ConnectionId::SERVICES,
            Source::Service,
            system::QUESTION_TO_ALL.as_bytes(),
            b"",
            ROUTES,
        ));
        for _ in 0..5000 {
            mailbox.put(&to, ConnectionId::new(1, 0), Some(b"inbox"), b"");
        }
        services.handle_requests(Instant::ZERO, &mut ());
        assert_eq!((services.answers + mailbox.dropped(), mailbox.take().len()), (5000, 0));
        assert_eq!(services.reported_drops, mailbox.dropped());
    }
}
