//! The field `gossip_mode` of `INFO` (wire.md 3.3).

/// What the teller asks of the told: whether it should in turn tell others (`gossip_mode` in INFO).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GossipMode {
    /// Left to the receiver's own rule, which is not to tell others.
    #[default]
    Default,
    /// Do not tell others.
    Disabled,
    /// Tell others, though the newcomer was only heard of.
    Override,
}

impl GossipMode {
    /// From the number on the wire; unknown ones mean the default.
    pub fn from_wire(number: i32) -> Self {
        match number {
            1 => Self::Disabled,
            2 => Self::Override,
            _ => Self::Default,
        }
    }

    /// The number on the wire.
    pub fn to_wire(self) -> i32 {
        match self {
            Self::Default => 0,
            Self::Disabled => 1,
            Self::Override => 2,
        }
    }
}
