//! Where the members of the cluster were, for the next start: the text of the peers file.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};

use super::Found;
use super::address::Address;
use crate::config::HostPort;

/// The members that there were, the last one first.
#[derive(Debug, Default)]
pub struct KnownServers {
    servers: VecDeque<Known>,
    /// They are others than when this was last asked.
    has_changed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    address: Address,
    server_id: String,
}

/// The text of a peers file is none: it is of another format, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedFile;

impl KnownServers {
    /// Reads the text of a peers file: what stands in it counts as older than all that is known.
    ///
    /// # Errors
    /// It is no such text; then nothing of it is known.
    pub fn load(&mut self, text: &str) -> Result<Vec<Found>, DamagedFile> {
        let mut lines = text.lines();
        if text.len() > MAX_FILE_BYTES || lines.next() != Some(HEAD) {
            return Err(DamagedFile);
        }
        let read = lines.take(MAX_KNOWN_SERVERS).map(|line| read(line).ok_or(DamagedFile));
        let read = read.collect::<Result<Vec<_>, _>>()?;
        let found = |known: &Known| Found {
            address: known.address.host_port(),
            // Whoever is there now may be another server.
            server_id: None,
        };
        let all = read.iter().map(found).collect();
        let is_new = |known: &Known| self.servers.iter().all(|other| other.address != known.address);
        let mut new: Vec<_> = read.iter().filter(|known| is_new(known)).cloned().collect();
        new.truncate(MAX_KNOWN_SERVERS - self.servers.len());
        self.servers.extend(new);
        Ok(all)
    }

    /// Notes that a member is there. What it calls itself is its own affair, and not kept if no line could hold it.
    pub(crate) fn note(&mut self, address: Address, server_id: &str) {
        if !is_id(server_id) {
            return;
        }
        let known = Known { address, server_id: server_id.to_owned() };
        if self.servers.front() == Some(&known) {
            return;
        }
        // Who moved is not at the former address any more, and who was at this one is not there.
        self.servers.retain(|other| other.address != known.address && other.server_id != known.server_id);
        self.servers.truncate(MAX_KNOWN_SERVERS - 1);
        self.servers.push_front(known);
        self.has_changed = true;
    }

    /// The text of the file, if it is another than when this was last asked.
    pub fn take_text(&mut self) -> Option<String> {
        std::mem::take(&mut self.has_changed).then(|| {
            let mut text = format!("{HEAD}\n");
            for Known { address, server_id } in &self.servers {
                // Writing into a string cannot fail.
                let _ = writeln!(text, "{address} {server_id}");
            }
            text
        })
    }
}

fn read(line: &str) -> Option<Known> {
    let (address, server_id) = line.split_once(' ')?;
    let told: HostPort = address.parse().ok()?;
    let address = Address::new(&told).filter(|_| is_id(server_id))?;
    Some(Known { address, server_id: server_id.to_owned() })
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Display for DamagedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is no peers file, or damaged")
    }
}

impl std::error::Error for DamagedFile {}

/// What such a file begins with.
const HEAD: &str = "onehop peers 1";

/// No id of a server is longer that is kept.
const MAX_ID_BYTES: usize = 128;

/// So many members are kept in mind, those that were there last.
pub const MAX_KNOWN_SERVERS: usize = 64;

/// A longer file is none.
pub const MAX_FILE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::new(&text.parse().expect("an address")).expect("one that could be dialed")
    }

    fn hosts(found: &[Found]) -> Vec<&str> {
        found.iter().map(|found| &*found.address.host).collect()
    }

    #[test]
    fn what_is_written_is_read_the_last_first() {
        let mut known = KnownServers::default();
        assert_eq!(known.take_text(), None);
        for (host, id) in [("a", "A"), ("b", "B"), ("[fd00::1]:7", "C"), ("a", "A")] {
            known.note(address(host), id);
        }
        let text = known.take_text().expect("it has changed");
        assert_eq!(text, "onehop peers 1\na:6222 A\n[fd00::1]:7 C\nb:6222 B\n");
        assert_eq!(known.take_text(), None);
        known.note(address("a"), "A");
        assert_eq!(known.take_text(), None, "nothing is new");
        let mut again = KnownServers::default();
        let found = again.load(&text).expect("it was written so");
        assert_eq!(hosts(&found), ["a", "fd00::1", "b"]);
        again.note(address("d"), "D");
        assert_eq!(again.take_text().expect("it has changed").lines().nth(4), Some("b:6222 B"));
    }

    #[test]
    fn who_moved_or_whose_place_another_took_is_known_no_more() {
        let mut known = KnownServers::default();
        for (host, id) in [("a", "A"), ("b", "B"), ("c", "A"), ("b", "D")] {
            known.note(address(host), id);
        }
        assert_eq!(known.take_text().expect("it has changed"), "onehop peers 1\nb:6222 D\nc:6222 A\n");
    }

    #[test]
    fn only_so_many_are_kept() {
        let mut known = KnownServers::default();
        (0..100).for_each(|number| known.note(address(&format!("h{number}")), &number.to_string()));
        let text = known.take_text().expect("it has changed");
        assert_eq!(text.lines().count(), 1 + MAX_KNOWN_SERVERS);
        assert!(text.len() < MAX_FILE_BYTES && text.contains("h99:6222 99\n") && !text.contains("h35:"));
        let longer = format!("{text}h0:6222 0\nh1:6222 1\n");
        assert_eq!(KnownServers::default().load(&longer).expect("a text").len(), MAX_KNOWN_SERVERS);
        known.load(&format!("{HEAD}\n{}", "other:6222 O\n".repeat(2))).expect("a text");
        known.note(address("new"), "N");
        let text = known.take_text().expect("it has changed");
        assert_eq!((text.lines().count(), text.contains("other")), (1 + MAX_KNOWN_SERVERS, false));
    }

    #[test]
    fn no_member_makes_the_file_unreadable() {
        for id in ["A B", "A\nB", "\u{e9}", "", &"A".repeat(MAX_ID_BYTES + 1)] {
            let mut known = KnownServers::default();
            known.note(address("good"), "G");
            known.note(address("odd"), id);
            let text = known.take_text().expect("it has changed");
            assert_eq!(KnownServers::default().load(&text).map(|found| found.len()), Ok(1), "{id:?}");
        }
    }

    #[test]
    fn what_is_no_peers_file_is_refused_as_a_whole() {
        let long = format!("{HEAD}\n{}", "a:1 A\n".repeat(MAX_FILE_BYTES / 6));
        for text in [
            "",
            "onehop peers 2\n",
            "a:6222 A\n",
            "onehop peers 1\na:6222\n",
            "onehop peers 1\na:6222 \n",
            &long,
        ] {
            let mut known = KnownServers::default();
            assert_eq!(known.load(text), Err(DamagedFile), "{text:.30}");
            assert_eq!(known.take_text(), None);
        }
        assert_eq!(KnownServers::default().load("onehop peers 1"), Ok(Vec::new()));
    }
}
