//! One subject into another.

use fastrand::Rng;

use super::TransformError;
use super::function::{self, Cut, Function};
use crate::hash::fnv1a_32;
use crate::wire::subject::{is_valid_filter, tokens};

/// Rewrites the subjects that a source filter matches, as a destination says: `bar.$2.$1` of `foo.*.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform {
    pub(super) parts: Vec<Part>,
}

/// What becomes a token of the mapped subject, or several. Tokens of the subject are named by their place, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Box<[u8]>),
    Token(usize),
    /// The tokens from this one on.
    Tail(usize),
    Partition {
        partitions: u32,
        tokens: Vec<usize>,
    },
    /// A partition by the whole subject.
    WholePartition(u32),
    Split {
        token: usize,
        delimiter: Box<[u8]>,
    },
    Cut {
        cut: Cut,
        token: usize,
        bytes: usize,
    },
    Random(u32),
}

impl Transform {
    /// From a filter to what its subjects become.
    ///
    /// # Errors
    /// See [`TransformError`].
    pub fn new(source: &str, destination: &str) -> Result<Self, TransformError> {
        if !is_valid_filter(source.as_bytes()) {
            return Err(TransformError::InvalidSubject);
        }
        check_tokens(destination)?;
        let source = Source::new(source);
        let destination = destination.split('.');
        let has_tail = destination.clone().any(|token| token == ">");
        if destination.clone().any(|token| token == "*") || has_tail != source.tail.is_some() {
            return Err(TransformError::InvalidSubject);
        }
        let parts = destination.map(|token| source.part(token)).collect::<Result<_, _>>()?;
        Ok(Self { parts })
    }

    /// Leaves every subject as it is.
    pub(super) fn identity() -> Self {
        Self { parts: vec![Part::Tail(0)] }
    }

    /// Appends what `subject`, which the source matches, becomes.
    ///
    /// It can have empty tokens, where a function leaves nothing of one: nobody hears what is sent there.
    pub fn apply(&self, subject: &[u8], rng: &mut Rng, out: &mut Vec<u8>) {
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                out.push(b'.');
            }
            part.append(subject, rng, out);
        }
    }

    /// Whether equal subjects can become different ones.
    pub fn is_random(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Random(numbers) if *numbers > 1))
    }
}

/// What can be said of a destination without its source.
fn check_tokens(destination: &str) -> Result<(), TransformError> {
    let mut is_after_tail = false;
    for token in destination.split('.') {
        let has_blank = token.contains(|char: char| char.is_ascii_whitespace());
        if token.is_empty() || has_blank && !is_after_tail && !function::is_function(token) {
            return Err(TransformError::InvalidToken);
        }
        if is_after_tail {
            return Err(TransformError::AfterTail(token.to_owned()));
        }
        if function::is_unknown(token) {
            return Err(TransformError::UnknownFunction(token.to_owned()));
        }
        is_after_tail = token == ">";
    }
    Ok(())
}

/// Where the wildcards of a source stand.
struct Source {
    wildcards: Vec<usize>,
    tail: Option<usize>,
}

impl Source {
    fn new(source: &str) -> Self {
        let places = |wanted| source.split('.').enumerate().filter(move |(_, token)| *token == wanted);
        let wildcards = places("*").map(|(at, _)| at).collect();
        Self { wildcards, tail: places(">").map(|(at, _)| at).next() }
    }

    fn part(&self, token: &str) -> Result<Part, TransformError> {
        if let (">", Some(tail)) = (token, self.tail) {
            return Ok(Part::Tail(tail));
        }
        let Some(function) = function::parse(token)? else {
            return Ok(Part::Literal(token.as_bytes().into()));
        };
        if let (Function::Partition { partitions, .. }, true) = (&function, self.is_literal()) {
            return Ok(Part::WholePartition(*partitions));
        }
        let places = function.wildcards().iter().map(|wildcard| self.place(*wildcard, token));
        Ok(Part::new(&function, places.collect::<Result<_, _>>()?))
    }

    fn is_literal(&self) -> bool {
        self.wildcards.is_empty() && self.tail.is_none()
    }

    /// Where in a subject the token for a wildcard stands. nats-server takes a number below 1 for the first token.
    fn place(&self, wildcard: i64, token: &str) -> Result<usize, TransformError> {
        let out_of_range = |wildcard| TransformError::OutOfRange { token: token.to_owned(), wildcard };
        if self.is_literal() {
            return Err(out_of_range(None));
        }
        if wildcard < 1 {
            return Ok(0);
        }
        let index = usize::try_from(wildcard - 1).unwrap_or(usize::MAX);
        self.wildcards.get(index).copied().ok_or_else(|| out_of_range(Some(wildcard)))
    }
}

