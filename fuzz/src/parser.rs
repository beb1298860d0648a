//! The same bytes are the same operations and the same error, however they are split.

use onehop::wire::{Dialect, Op, ParseError, Parsed, Parser, Role};

use crate::Choices;

/// The first byte chooses the dialect, the second the limits, the third where to split; the rest is what is read.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let dialect = dialect(&mut choices);
    let stride = choices.byte();
    let input = choices.rest();
    let input = &input[..input.len().min(MAX_INPUT_BYTES)];

    let whole = Reader::read(dialect, [input], Patience::None);
    let bytes = Reader::read(dialect, input.chunks(1), Patience::None);
    assert_eq!(bytes, whole, "byte by byte");
    let pieces = Reader::read(dialect, Pieces { rest: input, stride }, Patience::None);
    assert_eq!(pieces, whole, "in pieces");
    let patient = Reader::read(dialect, input.chunks(1), Patience::UntilWanted);
    if patient.error == whole.error {
        assert_eq!(patient.ops, whole.ops, "when it is called again only once it may go on");
    } else {
        // What it waited for never came, so it did not look at the wrong byte before that.
        assert_eq!((patient.error, patient.ops), (None, whole.ops));
    }
}

/// Reading byte by byte takes time that grows with the square of an unfinished message.
const MAX_INPUT_BYTES: usize = 2048;

fn dialect(choices: &mut Choices<'_>) -> Dialect {
    let bits = choices.byte();
    let limits = choices.byte();
    Dialect {
        role: if bits & 1 == 0 { Role::Client } else { Role::Route },
        connect_only: bits & 2 != 0,
        headers: bits & 4 != 0,
        dedicated: bits & 8 != 0,
        leaf_unsub_origin: bits & 16 != 0,
        max_control_line: [4096, 64, 8, 1][usize::from(limits & 3)],
        max_payload: [None, Some(1 << 20), Some(16), Some(0)][usize::from(limits >> 2 & 3)],
    }
}

/// Pieces of changing lengths.
struct Pieces<'a> {
    rest: &'a [u8],
    stride: u8,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.stride = self.stride.wrapping_mul(5).wrapping_add(3);
        let (piece, rest) = self.rest.split_at(self.rest.len().min(1 + usize::from(self.stride % 23)));
        self.rest = rest;
        (!piece.is_empty()).then_some(piece)
    }
}

/// When a reader calls the parser again.
#[derive(PartialEq)]
enum Patience {
    /// With every piece.
    None,
    /// Once there is as much as it wants.
    UntilWanted,
}

/// What came out.
#[derive(Debug, PartialEq)]
struct Outcome {
    ops: Vec<String>,
    error: Option<ParseError>,
}

/// A connection's end: it keeps what the parser did not consume.
struct Reader {
    dialect: Dialect,
    parser: Parser,
    rest: Vec<u8>,
    wanted: usize,
    outcome: Outcome,
}

impl Reader {
    fn read<'a>(dialect: Dialect, pieces: impl IntoIterator<Item = &'a [u8]>, patience: Patience) -> Outcome {
        let outcome = Outcome { ops: Vec::new(), error: None };
        let mut reader = Reader { dialect, parser: Parser::new(), rest: Vec::new(), wanted: 0, outcome };
        for piece in pieces {
            reader.rest.extend_from_slice(piece);
            if patience == Patience::None || reader.rest.len() >= reader.wanted {
                reader.drain();
            }
        }
        reader.outcome
    }

    fn drain(&mut self) {
        while self.outcome.error.is_none() {
            match self.parser.parse(&self.dialect, &self.rest) {
                Ok(Parsed::Op { op, consumed }) => {
                    assert!(consumed > 0, "an operation of no bytes");
                    if let Op::Connect(json) = op {
                        // As connections do it: what is allowed changes between two operations.
                        self.dialect.connect_only = false;
                        self.dialect.headers = json.contains(&b'h');
                    }
                    self.outcome.ops.push(format!("{op:?}"));
                    self.rest.drain(..consumed);
                }
                Ok(Parsed::Incomplete { consumed, wanted }) => {
                    self.rest.drain(..consumed);
                    assert!(wanted.is_none_or(|wanted| wanted > self.rest.len()), "it has what it wants");
                    self.wanted = wanted.unwrap_or(0);
                    return;
                }
                Err(error) => self.outcome.error = Some(error),
            }
        }
    }
}
