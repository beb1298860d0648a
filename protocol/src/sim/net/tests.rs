//! What the network promises, on its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;

use super::*;

const A: HostId = HostId(0);
const B: HostId = HostId(1);
const PORT: u16 = 6222;
const MILLI: Duration = Duration::from_millis(1);

fn ip(host: HostId) -> IpAddr {
    [10, 0, 0, host.0 as u8 + 1].into()
}

fn target(host: HostId) -> SocketAddr {
    SocketAddr::new(ip(host), PORT)
}

/// Two hosts, a clock, and all that happened.
struct Pair<C> {
    network: Network<C>,
    now: Instant,
}

impl Pair<NoChance> {
    /// A network on which everything takes a millisecond.
    fn new() -> Self {
        Self::with(NetworkConfig { latency: MILLI, dial_timeout: 9 * MILLI, ..NetworkConfig::instant() })
    }

    fn with(config: NetworkConfig) -> Self {
        Self::with_chance(config, NoChance)
    }
}

impl<C: Chance> Pair<C> {
    fn with_chance(config: NetworkConfig, chance: C) -> Self {
        let mut network = Network::new(config, chance);
        [A, B].into_iter().for_each(|host| network.settle_at(host, ip(host)));
        Self { network, now: Instant::ZERO }
    }

    fn dial(&mut self) -> AttemptId {
        self.network.dial(A, target(B), self.now)
    }

    /// Lets pass what time it takes until something happens.
    fn next(&mut self) -> Option<Event> {
        while let Some(at) = self.network.next_at() {
            self.now = self.now.max(at);
            if let Some(event) = self.network.poll(self.now) {
                return Some(event);
            }
        }
        None
    }