impl Part {
    /// What `function` does, with the places of the tokens that it names.
    fn new(function: &Function, places: Vec<usize>) -> Self {
        let token = places.first().copied().unwrap_or(0);
        match function {
            Function::Wildcard(_) => Self::Token(token),
            Function::Partition { partitions, .. } if places.is_empty() => Self::WholePartition(*partitions),
            Function::Partition { partitions, .. } => {
                Self::Partition { partitions: *partitions, tokens: places }
            }
            Function::Split { delimiter, .. } => {
                Self::Split { token, delimiter: delimiter.as_slice().into() }
            }
            Function::Cut { cut, bytes, .. } => {
                Self::Cut { cut: *cut, token, bytes: usize::try_from(*bytes).unwrap_or(0) }
            }
            Function::Random { numbers } => Self::Random(u32::try_from(*numbers).unwrap_or(0)),
        }
    }

    fn append(&self, subject: &[u8], rng: &mut Rng, out: &mut Vec<u8>) {
        match self {
            Self::Literal(text) => out.extend_from_slice(text),
            Self::Token(at) => out.extend_from_slice(token(subject, *at)),
            Self::Tail(at) => append_joined(tokens(subject).skip(*at), out),
            Self::Partition { partitions, tokens } => {
                let key = tokens.iter().flat_map(|at| token(subject, *at));
                append_number(remainder(fnv1a_32(key.copied()), *partitions), out);
            }
            Self::WholePartition(partitions) => {
                append_number(remainder(fnv1a_32(subject.iter().copied()), *partitions), out);
            }
            Self::Split { token: at, delimiter } => append_split(token(subject, *at), delimiter, out),
            Self::Cut { cut, token: at, bytes } => append_cut(token(subject, *at), *cut, *bytes, out),
            Self::Random(numbers) => append_number(rng.u32(..(*numbers).max(1)), out),
        }
    }
}

fn token(subject: &[u8], at: usize) -> &[u8] {
    tokens(subject).nth(at).unwrap_or_default()
}

/// No partitions at all are one.
fn remainder(hash: u32, partitions: u32) -> u32 {
    hash.checked_rem(partitions).unwrap_or(0)
}

fn append_number(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(number.to_string().as_bytes());
}

fn append_joined<'a>(pieces: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    for (at, piece) in pieces.enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(piece);
    }
}

/// The pieces between delimiters without the empty ones. Without a delimiter they are characters.
fn append_split(token: &[u8], delimiter: &[u8], out: &mut Vec<u8>) {
    if delimiter.is_empty() {
        return append_joined(characters(token), out);
    }
    let mut rest = Some(token);
    let pieces = std::iter::from_fn(|| {
        let text = rest?;
        let end = text.windows(delimiter.len()).position(|window| window == delimiter);
        rest = end.map(|end| &text[end + delimiter.len()..]);
        Some(end.map_or(text, |end| &text[..end]))
    });
    append_joined(pieces.filter(|piece| !piece.is_empty()), out);
}

/// The characters of a text; a byte that belongs to none is one.
fn characters(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let characters = valid.char_indices().map(|(at, char)| &valid.as_bytes()[at..at + char.len_utf8()]);
        characters.chain(chunk.invalid().chunks(1))
    })
}

fn append_cut(token: &[u8], cut: Cut, bytes: usize, out: &mut Vec<u8>) {
    if bytes == 0 || bytes >= token.len() {
        return out.extend_from_slice(token);
    }
    let from_left = token.split_at(bytes);
    let from_right = token.split_at(token.len() - bytes);
    match cut {
        Cut::Left => out.extend_from_slice(from_left.0),
        Cut::Right => out.extend_from_slice(from_right.1),
        Cut::SplitFromLeft => append_joined([from_left.0, from_left.1].into_iter(), out),
        Cut::SplitFromRight => append_joined([from_right.0, from_right.1].into_iter(), out),
        Cut::SliceFromLeft => append_joined(token.chunks(bytes), out),
        Cut::SliceFromRight => {
            let (first, others) = token.split_at(token.len() % bytes);
            let first = Some(first).filter(|first| !first.is_empty());
            append_joined(first.into_iter().chain(others.chunks(bytes)), out);
        }
    }
}
