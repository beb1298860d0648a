//! What those who run the nodes change while they run. Plain data.

/// Something that is changed while nodes run. A node that is down has changed when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// On all nodes connections that begin from now on go on in frames with this key, or stay plain (design.md 3). Those that
    /// are there stay as they are; one that is just beginning may fail, since its ends began to differ.
    Transport(Option<u64>),
}
