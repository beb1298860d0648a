//! Members that know one secret leave each other word in the mainline DHT (wire.md 14.6).
//!
//! A node of the DHT is there only while something is read or written, for some seconds: so an idle server has neither a socket nor
//! a thread that wakes up, and is no node that strangers ask.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_lite::StreamExt;
use log::{Level, info, log};
use mainline::async_dht::AsyncDht;
use mainline::{DEFAULT_BOOTSTRAP_NODES, MutableItem, SigningKey};
use onehop::config::{Dht as Settings, HostPort, SharedSecret, Source};
use onehop::discovery::record::{self, Announced, DayKeys, SLOTS};
use onehop::discovery::{Found, Reach};

use crate::Own;
use crate::audience::{Audience, pause};
use crate::public::is_public;

/// Reads and writes until it is dropped. What was written is forgotten by the DHT in time.
pub(crate) struct Dht(Arc<Inbox>);

/// How often something is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// So long others may change what is to be told before it is.
    pub(crate) moment: Duration,
    /// What changes is not told more often.
    pub(crate) between: Duration,
    /// Between two rounds while this server knows nobody, in the end.
    pub(crate) alone: Duration,
    /// Between two rounds otherwise: nodes forget what is not written again within two hours.
    pub(crate) regular: Duration,
    /// After a round that failed, or while it knows nobody: others may have started together with it. Doubled with each, up to `alone`.
    pub(crate) again: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            moment: Duration::from_secs(1),
            between: Duration::from_secs(60),
            alone: Duration::from_secs(5 * 60),
            regular: Duration::from_secs(3600),
            again: Duration::from_secs(5),
        }
    }
}

/// What the thread is told.
struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    reach: Reach,
    changed_at: Instant,
    has_ended: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dht {
    /// # Errors
    /// No thread can be started. That the DHT cannot be reached is no error: it is tried again.
    pub(crate) fn start(
        settings: &Settings,
        secret: &SharedSecret,
        own: &Own,
        pace: Pace,
        audience: Arc<Audience>,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let reach = Reach { members: Vec::new(), is_alone: true };
        let state = Mutex::new(State { reach, changed_at: now, has_ended: false });
        let inbox = Arc::new(Inbox { state, changed: Condvar::new() });
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let member = Member {
            settings: settings.clone(),
            secret: secret.clone(),
            own_id: own.server_id.clone(),
            random: u64::from_ne_bytes(random),
            audience,
            known_nodes: Vec::new(),
        };
        let rounds = Rounds {
            member,
            pace,
            inbox: inbox.clone(),
            ended_at: now,
            pauses: [FIRST_PAUSE; 2],
            tries: 0,
            told: Vec::new(),
            told_at: None,
        };
        // Nobody waits for its end: the system may take minutes to say that a name has no address.
        thread::Builder::new().name("onehop-dht".to_owned()).spawn(move || rounds.run())?;
        Ok(Self(inbox))
    }

    /// Who can be reached from now on.
    pub(crate) fn tell(&self, reach: Reach) {
        let mut state = self.0.lock();
        if state.reach != reach {
            state.reach = reach;
            state.changed_at = Instant::now();
            self.0.changed.notify_all();
        }
    }
}

impl Drop for Dht {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.changed.notify_all();
    }
}

/// When what is done.
struct Rounds {
    member: Member,
    pace: Pace,
    inbox: Arc<Inbox>,
    /// When the last round ended, and when the next one begins while nothing changes: if this server knows somebody, and if not.
    ended_at: Instant,
    pauses: [Duration; 2],
    /// How many rounds in a row failed, or were those of a server that knew nobody.
    tries: u32,
    /// What was to be told then, and when that was.
    told: Vec<(String, HostPort)>,
    told_at: Option<Instant>,
}

impl Rounds {
    fn run(mut self) {
        let mut last_trouble = None;
        while self.wait() {
            let trouble = self.round().unwrap_or_else(Some);
            log_change(last_trouble.as_deref(), trouble.as_deref());
            last_trouble = trouble;
        }
    }

