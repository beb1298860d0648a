//! Why a transform or a mapping cannot be, in nats-server's words.

use std::fmt;

/// Why a source and a destination make no transform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransformError {
    /// The source is no filter, the destination has a `*`, or only one of both has `>`.
    InvalidSubject,
    /// The destination has a token that is empty, or has a blank that is not in a function.
    InvalidToken,
    /// This token of the destination comes after `>`.
    AfterTail(String),
    /// This token looks like a function and is none.
    UnknownFunction(String),
    /// An argument of this function is no number, or out of range.
    InvalidArgument(String),
    /// This function wants more arguments.
    NotEnoughArguments(String),
    /// This function wants fewer arguments.
    TooManyArguments(String),
    /// This token refers to a wildcard that the source does not have.
    OutOfRange {
        /// The token.
        token: String,
        /// Which wildcard; `None` where the source has none at all.
        wildcard: Option<i64>,
    },
    /// This destination of an import leaves out a wildcard of the source, so that it cannot be reversed.
    UnusedWildcards(String),
    /// This token of an import's destination cannot be reversed.
    NotReversible(String),
}

impl fmt::Display for TransformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self, Self::InvalidSubject) {
            return f.write_str("invalid subject");
        }
        f.write_str("invalid mapping destination: ")?;
        match self {
            Self::InvalidSubject => Ok(()),
            Self::InvalidToken => f.write_str("invalid transform"),
            Self::AfterTail(token) => write!(f, "invalid transform in {token}"),
            Self::UnknownFunction(token) => write!(f, "unknown function in {token}"),
            Self::InvalidArgument(token) => {
                write!(f, "function argument is invalid or in the wrong format in {token}")
            }
            Self::NotEnoughArguments(token) => {
                write!(f, "not enough arguments passed to the function in {token}")
            }
            Self::TooManyArguments(token) => {
                write!(f, "too many arguments passed to the function in {token}")
            }
            Self::OutOfRange { token, wildcard: None } => {
                write!(f, "wildcard index out of range in {token}")
            }
            Self::OutOfRange { token, wildcard: Some(wildcard) } => {
                write!(f, "wildcard index out of range in {token}: [{wildcard}]")
            }
            Self::UnusedWildcards(destination) => {
                write!(f, "not using all of the token wildcard(s) in {destination}")
            }
            Self::NotReversible(token) => {
                let only = "the only mapping function allowed for import transforms is {{Wildcard()}}";
                write!(f, "{only} in {token}")
            }
        }
    }
}

impl std::error::Error for TransformError {}

/// Why an account cannot have a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MappingError {
    /// Its source is no filter.
    InvalidSource,
    /// A destination does not fit its source.
    Transform(TransformError),
    /// This destination is there twice.
    Duplicate(String),
    /// The weights of one cluster, or of all others, are more than 100 together.
    TotalWeight,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSource => f.write_str("invalid subject"),
            Self::Transform(error) => error.fmt(f),
            Self::Duplicate(destination) => write!(f, "duplicate entry for {destination:?}"),
            Self::TotalWeight => f.write_str("total weight needs to be <= 100"),
        }
    }
}

impl std::error::Error for MappingError {}

impl From<TransformError> for MappingError {
    fn from(error: TransformError) -> Self {
        Self::Transform(error)
    }
}
