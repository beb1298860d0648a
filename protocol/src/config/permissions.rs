//! What a user may publish and subscribe to (wire.md 1.12).

use std::time::Duration;

/// What one user may do. The default restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// What it may publish to. Queue groups mean nothing here.
    pub publish: Rules,
    /// What it may subscribe to.
    pub subscribe: Rules,
    /// Lets it also publish to the reply subjects of messages that it was sent, for a while. A file that says so and does not
    /// say what may be published otherwise means an empty list: see [`Rules::allow`].
    pub responses: Option<ResponsePermission>,
}

/// What is allowed, apart from what is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What is allowed: everything if there is no list, and nothing if it is empty.
    pub allow: Option<Vec<SubjectRule>>,
    /// What is denied although it is allowed.
    pub deny: Vec<SubjectRule>,
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRule {
    /// A filter, which what is asked for is held against as if it were a literal subject.
    pub subject: String,
    /// Whom the entry is about: members of the queue groups whose names match this. Wildcards stand for tokens of the name.
    pub queue: Option<String>,
}

impl SubjectRule {
    /// An entry about a subject, whatever the queue group.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), queue: None }
    }

    /// An entry about members of queue groups.
    pub fn with_queue(subject: impl Into<String>, queue: impl Into<String>) -> Self {
        Self { subject: subject.into(), queue: Some(queue.into()) }
    }
}

/// How often and how long a user may publish to the reply subject of a message that it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePermission {
    /// So many times; `None` is no limit.
    pub max: Option<u32>,
    /// So long after the message; `None` is for ever.
    pub expires: Option<Duration>,
}

impl Default for ResponsePermission {
    fn default() -> Self {
        Self { max: Some(1), expires: Some(Duration::from_secs(120)) }
    }
}
