//! Draws tenants.

use fastrand::Rng;

use super::{RIGHTS, SHAPES, Share, TENANTS, Tenants};

/// Draws one to three tenants. Each takes each kind of import from one of those before it at the most.
pub(in crate::sim) fn draw(rng: &mut Rng) -> Tenants {
    let count = rng.usize(1..=TENANTS.len());
    let mut shares = Vec::new();
    for importer in 1..count {
        for shape in 0..SHAPES.len() {
            if rng.u8(..3) > 0 {
                shares.push(Share { importer, exporter: rng.usize(..importer), shape });
            }
        }
    }
    let some = |rng: &mut Rng, of_four: u8| (0..count).filter(|_| rng.u8(..4) < of_four).collect();
    Tenants {
        count,
        shares,
        are_listed: rng.bool(),
        mapped: some(rng, 1),
        rights: std::array::from_fn(|_| rng.usize(..RIGHTS.len())),
        pinned: if rng.bool() { some(rng, 2) } else { Vec::new() },
    }
}