    /// Waits until a round is due; returns whether anybody still hears then.
    fn wait(&self) -> bool {
        let mut state = self.inbox.lock();
        loop {
            if state.has_ended {
                return false;
            }
            let remaining = self.due(&state).saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return true;
            }
            let waited = self.inbox.changed.wait_timeout(state, remaining);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn due(&self, state: &State) -> Instant {
        let regular = self.ended_at + self.pauses[usize::from(state.reach.is_alone)];
        if state.reach.members == self.told {
            return regular;
        }
        let soon = state.changed_at + self.pace.moment;
        let soon = self.told_at.map_or(soon, |told_at| soon.max(told_at + self.pace.between));
        soon.min(regular)
    }

    /// Reads all that there is, and writes what this server has to write. Returns what is to be said of it.
    ///
    /// # Errors
    /// It is to be tried again.
    fn round(&mut self) -> Result<Option<String>, String> {
        let members = self.inbox.lock().reach.members.clone();
        if members != self.told {
            self.told_at = Some(Instant::now());
            self.tries = 0;
        }
        self.told = members;
        // What strangers send goes through code of others. It ends with its node, and not for ever.
        let round = panic::catch_unwind(AssertUnwindSafe(|| self.member.round(&self.told)));
        let outcome = round.unwrap_or_else(|_| Err("a node of it panicked".to_owned()));
        self.ended_at = Instant::now();
        let Pace { regular, alone, again, .. } = self.pace;
        let is_alone = self.inbox.lock().reach.is_alone;
        self.tries = if outcome.is_ok() && !is_alone { 0 } else { self.tries.saturating_add(1) };
        let soon = again.saturating_mul(1 << self.tries.saturating_sub(1).min(16)).min(alone);
        self.pauses = if outcome.is_ok() { [regular, soon] } else { [soon; 2] }.map(pause);
        outcome
    }
}

fn log_change(before: Option<&str>, now: Option<&str>) {
    match now {
        Some(trouble) => {
            let level = if before == now { Level::Debug } else { Level::Warn };
            log!(level, "Looking for servers in the DHT: {trouble}");
        }
        None if before.is_some() => info!("The DHT can be read and written again"),
        None => {}
    }
}

/// One of those that know the secret.
struct Member {
    settings: Settings,
    secret: SharedSecret,
    own_id: String,
    /// Says which slot it writes as long as it is the only one.
    random: u64,
    audience: Arc<Audience>,
    /// Nodes of the DHT that answered in the last round.
    known_nodes: Vec<SocketAddrV4>,
}

/// What was found in a slot.
struct Read {
    newest: Option<MutableItem>,
    /// That is nothing that a member wrote.
    is_damaged: bool,
}

/// The newest of each slot.
type Slots = [Option<MutableItem>; SLOTS as usize];

type Task<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

impl Member {
    fn round(&mut self, members: &[(String, HostPort)]) -> Result<Option<String>, String> {
        let node = self.start_node()?;
        let now_secs = now_secs();
        let (slots, damaged) = self.read(&node, now_secs);
        if !self.note_nodes(&node) {
            return Err("no node of it answers".to_owned());
        }
        self.write(&node, now_secs, members, &slots)?;
        // Only who knows the secret can have written that.
        Ok(damaged.map(|slot| format!("what stands in slot {slot} is damaged")))
    }

    /// A node that lives for one round, on any free port.
    fn start_node(&self) -> Result<AsyncDht, String> {
        let known = if self.known_nodes.is_empty() { self.resolve()? } else { self.known_nodes.clone() };
        let mut builder = mainline::Dht::builder();
        builder.bootstrap(&known).port(0);
        if known.iter().all(|address| address.ip().is_loopback()) {
            // Nothing leaves the machine.
            builder.bind_address(Ipv4Addr::LOCALHOST);
        }
        builder.build().map(mainline::Dht::as_async).map_err(|fault| fault.to_string())
    }

    /// Where to ask first. If nodes are configured, no others are asked, whether or not their names have addresses.
    fn resolve(&self) -> Result<Vec<SocketAddrV4>, String> {
        let configured = self.settings.bootstrap.iter();
        let configured = configured.map(|node| (node.host.clone(), node.port.unwrap_or(DEFAULT_PORT)));
        let mut nodes: Vec<_> = configured.collect();
        if nodes.is_empty() {
            let well_known = DEFAULT_BOOTSTRAP_NODES.iter().filter_map(|node| node.parse::<HostPort>().ok());
            nodes.extend(well_known.map(|node| (node.host, node.port.unwrap_or(DEFAULT_PORT))));
        }
        let addresses = nodes.iter().filter_map(|(host, port)| (host.as_str(), *port).to_socket_addrs().ok());
        let addresses = addresses.flatten().filter_map(|address| match address {
            SocketAddr::V4(address) => Some(address),
            SocketAddr::V6(_) => None,
        });
        let addresses: Vec<_> = addresses.take(MAX_FIRST_NODES).collect();
        if addresses.is_empty() {
            let hosts: Vec<_> = nodes.iter().map(|(host, _)| host.as_str()).collect();
            return Err(format!("none of its nodes has an IPv4 address: {}", hosts.join(", ")));
        }
        Ok(addresses)
    }

