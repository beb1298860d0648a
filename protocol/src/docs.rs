//! What the rest of the crate cites: `design.md` and `wire.md`, each with numbered sections.

#[doc = include_str!("../docs/design.md")]
pub mod design {}

#[doc = include_str!("../docs/wire.md")]
pub mod wire {}

/// Its examples are compiled and run with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
