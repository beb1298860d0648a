//! The accounts of a node.

use super::{Export, Import, Mapping};

/// The account of clients that name none.
pub const GLOBAL_ACCOUNT: &str = "$G";

/// The account that servers talk to each other in, unless it is given another name. All members of a cluster must call it the
/// same.
pub const SYSTEM_ACCOUNT: &str = "$SYS";

/// One account that the operator names, beside the global one, which is always there (wire.md 1.12). Its users stand in
/// [`Authorization::Users`](super::Authorization::Users).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountConfig {
    /// Its name: one word, and not `$G`. That of the system account says what holds for that one.
    pub name: String,
    /// What its clients may have.
    pub limits: AccountLimits,
    /// Where what they publish goes instead.
    pub mappings: Vec<Mapping>,
    /// What others may take from it.
    pub exports: Vec<Export>,
    /// What it takes from others.
    pub imports: Vec<Import>,
}

/// What the clients of an account may have, beside what holds for all clients of a node (wire.md 1.12). `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// How many clients may be in it at once, on this node. (nats-server counts those on all nodes of the cluster.)
    pub max_connections: Option<usize>,
    /// How many subscriptions each of them may hold.
    pub max_subscriptions: Option<usize>,
    /// The largest payload that they may publish, headers included, in bytes.
    pub max_payload: Option<usize>,
}

impl AccountConfig {
    /// The account of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// Whether an account may have this name: a word on the lines of routes.
pub(crate) fn is_account_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
}
