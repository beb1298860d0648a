//! Who tells whom of a newcomer (wire.md 3.3).

use bytes::Bytes;

use crate::wire::{GossipMode, Info};

/// How a newcomer's connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It dialed us.
    Accepted,
    /// We dialed it because the configuration says so.
    Explicit,
    /// We dialed it because we heard of it, in a gossip with this mode.
    Implicit(GossipMode),
}

/// The mode with which a peer is told of a newcomer; `None` if nobody is to be told.
///
/// `newcomer_mode` stood in the newcomer's own INFO; `peer_is_explicit` says whether the route to the peer that
/// would be told is a configured one.
pub(crate) fn mode_onward(
    arrival: Arrival,
    newcomer_mode: GossipMode,
    peer_is_explicit: bool,
) -> Option<GossipMode> {
    match arrival {
        Arrival::Accepted | Arrival::Explicit if newcomer_mode == GossipMode::Disabled => None,
        // Configured links may join two groups that know nothing of each other: their members must hear of it.
        Arrival::Accepted if peer_is_explicit => Some(GossipMode::Override),
        Arrival::Accepted => Some(GossipMode::Disabled),
        Arrival::Explicit => Some(GossipMode::Override),
        Arrival::Implicit(GossipMode::Override) => Some(GossipMode::Default),
        Arrival::Implicit(_) => None,
    }
}

/// The line that tells a peer of a newcomer: the newcomer's own INFO, with the address to dial it by. None without an
/// address, or if the newcomer says so much of itself that it would be a burden on all others.
pub(crate) fn line(newcomer: &Info, url: &str, mode: GossipMode) -> Option<Bytes> {
    let info = Info {
        nonce: String::new(),
        ip: url.to_owned(),
        gossip_mode: mode.to_wire(),
        // These belong to the newcomer's connection, not to the one that the told server will make.
        route_pool_idx: 0,
        route_acc_add_reqid: String::new(),
        ..newcomer.clone()
    };
    let line = Some(info).filter(|info| !info.ip.is_empty()).map(|info| info.to_gossip_line());
    line.filter(|line| line.len() <= MAX_LINE_BYTES).map(Bytes::from)
}

/// A line about others has no more than this. A server tells some 500 bytes of itself, and up to twice that where it has
/// many addresses; what a route may have on a line (wire.md 2.6) is sixteen times more.
pub(super) const MAX_LINE_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gossip_follows_the_recorded_table() {
        use Arrival::{Accepted, Explicit, Implicit};
        use GossipMode::{Default, Disabled, Override};
        // wire.md 3.3: (arrival, newcomer's mode, peer explicit) → mode onward.
        let table = [
            (Accepted, Disabled, true, None),
            (Accepted, Disabled, false, None),
            (Accepted, Default, true, Some(Override)),
            (Accepted, Default, false, Some(Disabled)),
            (Accepted, Override, false, Some(Disabled)),
            (Explicit, Default, false, Some(Override)),
            (Explicit, Disabled, false, None),
            (Implicit(Override), Default, false, Some(Default)),
            (Implicit(Override), Disabled, true, Some(Default)),
            (Implicit(Default), Default, true, None),
            (Implicit(Disabled), Override, true, None),
        ];
        for (arrival, newcomer, explicit, expected) in table {
            assert_eq!(
                mode_onward(arrival, newcomer, explicit),
                expected,
                "{arrival:?} {newcomer:?} {explicit}"
            );
        }
    }
}
