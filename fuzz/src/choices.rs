//! An input as a sequence of small decisions.

/// Decides by the bytes of an input, from its start. Once they are used up, every choice is the first one.
#[derive(Debug)]
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    /// The decisions that `input` makes.
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// Whether no decision is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Any byte; zero at the end.
    pub fn byte(&mut self) -> u8 {
        self.rest.split_off_first().copied().unwrap_or(0)
    }

    /// One bit.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `end`, which is at least 1 and at most 256.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// One of several values.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// Some bytes, up to 255, as many as the first of them says.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.rest.len());
        let (bytes, rest) = self.rest.split_at(len);
        self.rest = rest;
        bytes
    }

    /// A word as it may stand on a protocol line: not empty, and without the bytes that separate words.
    pub fn word(&mut self) -> Vec<u8> {
        let len = 1 + self.below(12);
        let is_separator = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        (0..len).map(|_| self.byte()).map(|byte| if is_separator(byte) { b'x' } else { byte }).collect()
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}
