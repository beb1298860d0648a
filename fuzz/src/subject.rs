//! Which filters match which subjects (wire.md 1.5), told from the text alone: the model that the index and the
//! deliveries are compared with.

/// Whether a subscription to `filter` gets what is published to `subject`.
pub(crate) fn matches(filter: &[u8], subject: &[u8]) -> bool {
    let is_dot = |byte: &u8| *byte == b'.';
    if subject.split(is_dot).any(<[u8]>::is_empty) {
        return false;
    }
    let mut tokens = subject.split(is_dot);
    for wanted in filter.split(is_dot) {
        match (wanted, tokens.next()) {
            (b">", Some(_)) => return true,
            (b"*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}
