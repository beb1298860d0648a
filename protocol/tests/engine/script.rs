//! Transcripts: what peers write, and all that they are answered.
//!
//! ```text
//! a> SUB foo 1                the peer a writes a line; CR LF is added
//! a> PUB foo 5\r\nhello       … or two
//! a< MSG foo 1 5              and is sent exactly these lines
//! a< hello
//! a! Stale Connection         and its connection is closed for this reason
//! a/                          the peer a closes its end
//! + 2s                        time passes
//! ```
//!
//! A name is the client's; `B.a` is a client of the node B instead of A; `#a` (`B.#a`) is a raw connection to the route
//! port. A peer connects when it is first mentioned, and the INFO that greets it is left out. Any other INFO is shown as
//! `INFO`. What is not a line of the transcript must not be sent: after every group of `<` lines, each peer must have been
//! sent all that was expected and nothing else. A word such as `$r` stands for whatever is first read in its place, and for the
//! same from then on, also in what is written. Lines that begin with `--` are comments.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::scene::{Peer, Scene};

/// Plays a transcript in a scene of one node outside of a cluster.
pub(crate) fn play_alone(text: &str) {
    play(&mut Scene::alone(|_| {}), text);
}

/// Plays a transcript.
pub(crate) fn play(scene: &mut Scene, text: &str) {
    let (peers, expected, words) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    Script { scene, peers, expected, words }.play(text);
}

struct Script<'a> {
    scene: &'a mut Scene,
    peers: BTreeMap<String, Peer>,
    expected: BTreeMap<String, String>,
    /// What words such as `$r` stand for.
    words: BTreeMap<String, String>,
}

impl Script<'_> {
    fn play(mut self, text: &str) {
        let mut context = String::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--")) {
            let is_expectation = !line.starts_with('+') && verb(line) == Some('<');
            if !is_expectation {
                self.check(&context);
            }
            context.push_str(line);
            context.push('\n');
            self.play_line(line);
        }
        self.check(&context);
    }

    fn play_line(&mut self, line: &str) {
        if let Some(time) = line.strip_prefix('+') {
            return self.scene.run_for(duration(time.trim()));
        }
        let verb = verb(line).unwrap_or_else(|| panic!("no line of a transcript: {line}"));
        let (name, rest) = line.split_once(verb).unwrap_or_else(|| panic!("no verb: {line}"));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let peer = self.peer(name);
        match verb {
            '>' => {
                let known = self.words.iter();
                let line = known.fold(rest.to_owned(), |line, (word, read)| line.replace(word, read));
                self.scene.send(peer, &bytes(&line));
            }
            '<' => {
                let expected = self.expected.entry(name.to_owned()).or_default();
                expected.push_str(rest);
                expected.push('\n');
            }
            '!' => {
                let reason = self.scene.closed(peer).map(|reason| reason.to_string());
                assert_eq!(reason.as_deref(), Some(rest), "the end of {name}");
            }
            _ => self.scene.disconnect(peer),
        }
    }

    fn peer(&mut self, name: &str) -> Peer {
        if let Some(peer) = self.peers.get(name) {
            return *peer;
        }
        let (node, local) = name.split_once('.').unwrap_or(("A", name));
        let peer = if local.starts_with('#') { self.scene.raw_route(node) } else { self.scene.client(node) };
        let greeting = self.scene.take(peer);
        assert!(
            greeting.starts_with("INFO ") && greeting.ends_with("} \r\n"),
            "{name} was greeted with {greeting}"
        );
        self.peers.insert(name.to_owned(), peer);
        peer
    }

    fn check(&mut self, context: &str) {
        for (name, peer) in &self.peers {
            let received = shown(&self.scene.take(*peer));
            let expected = self.expected.remove(name).unwrap_or_default();
            let expected = with_words(&expected, &received, &mut self.words);
            assert_eq!(received, expected, "what {name} was sent, after\n{context}");
        }
    }
}

/// What is expected, with each word such as `$r` as it was read before, or is read here.
fn with_words(expected: &str, received: &str, words: &mut BTreeMap<String, String>) -> String {
    if !expected.contains('$') {
        return expected.to_owned();
    }
    let lines = expected.lines().zip(received.lines().chain(std::iter::repeat("")));
    let line = |(expected, received): (&str, &str)| {
        let mut read = received.split(' ');
        let words = expected.split(' ').map(|word| {
            let read = read.next().unwrap_or_default();
            match word.strip_prefix('$') {
                Some(_) if word.starts_with("$SYS") || word.starts_with("$G") => word.to_owned(),
                Some(_) => words.entry(word.to_owned()).or_insert_with(|| read.to_owned()).clone(),
                None => word.to_owned(),
            }
        });
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    lines.map(line).collect()
}

/// Received bytes as transcripts show them.
pub(crate) fn shown(received: &str) -> String {
    let Some(lines) = received.strip_suffix("\r\n") else {
        return received.to_owned();
    };
    let lines =
        lines.split("\r\n").map(|line| if line.starts_with("INFO ") { "INFO" } else { line.trim_end() });
    lines.map(|line| format!("{line}\n")).collect()
}

/// The character that says what a line is: the first of them that follows the name.
fn verb(line: &str) -> Option<char> {
    let place = line.find(|c: char| !(c.is_alphanumeric() || c == '#' || c == '.'))?;
    line[place..].chars().next().filter(|c| matches!(c, '>' | '<' | '!' | '/'))
}

fn bytes(line: &str) -> Vec<u8> {
    let mut text = line.replace("\\r", "\r").replace("\\n", "\n");
    text.push_str("\r\n");
    text.into_bytes()
}

fn duration(text: &str) -> Duration {
    let parse = |number: &str| number.parse().unwrap_or_else(|_| panic!("no time: {text}"));
    match text.strip_suffix("ms") {
        Some(number) => Duration::from_millis(parse(number)),
        None => Duration::from_secs(parse(text.trim_end_matches('s'))),
    }
}
