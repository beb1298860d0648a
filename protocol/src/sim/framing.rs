//! Reads what one end of a stream wrote, where that goes on in frames after a certain line, or compressed (design.md 3).

use std::borrow::Cow;

use crate::transport::{DecodeError, Decoder, Inbound, S2Limit};

/// The reader of one direction of a stream, which is plain unless it is told when that ends.
#[derive(Debug, Default)]
pub(super) struct Deframer {
    /// What it waits for before frames begin.
    switch: Option<Switch>,
    /// S2 may begin behind a line.
    may_be_compressed: bool,
    /// What was read so far ends with a line.
    is_behind_line: bool,
    inbound: Inbound,
}

#[derive(Debug)]
struct Switch {
    /// What the last plain line begins with.
    begins_with: &'static str,
    /// How many such lines there were.
    seen: usize,
    /// Which of them is the last plain line, and the key of what follows; none until that is known.
    last: Option<(usize, u64)>,
    line: Vec<u8>,
}

impl Deframer {
    /// Expects frames with this key after the next line that begins so.
    pub(super) fn after_line(begins_with: &'static str, key: u64) -> Self {
        let mut deframer = Self::counting(begins_with);
        deframer.switch_after(1, key);
        deframer
    }

    /// Counts the lines that begin so.
    pub(super) fn counting(begins_with: &'static str) -> Self {
        let switch = Some(Switch { begins_with, seen: 0, last: None, line: Vec::new() });
        Self { switch, ..Self::default() }
    }

    /// Expects S2 behind any of the first lines, of which none begins like it (wire.md 5.4).
    pub(super) fn compressed_or_not() -> Self {
        Self { may_be_compressed: true, ..Self::default() }
    }

    /// Expects frames with this key after so many of the lines that it counts.
    pub(super) fn switch_after(&mut self, lines: usize, key: u64) {
        self.switch.iter_mut().for_each(|switch| switch.last = Some((lines, key)));
    }

    /// What these bytes, which come next, mean. Whoever says that nothing follows has said all.
    pub(super) fn read<'a>(&mut self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, DecodeError> {
        let (mut plain, mut rest) = (Vec::new(), bytes);
        if self.switch.is_none() && self.inbound.is_plain() {
            let Some(begin) = self.find_compressed(bytes) else {
                return Ok(Cow::Borrowed(bytes));
            };
            plain.extend_from_slice(&bytes[..begin]);
            rest = &bytes[begin..];
            self.inbound.switch(Decoder::s2(S2Limit::default()));
        }
        while let Some(switch) = &mut self.switch {
            let line_end = memchr::memchr(b'\n', rest).map(|lf| lf + 1);
            let (line, after) = rest.split_at(line_end.unwrap_or(rest.len()));
            plain.extend_from_slice(line);
            switch.line.extend_from_slice(line);
            rest = after;
            if line_end.is_none() {
                return Ok(plain.into());
            }
            switch.seen += usize::from(switch.line.starts_with(switch.begins_with.as_bytes()));
            switch.line.clear();
            if let Some((_, key)) = switch.last.filter(|(lines, _)| *lines == switch.seen) {
                self.inbound.switch(Decoder::framed(key));
                self.switch = None;
            }
        }
        match self.inbound.decode_into(rest, &mut plain) {
            Ok(()) | Err(DecodeError::Ended) => Ok(plain.into()),
            Err(error) => Err(error),
        }
    }
}

impl Deframer {
    /// Where S2 begins in plain bytes, which come next.
    fn find_compressed(&mut self, bytes: &[u8]) -> Option<usize> {
        let is_behind_line = |at: &usize| match at.checked_sub(1) {
            Some(before) => bytes[before] == b'\n',
            None => self.is_behind_line,
        };
        let found = memchr::memchr_iter(S2_BEGIN, bytes).find(is_behind_line);
        self.is_behind_line = bytes.last().map_or(self.is_behind_line, |last| *last == b'\n');
        found.filter(|_| self.may_be_compressed)
    }
}

/// What S2 begins with.
const S2_BEGIN: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Encoder, S2Level};

    #[test]
    fn s2_begins_behind_a_line_wherever_bytes_are_cut() {
        let mut written = b"CONNECT {}\r\nINFO {\"name\":\"\xff\"}\r\n".to_vec();
        let plain = [&written[..], b"INFO {}\r\nPING\r\n"].concat();
        Encoder::s2(S2Level::Fast.into()).encode(b"INFO {}\r\nPING\r\n", &mut written);
        for step in 1..written.len() {
            let (mut deframer, mut read) = (Deframer::compressed_or_not(), Vec::new());
            written.chunks(step).for_each(|part| read.extend_from_slice(&deframer.read(part).unwrap()));
            assert_eq!(read, plain, "cut every {step} bytes");
        }
    }

    #[test]
    fn frames_begin_behind_the_line_that_is_waited_for_wherever_bytes_are_cut() {
        let mut written = b"INFO {}\r\nPING\r\n+OK\r\n".to_vec();
        let mut encoder = Encoder::framed(7);
        encoder.encode(b"+OK\r\nMSG a 1 2\r\nhi\r\n", &mut written);
        encoder.finish(&mut written);
        for step in 1..written.len() {
            let mut deframer = Deframer::after_line("+OK", 7);
            let mut read = Vec::new();
            written.chunks(step).for_each(|part| read.extend_from_slice(&deframer.read(part).unwrap()));
            assert_eq!(
                read, b"INFO {}\r\nPING\r\n+OK\r\n+OK\r\nMSG a 1 2\r\nhi\r\n",
                "cut every {step} bytes"
            );
        }
        let mut deframer = Deframer::counting("+OK");
        let (plain, rest) = written.split_at(b"INFO {}\r\nPING\r\n+O".len());
        deframer.read(plain).unwrap();
        deframer.switch_after(1, 7);
        assert_eq!(&*deframer.read(rest).unwrap(), b"K\r\n+OK\r\nMSG a 1 2\r\nhi\r\n");
        let mut deframer = Deframer::after_line("", 8);
        assert!(deframer.read(&written).is_err(), "it goes on plain where frames are due");
    }
}
