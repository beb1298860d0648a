//! Subjects that become other subjects (wire.md 1.13): the mappings of an account, and the transforms of imports.
//!
//! Pure values, made once from what an operator wrote: a [`Transform`] rewrites one subject, [`Mappings`] know which
//! transform a subject is for. Whoever publishes keeps the [`Choice`] of a subject, and asks it for each message. The room
//! knows subjects and hashes, and neither accounts nor connections.

mod error;
mod function;
mod import;
mod rules;
#[cfg(test)]
mod tests;
mod transform;

pub use error::{MappingError, TransformError};
pub use import::ImportTransform;
pub use rules::{Choice, Destination, Draw, Mapping, MappingDestination, Mappings};
pub use transform::Transform;