    /// All that happens.
    fn rest(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// A new stream from A to B: the ends of the dialer and of the acceptor.
    fn connect(&mut self) -> [End; 2] {
        let attempt = self.dial();
        assert!(matches!(self.next(), Some(Event::Called { host: B, port: PORT, .. })));
        let accepted = self.network.accept(attempt, self.now).expect("a call");
        let Some(Event::Connected { dialed, .. }) = self.next() else { panic!("not connected") };
        assert_eq!(dialed.other(), accepted);
        [dialed, accepted]
    }

    fn write(&mut self, end: End, text: &str) {
        assert!(!self.network.write(end, text.as_bytes().to_vec(), self.now), "no reset by chance");
    }

    #[track_caller]
    fn assert_fails(&mut self, attempt: AttemptId, fault: DialFault) {
        assert_eq!(self.rest(), [Event::Failed { attempt, fault }]);
    }
}

fn read(end: End, text: &str) -> Event {
    Event::Read { end, bytes: text.as_bytes().to_vec(), writer_may_go_on: false }
}

#[test]
fn a_call_and_its_answer_take_their_time() {
    let mut pair = Pair::new();
    pair.connect();
    assert_eq!(pair.now, Instant::ZERO + 2 * MILLI);
}

#[test]
fn a_host_may_refuse_a_call() {
    let mut pair = Pair::new();
    let attempt = pair.dial();
    assert!(matches!(pair.next(), Some(Event::Called { .. })));
    pair.network.refuse(attempt, pair.now);
    pair.assert_fails(attempt, DialFault::Refused);
    assert_eq!(pair.network.accept(attempt, pair.now), None, "it is over");
}

#[test]
fn nobody_answers_where_nobody_is() {
    let mut pair = Pair::new();
    let attempt = pair.network.dial(A, target(HostId(7)), pair.now);
    pair.assert_fails(attempt, DialFault::TimedOut);
    assert_eq!(pair.now, Instant::ZERO + 9 * MILLI);
}

#[test]
fn who_moves_is_found_at_the_new_address_only() {
    let mut pair = Pair::new();
    let under_way = pair.dial();
    pair.network.settle_at(B, ip(HostId(7)));
    pair.assert_fails(under_way, DialFault::Refused);
    let late = pair.dial();
    pair.assert_fails(late, DialFault::TimedOut);
    pair.network.dial(A, target(HostId(7)), pair.now);
    assert!(matches!(pair.next(), Some(Event::Called { host: B, .. })));
}

#[test]
fn a_host_may_seem_to_call_from_elsewhere() {
    let mut pair = Pair::new();
    pair.network.settle_behind(A, ip(A), [192, 0, 2, 1].into());
    let ports = [(), ()].map(|()| {
        pair.dial();
        let Some(Event::Called { remote, .. }) = pair.next() else { panic!("nobody calls") };
        assert_eq!(remote.ip(), IpAddr::from([192, 0, 2, 1]));
        remote.port()
    });
    assert_ne!(ports[0], ports[1]);
}

#[test]
fn dials_are_refused_and_time_out_by_chance() {
    let quiet = NetworkConfig::instant();
    for (config, fault) in [
        (NetworkConfig { refusals_per_million: 1, ..quiet.clone() }, DialFault::Refused),
        (NetworkConfig { timeouts_per_million: 1, ..quiet }, DialFault::TimedOut),
    ] {
        let mut pair = Pair::with(config);
        let attempt = pair.dial();
        pair.assert_fails(attempt, fault);
        pair.network.heal_all();
        pair.connect();
    }
}

#[test]
fn a_cut_in_either_direction_lets_no_dial_through() {
    for (from, to) in [(A, B), (B, A)] {
        let mut pair = Pair::new();
        pair.network.cut(from, to);
        let attempt = pair.dial();
        pair.assert_fails(attempt, DialFault::TimedOut);
        pair.network.heal(from, to);
        pair.connect();
    }
}

#[test]
fn an_answer_that_does_not_get_through_leaves_a_stream_that_nobody_else_knows_of() {
    let mut pair = Pair::new();
    let attempt = pair.dial();
    pair.next();
    let accepted = pair.network.accept(attempt, pair.now).expect("a call");
    pair.network.cut(B, A);
    pair.write(accepted, "INFO\r\n");
    pair.assert_fails(attempt, DialFault::TimedOut);
    pair.network.heal(B, A);
    assert_eq!(pair.network.resume(pair.now), []);
    assert_eq!(pair.rest(), []);
    assert!(pair.network.is_open(accepted) && !pair.network.is_whole(accepted.stream));
}

#[test]
fn what_the_acceptor_writes_at_once_comes_after_the_news_of_the_connection() {
    let mut pair = Pair::with(NetworkConfig::instant());
    let attempt = pair.dial();
    pair.next();
    let accepted = pair.network.accept(attempt, pair.now).expect("a call");
    pair.write(accepted, "INFO\r\n");
    assert_eq!(pair.network.take(Due::Arrive(accepted), usize::MAX, pair.now), None, "nobody reads yet");
    assert!(matches!(pair.next(), Some(Event::Connected { .. })));
    assert_eq!(pair.rest(), [read(accepted.other(), "INFO\r\n")]);
}

#[test]
fn who_closes_is_heard_after_all_that_was_written_and_hears_nothing_more() {
    let mut pair = Pair::new();
    let [a, b] = pair.connect();
    pair.write(a, "one");
    pair.write(a, "two");
    assert!(!pair.network.close(a, Ending::Fin, pair.now));
    pair.write(b, "too late");
    let fin = Event::Ended { end: b, ending: Ending::Fin };
    assert_eq!(pair.rest(), [read(b, "one"), read(b, "two"), fin]);
    assert!(pair.network.close(b, Ending::Fin, pair.now), "the stream is over");
    assert_eq!((pair.rest(), pair.network.hosts(a.stream)), (vec![], None));
}

#[test]
fn writes_are_merged_and_cut_as_the_configuration_says() {
    let mut pair = Pair::with(NetworkConfig {
        splits_per_million: 1,
        merges_per_million: 1,
        ..NetworkConfig::instant()
    });
    let [a, b] = pair.connect();
    assert_eq!((pair.network.portion(1), pair.network.portion(100)), (1, 1));
    pair.write(a, "one");
    pair.write(a, "two");
    assert_eq!(pair.network.on_its_way(a).collect::<Vec<_>>(), [b"onetwo"]);
    assert_eq!(pair.rest(), [read(b, "onetwo")]);
}

#[test]
fn a_one_way_cut_delays_one_direction_and_no_other() {
    let mut pair = Pair::new();
    let [a, b] = pair.connect();
    pair.network.cut(A, B);
    pair.network.cut(A, B);
    pair.write(a, "there");
    pair.write(b, "back");
    assert_eq!(pair.rest(), [read(a, "back")]);
    pair.network.heal(A, B);
    assert_eq!((pair.network.resume(pair.now), pair.rest()), (vec![], vec![]), "cut twice");
    pair.network.heal(A, B);
    assert_eq!((pair.network.resume(pair.now), pair.rest()), (vec![], vec![read(b, "there")]));
    assert!(pair.network.is_whole(a.stream));
}

#[test]
fn on_a_lost_stream_nothing_arrives_and_nobody_is_told() {
    let mut pair = Pair::new();
    let [a, b] = pair.connect();
    pair.write(a, "one");
    pair.network.lose(a.stream);
    pair.write(b, "two");
    pair.network.close(a, Ending::Reset, pair.now);
    assert_eq!(pair.rest(), []);
    assert!(pair.network.is_open(b) && !pair.network.is_whole(b.stream));
}

#[test]
fn of_a_reset_both_ends_hear_and_what_was_on_its_way_is_lost() {
    let mut pair = Pair::new();
    let [a, b] = pair.connect();
    pair.write(a, "one");
    pair.network.reset(a.stream, pair.now);
    let heard = pair.rest();
    let reset = |end| Event::Ended { end, ending: Ending::Reset };
    assert!(heard.len() == 2 && heard.contains(&reset(a)) && heard.contains(&reset(b)), "{heard:?}");
}

#[test]
fn a_stream_is_reset_by_chance_unless_it_stays_on_its_host() {
    let mut pair = Pair::with(NetworkConfig { resets_per_million: 1, ..NetworkConfig::instant() });
    let [a, _] = pair.connect();
    assert!(pair.network.write(a, b"one".to_vec(), pair.now));
    assert_eq!(pair.rest().len(), 2);
    let local = pair.network.attach(A, MILLI, pair.now);
    pair.write(local.dialer(), "one");
    assert_eq!(pair.rest(), [read(local.acceptor(), "one")]);
}

#[test]
fn what_stays_on_its_host_is_not_cut_and_not_found_between_hosts() {
    let mut pair = Pair::new();
    let local = pair.network.attach(A, MILLI, pair.now);
    let [a, _] = pair.connect();
    pair.network.cut(A, A);
    pair.write(local.acceptor(), "one");
    assert_eq!(pair.rest(), [read(local.dialer(), "one")]);
    assert_eq!(pair.network.reaching(A), [a.stream]);
    assert_eq!((pair.network.between(B, A), pair.network.between(A, A)), (vec![a.stream], vec![]));
}

#[test]
fn who_finds_no_room_is_told_when_something_was_read() {
    let mut pair = Pair::with(NetworkConfig { buffer_bytes: 4, latency: MILLI, ..NetworkConfig::instant() });
    let [a, b] = pair.connect();
    pair.write(a, "one");
    assert_eq!(pair.network.room(a), 1);
    pair.write(a, "!");
    assert_eq!(pair.network.room(a), 0);
    let since = pair.now;
    pair.network.wait_for_room(a, since);
    pair.network.wait_for_room(a, since + MILLI);
    assert_eq!(pair.network.blocked_since(a), Some(since));
    let Some(Event::Read { end, writer_may_go_on: true, .. }) = pair.next() else { panic!("no room") };
    assert_eq!((end, pair.network.room(a), pair.network.blocked_since(a)), (b, 3, None));
}

#[test]
fn what_is_read_but_cannot_be_acknowledged_takes_up_room() {
    let mut pair = Pair::with(NetworkConfig { buffer_bytes: 3, ..NetworkConfig::instant() });
    let [a, b] = pair.connect();
    pair.network.cut(B, A);
    pair.write(a, "one");
    pair.network.wait_for_room(a, pair.now);
    assert!(matches!(pair.next(), Some(Event::Read { end, .. }) if end == b));
    assert_eq!((pair.network.room(a), pair.network.blocked_since(a)), (0, Some(pair.now)));
    pair.network.wait_for_room(a, pair.now);
    pair.network.heal(B, A);
    assert_eq!(pair.network.resume(pair.now), [a]);
    assert_eq!((pair.network.room(a), pair.network.blocked_since(a)), (3, None));
}

#[test]
fn a_pipe_holds_only_so_many_segments() {
    let mut pair = Pair::new();
    let [a, _] = pair.connect();
    let count = std::iter::repeat_with(|| pair.write(a, "x")).take(10_000).count();
    assert_eq!((count, pair.network.room(a)), (10_000, 0));
}

#[test]
fn who_pauses_reads_later() {
    let mut pair = Pair::new();
    let [a, b] = pair.connect();
    pair.network.set_reading(b, false);
    pair.write(a, "one");
    pair.network.close(a, Ending::Fin, pair.now);
    assert_eq!(pair.rest(), []);
    pair.network.set_reading(b, true);
    assert_eq!(pair.network.resume(pair.now), []);
    assert_eq!(pair.rest(), [read(b, "one"), Event::Ended { end: b, ending: Ending::Fin }]);
}

#[test]
fn names_are_resolved_to_where_hosts_are_now() {
    let mut pair = Pair::new();
    pair.network.name("Both.example", vec![A, B, HostId(9)]);
    assert_eq!(pair.network.hosts_named("both.EXAMPLE"), 3);
    assert_eq!(pair.network.resolve("both.example"), [ip(A), ip(B)]);
    pair.network.settle_at(A, ip(HostId(7)));
    assert_eq!(pair.network.resolve("both.example"), [ip(HostId(7)), ip(B)]);
    assert_eq!(pair.network.resolve("10.1.2.3"), [IpAddr::from([10, 1, 2, 3])]);
    assert_eq!(pair.network.resolve("nobody.example"), Vec::<IpAddr>::new());
}

#[test]
fn by_hand_the_later_comes_first_and_only_as_much_as_is_wanted() {
    let mut pair = Pair::new();
    let [a, b] = pair.connect();
    let [c, d] = pair.connect();
    pair.write(a, "one");
    pair.write(c, "two");
    let now = pair.now;
    assert_eq!(pair.network.due().collect::<Vec<_>>(), [Due::Arrive(a), Due::Arrive(c)]);
    assert_eq!(pair.network.take(Due::Arrive(c), usize::MAX, now), Some(read(d, "two")));
    assert_eq!(pair.network.take(Due::Arrive(a), 1, now), Some(read(b, "o")));
    assert_eq!(pair.network.take(Due::Arrive(a), 2, now), Some(read(b, "ne")));
    assert_eq!(pair.network.take(Due::Arrive(a), 2, now), None);
    assert_eq!(pair.network.next_at(), None);
}

/// What happens to streams from A to B.
#[derive(Clone, Debug)]
enum Act {
    /// One of the ends writes so many bytes.
    Write(usize, usize),
    Pass(u64),
    /// What is due at one of many places happens now, of bytes no more than so many.
    Take(usize, usize),
    Cut(bool),
    Heal(bool),
    Reset(usize),
    Lose(usize),
    Close(usize),
    Pause(usize, bool),
}

fn act() -> impl Strategy<Value = Act> {
    let end = 0..2 * STREAMS;
    prop_oneof![
        8 => (end.clone(), 1..200_usize).prop_map(|(end, bytes)| Act::Write(end, bytes)),
        4 => (0..5_u64).prop_map(Act::Pass),
        2 => (0..20_usize, 1..50_usize).prop_map(|(place, bytes)| Act::Take(place, bytes)),
        1 => any::<bool>().prop_map(Act::Cut),
        1 => any::<bool>().prop_map(Act::Heal),
        1 => (0..STREAMS).prop_map(Act::Reset),
        1 => (0..STREAMS).prop_map(Act::Lose),
        1 => end.clone().prop_map(Act::Close),
        1 => (end, any::<bool>()).prop_map(|(end, reads)| Act::Pause(end, reads)),
    ]
}

const STREAMS: usize = 3;

/// A network and what should be true of it.
struct Model {
    pair: Pair<Rng>,
    ends: Vec<End>,
    written: BTreeMap<End, Vec<u8>>,
    read: BTreeMap<End, Vec<u8>>,
    heard_end: Vec<End>,
    closed: Vec<End>,
    reset: Vec<StreamId>,
    lost: Vec<StreamId>,
}

impl Model {
    fn new(config: NetworkConfig, seed: u64) -> Self {
        let mut pair = Pair::with_chance(config, Rng::with_seed(seed));
        let ends = (0..STREAMS).flat_map(|_| pair.connect()).collect();
        let (written, read) = (BTreeMap::new(), BTreeMap::new());
        let (heard_end, closed, reset, lost) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { pair, ends, written, read, heard_end, closed, reset, lost }
    }

