//! What sources tell: nobody's words keep a node from the one server that another teller knows of, nothing grows without end, and
//! the text of a peers file that anybody may have written is refused, or read as it would be written.

use std::time::Duration;

use fastrand::Rng;
use onehop::Instant;
use onehop::config::{HostPort, Source};
use onehop::discovery::{
    Address, Candidates, Found, KnownServers, MAX_CANDIDATES_PER_TELLER, MAX_KNOWN_SERVERS, MAX_TELLERS,
    MAX_UNDER_WAY_PER_TELLER, State, Told, Trial,
};

use crate::Choices;

/// The first byte says which of the two it is.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((0, text)) => read_file(text),
        Some((_, rest)) => Story::new().tell(&mut Choices::new(rest)),
        None => {}
    }
}

fn read_file(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let mut known = KnownServers::default();
    let Ok(found) = known.load(&text) else { return };
    assert!(found.len() <= MAX_KNOWN_SERVERS);
    assert!(found.iter().all(|found| Address::new(&found.address).is_some()));
    assert_eq!(known.take_text(), None, "what was read is written already");
}

struct Story {
    candidates: Candidates,
    now: Instant,
    under_way: Vec<Address>,
}

impl Story {
    fn new() -> Self {
        let candidates = Candidates::new(Rng::with_seed(1));
        Self { candidates, now: Instant::ZERO, under_way: Vec::new() }
    }

    fn tell(&mut self, choices: &mut Choices<'_>) {
        self.tell_good();
        while !choices.is_empty() {
            match choices.below(5) {
                0 => self.lie(choices),
                1 => {
                    let host = String::from_utf8_lossy(choices.bytes()).into_owned();
                    let found = [found(&host, Some(choices.below(4)))];
                    self.candidates.handle_found(self.now, Source::Dns, "names", &found, judge);
                }
                2 if !self.under_way.is_empty() => self.end_one(choices),
                3 => match choices.flag() {
                    true => self.candidates.handle_member(&choices.below(4).to_string()),
                    false => self.candidates.handle_lost(self.now, &choices.below(4).to_string()),
                },
                _ => self.wait(choices),
            }
            self.poll();
        }
    }

    fn tell_good(&mut self) {
        self.candidates.handle_found(self.now, Source::Command, "", &[found("good", None)], judge);
    }

    /// Somebody tells of many who are not there.
    fn lie(&mut self, choices: &mut Choices<'_>) {
        let (teller, first, count) = (choices.below(32), choices.below(256), choices.below(256));
        let id = choices.flag().then(|| choices.below(4));
        let told: Vec<_> =
            (first..first + count).map(|number| found(&format!("false{number}"), id)).collect();
        self.candidates.handle_found(self.now, Source::Mdns, &teller.to_string(), &told, judge);
    }

    fn end_one(&mut self, choices: &mut Choices<'_>) {
        let address = self.under_way.swap_remove(choices.below(self.under_way.len()));
        let trial = match choices.below(4) {
            0 => Trial::Joined(choices.below(4).to_string()),
            1 => Trial::Itself,
            2 => Trial::Busy,
            _ => Trial::Failed,
        };
        self.candidates.handle_trial(self.now, &address, trial);
    }

    /// Time passes, and whatever is due is done at once.
    fn wait(&mut self, choices: &mut Choices<'_>) {
        let end = self.now + Duration::from_millis(100) * choices.below(256) as u32;
        while let Some(at) = self.candidates.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.poll();
        }
        self.tell_good();
        self.now = end;
    }

    fn poll(&mut self) {
        while let Some(address) = self.candidates.poll(self.now) {
            assert!(!self.under_way.contains(&address), "{address} is tried twice at once");
            self.under_way.push(address);
        }
        assert!(self.candidates.poll_timeout().is_none_or(|at| at > self.now), "nothing is left that is due");
        assert!(self.under_way.len() <= Source::ALL.len() * MAX_TELLERS * MAX_UNDER_WAY_PER_TELLER);
        let shown: usize = Source::ALL.iter().map(|source| self.candidates.shown(*source).count()).sum();
        assert!(shown <= Source::ALL.len() * MAX_TELLERS * MAX_CANDIDATES_PER_TELLER);
        self.check_good();
    }

    fn check_good(&self) {
        let good = self.candidates.shown(Source::Command).next().expect("it is kept");
        if let State::Waits(at) = good.state {
            let waited = self.now.since(at);
            assert!(waited <= Duration::from_secs(10), "the good one waits for {waited:?}");
        }
    }
}

fn found(host: &str, id: Option<usize>) -> Found {
    let address = HostPort { host: host.to_owned(), port: None };
    Found { address, server_id: id.map(|id| id.to_string()) }
}

fn judge(id: &str) -> Told {
    match id {
        "0" => Told::Itself,
        "1" => Told::Member,
        _ => Told::Stranger(Duration::from_secs(1)),
    }
}
