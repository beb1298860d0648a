//! What users may do, and what follows of it for one subject (wire.md 1.12).

use crate::config::{Permissions, ResponsePermission, Rules, SubjectRule};
use crate::sim::subject::matches;

/// What a user may publish, subscribe to and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// What it may publish to.
    pub publish: SubjectLists,
    /// What it may subscribe to.
    pub subscribe: SubjectLists,
    /// Whether it may answer, once each, what it is asked and may not publish to otherwise.
    pub answers: bool,
}

/// Filters that are allowed, all if there is no list, but for those that are denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectLists {
    /// What is allowed.
    pub allow: Option<&'static [&'static str]>,
    /// What is denied all the same.
    pub deny: &'static [&'static str],
}

/// Whether somebody may publish something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Verdict {
    May,
    /// If it was asked, and did not answer yet.
    MayAnswer,
    MayNot,
}

const ALL: SubjectLists = SubjectLists { allow: None, deny: &[] };

/// What the users have who may not do everything. All hear the answers to what they ask.
pub const RIGHTS: [Rights; 4] = [
    Rights {
        publish: SubjectLists { allow: Some(&["a.>", "ask", "_INBOX.>"]), deny: &["a.b"] },
        subscribe: ALL,
        answers: false,
    },
    Rights {
        publish: SubjectLists { allow: None, deny: &["c"] },
        subscribe: SubjectLists { allow: None, deny: &["a.b"] },
        answers: false,
    },
    Rights {
        publish: SubjectLists { allow: Some(&["a", "b.*", "c"]), deny: &[] },
        subscribe: SubjectLists { allow: None, deny: &["*.a", "from.>"] },
        answers: true,
    },
    Rights {
        publish: ALL,
        subscribe: SubjectLists { allow: Some(&["a", "a.>", "*.a", "ask", "_INBOX.>"]), deny: &["a.a"] },
        answers: true,
    },
];

impl SubjectLists {
    /// Whether a subject is denied, whatever is allowed.
    pub(in crate::sim) fn deny(&self, subject: &str) -> bool {
        self.deny.iter().any(|filter| matches(filter, subject))
    }

    /// Whether a subject, or a filter as if it were one, is allowed and not denied.
    pub(in crate::sim) fn allow(&self, subject: &str) -> bool {
        let is_listed = |list: &[&str]| list.iter().any(|filter| matches(filter, subject));
        self.allow.is_none_or(is_listed) && !self.deny(subject)
    }

    fn rules(&self) -> Rules {
        let list = |filters: &[&str]| filters.iter().copied().map(SubjectRule::new).collect();
        Rules { allow: self.allow.map(list), deny: list(self.deny) }
    }
}

impl Rights {
    /// Whether their user may publish to a subject.
    pub(in crate::sim) fn verdict_on(&self, subject: &str) -> Verdict {
        match (self.publish.allow(subject), self.answers) {
            (true, _) => Verdict::May,
            (false, true) => Verdict::MayAnswer,
            (false, false) => Verdict::MayNot,
        }
    }

    /// What they are in a configuration.
    pub(super) fn permissions(&self) -> Permissions {
        Permissions {
            publish: self.publish.rules(),
            subscribe: self.subscribe.rules(),
            responses: self.answers.then(ResponsePermission::default),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_is_not_allowed_and_wildcards_are_words() {
        let lists = SubjectLists { allow: Some(&["a.*", "b"]), deny: &["a.b"] };
        for (subject, expected) in [
            ("a.c", true),
            ("a.*", true),
            ("b", true),
            ("a.b", false),
            ("c", false),
            ("*.c", false),
            (">", false),
        ] {
            assert_eq!(lists.allow(subject), expected, "{subject}");
        }
        assert!(lists.deny("a.b") && !lists.deny("c"), "what is not allowed is not denied for that");
    }

    #[test]
    fn who_may_only_answer_may_so_where_it_may_not_publish_otherwise() {
        let rights = Rights { publish: SubjectLists { allow: Some(&["a"]), deny: &[] }, ..RIGHTS[2] };
        assert_eq!([rights.verdict_on("a"), rights.verdict_on("b")], [Verdict::May, Verdict::MayAnswer]);
        assert_eq!(Rights { answers: false, ..rights }.verdict_on("b"), Verdict::MayNot);
    }
}
