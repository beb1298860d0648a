//! What a user may do agrees with the lists that say so, and the answers that it may give with a list of replies.

use std::time::Duration;

use onehop::Instant;
use onehop::config::{self, ResponsePermission, Rules, SubjectRule};
use onehop::permissions::{MAX_REPLIES, Permissions, Replies};

use crate::Choices;
use crate::subject::matches;

/// A program: lists of what is allowed and denied, and then what a client asks for and is sent.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut client = Client::new(&mut choices);
    while !choices.is_empty() {
        client.step(&mut choices);
    }
}

struct Client {
    chosen: config::Permissions,
    permissions: Permissions,
    now: Instant,
    replies: Replies,
    /// Replies that may be answered, with the moment when each came first and how often it was used.
    list: Vec<(String, Instant, u32)>,
}

impl Client {
    fn new(choices: &mut Choices<'_>) -> Self {
        let responses = choices.flag().then(|| ResponsePermission {
            max: choices.pick(&[None, Some(1), Some(2), Some(3)]),
            expires: choices.pick(&[None, Some(1), Some(20)]).map(Duration::from_millis),
        });
        let chosen = config::Permissions { publish: rules(choices), subscribe: rules(choices), responses };
        let permissions = Permissions::new(&chosen);
        let (now, replies) = (Instant::ZERO, Replies::default());
        Self { chosen, permissions, now, replies, list: Vec::new() }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(4) {
            0 => self.publish(&words(choices)),
            1 => self.subscribe(&words(choices), choices.flag().then(|| words(choices)).as_deref()),
            2 => self.is_sent(words(choices)),
            _ => self.now += Duration::from_millis(choices.byte().into()),
        }
        assert!(self.replies.len() <= MAX_REPLIES);
    }

    fn publish(&mut self, subject: &str) {
        let may_publish = self.permissions.may_publish(subject.as_bytes());
        assert_eq!(may_publish, may(&self.chosen.publish, subject), "publish {subject}");
        assert!(may_publish || self.permissions.restricts_publish());
        if let (false, Some(responses)) = (may_publish, self.permissions.responses()) {
            let may_answer = self.replies.take(subject.as_bytes(), self.now, &responses);
            assert_eq!(may_answer, self.uses(subject, responses), "answer {subject}");
        }
    }

    fn subscribe(&self, subject: &str, queue: Option<&str>) {
        let (bytes, group) = (subject.as_bytes(), queue.map(str::as_bytes));
        let Rules { allow, deny } = &self.chosen.subscribe;
        let is_hidden = about(deny, subject).any(|rule| rule.queue.is_none() || names(rule, queue));
        assert_eq!(self.permissions.hides(bytes, group), is_hidden, "hide {subject} from {queue:?}");
        assert!(!is_hidden || self.permissions.can_hide());
        let is_allowed = allow.as_ref().is_none_or(|allow| {
            let is_about_groups = queue.is_some() && about(allow, subject).any(|rule| rule.queue.is_some());
            about(allow, subject).any(|rule| match &rule.queue {
                None => !is_about_groups,
                Some(_) => names(rule, queue),
            })
        });
        let may_subscribe = self.permissions.may_subscribe(bytes, group);
        assert_eq!(may_subscribe, is_allowed && !is_hidden, "subscribe {subject} {queue:?}");
    }

    /// A message with a reply.
    fn is_sent(&mut self, reply: String) {
        let Some(responses) = self.permissions.responses() else { return };
        if !self.permissions.may_publish(reply.as_bytes()) {
            self.replies.track(reply.as_bytes(), self.now, &responses);
            if !self.uses(&reply, responses) {
                self.list.push((reply, self.now, 0));
            }
        }
    }

    /// Counts a use of a reply that is not used up or expired.
    fn uses(&mut self, reply: &str, responses: ResponsePermission) -> bool {
        let now = self.now;
        let is_left = |uses| responses.max.is_none_or(|max| uses < max);
        let is_young = |since| responses.expires.is_none_or(|expires| now.since(since) < expires);
        self.list.retain(|(_, since, uses)| is_left(*uses) && is_young(*since));
        let found = self.list.iter_mut().find(|(known, ..)| known == reply);
        found.map(|(_, _, uses)| *uses += 1).is_some()
    }
}

/// Whether a subject is allowed and not denied, queue groups apart.
fn may(rules: &Rules, subject: &str) -> bool {
    let is_allowed = rules.allow.as_ref().is_none_or(|allow| about(allow, subject).next().is_some());
    is_allowed && about(&rules.deny, subject).next().is_none()
}

/// The entries of a list that are about a subject.
fn about<'a>(list: &'a [SubjectRule], subject: &'a str) -> impl Iterator<Item = &'a SubjectRule> {
    list.iter().filter(move |rule| matches(rule.subject.as_bytes(), subject.as_bytes()))
}

/// Whether an entry names a queue group.
fn names(rule: &SubjectRule, group: Option<&str>) -> bool {
    let (Some(pattern), Some(group)) = (&rule.queue, group) else { return false };
    let mut tokens = group.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(token)) if !token.is_empty() && token != ">" => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

fn rules(choices: &mut Choices<'_>) -> Rules {
    let allow = choices.flag().then(|| list(choices));
    Rules { allow, deny: list(choices) }
}

fn list(choices: &mut Choices<'_>) -> Vec<SubjectRule> {
    let count = choices.below(8);
    let mut rule = || SubjectRule { subject: words(choices), queue: choices.flag().then(|| words(choices)) };
    (0..count).map(|_| rule()).collect()
}

/// A subject, a filter or a queue group, not always one that there can be.
fn words(choices: &mut Choices<'_>) -> String {
    let count = 1 + choices.below(4);
    let words = (0..count).map(|_| choices.pick(&["a", "b", "*", "a", "b", ">", "a*", ""]));
    words.collect::<Vec<_>>().join(".")
}
