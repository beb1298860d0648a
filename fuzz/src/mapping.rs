//! Mappings of subjects: no text makes them panic, and what they are is what they do.

use fastrand::Rng;
use onehop::mapping::{Choice, ImportTransform, Mapping, MappingDestination, Mappings, Transform};
use onehop::wire::subject::filter_matches;

use crate::subject::matches;

/// Lines: the source, the destination, a subject, and a filter of an importer.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (source, destination) = (String::from_utf8_lossy(line()), String::from_utf8_lossy(line()));
    let (subject, filter) = (line(), line());
    assert_mapped(&source, &destination, subject);
    if let Ok(import) = ImportTransform::new(&source, &destination)
        && matches(source.as_bytes(), subject)
    {
        assert_reversed(&import, subject, filter);
    }
}

/// A mapping of half of the messages leaves the others where they are, or loses them if it is to its own source.
fn assert_mapped(source: &str, destination: &str, subject: &[u8]) {
    let half = MappingDestination { subject: destination.to_owned(), weight: 50, cluster: None };
    let mapping = Mapping { source: source.to_owned(), destinations: vec![half] };
    let transform = Transform::new(source, destination);
    let mappings = Mappings::new(&[mapping], None);
    assert_eq!(transform.is_ok(), mappings.is_ok(), "a mapping is as valid as its transform");
    let (Ok(transform), Ok(mappings)) = (transform, mappings) else { return };
    let Some(choice) = mappings.find(subject) else { return };
    assert!(matches(source.as_bytes(), subject), "mapped, and its filter does not match");
    let Choice::Drawn(draw) = &choice else { panic!("half of them stay or are lost") };
    if let Some(naive) = naively_mapped(source, destination, subject) {
        let mapped = applied(|rng, out| transform.apply(subject, rng, out));
        assert_eq!(
            mapped.escape_ascii().to_string(),
            naive.escape_ascii().to_string(),
            "mapped token by token"
        );
    }
    let is_same = source == destination;
    assert_eq!(draw.destinations().len(), if is_same { 1 } else { 2 });
    let mapped = applied(|rng, out| transform.apply(subject, rng, out));
    for _ in 0..4 {
        let drawn = applied(|rng, out| choice.apply(subject, rng, out));
        let others: &[u8] = if is_same { b"" } else { subject };
        assert!(transform.is_random() || drawn == mapped || drawn == others);
    }
}

/// What becomes of a subject where the destination has nothing but words and the wildcards of the source, `$1` or
/// `{{wildcard(1)}}`, and what `>` stands for at the end. None where there is more to it.
fn naively_mapped(source: &str, destination: &str, subject: &[u8]) -> Option<Vec<u8>> {
    let tokens: Vec<_> = subject.split(|byte| *byte == b'.').collect();
    let sources: Vec<_> = source.split('.').collect();
    let stars: Vec<_> = (0..sources.len()).filter(|at| sources[*at] == "*").collect();
    let mut mapped: Vec<&[u8]> = Vec::new();
    for token in destination.split('.') {
        let numbered = token.strip_prefix("{{wildcard(").and_then(|rest| rest.strip_suffix(")}}"));
        match numbered.or_else(|| token.strip_prefix('$')) {
            Some(number) if number.len() == 1 => {
                let place = number.parse::<usize>().ok()?.checked_sub(1)?;
                mapped.push(tokens[*stars.get(place)?]);
            }
            None if token == ">" => mapped.extend(&tokens[sources.len() - 1..]),
            None if !token.contains(['{', '}', '*']) => mapped.push(token.as_bytes()),
            _ => return None,
        }
    }
    Some(mapped.join(&b'.'))
}

fn applied(apply: impl FnOnce(&mut Rng, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    apply(&mut Rng::with_seed(0), &mut out);
    out
}

/// What an importer asks for comes through the filter at its exporter; and the subject that a message has for it leads back to the
/// message's own.
fn assert_reversed(import: &ImportTransform, subject: &[u8], filter: &[u8]) {
    let mut mapped = Vec::new();
    import.apply(subject, &mut mapped);
    if filter_matches(filter, &mapped) && onehop::wire::subject::is_valid_filter(filter) {
        let exported = import.reverse(filter).expect("what matches is exported");
        assert!(filter_matches(&exported, subject), "what was asked for does not come");
    }
    let is_literal = |subject: &[u8]| onehop::wire::subject::is_valid_publish(subject);
    if is_literal(subject) && is_literal(&mapped) {
        assert_eq!(import.reverse(&mapped).as_deref(), Some(subject), "there and back again");
    }
}
