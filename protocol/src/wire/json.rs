//! JSON as the Go server reads and writes it.

use std::{error, fmt, io};

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use serde_json::{Map, Value};

/// The text of an `INFO` or `CONNECT` is no JSON object, or a known key has a value of the wrong type. The Go server closes
/// such a connection without `-ERR` (wire.md 1.8). It tells nothing of what stands in the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidJson {
    /// It is no JSON, from this column on.
    Syntax {
        /// Counted from 1; 0 if the text is empty.
        column: usize,
    },
    /// It is no object.
    NoObject,
    /// A known key has a value of the wrong type.
    WrongType,
}

impl fmt::Display for InvalidJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { column } => write!(f, "invalid JSON at column {column}"),
            Self::NoObject => f.write_str("invalid JSON: not an object"),
            Self::WrongType => f.write_str("invalid JSON: a value of the wrong type"),
        }
    }
}

impl error::Error for InvalidJson {}

/// Reads an object: keys in any case, of equal keys the last one, unknown keys ignored, `null` the same as an absent key
/// and as an empty object, bytes that are not UTF-8 replaced.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, InvalidJson> {
    from_fields(Map::new(), text)
}

/// Reads an object like [`read`], where absent keys keep the value that they have in `base`.
pub(super) fn read_over<T: Serialize + DeserializeOwned>(base: &T, text: &[u8]) -> Result<T, InvalidJson> {
    match serde_json::to_value(base) {
        Ok(Value::Object(known)) => from_fields(known, text),
        _ => Err(InvalidJson::WrongType),
    }
}

/// Reads an object whose fields come in the place of those that are known.
fn from_fields<T: DeserializeOwned>(mut known: Map<String, Value>, text: &[u8]) -> Result<T, InvalidJson> {
    let set = fields(text)?.0.into_iter().filter(|(_, value)| !value.is_null());
    known.extend(set.map(|(key, value)| (key.to_ascii_lowercase(), value)));
    serde_json::from_value(Value::Object(known)).map_err(|_| InvalidJson::WrongType)
}

/// The fields of an object as they stand in its text; none for `null`.
pub(super) fn fields(text: &[u8]) -> Result<Fields, InvalidJson> {
    let fields: Result<Option<Fields>, _> = serde_json::from_str(&String::from_utf8_lossy(text));
    fields.map(Option::unwrap_or_default).map_err(|fault| match fault.classify() {
        Category::Data => InvalidJson::NoObject,
        Category::Syntax | Category::Eof | Category::Io => InvalidJson::Syntax { column: fault.column() },
    })
}

/// The fields of an object, in their order and with repetitions.
#[derive(Default)]
pub(super) struct Fields(pub(super) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = entries.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

/// Appends `value` as JSON without blanks, with `<`, `>`, `&`, U+2028 and U+2029 escaped as Go does it.
pub(crate) fn write<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    let written = value.serialize(&mut Serializer::with_formatter(out, GoFormatter));
    debug_assert!(written.is_ok(), "plain structs have a JSON form and a Vec takes it");
}

struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            let Some(escaped) = special.chars().next() else { break };
            CompactFormatter.write_string_fragment(out, plain)?;
            write!(out, "\\u{:04x}", u32::from(escaped))?;
            rest = &special[escaped.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(out, rest)
    }
}

/// Whether a field is left out of the JSON, as `omitempty` does it.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_does_it() {
        let mut out = Vec::new();
        write(&mut out, &"a<b>&\u{2028}\u{2029}\"\\\n\u{1}é");
        let expected = r#""a\u003cb\u003e\u0026\u2028\u2029\"\\\n\u0001é""#;
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }

    #[test]
    fn keys_are_read_in_any_case_and_the_last_one_wins() {
        #[derive(Deserialize)]
        struct Pair {
            a: u8,
            b: u8,
        }
        let pair: Pair = read(br#"{"A":1,"b":1,"a":2,"B":2,"c":[{}],"A":null}"#).expect("an object");
        assert_eq!((pair.a, pair.b), (2, 2));
    }

    #[test]
    fn an_error_quotes_nothing_of_the_text() {
        #[derive(Debug, Deserialize)]
        struct Pass {
            #[expect(dead_code, reason = "it is never read")]
            pass: String,
        }
        for (text, fault) in [
            (r#"{"pass":5317}"#, InvalidJson::WrongType),
            (r#"{"pass":["SECRET"]}"#, InvalidJson::WrongType),
            (r#"{"pass":"SECRET"} SECRET"#, InvalidJson::Syntax { column: 19 }),
            (r#"{"pass":"SEC\QRET"}"#, InvalidJson::Syntax { column: 14 }),
            (r#"{"pass":"SECRET"#, InvalidJson::Syntax { column: 15 }),
            (r#""SECRET""#, InvalidJson::NoObject),
            ("", InvalidJson::Syntax { column: 0 }),
        ] {
            assert_eq!(read::<Pass>(text.as_bytes()).unwrap_err(), fault, "{text}");
        }
    }

    #[test]
    fn text_after_the_object_is_an_error() {
        for text in [&b"{} x"[..], b"", b"{", b"[]", b"true", b"{\"a\":1,}", b"\"\""] {
            assert!(read::<Value>(text).is_err(), "{text:?}");
        }
        for text in [&b"{}"[..], b" {} ", b"null"] {
            assert!(read::<Value>(text).is_ok(), "{text:?}");
        }
    }
}
