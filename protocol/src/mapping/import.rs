//! The transform of an import, which is gone through in both directions.

use fastrand::Rng;

use super::transform::Part;
use super::{Transform, TransformError};
use crate::wire::subject::tokens;

/// From an exporter's subjects to an importer's, and from what is asked for by the importer's back to the exporter's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportTransform {
    source: Box<[u8]>,
    forward: Transform,
}

impl ImportTransform {
    /// From the exporter's filter to the importer's subject, which names each wildcard of the filter at least once: as
    /// `$1` or `{{wildcard(1)}}`, or as the first `*`, the second `*` and so on.
    ///
    /// # Errors
    /// See [`TransformError`].
    pub fn new(source: &str, destination: &str) -> Result<Self, TransformError> {
        let mut inner = destination.split('.').rev().skip(1);
        if destination.split('.').any(str::is_empty) || inner.any(|token| token == ">") {
            return Err(TransformError::InvalidSubject);
        }
        let numbered = number_wildcards(destination);
        let forward = Transform::new(source, &numbered)?;
        let import = Self { source: source.as_bytes().into(), forward };
        let mut wildcards: Vec<usize> = Vec::new();
        for (part, token) in import.forward.parts.iter().zip(numbered.split('.')) {
            match part {
                Part::Literal(_) | Part::Tail(_) => {}
                Part::Token(at) if import.is_wildcard(*at) => wildcards.push(*at),
                _ => return Err(TransformError::NotReversible(token.to_owned())),
            }
        }
        let is_used = |at: usize| !import.is_wildcard(at) || wildcards.contains(&at);
        if !(0..tokens(&import.source).count()).all(is_used) {
            return Err(TransformError::UnusedWildcards(destination.to_owned()));
        }
        Ok(import)
    }

    /// What all the importer's subjects match: `got.*.here` of `got.$1.here`.
    pub fn destination_filter(&self) -> Vec<u8> {
        let token = |part: &Part| match part {
            Part::Literal(text) => text.to_vec(),
            Part::Tail(_) => b">".to_vec(),
            _ => b"*".to_vec(),
        };
        self.forward.parts.iter().map(token).collect::<Vec<_>>().join(&b'.')
    }

    /// Appends what `subject`, which the exporter's filter matches, is for the importer.
    pub fn apply(&self, subject: &[u8], out: &mut Vec<u8>) {
        // Nothing of it is random: that could not be reversed.
        self.forward.apply(subject, &mut Rng::with_seed(0), out);
    }

    /// What a subscription of the importer to `filter` is to be subscribed to at the exporter, which is no more than what is
    /// exported; `None` if nothing of that can match. With a subject without wildcards it says where a request goes.
    pub fn reverse(&self, filter: &[u8]) -> Option<Vec<u8>> {
        let mut exported: Vec<&[u8]> = tokens(&self.source).collect();
        let mut wanted = tokens(filter);
        for part in &self.forward.parts {
            let token = wanted.next()?;
            if token == b">" {
                return Some(exported.join(&b'.'));
            }
            match part {
                Part::Tail(at) => {
                    exported.truncate(*at);
                    exported.push(token);
                    exported.extend(wanted);
                    return Some(exported.join(&b'.'));
                }
                Part::Token(at) => narrow(&mut exported[*at], token)?,
                Part::Literal(text) => narrow(&mut text.as_ref(), token)?,
                _ => return None,
            }
        }
        wanted.next().is_none().then(|| exported.join(&b'.'))
    }

    fn is_wildcard(&self, at: usize) -> bool {
        tokens(&self.source).nth(at) == Some(b"*")
    }
}

/// Makes of `token` what both match; `None` if that is nothing.
fn narrow<'a>(token: &mut &'a [u8], wanted: &'a [u8]) -> Option<()> {
    if *token == b"*" {
        *token = wanted;
    }
    (wanted == b"*" || *token == wanted).then_some(())
}

/// With `$1`, `$2` and so on for each `*`.
fn number_wildcards(destination: &str) -> String {
    let mut wildcards = 0;
    let number = |token: &str| {
        if token == "*" {
            wildcards += 1;
            format!("${wildcards}")
        } else {
            token.to_owned()
        }
    };
    destination.split('.').map(number).collect::<Vec<_>>().join(".")
}
