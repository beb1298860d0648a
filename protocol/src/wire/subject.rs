//! What subjects and filters mean (wire.md 1.5): tokens between dots, `*` for one token and `>` for one or more at
//! the end, each only when it is a whole token.

/// The tokens of a subject or filter; empty ones too.
pub fn tokens(subject: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
    subject.split(|&byte| byte == b'.')
}

/// Whether a subscription to it is possible: no empty token, `>` at the end only, and none of the bytes that separate
/// arguments. Every other byte may stand in a token.
pub fn is_valid_filter(filter: &[u8]) -> bool {
    let mut is_last = false;
    tokens(filter).all(|token| {
        let follows_last = is_last;
        is_last = token == b">";
        !follows_last && is_valid_token(token)
    })
}

/// Whether a message can be published to it, as it is checked for pedantic clients: no empty token and no wildcard.
pub fn is_valid_publish(subject: &[u8]) -> bool {
    tokens(subject).all(|token| is_valid_token(token) && token != b"*" && token != b">")
}

fn is_valid_token(token: &[u8]) -> bool {
    !token.is_empty() && !token.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// Whether a filter's first token is a wildcard, so that it may match subjects that begin with anything.
pub fn starts_with_wildcard(filter: &[u8]) -> bool {
    matches!(filter, [b'*'] | [b'*', b'.', ..] | [b'>'])
}

/// Whether a message to `subject` is for those who subscribed to `filter`.
///
/// Wildcards in the subject are ordinary tokens: `foo.*` matches the filters `foo.*` and `foo.>`, not `foo.bar`. A subject
/// with an empty token matches nothing. Both are taken token by token, in time proportional to their length; an index does
/// better for many filters, and is tested against this.
pub fn filter_matches(filter: &[u8], subject: &[u8]) -> bool {
    let mut filter = tokens(filter);
    let mut subject = tokens(subject);
    loop {
        match (filter.next(), subject.next()) {
            (None, None) => return true,
            (_, Some(b"")) | (None, Some(_)) | (Some(_), None) => return false,
            (Some(b">"), Some(_)) => return subject.all(|token| !token.is_empty()),
            (Some(pattern), Some(token)) if pattern == b"*" || pattern == token => {}
            _ => return false,
        }
    }
}

/// Whether a filter matches all that `part` does, which is a filter, too. Both are valid.
pub fn filter_covers(filter: &[u8], part: &[u8]) -> bool {
    let mut filter = tokens(filter);
    let mut part = tokens(part);
    loop {
        match (filter.next(), part.next()) {
            (None, None) | (Some(b">"), Some(_)) => return true,
            (Some(b"*"), Some(token)) if token != b">" => {}
            (Some(pattern), Some(token)) if pattern == token => {}
            _ => return false,
        }
    }
}

/// Whether there is a subject that both filters match. Both are valid.
pub fn filters_overlap(one: &[u8], other: &[u8]) -> bool {
    let mut one = tokens(one);
    let mut other = tokens(other);
    loop {
        match (one.next(), other.next()) {
            (None, None) | (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(token), Some(wanted)) if token == wanted || token == b"*" || wanted == b"*" => {}
            _ => return false,
        }
    }
}

/// Whether a filter matches more than one subject.
pub fn has_wildcard(filter: &[u8]) -> bool {
    tokens(filter).any(|token| token == b"*" || token == b">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_have_no_empty_token_and_nothing_after_the_tail_wildcard() {
        let valid: [&[u8]; 12] = [
            b"a",
            b"a.b",
            b">",
            b"*",
            b"*.*.>",
            b"a.*.b",
            b">>",
            b"foo*bar",
            b"foo.x>",
            b"\xff\xfe",
            b"a\0b",
            b"a\x0cb",
        ];
        for filter in valid {
            assert!(is_valid_filter(filter), "{filter:?}");
        }
        let invalid: [&[u8]; 11] =
            [b"", b".", b"a.", b".a", b"a..b", b"a.>.b", b">.a", b">.", b"a b", b"a\tb", b"a\r\nb"];
        for filter in invalid {
            assert!(!is_valid_filter(filter), "{filter:?}");
        }
    }

    #[test]
    fn published_subjects_have_no_wildcard_token() {
        for subject in [&b"a"[..], b"foo*bar", b"a>b", b"a.b>", b"a.**", b">>", b"$SYS.x", b"\xff"] {
            assert!(is_valid_publish(subject), "{subject:?}");
        }
        for subject in [&b""[..], b"*", b">", b"a.*", b"*.a", b"a.>", b"a.>.b", b"a.", b".a", b"a..b", b"."] {
            assert!(!is_valid_publish(subject), "{subject:?}");
        }
    }

    #[test]
    fn wildcards_match_whole_tokens_only() {
        let matches: [(&[u8], &[u8]); 11] = [
            (b"a", b"a"),
            (b"a.*", b"a.b"),
            (b"*.b", b"a.b"),
            (b"a.>", b"a.b"),
            (b"a.>", b"a.b.c"),
            (b">", b"$SYS.x"),
            (b"*.*", b"a.b"),
            (b"foo*bar", b"foo*bar"),
            (b"foo.*", b"foo.*"),
            (b"foo.>", b"foo.*"),
            (b"*.>", b"a.b.c"),
        ];
        for (filter, subject) in matches {
            assert!(filter_matches(filter, subject), "{filter:?} {subject:?}");
        }
        let misses: [(&[u8], &[u8]); 11] = [
            (b"a", b"b"),
            (b"a.*", b"a"),
            (b"a.>", b"a"),
            (b"a.*", b"a.b.c"),
            (b"a.b", b"a"),
            (b"a", b"a.b"),
            (b"foo.bar", b"foo.*"),
            (b"foo*bar", b"fooXbar"),
            (b">", b"a..b"),
            (b"a.*.b", b"a..b"),
            (b">", b"a."),
        ];
        for (filter, subject) in misses {
            assert!(!filter_matches(filter, subject), "{filter:?} {subject:?}");
        }
    }

    #[test]
    fn a_wildcard_in_front_is_a_token_of_its_own() {
        for filter in [&b"*"[..], b">", b"*.a"] {
            assert!(starts_with_wildcard(filter));
        }
        for filter in [&b"a.*"[..], b"*a", b">>", b"**.a", b""] {
            assert!(!starts_with_wildcard(filter));
        }
    }

    #[test]
    fn tokens_can_be_empty() {
        assert_eq!(tokens(b"a..b").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
        assert_eq!(tokens(b"").collect::<Vec<_>>(), [b""]);
    }

    #[test]
    fn a_filter_covers_another_that_matches_no_more() {
        for (filter, part) in
            [("a.>", "a.b"), ("a.>", "a.*"), ("a.>", "a.*.>"), (">", "a"), ("a.*", "a.*"), ("a", "a")]
        {
            assert!(filter_covers(filter.as_bytes(), part.as_bytes()), "{filter} {part}");
        }
        for (filter, part) in
            [("a.*", "a.>"), ("*", ">"), ("a.>", "a"), ("a.b", "a.*"), ("a.*", "a.b.c"), ("a.b", "a")]
        {
            assert!(!filter_covers(filter.as_bytes(), part.as_bytes()), "{filter} {part}");
        }
    }

    #[test]
    fn filters_overlap_where_both_match_a_subject() {
        for (one, other) in [("a.*", "*.b"), ("a.>", "*.b.c"), (">", "a"), ("a", "a"), ("*.>", "a.*")] {
            assert!(filters_overlap(one.as_bytes(), other.as_bytes()), "{one} {other}");
            assert!(filters_overlap(other.as_bytes(), one.as_bytes()), "{one} {other}");
        }
        for (one, other) in [("a.*", "b.*"), ("a.>", "a"), ("*", "a.b"), ("a.b", "a.c")] {
            assert!(!filters_overlap(one.as_bytes(), other.as_bytes()), "{one} {other}");
            assert!(!filters_overlap(other.as_bytes(), one.as_bytes()), "{one} {other}");
        }
        assert!(has_wildcard(b"a.*") && has_wildcard(b">") && !has_wildcard(b"a*.b"));
    }
}
