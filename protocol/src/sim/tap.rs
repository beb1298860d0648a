//! Reads along what a server writes, line by line, however it is cut.

/// One protocol line, and for a message the start of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tapped<'a> {
    /// Without its CR LF.
    pub(super) line: &'a [u8],
    /// At most [`HEAD_BYTES`] of headers and payload.
    pub(super) body: &'a [u8],
}

/// The reader of one pipe.
#[derive(Debug, Default)]
pub(super) struct Tap {
    line: Vec<u8>,
    body: Vec<u8>,
    /// Bytes of the body, CR LF included, that have not come yet.
    missing_bytes: usize,
}

impl Tap {
    /// Takes in what was written next and names what became complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(Tapped<'_>)) {
        while !bytes.is_empty() {
            if self.missing_bytes > 0 {
                let (part, rest) = bytes.split_at(bytes.len().min(self.missing_bytes));
                let head = part.len().min(HEAD_BYTES - self.body.len());
                self.body.extend_from_slice(&part[..head]);
                self.missing_bytes -= part.len();
                bytes = rest;
                if self.missing_bytes == 0 {
                    each(Tapped { line: &self.line, body: &self.body });
                    self.line.clear();
                    self.body.clear();
                }
                continue;
            }
            let Some(lf) = memchr::memchr(b'\n', bytes) else {
                self.line.extend_from_slice(bytes);
                return;
            };
            let (part, rest) = bytes.split_at(lf + 1);
            bytes = rest;
            if self.line.is_empty() && !has_body(part) {
                each(Tapped { line: part.trim_ascii_end(), body: b"" });
                continue;
            }
            self.line.extend_from_slice(part);
            self.line.truncate(self.line.trim_ascii_end().len());
            if has_body(&self.line) {
                self.missing_bytes = body_bytes(&self.line) + 2;
            } else {
                each(Tapped { line: &self.line, body: b"" });
                self.line.clear();
            }
        }
    }
}

fn has_body(line: &[u8]) -> bool {
    [b"RMSG ".as_slice(), b"HMSG ", b"MSG ", b"PUB ", b"HPUB ", b"LMSG "]
        .iter()
        .any(|verb| line.starts_with(verb))
}

fn body_bytes(line: &[u8]) -> usize {
    let size = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    std::str::from_utf8(size).ok().and_then(|size| size.parse().ok()).unwrap_or(0)
}

/// So much of a body is kept, to recognise the message, also behind a line about who asks.
pub(super) const HEAD_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_bodies_are_told_apart_wherever_they_are_cut() {
        let written = b"INFO {}\r\nRMSG $G a 5\r\nm1\r\nx\r\nPING\r\nHMSG $G a 2 4\r\nabcd\r\nRS- $G b\r\n";
        for step in 1..written.len() {
            let mut tap = Tap::default();
            let mut seen = Vec::new();
            for part in written.chunks(step) {
                tap.feed(part, &mut |it| seen.push([it.line, b"|", it.body].concat()));
            }
            let expected =
                ["INFO {}|", "RMSG $G a 5|m1\r\nx\r\n", "PING|", "HMSG $G a 2 4|abcd\r\n", "RS- $G b|"];
            assert_eq!(seen, expected.map(|line| line.as_bytes().to_vec()), "cut every {step} bytes");
        }
    }
}
