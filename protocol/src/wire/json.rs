//! JSON as the Go server reads and writes it.

use std::{error, fmt, io};

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use serde_json::{Map, Value};

/// The text of an `INFO` or `CONNECT` is no JSON object, or a known key has a value of the wrong type. The Go server closes
/// such a connection without `-ERR` (wire.md 1.8).
#[derive(Debug)]
pub struct InvalidJson(serde_json::Error);

impl fmt::Display for InvalidJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid JSON: {}", self.0)
    }
}

impl error::Error for InvalidJson {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Reads an object: keys in any case, of equal keys the last one, unknown keys ignored, `null` the same as an absent key
/// and as an empty object, bytes that are not UTF-8 replaced.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, InvalidJson> {
    let text = String::from_utf8_lossy(text);
    let object: Option<Object> = serde_json::from_str(&text).map_err(InvalidJson)?;
    let map = object.unwrap_or_default().0;
    serde_json::from_value(Value::Object(map)).map_err(InvalidJson)
}

/// Reads an object like [`read`], where absent keys keep the value that they have in `base`.
pub(super) fn read_over<T: Serialize + DeserializeOwned>(base: &T, text: &[u8]) -> Result<T, InvalidJson> {
    let text = String::from_utf8_lossy(text);
    let object: Option<Object> = serde_json::from_str(&text).map_err(InvalidJson)?;
    let mut value = serde_json::to_value(base).map_err(InvalidJson)?;
    if let (Some(fields), Some(Object(new))) = (value.as_object_mut(), object) {
        fields.extend(new);
    }
    serde_json::from_value(value).map_err(InvalidJson)
}

/// An object with lower-case keys and without nulls.
#[derive(Default)]
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object, A::Error> {
        let mut map = Map::new();
        while let Some((mut key, value)) = entries.next_entry::<String, Value>()? {
            key.make_ascii_lowercase();
            if !value.is_null() {
                map.insert(key, value);
            }
        }
        Ok(Object(map))
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
    fn text_after_the_object_is_an_error() {
        for text in [&b"{} x"[..], b"", b"{", b"[]", b"true", b"{\"a\":1,}", b"\"\""] {
            assert!(read::<Value>(text).is_err(), "{text:?}");
        }
        for text in [&b"{}"[..], b" {} ", b"null"] {
            assert!(read::<Value>(text).is_ok(), "{text:?}");
        }
    }
}
