//! What others wrote, as a log may show it: its start, and none of the secrets that addresses carry.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// What a text displays, on one line: at most this many bytes of it, and `…` in the place of the rest.
pub(crate) struct AtMost<T>(pub(crate) usize, pub(crate) T);

/// A text that quotes a peer, as long as it may stand in a log.
pub(crate) fn brief<T: fmt::Display>(text: T) -> AtMost<T> {
    AtMost(MAX_QUOTED_BYTES, text)
}

/// What a peer wrote, as long as it may stand in a log.
pub(crate) fn quoted(bytes: &[u8]) -> AtMost<Bytes<'_>> {
    brief(Bytes(bytes))
}

/// Bytes as text, and those that are none as `\xHH`.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

/// A text in quotes, with escapes as Go writes them (`%q`): quotes, backslashes, and what is not to be printed.
pub(crate) struct InQuotes<'a>(pub(crate) &'a str);

/// What a peer wrote, in quotes, as long as it may stand in a log.
pub(crate) struct QuotedInLog<'a>(pub(crate) &'a [u8]);

/// Bytes with such escapes; those that are no text as `\xHH`.
struct Escaped<'a>(&'a [u8]);

/// An address, or a text with addresses in it, without user, password or token: without what stands before the last `@`.
pub fn without_user_info(text: &str) -> Cow<'_, str> {
    let Some(at) = text.rfind('@') else {
        return text.into();
    };
    let start = match text.find("://") {
        Some(scheme) if scheme < at => scheme + "://".len(),
        _ => 0,
    };
    format!("{}{REDACTED}{}", &text[..start], &text[at..]).into()
}

impl<T: fmt::Display> fmt::Display for AtMost<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut start = Start { out: f, room: self.0, is_cut: false };
        match write!(start, "{}", self.1) {
            Err(_) if start.is_cut => f.write_char('…'),
            written => written,
        }
    }
}

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for InQuotes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Escaped(self.0.as_bytes()))
    }
}

impl fmt::Display for QuotedInLog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", brief(Escaped(self.0)))
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| write_escaped(f, c))?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0c' => f.write_str("\\f"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x0b' => f.write_str("\\v"),
        '\0'..' ' | '\x7f' => write!(f, "\\x{:02x}", u32::from(c)),
        _ if !is_invisible(c) => f.write_char(c),
        '\0'..='\u{ffff}' => write!(f, "\\u{:04x}", u32::from(c)),
        _ => write!(f, "\\U{:08x}", u32::from(c)),
    }
}

/// Blanks that are not the blank, what changes how the text around it is shown, and what has no meaning of its own.
fn is_invisible(c: char) -> bool {
    let is_format = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..);
    is_format || c.is_control() || (c.is_whitespace() && c != ' ')
}

/// Takes the start of a text, and no more once it is full.
struct Start<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    room: usize,
    is_cut: bool,
}

impl Write for Start<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        if c.is_control() {
            return c.escape_default().try_for_each(|c| self.write_char(c));
        }
        let Some(room) = self.room.checked_sub(c.len_utf8()) else {
            self.is_cut = true;
            return Err(fmt::Error);
        };
        self.room = room;
        self.out.write_char(c)
    }
}

/// What stands in the place of a secret.
pub(crate) const REDACTED: &str = "[REDACTED]";

/// No more of what a peer wrote is quoted in one line of the log. Traces, which an operator asks for, show more.
pub(crate) const MAX_QUOTED_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_shown_by_its_start() {
        let shown = |bytes, text: &str| AtMost(bytes, format_args!("<{text}>")).to_string();
        assert_eq!(shown(5, "abc"), "<abc>");
        assert_eq!(shown(4, "abc"), "<abc…");
        assert_eq!(shown(3, "äöü"), "<ä…", "a character is shown whole or not at all");
        assert_eq!(shown(2, "äöü"), "<…");
        assert_eq!(shown(0, ""), "…");
        assert_eq!(quoted(b"'a\r\n\x1b[0m\"\xffz").to_string(), "'a\\r\\n\\u{1b}[0m\"\\xffz");
        assert_eq!(quoted(&[b'a'; 1000]).to_string().len(), MAX_QUOTED_BYTES + "…".len());
    }

    #[test]
    fn a_text_in_quotes_is_escaped_as_go_does_it() {
        for (text, quoted) in [
            ("a'b<c>é", r#""a'b<c>é""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\x07\x08\x0c\n\r\t\x0b", r#""\a\b\f\n\r\t\v""#),
            ("\0\x1b\x7f", r#""\x00\x1b\x7f""#),
            ("\u{85}\u{a0}\u{200b}\u{2028}\u{feff}", r#""\u0085\u00a0\u200b\u2028\ufeff""#),
            ("\u{e0001}\u{1f600}", "\"\\U000e0001\u{1f600}\""),
            ("", "\"\""),
        ] {
            assert_eq!(InQuotes(text).to_string(), quoted);
        }
        assert_eq!(QuotedInLog(b"a\xff\"\n").to_string(), r#""a\xff\"\n""#);
        let long = QuotedInLog(&[b'"'; 1000]).to_string();
        assert_eq!(long.len(), MAX_QUOTED_BYTES + "\"…\"".len());
    }

    #[test]
    fn an_address_is_shown_without_what_stands_before_its_host() {
        for (text, shown) in [
            ("nats://h:4", "nats://h:4"),
            ("nats://u:p@h:4", "nats://[REDACTED]@h:4"),
            ("nats://token@h", "nats://[REDACTED]@h"),
            ("nats://u:p@ss/w@h:4", "nats://[REDACTED]@h:4"),
            ("nats://u:p@a:4,nats://u:p@b:4", "nats://[REDACTED]@b:4"),
            ("u:p@h:4", "[REDACTED]@h:4"),
            ("u:p@h://x", "[REDACTED]@h://x"),
            ("cannot dial nats://u:p@h:4 now", "cannot dial nats://[REDACTED]@h:4 now"),
            ("", ""),
        ] {
            assert_eq!(without_user_info(text), shown, "{text}");
        }
    }
}
