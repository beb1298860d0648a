//! Which of several nodes a circuit passes through.

use crate::hash::fnv1a;

/// A number by which all order the nodes that a circuit between two servers may pass through alike, whichever of the two asks: so
/// circuits of many pairs spread over many nodes, and those of one pair keep together.
pub(super) fn rank(relay: &str, ends: [&str; 2]) -> u64 {
    let [one, other] = ends;
    fnv1a([relay, one.min(other), one.max(other)])
}