    /// Keeps in mind who answered, so that well-known nodes are not asked each time; returns whether anybody did.
    fn note_nodes(&mut self, node: &AsyncDht) -> bool {
        let asked = node.clone();
        let mut nodes = Vec::new();
        self.drive(vec![Box::pin(async move { asked.to_bootstrap().await })], |_, answer| nodes = answer);
        self.known_nodes = nodes.iter().filter_map(|node| node.parse().ok()).take(MAX_FIRST_NODES).collect();
        !self.known_nodes.is_empty()
    }

    /// Tells of who stands in the slots. Returns what today's hold, and one that holds what nobody can read.
    fn read(&self, node: &AsyncDht, now_secs: u64) -> (Slots, Option<u8>) {
        let keys: Vec<_> =
            record::days_of_interest(now_secs).map(|day| DayKeys::new(&self.secret, day)).collect();
        let places = keys.iter().flat_map(|keys| (0..SLOTS).map(move |slot| (keys, slot)));
        let reads = places
            .map(|(keys, slot)| -> Task<'_, Read> { Box::pin(self.read_slot(node, keys, slot, now_secs)) });
        let (mut slots, mut damaged) = (Slots::default(), None);
        self.drive(reads.collect(), |index, read| {
            damaged = damaged.or(read.is_damaged.then_some((index % slots.len()) as u8));
            if index < slots.len() {
                slots[index] = read.newest;
            }
        });
        (slots, damaged)
    }

    /// Tells of who stands in a slot, as soon as any node says so: nodes that do not answer keep a search waiting to its end. Of all
    /// answers the one with the highest `seq` counts.
    async fn read_slot(&self, node: &AsyncDht, keys: &DayKeys, slot: u8, now_secs: u64) -> Read {
        let salt = record::salt(slot);
        let mut items = node.get_mutable(&public_key(keys), Some(salt.as_bytes()), None);
        let mut read = Read { newest: None, is_damaged: false };
        while let Some(item) = items.next().await {
            if read.newest.as_ref().is_some_and(|newest| newest.seq() >= item.seq()) {
                continue;
            }
            let opened = keys.open(slot, item.value(), now_secs);
            read.is_damaged = opened.is_err();
            self.tell(slot, &opened.unwrap_or_default());
            read.newest = Some(item);
        }
        read
    }

    fn tell(&self, slot: u8, servers: &[Announced]) {
        let others = servers.iter().filter(|server| server.server_id != self.own_id);
        let found: Vec<Found> = others.flat_map(Announced::found).collect();
        self.audience.tell(Source::Dht, &format!("slot {slot}"), found);
    }

    /// Writes the slots that are this server's to write, and reads again what it wrote: a put counts as done although some nodes hold
    /// something newer.
    fn write(
        &self,
        node: &AsyncDht,
        now_secs: u64,
        members: &[(String, HostPort)],
        slots: &Slots,
    ) -> Result<(), String> {
        let may_tell = |address: &HostPort| self.settings.local_addresses || is_public(address);
        let members = members.iter().filter(|(_, address)| may_tell(address));
        let members: Vec<_> = members.map(|(id, address)| announced(id, address, now_secs)).collect();
        let ids = members.iter().map(|member| member.server_id.as_str());
        let keys = DayKeys::new(&self.secret, record::day_of(now_secs));
        let mut writes = Vec::new();
        for slot in record::slots_of(&self.own_id, ids, self.random) {
            let before = slots[usize::from(slot)].as_ref();
            let servers = merged(&keys, slot, &members, before, now_secs);
            writes.push(put(node.clone(), item(&keys, slot, &servers, before, now_secs)?, before));
        }
        let (mut unfinished, mut trouble) = (writes.len(), None);
        self.drive(writes, |_, outcome| {
            unfinished -= 1;
            trouble = trouble.take().or(outcome.err());
        });
        let slow = (unfinished > 0).then(|| "it takes too long to write".to_owned());
        trouble.or(slow).map_or(Ok(()), Err)
    }

    /// Lets all go on side by side, and hears of each that ends, until all have or nobody hears any more.
    fn drive<T>(&self, tasks: Vec<Task<'_, T>>, mut handle: impl FnMut(usize, T)) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut tasks: Vec<_> = tasks.into_iter().map(Some).collect();
        let until = Instant::now() + PATIENCE;
        while self.audience.is_there() && Instant::now() < until {
            for (index, task) in tasks.iter_mut().enumerate() {
                let polled = task.as_mut().map(|task| task.as_mut().poll(&mut context));
                if let Some(Poll::Ready(value)) = polled {
                    *task = None;
                    handle(index, value);
                }
            }
            if tasks.iter().all(Option::is_none) {
                return;
            }
            thread::park_timeout(LOOK_INTERVAL);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Puts an item in the place of the one `before`, and sees that it is there.
fn put(node: AsyncDht, item: MutableItem, before: Option<&MutableItem>) -> Task<'static, Result<(), String>> {
    let cas = before.map(MutableItem::seq);
    Box::pin(async move {
        let (public_key, salt) = (*item.key(), item.salt().map(<[u8]>::to_vec));
        let (seq, value) = (item.seq(), item.value().to_vec());
        // Nodes that hold something older than what was read refuse it, so this may fail and all be well.
        let outcome = node.put_mutable(item, cas).await;
        let read = node.get_mutable_most_recent(&public_key, salt.as_deref()).await;
        match (read, outcome) {
            (Some(read), _) if read.seq() == seq && *read.value() == *value => Ok(()),
            (Some(read), _) if read.seq() >= seq => Err("another server writes the same slot".to_owned()),
            (_, Err(fault)) => Err(format!("nothing can be written: {fault}")),
            (_, Ok(_)) => Err("what was written is not there".to_owned()),
        }
    })
}

fn public_key(keys: &DayKeys) -> [u8; 32] {
    signing_key(keys).verifying_key().to_bytes()
}

fn signing_key(keys: &DayKeys) -> SigningKey {
    SigningKey::from_bytes(keys.signing_seed())
}

/// What is to stand in a slot.
fn item(
    keys: &DayKeys,
    slot: u8,
    servers: &[Announced],
    before: Option<&MutableItem>,
    now_secs: u64,
) -> Result<MutableItem, String> {
    let mut nonce = [0; record::NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|fault| format!("no randomness: {fault}"))?;
    let value = keys.seal(slot, nonce, servers);
    let now = i64::try_from(now_secs).unwrap_or(i64::MAX);
    // Whoever wrote last may have another clock.
    let seq = before.map_or(now, |before| now.max(before.seq().saturating_add(1)));
    Ok(MutableItem::new(signing_key(keys), &value, seq, Some(record::salt(slot).as_bytes())))
}

/// The members that this server knows, and behind them those of whom somebody else has told there.
fn merged(
    keys: &DayKeys,
    slot: u8,
    members: &[Announced],
    before: Option<&MutableItem>,
    now_secs: u64,
) -> Vec<Announced> {
    let mut servers = members.to_vec();
    // Where there are more than a slot can tell of, each tells of others.
    record::sort_for(slot, &mut servers);
    let others = before.and_then(|item| keys.open(slot, item.value(), now_secs).ok());
    let is_new = |other: &Announced| members.iter().all(|member| member.server_id != other.server_id);
    servers.extend(others.into_iter().flatten().filter(is_new));
    servers
}

fn announced(server_id: &str, address: &HostPort, seen_secs: u64) -> Announced {
    Announced { server_id: server_id.to_owned(), addresses: vec![address.clone()], seen_secs }
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What there is to tell is known as soon as a server has started.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Where nodes of the DHT listen.
const DEFAULT_PORT: u16 = 6881;

/// So many nodes are asked first. Each of them may be asked in each search.
const MAX_FIRST_NODES: usize = 16;

/// How long all that is read, or written, may take: nodes could name others without end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether anybody still hears, while something is read or written.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
