//! Many filters in one tree of tokens, asked which of them match.

use std::collections::BTreeMap;

use crate::wire::subject::tokens;

/// A map from filters to values. It is built once and asked in time that depends on the tokens of what is asked, and on how many
/// filters differ from it by their stars only; the number of all filters counts by its logarithm.
///
/// Nodes lie in one row and name each other by their place in it, so that nothing here recurses, however long a filter is.
#[derive(Clone, Debug)]
pub struct Filters<T = ()> {
    /// The root comes first; none if there are no filters.
    nodes: Vec<Node<T>>,
}

/// What follows one prefix of tokens.
#[derive(Clone, Debug)]
struct Node<T> {
    literals: BTreeMap<Box<[u8]>, usize>,
    star: Option<usize>,
    /// Of the filter that goes on with `>` and ends.
    tail: Option<T>,
    /// Of the filter that ends here.
    end: Option<T>,
}

/// A node, and what is left to be read below it: nothing at the end.
type At<'a> = (usize, Option<&'a [u8]>);

impl<T> Default for Filters<T> {
    fn default() -> Self {
        Self { nodes: Vec::new() }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: BTreeMap::new(), star: None, tail: None, end: None }
    }
}

impl<'a> FromIterator<&'a [u8]> for Filters {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(filters: I) -> Self {
        let mut all = Self::default();
        filters.into_iter().for_each(|filter| all.insert(filter));
        all
    }
}

impl Filters {
    /// Adds a filter.
    pub fn insert(&mut self, filter: &[u8]) {
        self.get_or_insert_default(filter);
    }

    /// Whether any filter matches `subject`, by the rules of [`filter_matches`](crate::wire::subject::filter_matches).
    pub fn match_subject(&self, subject: &[u8]) -> bool {
        self.any(subject, |()| true)
    }

    /// Whether any filter matches the name of a queue group.
    ///
    /// A name is not checked when a client comes with it, and its tokens are taken a little otherwise than those of a subject: a
    /// star stands neither for an empty token nor for `>`, and the tail for all that there may be.
    pub fn match_group(&self, name: &[u8]) -> bool {
        self.walk(name, |token| !token.is_empty() && token != b">", |()| true)
    }
}

impl<T> Filters<T> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The value of a filter, which is added if it is missing.
    pub fn get_or_insert_default(&mut self, filter: &[u8]) -> &mut T
    where
        T: Default,
    {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for token in tokens(filter) {
            if token == b">" {
                return self.nodes[at].tail.get_or_insert_default();
            }
            at = self.child(at, token);
        }
        self.nodes[at].end.get_or_insert_default()
    }

    /// Shows `is_wanted` the value of each filter that matches `subject`, in no particular order and until it wants one; whether
    /// it did.
    pub fn any(&self, subject: &[u8], is_wanted: impl FnMut(&T) -> bool) -> bool {
        !tokens(subject).any(<[u8]>::is_empty) && self.walk(subject, |_| true, is_wanted)
    }

    /// The node that one more token leads to, which is added if it is missing.
    fn child(&mut self, at: usize, token: &[u8]) -> usize {
        let new = self.nodes.len();
        let node = &mut self.nodes[at];
        let child = match token {
            b"*" => *node.star.get_or_insert(new),
            _ => *node.literals.entry(token.into()).or_insert(new),
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    /// Goes down all ways that the tokens of `text` lead, of two the literal first.
    fn walk(
        &self,
        text: &[u8],
        star_takes: impl Fn(&[u8]) -> bool,
        mut is_wanted: impl FnMut(&T) -> bool,
    ) -> bool {
        let mut left: Vec<At<'_>> = Vec::new();
        let mut next = (!self.is_empty()).then_some((0, Some(text)));
        while let Some((at, rest)) = next.take().or_else(|| left.pop()) {
            let node = &self.nodes[at];
            let value = if rest.is_some() { &node.tail } else { &node.end };
            if value.as_ref().is_some_and(&mut is_wanted) {
                return true;
            }
            let Some((token, rest)) = rest.map(split_token) else {
                continue;
            };
            let literal = node.literals.get(token);
            let star = node.star.filter(|_| star_takes(token));
            match (literal, star) {
                (Some(literal), star) => {
                    next = Some((*literal, rest));
                    left.extend(star.map(|star| (star, rest)));
                }
                (None, star) => next = star.map(|star| (star, rest)),
            }
        }
        false
    }
}

/// The first token and what follows its dot.
fn split_token(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'.', text) {
        Some(dot) => (&text[..dot], Some(&text[dot + 1..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_that_matches_is_shown_once_until_one_is_wanted() {
        let mut filters = Filters::<u32>::default();
        for (value, filter) in ["a.b", "a.*", "*.b", ">", "a.>", "a", "a.b.c", "b.*"].iter().enumerate() {
            *filters.get_or_insert_default(filter.as_bytes()) = value as u32;
        }
        let mut shown = Vec::new();
        assert!(!filters.any(b"a.b", |value| {
            shown.push(*value);
            false
        }));
        shown.sort_unstable();
        assert_eq!(shown, [0, 1, 2, 3, 4]);
        let mut count = 0;
        assert!(filters.any(b"a.b", |_| {
            count += 1;
            true
        }));
        assert_eq!(count, 1);
    }

    #[test]
    fn a_queue_groups_name_is_taken_token_by_token_whatever_it_is() {
        let matches =
            |pattern: &str, name: &str| Filters::from_iter([pattern.as_bytes()]).match_group(name.as_bytes());
        for (pattern, name) in [
            ("q", "q"),
            ("*", "q"),
            ("*", "*"),
            ("q.*", "q.a"),
            (">", ">"),
            ("q.>", "q."),
            ("q.>", "q..a"),
            (">", "."),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("q", "r"),
            ("*", ">"),
            ("q.*", "q.>"),
            ("q.*", "q."),
            ("*.*", ".q"),
            ("q.*.a", "q..a"),
            ("*.>", ".q"),
            ("q.>", "q"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn very_many_and_very_long_filters_are_no_burden() {
        let many = (0..100_000).map(|i| format!("a.{i}.*.x"));
        let long = [vec!["*"; 100_000].join("."), vec!["a"; 100_000].join(".")];
        let mut filters = Filters::default();
        many.chain(long).for_each(|filter| filters.insert(filter.as_bytes()));
        for i in 0..100_000 {
            assert!(filters.match_subject(format!("a.{i}.b.x").as_bytes()));
            assert!(!filters.match_subject(format!("a.{i}.b.y").as_bytes()));
        }
        assert!(filters.match_subject(vec!["b"; 100_000].join(".").as_bytes()));
        assert!(!filters.match_subject(vec!["a"; 100_001].join(".").as_bytes()));
    }

    #[test]
    fn no_filters_match_nothing_and_take_no_memory() {
        let none = Filters::<()>::default();
        assert!(none.is_empty() && !none.match_subject(b"a") && !none.match_group(b"a"));
        assert_eq!(none.nodes.capacity(), 0);
    }
}
