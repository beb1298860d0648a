//! What tenants may share, as patterns: what a subject of one is to the other, and which filters it is heard by.

/// One kind of import: a subject, or all that begins alike, as both sides know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// As its exporter knows it.
    pub subject: &'static str,
    /// As its importer does. Where one ends in a wildcard the other ends in the same.
    pub known_as: &'static str,
    /// What the exporter publishes, or whom the importer may ask.
    pub is_stream: bool,
}

/// All that tenants may share. Of one exporter, no two streams have a subject in common, nor of one importer two services: so a
/// message is heard under one name of one account at most once (`Tenants::places`).
pub const SHAPES: [Shape; 5] = [
    Shape { subject: "a.>", known_as: "a.>", is_stream: true },
    Shape { subject: "b.*", known_as: "a.*", is_stream: true },
    Shape { subject: "c", known_as: "from.c", is_stream: true },
    Shape { subject: "b.a", known_as: "c", is_stream: false },
    Shape { subject: "b.*", known_as: "b.*", is_stream: false },
];

impl Shape {
    /// What an exporter's subject is to the importer, if it is one of these.
    pub(super) fn imported(&self, subject: &str) -> Option<String> {
        renamed(subject, self.subject, self.known_as)
    }

    /// What an importer's subject is to the exporter, if it is one of these.
    pub(super) fn exported(&self, subject: &str) -> Option<String> {
        renamed(subject, self.known_as, self.subject)
    }

    /// The filter that an exporter has for what an importer hears by `filter`, if it hears any of it.
    pub(super) fn asked_of_exporter(&self, filter: &str) -> Option<String> {
        let (start, _) = split(self.known_as);
        let (exported, wildcard) = split(self.subject);
        let mut rest = filter.split('.');
        for token in start.split_terminator('.') {
            match rest.next()? {
                ">" => return Some(self.subject.to_owned()),
                "*" => {}
                wanted if wanted == token => {}
                _ => return None,
            }
        }
        let rest: Vec<_> = rest.collect();
        match (wildcard, &rest[..]) {
            ("", []) => Some(exported.to_owned()),
            ("", _) | (_, []) => None,
            ("*", [">"]) => Some(format!("{exported}*")),
            ("*", [_, _, ..]) => None,
            _ => Some(format!("{exported}{}", rest.join("."))),
        }
    }
}

/// A pattern without the wildcard at its end, and that; empty if it has none.
fn split(pattern: &str) -> (&str, &str) {
    pattern.split_at(pattern.trim_end_matches(['*', '>']).len())
}

/// What becomes of a subject of one pattern by another with the same wildcard.
fn renamed(subject: &str, from: &str, to: &str) -> Option<String> {
    let ((start, wildcard), (renamed, _)) = (split(from), split(to));
    let rest = subject.strip_prefix(start)?;
    let is_of_it = match wildcard {
        "" => rest.is_empty(),
        "*" => !rest.is_empty() && !rest.contains('.'),
        _ => !rest.is_empty(),
    };
    is_of_it.then(|| format!("{renamed}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(subject: &'static str, known_as: &'static str) -> Shape {
        Shape { subject, known_as, is_stream: true }
    }

    #[test]
    fn subjects_are_renamed_in_both_directions() {
        let there_and_back = |shape: Shape, subject: &str, known_as: &str| {
            assert_eq!(shape.imported(subject).as_deref(), Some(known_as));
            assert_eq!(shape.exported(known_as).as_deref(), Some(subject));
        };
        there_and_back(stream("s.>", "x.y.>"), "s.1.2", "x.y.1.2");
        there_and_back(stream("s.*", "x.*"), "s.1", "x.1");
        there_and_back(stream("s", "x.1"), "s", "x.1");
        assert_eq!(stream("s.*", "x.*").imported("s.1.2"), None);
        assert_eq!(stream("s.>", "x.>").imported("s"), None);
        assert_eq!(stream("s", "x").imported("s.1"), None);
    }

    #[test]
    fn a_filter_asks_an_exporter_for_no_more_than_it_hears() {
        for (known_as, filter, expected) in [
            ("x.>", ">", Some("s.>")),
            ("x.>", "x.>", Some("s.>")),
            ("x.>", "*.1", Some("s.1")),
            ("x.>", "x.*.2", Some("s.*.2")),
            ("x.>", "y.1", None),
            ("x.>", "x", None),
            ("x.*", "x.>", Some("s.*")),
            ("x.*", "x.1", Some("s.1")),
            ("x.*", "*.*", Some("s.*")),
            ("x.*", "x.1.2", None),
            ("x.y", "x.*", Some("s")),
            ("x.y", "x.>", Some("s")),
            ("x.y", "x", None),
            ("x.y", "x.y.z", None),
        ] {
            let subject = ["s", "s.*", "s.>"][known_as.chars().last().map_or(0, |last| match last {
                '*' => 1,
                '>' => 2,
                _ => 0,
            })];
            assert_eq!(stream(subject, known_as).asked_of_exporter(filter).as_deref(), expected, "{filter}");
        }
    }
}
