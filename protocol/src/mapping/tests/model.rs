//! Transforms against a naive way to say the same.

use proptest::prelude::*;

use super::*;
use crate::wire::subject::filter_matches;

/// A token of a destination, and what it means.
#[derive(Clone, Debug)]
enum Token {
    Literal(String),
    Wildcard(usize),
    Partition(u32, Vec<usize>),
    Split(usize, char),
    Left(usize, usize),
    SliceFromRight(usize, usize),
}

const WILDCARDS: usize = 3;

fn token() -> impl Strategy<Value = Token> {
    let wildcard = 1..=WILDCARDS;
    prop_oneof![
        "[a-c]{1,2}".prop_map(Token::Literal),
        wildcard.clone().prop_map(Token::Wildcard),
        (0..5_u32, proptest::collection::vec(wildcard.clone(), 0..3))
            .prop_map(|(partitions, wildcards)| Token::Partition(partitions, wildcards)),
        (wildcard.clone(), proptest::char::range('a', 'c'))
            .prop_map(|(at, delimiter)| Token::Split(at, delimiter)),
        (wildcard.clone(), 0..4_usize).prop_map(|(at, bytes)| Token::Left(at, bytes)),
        (wildcard, 0..4_usize).prop_map(|(at, bytes)| Token::SliceFromRight(at, bytes)),
    ]
}

impl Token {
    fn text(&self) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Wildcard(at) => format!("${at}"),
            Self::Partition(partitions, wildcards) => {
                let wildcards: String = wildcards.iter().map(|at| format!(",{at}")).collect();
                format!("{{{{partition({partitions}{wildcards})}}}}")
            }
            Self::Split(at, delimiter) => format!("{{{{split({at},{delimiter})}}}}"),
            Self::Left(at, bytes) => format!("{{{{left({at},{bytes})}}}}"),
            Self::SliceFromRight(at, bytes) => format!("{{{{sliceFromRight({at},{bytes})}}}}"),
        }
    }

    /// For the wildcards `values` of `subject`.
    fn value(&self, values: &[String], subject: &str) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Wildcard(at) => values[at - 1].clone(),
            Self::Partition(0, _) => "0".into(),
            Self::Partition(partitions, wildcards) => {
                let key: String = wildcards.iter().map(|at| values[at - 1].as_str()).collect();
                let key = if wildcards.is_empty() { subject } else { &key };
                let mut hash = 0x811c_9dc5_u64;
                for byte in key.bytes() {
                    hash = ((hash ^ u64::from(byte)) * 0x0100_0193) % (1 << 32);
                }
                (hash % u64::from(*partitions)).to_string()
            }
            Self::Split(at, delimiter) => {
                let pieces = values[at - 1].split(*delimiter).filter(|piece| !piece.is_empty());
                pieces.collect::<Vec<_>>().join(".")
            }
            Self::Left(at, 0) | Self::SliceFromRight(at, 0) => values[at - 1].clone(),
            Self::Left(at, bytes) => values[at - 1].chars().take(*bytes).collect(),
            Self::SliceFromRight(at, bytes) => {
                let value = &values[at - 1];
                let is_cut = |place: usize| place > 0 && (value.len() - place).is_multiple_of(*bytes);
                let cut = |(place, char)| if is_cut(place) { format!(".{char}") } else { String::from(char) };
                value.char_indices().map(cut).collect()
            }
        }
    }
}

fn filter() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("*"), Just(">")], 1..5)
        .prop_map(|tokens| tokens.join("."))
        .prop_filter("a filter", |filter| !filter.contains(">."))
}

/// What an importer makes of `s.*.*` or `s.*.*.>`: all of its wildcards in some order, among literals.
fn destination() -> impl Strategy<Value = String> {
    let numbered = proptest::collection::vec(prop_oneof![Just("$1"), Just("$2"), Just("a")], 0..3);
    (numbered, any::<bool>(), Just(vec!["$1", "$2"])).prop_map(|(mut tokens, is_reversed, mut both)| {
        if is_reversed {
            both.reverse();
        }
        tokens.extend(both);
        tokens.join(".")
    })
}

proptest! {
    #[test]
    fn a_transform_makes_what_its_tokens_mean(
        tokens in proptest::collection::vec(token(), 1..5),
        values in proptest::collection::vec("[a-e]{1,5}", WILDCARDS),
        has_tail: bool,
    ) {
        let tail = if has_tail { ".>" } else { "" };
        let rest = if has_tail { ".x.y" } else { "" };
        let destination: Vec<String> = tokens.iter().map(Token::text).collect();
        let transform = Transform::new(&format!("s.*.*.t.*{tail}"), &format!("{}{tail}", destination.join(".")));
        let subject = format!("s.{}.{}.t.{}{rest}", values[0], values[1], values[2]);
        let expected: Vec<String> = tokens.iter().map(|token| token.value(&values, &subject)).collect();
        prop_assert_eq!(applied(&transform.expect("a transform"), &subject), format!("{}{rest}", expected.join(".")));
    }

    /// A subscription of the importer gets through its subscription at the exporter exactly what it asked for.
    #[test]
    fn what_is_reversed_matches_what_becomes_what_was_asked_for(
        destination in destination(),
        filter in filter(),
        has_tail: bool,
        subjects in proptest::collection::vec("s\\.[ab]\\.[ab]", 8),
        rests in proptest::collection::vec("(\\.[ab]){1,2}", 8),
    ) {
        let tail = if has_tail { ".>" } else { "" };
        let import = ImportTransform::new(&format!("s.*.*{tail}"), &format!("{destination}{tail}"));
        let import = import.expect("an import");
        let exported = import.reverse(filter.as_bytes());
        for (subject, rest) in subjects.iter().zip(&rests) {
            let subject = if has_tail { format!("{subject}{rest}") } else { subject.clone() };
            let mut mapped = Vec::new();
            import.apply(subject.as_bytes(), &mut mapped);
            let is_wanted = filter_matches(filter.as_bytes(), &mapped);
            let comes = exported.as_deref().is_some_and(|filter| filter_matches(filter, subject.as_bytes()));
            if filter.ends_with('>') {
                // The exporter may be asked for more, where `>` hides that a wildcard is named again.
                prop_assert!(comes || !is_wanted);
            } else {
                prop_assert_eq!(comes, is_wanted, "{:?} becomes {:?}", subject, mapped.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn no_text_is_too_odd_for_a_transform(
        source in "[a*>.]{0,6}",
        destination in "([a*>$.{}(),0-9 ]|\\{\\{|\\}\\}|split|[lL]eft|Random|slice|From){0,10}",
    ) {
        if let Ok(transform) = Transform::new(&source, &destination) {
            let _ = applied(&transform, &source.replace('*', "x").replace('>', "y.z"));
        }
        if let Ok(import) = ImportTransform::new(&source, &destination) {
            let _ = import.reverse(b"a.*.>");
        }
    }
}
