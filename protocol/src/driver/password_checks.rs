//! Which password is checked next, where that takes long.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Bound;

use log::error;

use super::contain;
use crate::auth::PasswordCheck;
use crate::lock::{Mutex, MutexGuard, Place};

/// The checks of passwords that all connections of a runtime wait for ([`Effect::CheckPassword`]).
///
/// Some threads, which are no worker's, carry them out, and end when nothing waits. Hosts have their turn one after another,
/// so that who tries out passwords waits for himself: a host is an address, or all IPv6 addresses of one network.
///
/// [`Effect::CheckPassword`]: crate::connection::Effect::CheckPassword
#[derive(Debug)]
pub struct PasswordChecks {
    queue: Mutex<Queue>,
    max_threads: usize,
}

#[derive(Debug, Default)]
struct Queue {
    /// By host, none of which has no check.
    waiting: BTreeMap<IpAddr, VecDeque<Waiting>>,
    count: usize,
    /// Who had a turn last.
    last: Option<IpAddr>,
    threads: usize,
}

struct Waiting {
    check: PasswordCheck,
    answer: Box<dyn FnOnce(bool) + Send>,
}

impl PasswordChecks {
    /// No checks yet, for so many threads at the most: one for each that the machine runs at the same time is good, if the
    /// system lets them run after all others.
    pub fn new(max_threads: usize) -> Self {
        Self { queue: Mutex::new(Place::Services, Queue::default()), max_threads: max_threads.max(1) }
    }

    /// Lets a check wait for its turn. Whoever asks hears what came of it, unless so many wait that this one, or another of
    /// a host that has more, is dropped with its `answer`.
    ///
    /// True if a further thread is to be started for [`PasswordChecks::work`].
    #[must_use]
    pub fn put(
        &self,
        from: IpAddr,
        check: PasswordCheck,
        answer: impl FnOnce(bool) + Send + 'static,
    ) -> bool {
        let mut queue = self.queue();
        queue.push(host_of(from), Waiting { check, answer: Box::new(answer) });
        let wants_thread = queue.threads < self.max_threads.min(queue.count);
        queue.threads += usize::from(wants_thread);
        wants_thread
    }

    /// Hears that no thread could be started.
    pub fn handle_thread_failed(&self) {
        self.queue().threads -= 1;
    }

    /// Carries out checks until none waits.
    pub fn work(&self) {
        while let Some(Waiting { check, answer }) = self.next() {
            let is_right = contain(|| check.run()).unwrap_or_else(|fault| {
                error!("internal error while a password was checked, which counts as wrong: {fault}");
                false
            });
            answer(is_right);
        }
    }

    fn next(&self) -> Option<Waiting> {
        let mut queue = self.queue();
        let next = queue.pop();
        queue.threads -= usize::from(next.is_none());
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }
}

impl Queue {
    fn push(&mut self, host: IpAddr, waiting: Waiting) {
        self.waiting.entry(host).or_default().push_back(waiting);
        self.count += 1;
        if self.count > MAX_WAITING_CHECKS {
            self.drop_one();
        }
    }

    /// Drops the last that came from the host that has most.
    fn drop_one(&mut self) {
        let most = self.waiting.iter_mut().max_by_key(|(_, waiting)| waiting.len());
        if let Some((_, waiting)) = most {
            waiting.pop_back();
            self.count -= 1;
        }
    }

    /// Takes the first check of the host that comes after the one before.
    fn pop(&mut self) -> Option<Waiting> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next =
            self.waiting.range((after, Bound::Unbounded)).next().or_else(|| self.waiting.first_key_value());
        let host = *next?.0;
        let waiting = self.waiting.get_mut(&host)?;
        let first = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&host);
        }
        self.last = Some(host);
        self.count -= 1;
        first
    }
}

/// Where somebody comes from who may have many addresses.
fn host_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.check.fmt(f)
    }
}

/// More checks than this do not wait, of all hosts together: each holds what a client presented.
pub const MAX_WAITING_CHECKS: usize = 4096;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::Secret;

    /// Which checks were answered, in order, and how.
    type Answers = Arc<Mutex<Vec<(String, bool)>>>;

    fn put(checks: &PasswordChecks, from: &str, name: &str, answers: &Answers) -> bool {
        let check = PasswordCheck::new(&Secret::from("no hash"), "password", false);
        let (answers, name) = (answers.clone(), name.to_owned());
        let answer = move |is_right| answers.lock().expect("no panic").push((name, is_right));
        checks.put(from.parse().expect("an address"), check, answer)
    }

    fn names(answers: &Answers) -> Vec<String> {
        answers.lock().expect("no panic").iter().map(|(name, _)| name.clone()).collect()
    }

    #[test]
    fn hosts_have_their_turn_one_after_another() {
        let (checks, answers) = (PasswordChecks::new(1), Answers::default());
        for (from, name) in [
            ("10.0.0.1", "a1"),
            ("10.0.0.1", "a2"),
            ("10.0.0.1", "a3"),
            ("::ffff:10.0.0.1", "a4"),
            ("10.0.0.2", "b1"),
            ("10.0.0.2", "b2"),
            ("2001:db8::1", "c1"),
            ("2001:db8::ffff:1", "c2"),
        ] {
            assert_eq!(put(&checks, from, name, &answers), name == "a1", "a thread for the first of them");
        }
        checks.work();
        assert_eq!(names(&answers), ["a1", "b1", "c1", "a2", "b2", "c2", "a3", "a4"]);
        assert!(put(&checks, "10.0.0.1", "a5", &answers), "the thread has ended");
    }

    #[test]
    fn no_more_threads_are_started_than_there_may_be_and_are_checks() {
        let (checks, answers) = (PasswordChecks::new(2), Answers::default());
        let started: Vec<_> = (0..4).map(|_| put(&checks, "10.0.0.1", "a", &answers)).collect();
        assert_eq!(started, [true, true, false, false]);
        checks.handle_thread_failed();
        assert!(put(&checks, "10.0.0.1", "a", &answers));
    }

    #[test]
    fn where_too_many_wait_the_host_that_has_most_loses_one() {
        let (checks, answers) = (PasswordChecks::new(1), Answers::default());
        for number in 0..MAX_WAITING_CHECKS {
            let _ = put(&checks, "10.0.0.1", &format!("a{number}"), &answers);
        }
        let _ = put(&checks, "10.0.0.2", "b", &answers);
        checks.work();
        let names = names(&answers);
        assert_eq!(names.len(), MAX_WAITING_CHECKS);
        assert_eq!(names[..3], ["a0", "b", "a1"]);
        assert!(!names.contains(&format!("a{}", MAX_WAITING_CHECKS - 1)));
    }

    #[test]
    fn what_is_no_hash_matches_nothing() {
        let (checks, answers) = (PasswordChecks::new(1), Answers::default());
        let _ = put(&checks, "10.0.0.1", "a", &answers);
        checks.work();
        assert_eq!(*answers.lock().expect("no panic"), [("a".to_owned(), false)]);
    }
}
