//! What a configuration file comes to: values, and where they stand.

use std::collections::BTreeMap;

/// A block of keys, ordered by name. Of a repeated key the last wins.
pub(super) type Map = BTreeMap<String, Entry>;

/// The keys of a block in the order of the text.
pub(super) fn in_order(map: &Map) -> Vec<(&String, &Entry)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(_, entry)| entry.position);
    entries
}

/// A key's value and where the key stands.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) position: Position,
    pub(super) value: Value,
    /// Whether a variable refers to the key, which allows it any name.
    pub(super) is_variable: bool,
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) position: Position,
    pub(super) value: Value,
}

/// What a key can have.
#[derive(Clone)]
pub(super) enum Value {
    Map(Map),
    Array(Vec<Item>),
    String(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
}

/// A place in a file, ordered as read. Columns count from 0 on the first line and from 1 on all others, as in the
/// messages of nats-server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) file: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}
