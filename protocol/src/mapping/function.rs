//! One token of a destination, as it is written: a literal, `$1`, or a function such as `{{partition(3,1)}}`.

use super::TransformError;

/// What a token of a destination asks for. Wildcards are counted from 1 as they are written; whether they exist is not
/// known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Wildcard(i64),
    Partition { partitions: u32, wildcards: Vec<i64> },
    Split { wildcard: i64, delimiter: Vec<u8> },
    Cut { cut: Cut, wildcard: i64, bytes: i32 },
    Random { numbers: i64 },
}

/// What becomes of a token that is cut at a number of bytes. One that is too short for it stays whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    SplitFromLeft,
    SplitFromRight,
    SliceFromLeft,
    SliceFromRight,
    Left,
    Right,
}

impl Function {
    /// The wildcards that must be there for the token to have a value. A partition without any can be of the whole subject.
    pub(super) fn wildcards(&self) -> &[i64] {
        match self {
            Self::Wildcard(wildcard) | Self::Split { wildcard, .. } | Self::Cut { wildcard, .. } => {
                std::slice::from_ref(wildcard)
            }
            Self::Partition { wildcards, .. } => wildcards,
            Self::Random { .. } => &[],
        }
    }
}

/// What `token` asks for; `None` for a literal.
pub(super) fn parse(token: &str) -> Result<Option<Function>, TransformError> {
    if let Some(number) = token.strip_prefix('$') {
        return Ok(number.parse().ok().map(Function::Wildcard));
    }
    if !is_function(token) {
        return Ok(None);
    }
    let (name, arguments) = call(token).ok_or_else(|| TransformError::UnknownFunction(token.to_owned()))?;
    Call { token, arguments: split_arguments(arguments) }.read(name).map(Some)
}

/// Whether it looks like a function and is none.
pub(super) fn is_unknown(token: &str) -> bool {
    is_function(token) && call(token).is_none()
}

/// Whether it looks like a function.
pub(super) fn is_function(token: &str) -> bool {
    token.len() > "{{}}".len() && token.starts_with("{{") && token.ends_with("}}")
}

#[derive(Clone, Copy)]
enum Name {
    Wildcard,
    Partition,
    Split,
    Random,
    Cut(Cut),
}

/// The functions in the order in which nats-server looks for them; each word may begin with a capital.
const NAMES: [(&[&str], Name); 10] = [
    (&["wildcard"], Name::Wildcard),
    (&["partition"], Name::Partition),
    (&["split", "from", "left"], Name::Cut(Cut::SplitFromLeft)),
    (&["split", "from", "right"], Name::Cut(Cut::SplitFromRight)),
    (&["slice", "from", "left"], Name::Cut(Cut::SliceFromLeft)),
    (&["slice", "from", "right"], Name::Cut(Cut::SliceFromRight)),
    (&["right"], Name::Cut(Cut::Right)),
    (&["left"], Name::Cut(Cut::Left)),
    (&["split"], Name::Split),
    (&["random"], Name::Random),
];

/// The function in a token and the text between its parentheses. It may stand anywhere in the token, and its last
/// parenthesis is the last that braces follow.
fn call(token: &str) -> Option<(Name, &str)> {
    NAMES.iter().find_map(|(words, name)| {
        let begins = (0..token.len()).filter_map(|at| token.get(at..)?.strip_prefix("{{"));
        let arguments = begins.filter_map(|rest| after_name(rest, words)).find_map(up_to_end)?;
        Some((*name, arguments))
    })
}

/// What follows on `words` and an opening parenthesis.
fn after_name<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    let mut rest = skip_blanks(text);
    for word in words {
        let (first, others) = rest.split_at_checked(1)?;
        rest = first.eq_ignore_ascii_case(&word[..1]).then_some(others)?.strip_prefix(&word[1..])?;
    }
    skip_blanks(rest).strip_prefix('(')
}

/// What stands before the last `)}}`.
fn up_to_end(text: &str) -> Option<&str> {
    let mut ends = text.rmatch_indices(')').map(|(at, _)| at);
    ends.find(|at| skip_blanks(&text[at + 1..]).starts_with("}}")).map(|at| &text[..at])
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches(|char: char| char.is_ascii_whitespace())
}

/// Between commas; blanks after a comma are none of the argument's.
fn split_arguments(text: &str) -> Vec<&str> {
    let mut arguments: Vec<&str> = text.split(',').collect();
    arguments.iter_mut().skip(1).for_each(|argument| *argument = skip_blanks(argument));
    arguments
}

/// A function with its arguments, and the token for messages.
struct Call<'a> {
    token: &'a str,
    arguments: Vec<&'a str>,
}

impl Call<'_> {
    fn read(&self, name: Name) -> Result<Function, TransformError> {
        Ok(match name {
            Name::Wildcard => {
                if self.arguments == [""] {
                    return Err(self.not_enough());
                }
                self.expect_arguments(1)?;
                Function::Wildcard(self.number(0)?)
            }
            Name::Partition => {
                let wildcards =
                    (1..self.arguments.len()).map(|at| self.number(at)).collect::<Result<_, _>>()?;
                // nats-server does not refuse what is below zero, and takes its bits as they are.
                Function::Partition { partitions: self.up_to_i32(0)? as u32, wildcards }
            }
            Name::Random => {
                if self.arguments.len() != 1 {
                    return Err(self.not_enough());
                }
                Function::Random { numbers: self.up_to_i32(0)? }
            }
            Name::Split => {
                self.expect_arguments(2)?;
                let delimiter = self.arguments[1];
                if delimiter.contains(' ') {
                    return Err(self.invalid());
                }
                Function::Split { wildcard: self.number(0)?, delimiter: delimiter.into() }
            }
            Name::Cut(cut) => {
                self.expect_arguments(2)?;
                let bytes = i32::try_from(self.number(1)?).map_err(|_| self.invalid())?;
                Function::Cut { cut, wildcard: self.number(0)?, bytes }
            }
        })
    }

    fn expect_arguments(&self, number: usize) -> Result<(), TransformError> {
        match self.arguments.len() {
            len if len < number => Err(self.not_enough()),
            len if len > number => Err(TransformError::TooManyArguments(self.token.to_owned())),
            _ => Ok(()),
        }
    }

    fn up_to_i32(&self, at: usize) -> Result<i64, TransformError> {
        self.number(at).and_then(
            |number| {
                if number > i64::from(i32::MAX) { Err(self.invalid()) } else { Ok(number) }
            },
        )
    }

    fn number(&self, at: usize) -> Result<i64, TransformError> {
        self.arguments[at].trim().parse().map_err(|_| self.invalid())
    }

    fn not_enough(&self) -> TransformError {
        TransformError::NotEnoughArguments(self.token.to_owned())
    }

    fn invalid(&self) -> TransformError {
        TransformError::InvalidArgument(self.token.to_owned())
    }
}
