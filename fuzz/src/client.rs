//! Clients of one engine, who say anything, read in pieces or not at all, and vanish.

mod model;
mod session;
mod tenants;

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use onehop::config::{Authorization, Config, Permissions, ResponsePermission, Rules, SubjectRule, User};
use onehop::hub::Kind;
use onehop::interest::Source;
use onehop::{ApiMisuse, CloseReason, ConnectionId, Engine, Instant, Listening};

use crate::stream::{ClientStream, Said};
use crate::{Choices, logging};

use model::{Heard, Model};
use tenants::Tenants;

/// A program: some bytes of configuration, then what happens.
pub fn run(data: &[u8]) {
    logging::enable();
    let mut choices = Choices::new(data);
    let mut world = World::new(&mut choices);
    while !choices.is_empty() && !world.is_unsure {
        world.step(&mut choices);
        world.assert_safe();
    }
    world.assert_leaves_nothing();
}

struct World {
    engine: Engine,
    now: Instant,
    /// Those whose socket is open.
    clients: BTreeMap<ConnectionId, Client>,
    accepted: u16,
    model: Model,
    /// Who was asked to answer is not known any more.
    is_unsure: bool,
}

/// The other end of a socket.
#[derive(Default)]
struct Client {
    /// What it read.
    reads: ClientStream,
    /// What it was sent, read or not.
    is_sent: ClientStream,
    /// How many of the bytes that wait for it are known to `is_sent`.
    seen: usize,
}

const MAX_PENDING_BYTES: usize = 4096;
const MAX_PAYLOAD_BYTES: usize = 2048;
const MAX_CONTROL_LINE_BYTES: usize = 1024;
/// No single push is larger: a line of INFO or a message.
const MAX_PUSH_BYTES: usize = 2 * MAX_CONTROL_LINE_BYTES + MAX_PAYLOAD_BYTES;

impl World {
    fn new(choices: &mut Choices<'_>) -> Self {
        let (bits, limits) = (choices.byte(), choices.byte());
        let authorization = match bits & 3 {
            0 | 1 => Authorization::None,
            2 => Authorization::Token("t".to_owned().into()),
            _ if bits & 32 != 0 => {
                Authorization::Users(vec![restricted(choices), User::with_password("v", "q")])
            }
            _ => Authorization::User { user: "u".to_owned(), password: "p".to_owned().into() },
        };
        let has_users = matches!(authorization, Authorization::Users(_));
        let mut config = Config {
            no_auth_user: (has_users && bits & 64 != 0).then(|| "u".to_owned()),
            authorization,
            no_header_support: bits & 4 != 0,
            ping_max: u32::from(bits >> 3 & 1),
            ping_interval: Duration::from_secs(if bits & 16 != 0 { 1 } else { 60 }),
            max_subscriptions: usize::from(limits & 3),
            max_subject_tokens: limits >> 2 & 3,
            max_connections: 1 + usize::from(limits >> 4 & 7),
            max_closed_clients: 2,
            max_pending: MAX_PENDING_BYTES,
            max_payload: MAX_PAYLOAD_BYTES,
            max_control_line: MAX_CONTROL_LINE_BYTES,
            seed: u64::from(choices.byte()),
            ..Config::default()
        };
        let mut tenants = Tenants::default();
        if let (Authorization::Users(users), true) = (&config.authorization, limits & 128 != 0) {
            let users = users.clone();
            tenants = Tenants::choose(choices);
            tenants::settle(&mut config, users, &tenants);
        }
        let listening = Listening { client_port: 4222, ..Listening::default() };
        let model = Model::new(config.clone(), tenants);
        let engine = Engine::new(config, &listening, Instant::ZERO);
        Self { engine, now: Instant::ZERO, clients: BTreeMap::new(), accepted: 0, model, is_unsure: false }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let mut written = None;
        match choices.below(10) {
            0 | 1 => self.accept(),
            2 => {
                if let Some(id) = self.any(choices) {
                    written = Some((id, choices.bytes().to_vec()));
                }
            }
            3..=5 => {
                if let Some(id) = self.any(choices) {
                    written = Some((id, line(choices)));
                }
            }
            6 => self.pass(Duration::from_millis(50 * u64::from(choices.byte()))),
            7 => {
                if let Some(id) = self.any(choices) {
                    let reason = choices.pick(&[CloseReason::ClientClosed, CloseReason::ReadError]);
                    self.engine.handle_closed(self.now, id, reason).expect("an open socket");
                    self.clients.remove(&id);
                }
            }
            8 => {
                if let Some(id) = self.any(choices) {
                    self.read_some(id, usize::from(choices.byte()) * 16);
                }
            }
            _ => {
                if let Some(id) = self.any(choices) {
                    self.engine.handle_blocked(self.now, id).expect("an open socket");
                }
            }
        }
        if let Some((id, bytes)) = &written {
            self.engine.handle_input(self.now, *id, bytes).expect("an open socket");
        }
        self.compare(written);
        self.collect_closed();
        assert_eq!(self.engine.poll_dial(self.now), None, "there is no cluster");
    }

