//! The options of a request, and nats-server's words for what is wrong with them.

use std::num::IntErrorKind;

use crate::quote::InQuotes;

/// The options that follow the `?`. Of an option that is given twice the first counts; one whose escapes are broken is
/// ignored.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

/// Why a request cannot be answered: the text of a 400.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadQuery(pub(super) String);

/// How subscriptions are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Listing {
    /// Not at all.
    #[default]
    None,
    /// By subject.
    Subjects,
    /// With all that is known of them.
    Detail,
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        let pairs = pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescape(name, true)?, unescape(value, true)?))
        });
        Self(pairs.collect())
    }

    /// The value of an option; empty if it is not given.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// An option that is on or off.
    pub(super) fn flag(&self, name: &str) -> Result<bool, BadQuery> {
        match self.text(name) {
            "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            value => Err(undecodable("boolean", name, "ParseBool", value, SYNTAX)),
        }
    }

    /// An option that is a number, possibly negative.
    pub(super) fn int(&self, name: &str) -> Result<i64, BadQuery> {
        match self.text(name) {
            "" => Ok(0),
            value => value.parse().map_err(|error: std::num::ParseIntError| {
                undecodable("int", name, "Atoi", value, complaint(error.kind()))
            }),
        }
    }

    /// An option that is a number of a connection.
    pub(super) fn uint(&self, name: &str) -> Result<u64, BadQuery> {
        match self.text(name) {
            "" => Ok(0),
            value if !value.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(undecodable("uint64", name, "ParseUint", value, SYNTAX))
            }
            value => value.parse().map_err(|error: std::num::ParseIntError| {
                undecodable("uint64", name, "ParseUint", value, complaint(error.kind()))
            }),
        }
    }

    /// An option that says how subscriptions are listed.
    pub(super) fn listing(&self, name: &str) -> Result<Listing, BadQuery> {
        if self.text(name).eq_ignore_ascii_case("detail") {
            return Ok(Listing::Detail);
        }
        Ok(if self.flag(name)? { Listing::Subjects } else { Listing::None })
    }
}

/// Resolves the escapes of a path; none if they are broken.
pub(super) fn unescape_path(path: &str) -> Option<String> {
    unescape(path, false)
}

/// Resolves `%xx`, and `+` as a blank where that is customary. Bytes that are not UTF-8 are replaced.
fn unescape(text: &str, plus_is_blank: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
            b'+' if plus_is_blank => b' ',
            _ => byte,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn complaint(kind: &IntErrorKind) -> &'static str {
    match kind {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => SYNTAX,
    }
}

fn undecodable(kind: &str, name: &str, function: &str, value: &str, complaint: &str) -> BadQuery {
    let value = InQuotes(value);
    BadQuery(format!("Error decoding {kind} for '{name}': strconv.{function}: parsing {value}: {complaint}"))
}

const SYNTAX: &str = "invalid syntax";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: std::fmt::Debug>(result: Result<T, BadQuery>) -> String {
        result.expect_err("a bad query").0
    }

    #[test]
    fn booleans_are_read_as_go_does_it() {
        for (text, expected) in
            [("a=1", true), ("a=T", true), ("a=True", true), ("a=F", false), ("a=", false), ("", false)]
        {
            assert_eq!(Query::parse(text).flag("a"), Ok(expected), "{text}");
        }
        let expected = r#"Error decoding boolean for 'a': strconv.ParseBool: parsing "xx": invalid syntax"#;
        assert_eq!(refusal(Query::parse("a=xx").flag("a")), expected);
        assert!(Query::parse("a=tRUE").flag("a").is_err());
    }

    #[test]
    fn numbers_are_read_as_go_does_it() {
        assert_eq!(Query::parse("a=%2B5").int("a"), Ok(5));
        assert_eq!(Query::parse("a=-5").int("a"), Ok(-5));
        assert_eq!(Query::parse("a=5").uint("a"), Ok(5));
        let cases = [
            ("a=+5", r#"Error decoding int for 'a': strconv.Atoi: parsing " 5": invalid syntax"#),
            (
                "a=99999999999999999999",
                r#"Error decoding int for 'a': strconv.Atoi: parsing "99999999999999999999": value out of range"#,
            ),
            ("a=5.", r#"Error decoding int for 'a': strconv.Atoi: parsing "5.": invalid syntax"#),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal(Query::parse(text).int("a")), expected);
        }
        let cases = [
            ("a=-1", r#"Error decoding uint64 for 'a': strconv.ParseUint: parsing "-1": invalid syntax"#),
            ("a=%2B1", r#"Error decoding uint64 for 'a': strconv.ParseUint: parsing "+1": invalid syntax"#),
            (
                "a=%22%C3%A9%01",
                "Error decoding uint64 for 'a': strconv.ParseUint: parsing \"\\\"é\\x01\": invalid syntax",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal(Query::parse(text).uint("a")), expected);
        }
    }

    #[test]
    fn the_first_of_two_values_counts_and_broken_ones_do_not() {
        let query = Query::parse("a=1&a=2&b=%zz&c&d=x%20y+z&e=1;f=2&=3&b%3d=4");
        let values = ["a", "b", "c", "d", "e", "f", "", "b="].map(|name| query.text(name));
        assert_eq!(values, ["1", "", "", "x y z", "", "", "3", "4"]);
    }

    #[test]
    fn subscriptions_are_listed_by_subject_or_in_detail() {
        for (text, expected) in [
            ("subs=1", Listing::Subjects),
            ("subs=DETAIL", Listing::Detail),
            ("subs=detail", Listing::Detail),
            ("subs=0", Listing::None),
            ("", Listing::None),
        ] {
            assert_eq!(Query::parse(text).listing("subs"), Ok(expected), "{text}");
        }
        assert!(Query::parse("subs=details").listing("subs").is_err());
    }

    #[test]
    fn a_path_with_broken_escapes_is_none() {
        assert_eq!(unescape_path("/v%61rz+").as_deref(), Some("/varz+"));
        for broken in ["/%", "/%6", "/%6g", "/%é"] {
            assert_eq!(unescape_path(broken), None, "{broken}");
        }
    }
}
