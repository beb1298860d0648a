//! Lists of what is allowed and denied.

use super::Filters;
use crate::config::{Rules, SubjectRule};

/// What may be published.
#[derive(Debug, Default)]
pub(super) struct PublishRules {
    allow: Option<Filters>,
    deny: Filters,
}

impl PublishRules {
    pub(super) fn new(chosen: &Rules) -> Self {
        let filters = |rules: &Vec<SubjectRule>| rules.iter().map(|rule| rule.subject.as_bytes()).collect();
        Self { allow: chosen.allow.as_ref().map(filters), deny: filters(&chosen.deny) }
    }

    pub(super) fn allow(&self, subject: &[u8]) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.match_subject(subject))
            && !self.deny.match_subject(subject)
    }

    pub(super) fn restrict(&self) -> bool {
        self.allow.is_some() || !self.deny.is_empty()
    }
}

/// What may be subscribed to.
#[derive(Debug, Default)]
pub(super) struct SubscribeRules {
    allow: Option<Filters<Groups>>,
    deny: Filters<Groups>,
}

/// Whom the entries of a list with the same subject are about.
#[derive(Debug, Default)]
struct Groups {
    /// There is an entry that names no queue groups.
    unnamed: bool,
    /// The queue groups that entries name.
    named: Filters,
}

impl SubscribeRules {
    pub(super) fn new(chosen: &Rules) -> Self {
        Self { allow: chosen.allow.as_deref().map(by_subject), deny: by_subject(&chosen.deny) }
    }

    pub(super) fn allow(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let is_allowed = match (&self.allow, queue) {
            (None, _) => true,
            (Some(allow), None) => allow.any(subject, |groups| groups.unnamed),
            (Some(allow), Some(queue)) => allows_group(allow, subject, queue),
        };
        is_allowed && !self.deny(subject, queue)
    }

    /// An entry that names no queue groups denies all of them.
    pub(super) fn deny(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let names = |groups: &Groups| queue.is_some_and(|queue| groups.named.match_group(queue));
        self.deny.any(subject, |groups| groups.unnamed || names(groups))
    }

    pub(super) fn deny_some(&self) -> bool {
        !self.deny.is_empty()
    }
}

/// Where an entry names queue groups, those that name none allow no further ones.
fn allows_group(allow: &Filters<Groups>, subject: &[u8], queue: &[u8]) -> bool {
    let (mut some_are_named, mut is_unnamed) = (false, false);
    let is_named = allow.any(subject, |groups| {
        some_are_named |= !groups.named.is_empty();
        is_unnamed |= groups.unnamed;
        groups.named.match_group(queue)
    });
    is_named || is_unnamed && !some_are_named
}

fn by_subject(rules: &[SubjectRule]) -> Filters<Groups> {
    let mut filters = Filters::<Groups>::default();
    for rule in rules {
        let groups = filters.get_or_insert_default(rule.subject.as_bytes());
        match &rule.queue {
            Some(queue) => groups.named.insert(queue.as_bytes()),
            None => groups.unnamed = true,
        }
    }
    filters
}
