//! Permissions and replies against lists that are looked through.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::config::{Rules, SubjectRule};
use crate::time::Instant;
use crate::wire::subject::filter_matches;

/// A filter, not always a valid one.
fn filter() -> impl Strategy<Value = String> {
    text(&["a", "b", "*", "*", ">", "a*", ">>", ""])
}

/// What is asked for: a subject, a filter that somebody wants to subscribe to, or the name of a queue group.
fn asked() -> impl Strategy<Value = String> {
    text(&["a", "a", "b", "b", "*", ">", "a*", ""])
}

fn text(tokens: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(select(tokens), 1..5).prop_map(|tokens| tokens.join("."))
}

fn rule() -> impl Strategy<Value = SubjectRule> {
    (filter(), prop::option::of(filter())).prop_map(|(subject, queue)| SubjectRule { subject, queue })
}

fn rules() -> impl Strategy<Value = Rules> {
    let list = || prop::collection::vec(rule(), 0..6);
    (prop::option::of(list()), list()).prop_map(|(allow, deny)| Rules { allow, deny })
}

/// The entries of a list that are about a subject.
fn about<'a>(list: &'a [SubjectRule], subject: &str) -> Vec<&'a SubjectRule> {
    let matches = |rule: &&SubjectRule| filter_matches(rule.subject.as_bytes(), subject.as_bytes());
    list.iter().filter(matches).collect()
}

fn names(rule: &SubjectRule, group: &str) -> bool {
    rule.queue.as_ref().is_some_and(|pattern| group_matches(pattern, group))
}

/// Whether a pattern stands for the name of a queue group: token by token up to the tail, which takes all that are left.
fn group_matches(pattern: &str, group: &str) -> bool {
    let (pattern, group): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), group.split('.').collect());
    let one =
        |(wanted, token): (&&str, &&str)| wanted == token || *wanted == "*" && !["", ">"].contains(token);
    match pattern.iter().position(|token| *token == ">") {
        Some(tail) => group.len() > tail && pattern[..tail].iter().zip(&group).all(one),
        None => group.len() == pattern.len() && pattern.iter().zip(&group).all(one),
    }
}

fn may_publish(rules: &Rules, subject: &str) -> bool {
    let allowed = rules.allow.as_ref().is_none_or(|list| !about(list, subject).is_empty());
    allowed && about(&rules.deny, subject).is_empty()
}

fn may_subscribe(rules: &Rules, subject: &str, queue: Option<&str>) -> bool {
    let allowed = rules.allow.as_ref().is_none_or(|list| {
        let list = about(list, subject);
        match queue {
            Some(group) if list.iter().any(|rule| rule.queue.is_some()) => {
                list.iter().any(|rule| names(rule, group))
            }
            _ => list.iter().any(|rule| rule.queue.is_none()),
        }
    });
    allowed && !hides(rules, subject, queue)
}

fn hides(rules: &Rules, subject: &str, queue: Option<&str>) -> bool {
    let denies = |rule: &&SubjectRule| rule.queue.is_none() || queue.is_some_and(|group| names(rule, group));
    about(&rules.deny, subject).iter().any(denies)
}

/// What a client does or is sent, and how many milliseconds after the last.
#[derive(Clone, Debug)]
enum Event {
    Sent(String),
    Publishes(String),
}

fn event() -> impl Strategy<Value = (u64, Event)> {
    let reply = || select(&["r", "s", "t.u", ""][..]).prop_map(str::to_owned);
    (0..50_u64, prop_oneof![reply().prop_map(Event::Sent), reply().prop_map(Event::Publishes)])
}

fn responses() -> impl Strategy<Value = ResponsePermission> {
    let expires = prop::option::of((0..200_u64).prop_map(Duration::from_millis));
    (prop::option::of(0..4_u32), expires).prop_map(|(max, expires)| ResponsePermission { max, expires })
}

/// Replies, each with the moment when it came first and the number of its uses.
type ReplyList = Vec<(String, Instant, u32)>;

/// Counts a use of a reply, if it has one left; forgets it after its last.
fn use_reply(list: &mut ReplyList, name: &str, now: Instant, permission: &ResponsePermission) -> bool {
    list.retain(|(_, since, uses)| {
        permission.expires.is_none_or(|expires| now.since(*since) < expires)
            && permission.max.is_none_or(|max| *uses < max)
    });
    let used = list.iter_mut().find(|(known, ..)| known == name);
    used.map(|(_, _, uses)| *uses += 1).is_some()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn filters_agree_with_a_list(
        list in prop::collection::vec(filter(), 0..20),
        subjects in prop::collection::vec(asked(), 1..8),
    ) {
        let filters: Filters = list.iter().map(String::as_bytes).collect();
        for subject in subjects {
            let expected = list.iter().any(|filter| filter_matches(filter.as_bytes(), subject.as_bytes()));
            prop_assert_eq!(filters.match_subject(subject.as_bytes()), expected, "{}", subject);
            let expected = list.iter().any(|filter| group_matches(filter, &subject));
            prop_assert_eq!(filters.match_group(subject.as_bytes()), expected, "group {}", subject);
        }
    }

    #[test]
    fn permissions_agree_with_lists(
        publish in rules(),
        subscribe in rules(),
        questions in prop::collection::vec((asked(), prop::option::of(asked())), 1..8),
    ) {
        let chosen = config::Permissions { publish, subscribe, responses: None };
        let permissions = Permissions::new(&chosen);
        for (subject, queue) in &questions {
            let (bytes, group) = (subject.as_bytes(), queue.as_ref().map(String::as_bytes));
            let publish = may_publish(&chosen.publish, subject);
            prop_assert_eq!(permissions.may_publish(bytes), publish);
            prop_assert!(publish || permissions.restricts_publish());
            let subscribe = may_subscribe(&chosen.subscribe, subject, queue.as_deref());
            prop_assert_eq!(permissions.may_subscribe(bytes, group), subscribe);
            let hides = hides(&chosen.subscribe, subject, queue.as_deref());
            prop_assert_eq!(permissions.hides(bytes, group), hides);
            prop_assert!(!hides || permissions.can_hide());
        }
    }

    #[test]
    fn replies_agree_with_a_list(
        events in prop::collection::vec(event(), 1..60),
        permission in responses(),
    ) {
        let (mut replies, mut list, mut now) = (Replies::default(), ReplyList::new(), Instant::ZERO);
        for (pause, event) in events {
            now += Duration::from_millis(pause);
            match event {
                Event::Sent(reply) => {
                    replies.track(reply.as_bytes(), now, &permission);
                    if !use_reply(&mut list, &reply, now, &permission) {
                        list.push((reply, now, 0));
                    }
                }
                Event::Publishes(subject) => {
                    let expected = use_reply(&mut list, &subject, now, &permission);
                    prop_assert_eq!(replies.take(subject.as_bytes(), now, &permission), expected);
                }
            }
        }
    }
}