    fn act(&mut self, act: Act) {
        let now = self.pair.now;
        let network = &mut self.pair.network;
        match act {
            Act::Write(end, bytes) => self.write(self.ends[end], bytes),
            Act::Pass(millis) => self.pass(Duration::from_millis(millis)),
            Act::Take(place, max_bytes) => {
                let due: Vec<Due> = network.due().collect();
                if let Some(due) = due.get(place % due.len().max(1))
                    && let Some(event) = network.take(*due, max_bytes, now)
                {
                    self.hear(event);
                }
            }
            Act::Cut(back) => {
                if back {
                    network.cut(B, A)
                } else {
                    network.cut(A, B)
                }
            }
            Act::Heal(back) => {
                if back {
                    network.heal(B, A)
                } else {
                    network.heal(A, B)
                }
            }
            Act::Reset(stream) => {
                let stream = self.ends[2 * stream].stream;
                network.reset(stream, now);
                self.reset.push(stream);
            }
            Act::Lose(stream) => {
                let stream = self.ends[2 * stream].stream;
                network.lose(stream);
                self.lost.push(stream);
            }
            Act::Close(end) => self.close(self.ends[end]),
            Act::Pause(end, reads) => network.set_reading(self.ends[end], reads),
        }
    }

    fn write(&mut self, end: End, bytes: usize) {
        let bytes = bytes.min(self.pair.network.room(end));
        if bytes == 0 || self.closed.contains(&end) {
            return;
        }
        let before = self.written.entry(end).or_default();
        let new: Vec<u8> = (before.len()..before.len() + bytes).map(|number| number as u8).collect();
        before.extend(&new);
        let portion = self.pair.network.portion(bytes);
        for part in [&new[..portion], &new[portion..]] {
            if self.pair.network.write(end, part.to_vec(), self.pair.now) {
                self.reset.push(end.stream);
                return;
            }
        }
    }