    /// Compares what everybody was sent in this step with what the model expects for what one of them wrote.
    fn compare(&mut self, written: Option<(ConnectionId, Vec<u8>)>) {
        let open: Vec<_> = self.clients.keys().copied().filter(|id| self.is_open(*id)).collect();
        let mut heard: Heard = open.iter().map(|id| (*id, self.hear(*id).into())).collect();
        let hub = self.engine.node().hub();
        let is_open = |id| hub.directory().get(id).is_some();
        let all_stay = self.model.ids().all(is_open);
        if let Some((id, bytes)) = written {
            // What the others got of somebody who was cut short is not said here.
            let fate = self.model.input(id, &bytes, all_stay.then_some(&mut heard));
            assert!(fate.is_ok() || !is_open(id), "{id:?} goes on");
        }
        self.model.retain(is_open);
        if all_stay {
            let rest: Vec<_> = heard.values().flatten().collect();
            assert!(rest.is_empty(), "nobody expects {rest:?}");
        } else {
            self.model.resync(hub.accounts());
            self.is_unsure = matches!(hub.config().authorization, Authorization::Users(_));
        }
        self.model.assert_agrees(hub.accounts());
    }

    fn is_open(&self, id: ConnectionId) -> bool {
        self.engine.node().hub().directory().get(id).is_some()
    }

    /// What a client was sent since the last call, apart from what comes at its own time.
    fn hear(&mut self, id: ConnectionId) -> Vec<Said> {
        let waiting = self.waiting(id);
        let client = self.clients.get_mut(&id).expect("an open socket");
        let mut said = client.is_sent.read(&waiting[client.seen..]);
        client.seen = waiting.len();
        said.retain(|said| !matches!(said, Said::Info | Said::Ping));
        said
    }

    fn collect_closed(&mut self) {
        while let Some((id, _)) = self.engine.poll_closed() {
            assert!(self.clients.remove(&id).is_some(), "{id:?} is closed twice");
            assert_eq!(self.engine.transmit(id), Err(ApiMisuse::UnknownConnection(id)));
        }
    }

    fn accept(&mut self) {
        if self.clients.len() < 8 {
            self.accepted += 1;
            let remote = ([127, 0, 0, 1], self.accepted).into();
            let id = self.engine.handle_accept_client(self.now, remote);
            assert!(self.clients.insert(id, Client::default()).is_none(), "{id:?} is in use");
            if self.is_open(id) {
                self.model.accept(id);
            }
        }
    }

    fn any(&self, choices: &mut Choices<'_>) -> Option<ConnectionId> {
        let len = self.clients.len();
        (len > 0).then(|| choices.below(len)).and_then(|at| self.clients.keys().nth(at).copied())
    }

    fn pass(&mut self, duration: Duration) {
        self.now += duration;
        self.engine.handle_timeout(self.now);
        let next = self.engine.poll_timeout();
        assert!(next.is_none_or(|(at, _)| at > self.now), "{next:?} is still due at {:?}", self.now);
    }

    /// A socket takes up to so many bytes.
    fn read_some(&mut self, id: ConnectionId, bytes: usize) {
        let waiting = self.waiting(id);
        let taken = &waiting[..waiting.len().min(bytes)];
        self.engine.advance(id, taken.len()).expect("no more than waits");
        let client = self.clients.get_mut(&id).expect("an open socket");
        client.reads.read(taken);
        client.seen = client.seen.saturating_sub(taken.len());
        assert_eq!(self.waiting(id), waiting[taken.len()..], "what was not taken stays");
    }

    /// All that waits for a client.
    fn waiting(&self, id: ConnectionId) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = self.engine.poll_transmit(id, &mut slices).expect("an open socket");
        slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    fn assert_safe(&self) {
        let hub = self.engine.node().hub();
        for id in self.clients.keys() {
            let waiting = self.waiting(*id).len();
            let is_open = hub.directory().get(*id).is_some();
            let max = if is_open { MAX_PENDING_BYTES } else { MAX_PENDING_BYTES + MAX_PUSH_BYTES };
            assert!(waiting <= max, "{waiting} bytes wait for {id:?}");
            assert_eq!(waiting > 0, self.engine.pending().any(|pending| pending == *id));
        }
        let config = hub.config();
        assert!(hub.directory().count(Kind::Client) <= config.max_connections);
        let system_account = hub.system_account().expect("it has one").id();
        for account in hub.accounts().list().iter().filter(|account| account.id() != system_account) {
            let mut held = BTreeMap::<ConnectionId, usize>::new();
            account.index().for_each(&mut |sub| *held.entry(sub.connection()).or_default() += 1);
            for (id, count) in held {
                let entry = hub.directory().get(id);
                assert!(entry.is_some(), "{id:?} ended and left interest");
                // What it has by imports elsewhere does not count.
                let is_here = entry.and_then(|entry| entry.account()) == Some(account.id());
                assert!(!is_here || config.max_subscriptions == 0 || count <= config.max_subscriptions);
            }
        }
        hub.system_account().expect("it has one").index().for_each(&mut |sub| {
            assert_eq!(sub.source(), Source::Service, "clients are in another account");
        });
    }

