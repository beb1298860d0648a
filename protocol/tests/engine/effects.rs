//! Clients that somebody else is asked about, while what they send waits (design.md 2).

use std::time::Duration;

use onehop::config::{Authorization, Config};
use onehop::connection::{Credentials, Effect, EffectAnswer, MAX_HELD_BYTES, Ticket, Verdict};
use onehop::transport::{Decoder, Encoder, Inbound};
use onehop::{CloseReason, ConnectionId, Engine, EngineTimeout, Instant, Listening};

const NOW: Instant = Instant::ZERO;
const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"user\":\"joe\",\"pass\":\"s3cret\"}\r\n";

/// A node that knows nobody itself.
struct Gate {
    engine: Engine,
}

impl Gate {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(tweak: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { authorization: Authorization::External, ..Config::default() };
        tweak(&mut config);
        Self { engine: Engine::new(config, &Listening::default(), NOW) }
    }

    /// A client, greeted.
    fn client(&mut self) -> ConnectionId {
        let client = self.engine.handle_accept_client(NOW, "127.0.0.1:1".parse().expect("an address"));
        let info = self.heard(client);
        assert!(info.starts_with("INFO {") && info.contains(r#""auth_required":true"#), "{info}");
        client
    }

    fn say(&mut self, client: ConnectionId, bytes: &[u8]) {
        self.engine.handle_input(NOW, client, bytes).expect("an open connection");
    }

    fn heard(&mut self, client: ConnectionId) -> String {
        String::from_utf8(self.engine.transmit(client).expect("a connection")).expect("text")
    }

    /// Takes on the only effect.
    fn asked(&mut self, client: ConnectionId) -> Ticket {
        let (id, ticket, effect) = self.engine.poll_effect().expect("a question");
        let Effect::Authenticate(credentials) = effect else { panic!("another effect: {effect:?}") };
        assert_eq!((id, credentials.user.as_str()), (client, "joe"));
        assert_eq!(self.engine.poll_effect(), None);
        ticket
    }

    fn answer(&mut self, client: ConnectionId, ticket: Ticket, verdict: Verdict) {
        self.engine.handle_effect(NOW, client, ticket, &EffectAnswer::Authentication(verdict));
    }

    fn accept(&mut self, client: ConnectionId, ticket: Ticket) {
        self.answer(client, ticket, Verdict::Accepted { account: "$G".to_owned() });
    }
}

#[test]
fn what_stands_behind_connect_is_handled_in_order_after_the_answer_however_it_was_split() {
    let input = [CONNECT, b"SUB a 1\r\nPING\r\nPUB a 2\r\nhi\r\nPING\r\nPUB a 4\r\nlon"].concat();
    for split in 0..=input.len() {
        let mut gate = Gate::new();
        let client = gate.client();
        let (first, second) = input.split_at(split);
        gate.say(client, first);
        assert_eq!(gate.engine.wants_input(client), split < CONNECT.len());
        gate.say(client, second);
        assert!(!gate.engine.wants_input(client));
        assert_eq!(gate.heard(client), "");
        let ticket = gate.asked(client);
        gate.accept(client, ticket);
        assert!(gate.engine.wants_input(client));
        gate.say(client, b"g\r\n");
        assert_eq!(gate.heard(client), "PONG\r\nMSG a 1 2\r\nhi\r\nPONG\r\nMSG a 1 4\r\nlong\r\n");
    }
}

#[test]
fn what_comes_byte_by_byte_while_the_answer_is_on_its_way_is_handled_in_order() {
    let input = b"SUB a 1\r\nPUB a 2\r\nhi\r\nPING\r\n";
    for answered_at in 0..=input.len() {
        let mut gate = Gate::new();
        let client = gate.client();
        gate.say(client, CONNECT);
        let ticket = gate.asked(client);
        for (at, byte) in input.iter().enumerate() {
            if at == answered_at {
                gate.accept(client, ticket);
            }
            gate.say(client, &[*byte]);
        }
        gate.accept(client, ticket);
        assert_eq!(gate.heard(client), "MSG a 1 2\r\nhi\r\nPONG\r\n", "answered at {answered_at}");
    }
}

#[test]
fn the_question_has_all_that_the_client_presented_and_shows_no_secret() {
    let mut gate = Gate::new();
    let client = gate.client();
    gate.say(client, b"CONNECT {\"user\":\"u\",\"pass\":\"s3cret\",\"auth_token\":\"t0ken\"}\r\n");
    let (_, _, effect) = gate.engine.poll_effect().expect("a question");
    let expected = Credentials { user: "u".to_owned(), password: "s3cret".into(), token: "t0ken".into() };
    assert_eq!(effect, Effect::Authenticate(expected));
    let shown = format!("{effect:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
}

#[test]
fn who_is_refused_is_told_so_and_nothing_behind_it_is_done() {
    for verdict in [Verdict::Refused, Verdict::Accepted { account: "nowhere".to_owned() }] {
        let mut gate = Gate::new();
        let client = gate.client();
        gate.say(client, &[CONNECT, b"PING\r\nSUB a 1\r\n"].concat());
        let ticket = gate.asked(client);
        gate.answer(client, ticket, verdict);
        assert_eq!(gate.heard(client), "-ERR 'Authorization Violation'\r\n");
        assert_eq!(gate.engine.poll_closed(), Some((client, CloseReason::AuthenticationFailure)));
        assert!(gate.engine.node().hub().global_account().index().is_empty());
    }
}

#[test]
fn the_time_to_authenticate_runs_on_while_the_answer_is_waited_for() {
    let mut gate = Gate::with(|config| config.auth_timeout = Duration::from_secs(1));
    let client = gate.client();
    gate.say(client, &[CONNECT, b"PING\r\n"].concat());
    let ticket = gate.asked(client);
    let (at, why) = gate.engine.poll_timeout().expect("a timeout");
    assert!(matches!(why, EngineTimeout::Connection(id, _) if id == client));
    assert_eq!(at, NOW + Duration::from_secs(1));
    gate.engine.handle_timeout(at);
    assert_eq!(gate.heard(client), "-ERR 'Authentication Timeout'\r\n");
    assert_eq!(gate.engine.poll_closed(), Some((client, CloseReason::AuthenticationTimeout)));
    gate.accept(client, ticket);
    assert!(gate.engine.transmit(client).is_err(), "the answer comes too late");
}

/// Where whoever drives the connection waits for it, for instance.
#[test]
fn an_answer_that_comes_when_the_time_is_over_comes_too_late_whatever_is_looked_at_first() {
    let mut gate = Gate::with(|config| config.auth_timeout = Duration::from_secs(1));
    let client = gate.client();
    gate.say(client, &[CONNECT, b"PING\r\n"].concat());
    let ticket = gate.asked(client);
    let answer = EffectAnswer::Authentication(Verdict::Accepted { account: "$G".to_owned() });
    gate.engine.handle_effect(NOW + Duration::from_secs(1), client, ticket, &answer);
    assert_eq!(gate.heard(client), "-ERR 'Authentication Timeout'\r\n");
    assert_eq!(gate.engine.poll_closed(), Some((client, CloseReason::AuthenticationTimeout)));
}

#[test]
fn an_answer_is_taken_once_and_only_by_whom_it_is_for() {
    let mut gate = Gate::new();
    let [client, other] = [gate.client(), gate.client()];
    gate.say(client, CONNECT);
    let first = gate.asked(client);
    gate.answer(other, first, Verdict::Refused);
    gate.accept(client, first);
    gate.answer(client, first, Verdict::Refused);
    gate.say(client, b"PING\r\n");
    assert_eq!((gate.heard(client), gate.heard(other)), ("PONG\r\n".to_owned(), String::new()));

    // Once more, with a name: another question, which the old answer does not fit.
    gate.say(client, &[CONNECT, b"PING\r\n"].concat());
    let second = gate.asked(client);
    assert_ne!(first, second);
    gate.answer(client, first, Verdict::Refused);
    assert_eq!(gate.heard(client), "");
    gate.accept(client, second);
    assert_eq!(gate.heard(client), "PONG\r\n");
}

#[test]
fn a_further_connect_is_asked_about_if_it_names_credentials_and_must_be_answered_in_time() {
    let mut gate = Gate::with(|config| config.auth_timeout = Duration::from_secs(1));
    let client = gate.client();
    gate.say(client, CONNECT);
    let ticket = gate.asked(client);
    gate.accept(client, ticket);
    gate.say(client, b"CONNECT {\"verbose\":true}\r\nPING\r\n");
    assert_eq!(gate.heard(client), "+OK\r\nPONG\r\n");
    assert_eq!(gate.engine.poll_effect(), None);
    gate.say(client, CONNECT);
    gate.asked(client);
    gate.engine.handle_timeout(NOW + Duration::from_secs(1));
    assert_eq!(gate.engine.poll_closed(), None, "it is told why");
    assert_eq!(gate.heard(client), "-ERR 'Authentication Timeout'\r\n");
}

#[test]
fn several_wait_at_once_and_are_answered_in_any_order() {
    let mut gate = Gate::new();
    let clients: Vec<_> = (0..5).map(|_| gate.client()).collect();
    for client in &clients {
        gate.say(*client, &[CONNECT, b"PING\r\n"].concat());
    }
    let mut questions = Vec::new();
    while let Some((id, ticket, _)) = gate.engine.poll_effect() {
        questions.push((id, ticket));
    }
    assert_eq!(questions.iter().map(|(id, _)| *id).collect::<Vec<_>>(), clients);
    for (place, (id, ticket)) in questions.into_iter().enumerate().rev() {
        let verdict = Verdict::Accepted { account: "$G".to_owned() };
        gate.answer(id, ticket, if place == 2 { Verdict::Refused } else { verdict });
    }
    for (place, client) in clients.iter().enumerate() {
        let expected = if place == 2 { "-ERR 'Authorization Violation'\r\n" } else { "PONG\r\n" };
        assert_eq!(gate.heard(*client), expected);
    }
}

#[test]
fn a_client_that_is_gone_before_the_answer_leaves_nothing_behind() {
    let mut gate = Gate::new();
    let client = gate.client();
    gate.say(client, &[CONNECT, b"SUB a 1\r\n"].concat());
    gate.engine.handle_closed(NOW, client, CloseReason::ClientClosed).expect("an open connection");
    assert_eq!(gate.engine.poll_effect(), None, "nobody waits for it");
    let next = gate.client();
    gate.say(next, &[CONNECT, b"SUB a 1\r\n"].concat());
    let ticket = gate.asked(next);
    gate.engine.handle_close_request(NOW, next, CloseReason::ServerShutdown).expect("an open connection");
    gate.accept(next, ticket);
    assert_eq!(gate.engine.poll_closed(), Some((next, CloseReason::ServerShutdown)));
    assert!(gate.engine.node().hub().global_account().index().is_empty());
}

#[test]
fn only_so_much_is_held_for_a_client_that_is_read_although_it_waits() {
    let mut gate = Gate::new();
    let client = gate.client();
    gate.say(client, CONNECT);
    gate.say(client, &vec![b'x'; MAX_HELD_BYTES]);
    assert_eq!(gate.engine.poll_closed(), None);
    gate.say(client, b"x");
    assert_eq!(gate.engine.poll_closed(), Some((client, CloseReason::ProtocolViolation)));

    // What came in one read is held whatever its size.
    let client = gate.client();
    gate.say(client, &[CONNECT, &b"PING\r\n".repeat(MAX_HELD_BYTES)].concat());
    let (_, ticket, _) = gate.engine.poll_effect().expect("a question");
    gate.accept(client, ticket);
    assert_eq!(gate.heard(client).len(), 6 * MAX_HELD_BYTES);
}

#[test]
fn a_client_that_waits_may_be_switched_by_the_answer() {
    let mut gate = Gate::with(|config| config.rehearsed_transport = Some(3));
    let client = gate.client();
    let mut input = CONNECT.to_vec();
    Encoder::framed(3).encode(b"PING\r\n", &mut input);
    gate.say(client, &input);
    let ticket = gate.asked(client);
    gate.accept(client, ticket);
    let bytes = gate.engine.transmit(client).expect("an open connection");
    let mut inbound = Inbound::default();
    inbound.switch(Decoder::framed(3));
    assert_eq!(inbound.decode(&mut &bytes[..]), Ok(b"PONG\r\n".as_slice()));
}
