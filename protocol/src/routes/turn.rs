//! Which of two nodes dials where either may.

use crate::hash::fnv1a;

/// Whether it is this node that dials another where either may, and both know it (wire.md 14.1).
///
/// A hash of both ids decides, so that each dials about half of the others: if the lesser id did, the least would have to dial
/// everybody, at the pace that is allowed.
pub(crate) fn dials_first(own: &str, other: &str) -> bool {
    let (lesser, greater) = if own < other { (own, other) } else { (other, own) };
    // Of all bits, since what differs at the end of an id reaches few of them.
    let lesser_dials = fnv1a([lesser, greater]).count_ones().is_multiple_of(2);
    lesser_dials == (own == lesser)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_two_dials_and_each_node_about_half_of_the_others() {
        let ids: Vec<_> = (0..100).map(|number| format!("N{number:055}")).collect();
        for own in &ids {
            let others = || ids.iter().filter(|other| *other != own);
            assert!(others().all(|other| dials_first(own, other) != dials_first(other, own)));
            let dialed = others().filter(|other| dials_first(own, other)).count();
            assert!((30..70).contains(&dialed), "{own} dials {dialed} of 99");
        }
    }
}
