//! A connection's memory of what becomes of its subjects.

use std::collections::HashMap;
use std::sync::Arc;

use fastrand::Rng;

use crate::accounts::Account;
use crate::hash::KeyedState;
use crate::mapping::Choice;

/// More subjects than this are not remembered by one connection.
const MAX_MAPPED_SUBJECTS: usize = 4 * 1024;

/// Nor is more memory than this taken, except by the single subject in use.
const MAX_MAPPED_BYTES: usize = 1024 * 1024;

/// Subject → where that goes, for what one connection publishes in an account that has mappings.
///
/// Only the first message to a subject asks the mappings. The others cost a comparison, and one draw if there are several
/// destinations.
#[derive(Debug)]
pub(crate) struct Mapped {
    account: Arc<Account>,
    places: HashMap<Arc<[u8]>, u32, KeyedState>,
    entries: Vec<Entry>,
    /// The subject of the last message is usually the subject of the next.
    last: usize,
    cost_bytes: usize,
    /// What was drawn last.
    drawn: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    subject: Arc<[u8]>,
    /// None if it stays as it is.
    choice: Option<Choice>,
}

impl Mapped {
    /// None for an account that maps nothing.
    pub(crate) fn new(account: &Arc<Account>, hasher: KeyedState) -> Option<Box<Self>> {
        let new = || Self {
            account: account.clone(),
            places: HashMap::with_hasher(hasher),
            entries: Vec::new(),
            last: 0,
            cost_bytes: 0,
            drawn: Vec::new(),
        };
        (!account.mappings().is_empty()).then(|| Box::new(new()))
    }

    /// Where a message to `subject` goes; none if it stays there.
    pub(crate) fn destination(&mut self, subject: &[u8], rng: &mut Rng) -> Option<&[u8]> {
        self.last = self.place(subject);
        match self.entries[self.last].choice.as_ref()? {
            Choice::Fixed(destination) => Some(destination),
            drawn => {
                self.drawn.clear();
                drawn.apply(subject, rng, &mut self.drawn);
                (self.drawn != subject).then_some(&*self.drawn)
            }
        }
    }

    /// Forgets everything and frees the memory, when a connection publishes no more for now.
    pub(crate) fn clear(&mut self) {
        self.places = HashMap::with_hasher(self.places.hasher().clone());
        self.entries = Vec::new();
        (self.last, self.cost_bytes) = (0, 0);
    }

    fn place(&mut self, subject: &[u8]) -> usize {
        if self.entries.get(self.last).is_some_and(|entry| *entry.subject == *subject) {
            return self.last;
        }
        if let Some(place) = self.places.get(subject) {
            return *place as usize;
        }
        if self.entries.len() >= MAX_MAPPED_SUBJECTS || self.cost_bytes >= MAX_MAPPED_BYTES {
            self.clear();
        }
        let choice = self.account.mappings().find(subject);
        let fixed_bytes = match &choice {
            Some(Choice::Fixed(destination)) => destination.len(),
            _ => 0,
        };
        let subject: Arc<[u8]> = subject.into();
        self.cost_bytes += ENTRY_BYTES + subject.len() + fixed_bytes;
        self.places.insert(subject.clone(), self.entries.len() as u32);
        self.entries.push(Entry { subject, choice });
        self.entries.len() - 1
    }
}

/// About what an entry takes beside its subjects.
const ENTRY_BYTES: usize = size_of::<Entry>() + 48;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Mapping, MappingDestination};
    use crate::hub::Hub;

    fn mapped(mappings: Vec<Mapping>) -> Option<Box<Mapped>> {
        let hub = Hub::new(Config { mappings, ..Config::default() }, 4222);
        Mapped::new(hub.global_account(), hub.hasher())
    }

    #[test]
    fn what_becomes_of_a_subject_is_found_once_and_drawn_for_each_message() {
        let to =
            |subject: &str, weight| MappingDestination { subject: subject.to_owned(), weight, cluster: None };
        let drawn = Mapping { source: "d".to_owned(), destinations: vec![to("x", 50)] };
        let lost = Mapping { source: "l".to_owned(), destinations: vec![to("l", 0)] };
        let mut mapped = mapped(vec![Mapping::simple("a.*", "b.$1"), drawn, lost]).expect("there are some");
        let mut rng = Rng::with_seed(1);
        for _ in 0..2 {
            assert_eq!(mapped.destination(b"a.1", &mut rng), Some(b"b.1".as_slice()));
            assert_eq!(mapped.destination(b"b.1", &mut rng), None);
            assert_eq!(mapped.destination(b"l", &mut rng), Some(b"".as_slice()));
        }
        assert_eq!(rng.get_seed(), Rng::with_seed(1).get_seed(), "nothing is drawn where there is no choice");
        let moved = (0..100).filter(|_| mapped.destination(b"d", &mut rng).is_some()).count();
        assert!((20..80).contains(&moved), "{moved}");
        assert_eq!(mapped.entries.len(), 4);
    }

    #[test]
    fn who_maps_nothing_remembers_nothing() {
        assert!(mapped(Vec::new()).is_none());
    }

    #[test]
    fn memory_is_emptied_when_it_has_too_many_subjects_or_takes_too_much() {
        for (subject_bytes, most) in [(8, MAX_MAPPED_SUBJECTS), (4000, MAX_MAPPED_BYTES / 4000)] {
            let mut mapped = mapped(vec![Mapping::simple("a", "b")]).expect("there is one");
            let mut seen = 0;
            for number in 0..2 * MAX_MAPPED_SUBJECTS {
                let subject = format!("{number:0subject_bytes$}");
                assert_eq!(mapped.destination(subject.as_bytes(), &mut Rng::with_seed(0)), None);
                assert!(mapped.cost_bytes < MAX_MAPPED_BYTES + 4000 + ENTRY_BYTES);
                seen = seen.max(mapped.entries.len());
            }
            assert!(seen <= most, "{seen}");
        }
    }
}