    fn close(&mut self, end: End) {
        self.pair.network.close(end, Ending::Fin, self.pair.now);
        self.closed.push(end);
    }

    fn pass(&mut self, time: Duration) {
        self.pair.now += time;
        while let Some(event) = self.pair.network.poll(self.pair.now) {
            self.hear(event);
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Read { end, bytes, .. } => {
                self.assert_listens(end);
                let read = self.read.entry(end).or_default();
                read.extend(bytes);
                assert!(self.written[&end.other()].starts_with(read), "in order, and nothing else");
            }
            Event::Ended { end, .. } => {
                self.assert_listens(end);
                self.heard_end.push(end);
                self.close(end);
            }
            event => panic!("nobody dials: {event:?}"),
        }
    }

    fn assert_listens(&self, end: End) {
        assert!(!self.closed.contains(&end), "a closed end hears nothing");
        assert!(!self.lost.contains(&end.stream), "nothing comes out of a lost stream");
    }

    /// Everything that can arrive does.
    fn assert_whole(&mut self) {
        self.pair.network.heal_all();
        let _ = self.pair.network.resume(self.pair.now);
        while let Some(event) = self.pair.next() {
            self.hear(event);
        }
        for end in self.ends.clone() {
            let [is_reset, is_lost] = [&self.reset, &self.lost].map(|all| all.contains(&end.stream));
            let peer_closed = self.closed.contains(&end.other()) && !self.heard_end.contains(&end.other());
            let listened = !self.closed.contains(&end) || self.heard_end.contains(&end);
            let has_heard_end = self.heard_end.contains(&end);
            if is_lost || !listened {
                continue;
            }
            assert_eq!(has_heard_end, is_reset || peer_closed, "an end is told, and only an end");
            if !is_reset {
                let all = [(&self.written, end.other()), (&self.read, end)];
                let [written, read] = all.map(|(all, end)| all.get(&end).cloned().unwrap_or_default());
                assert_eq!(written, read, "all that was written arrives");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever goes wrong: what arrives was written, in that order; all of it does once nothing is wrong any more, unless
    /// the stream ended, of which its ends are told, or was lost, of which nobody is.
    #[test]
    fn what_is_written_arrives_whole_and_in_order_or_the_stream_ends(
        seed: u64,
        jitter_millis in 0..20_u64,
        splits_per_million in prop::sample::select(&[0, 500_000, 1_000_000][..]),
        merges_per_million in prop::sample::select(&[0, 500_000, 1_000_000][..]),
        resets_per_million in prop::sample::select(&[0, 0, 20_000][..]),
        acts in prop::collection::vec(act(), 1..100),
    ) {
        let jitter = Duration::from_millis(jitter_millis);
        let config = NetworkConfig {
            latency: MILLI,
            jitter,
            splits_per_million,
            merges_per_million,
            resets_per_million,
            ..NetworkConfig::default()
        };
        let run = || {
            let mut model = Model::new(config.clone(), seed);
            acts.iter().for_each(|act| model.act(act.clone()));
            model.assert_whole();
            (model.pair.now, model.read, model.heard_end)
        };
        prop_assert_eq!(run(), run(), "the same seed gives the same run");
    }
}