    /// Those who still read get whole lines to the last byte; then all go.
    fn assert_leaves_nothing(mut self) {
        for id in self.clients.keys().copied().collect::<Vec<_>>() {
            self.read_some(id, usize::MAX);
        }
        self.collect_closed();
        assert!(
            self.clients.values().all(|client| client.reads.is_between_lines()),
            "the last line has no end"
        );
        for id in self.clients.keys() {
            self.engine.handle_closed(self.now, *id, CloseReason::ClientClosed).expect("an open socket");
        }
        assert_eq!(self.engine.poll_closed(), None);
        assert_eq!(self.engine.pending().next(), None);
        // That accounts have no clients any more is told, once.
        for _ in 0..LAST_TIMEOUTS {
            let Some((at, _)) = self.engine.poll_timeout() else { break };
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
        }
        assert_eq!(self.engine.poll_timeout(), None);
        let hub = self.engine.node().hub();
        assert_eq!(hub.directory().count(Kind::Client), 0);
        let system_account = hub.system_account().expect("it has one").id();
        for account in hub.accounts().list().iter().filter(|account| account.id() != system_account) {
            assert!(account.index().is_empty(), "interest of nobody in {}", account.name());
        }
    }
}

/// So often time passes at the most until a node without clients is at rest.
const LAST_TIMEOUTS: usize = 20;

/// A user who may not do everything.
fn restricted(choices: &mut Choices<'_>) -> User {
    let max = choices.pick(&[None, Some(0), Some(1), Some(2), Some(u32::MAX)]);
    let responses =
        max.map(|max| ResponsePermission { max: Some(max).filter(|max| *max < 3), expires: None });
    let permissions = Permissions { publish: rules(choices), subscribe: rules(choices), responses };
    User { permissions: Some(Arc::new(permissions)), ..User::with_password("u", "p") }
}

fn rules(choices: &mut Choices<'_>) -> Rules {
    let list = |choices: &mut Choices<'_>| {
        (0..choices.below(4)).map(|_| SubjectRule::new(choices.pick(&SUBJECTS[..10]))).collect()
    };
    Rules { allow: choices.flag().then(|| list(choices)), deny: list(choices) }
}

/// A line that is mostly right, so that what follows it is reached.
fn line(choices: &mut Choices<'_>) -> Vec<u8> {
    let subject = choices.pick(SUBJECTS);
    let text = match choices.below(10) {
        0 | 1 => format!("SUB {subject} {}\r\n", choices.below(4)),
        2 => format!("SUB {subject} {} {}\r\n", choices.pick(&["q", "r", "_sys_"]), choices.below(4)),
        3 => format!("UNSUB {} {}\r\n", choices.below(4), choices.below(4)),
        4 => return message("PUB", subject, choices),
        5 => return message("HPUB", subject, choices),
        6 => choices.pick(CONNECTS).to_owned(),
        7 => choices.pick(&["PING\r\n", "PONG\r\n", "+OK\r\n", "INFO {}\r\n"]).to_owned(),
        8 => choices.pick(WRONG).to_owned(),
        _ => String::from_utf8_lossy(choices.bytes()).into_owned() + "\r\n",
    };
    text.into_bytes()
}

fn message(verb: &str, subject: &str, choices: &mut Choices<'_>) -> Vec<u8> {
    let reply = choices.pick(&["", "", "a ", "b.c ", "_R_.x ", "$JS.ACK.x "]);
    let size = choices.pick(&[0, 1, 16, 100, 1000, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 1]);
    let headers = if verb == "HPUB" { format!("{} ", size / 2) } else { String::new() };
    let mut bytes = format!("{verb} {subject} {reply}{headers}{size}\r\n").into_bytes();
    bytes.resize(bytes.len() + size, b'x');
    bytes.extend_from_slice(b"\r\n");
    bytes
}

const SUBJECTS: &[&str] = &[
    "a", "a", "b", "a.b", "b.c", "*", ">", "a.*", "a.>", "*.c", "a..b", "a.", "$SYS.a", "_GR_.a", "a.b.c.d",
];

const CONNECTS: &[&str] = &[
    "CONNECT {}\r\n",
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1}\r\n",
    "CONNECT {\"verbose\":false,\"auth_token\":\"t\",\"user\":\"u\",\"pass\":\"p\"}\r\n",
    "CONNECT {\"echo\":false,\"headers\":true}\r\n",
    "CONNECT {\"no_responders\":true}\r\n",
    "CONNECT {\"protocol\":2}\r\n",
    "CONNECT {\"account\":\"A\"}\r\n",
    "CONNECT []\r\n",
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"user\":\"v\",\"pass\":\"q\"}\r\n",
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"user\":\"u\",\"pass\":\"p\"}\r\n",
];

const WRONG: &[&str] = &[
    "PUB a 5\r\nabcdefg\r\n",
    "HPUB a 3 2\r\nab\r\n",
    "PUB a -1\r\n",
    "SUB\r\n",
    "SUB a b c d\r\n",
    "UNSUB\r\n",
    "-ERR 'no'\r\n",
    "INFO [\r\n",
    "RS+ $G a\r\n",
    "PUB a 2048\r\nno",
];
