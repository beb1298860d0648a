//! The `permissions` field of a user.

use super::super::fields::{Report, read_fields};
use super::super::{permissions, syntax};
use super::*;
use crate::config::{Permissions, ResponsePermission, Rules, SubjectRule};

/// What a field `permissions` with this value says, or what is wrong with it.
fn try_read(value: &str) -> Result<Permissions, String> {
    let document = syntax::parse("x.conf", &format!("\npermissions: {value}"), &World)?;
    let mut report = Report::new(&document.files, &NoSources);
    let mut read = Permissions::default();
    read_fields(&document.root, &mut report, |field, report| {
        read = permissions::read(field, report)?;
        Ok(())
    });
    let (errors, _) = report.finish();
    if errors.is_empty() { Ok(read) } else { Err(errors.join("\n")) }
}

fn read(value: &str) -> Permissions {
    try_read(value).unwrap_or_else(|error| panic!("{value:?}: {error}"))
}

fn responses(value: &str) -> Option<ResponsePermission> {
    read(&format!("{{ allow_responses: {value} }}")).responses
}

fn subjects(subjects: &[&str]) -> Vec<SubjectRule> {
    subjects.iter().copied().map(SubjectRule::new).collect()
}

fn allow(list: Vec<SubjectRule>) -> Rules {
    Rules { allow: Some(list), deny: Vec::new() }
}

#[test]
fn what_may_be_published_and_subscribed_to_goes_by_three_names_and_three_forms() {
    let expected = Permissions {
        publish: allow(subjects(&["a.>"])),
        subscribe: Rules { allow: Some(subjects(&["b", "c"])), deny: subjects(&["d.*"]) },
        responses: None,
    };
    for [publish, subscribe] in [["publish", "subscribe"], ["pub", "sub"], ["import", "Export"]] {
        for one in ["'a.>'", "[ 'a.>' ]", "{ allow: 'a.>' }"] {
            let both = format!("{{ {publish}: {one}, {subscribe}: {{ allow: [b, c], deny: 'd.*' }} }}");
            assert_eq!(read(&both), expected, "{both}");
        }
    }
    assert_eq!(read("{ A: 'a.>', pub: $A }").publish, expected.publish, "a variable's name is no field");
}

#[test]
fn what_says_nothing_restricts_nothing() {
    let values =
        ["{}", "{ pub: [], sub: {} }", "{ pub: { allow: [], deny: [] } }", "{ allow_responses: false }"];
    for value in values {
        assert_eq!(read(value), Permissions::default(), "{value}");
    }
}

#[test]
fn an_entry_of_what_may_be_subscribed_to_can_name_queue_groups() {
    let entries = "{ sub: { allow: ['a', 'a.* q'], deny: ' b\\t\\n q.> ' } }";
    let expected = Rules {
        allow: Some(vec![SubjectRule::new("a"), SubjectRule::with_queue("a.*", "q")]),
        deny: vec![SubjectRule::with_queue("b", "q.>")],
    };
    assert_eq!(read(&entries.replace('\'', "\"")).subscribe, expected);
}

#[test]
fn answers_are_allowed_once_for_two_minutes_or_as_it_says() {
    let default = ResponsePermission { max: Some(1), expires: Some(Duration::from_secs(120)) };
    for value in ["true", "{}", "{ max: 0, expires: '0s' }", "{ expires: '-0s' }"] {
        assert_eq!(responses(value), Some(default), "{value}");
    }
    let limited = ResponsePermission { max: Some(5), expires: Some(Duration::from_millis(1500)) };
    for key in ["max", "max_msgs", "max_messages", "max_responses"] {
        for expires in ["expires", "expiration", "ttl"] {
            assert_eq!(responses(&format!("{{ {key}: 5, {expires}: '1.5s' }}")), Some(limited));
        }
    }
    let endless = ResponsePermission { max: None, expires: None };
    assert_eq!(responses("{ max: -1, expires: '-1s' }"), Some(endless));
    assert_eq!(responses("{ max: 99999999999 }").and_then(|responses| responses.max), Some(u32::MAX));
    assert_eq!(read("{ publish_allow_responses: true }").responses, Some(default));
}

#[test]
fn who_may_answer_may_publish_nothing_else_but_what_is_allowed() {
    for publish in ["", "publish: [],", "publish: {},", "publish: { deny: x },"] {
        let permissions = read(&format!("{{ {publish} allow_responses: true }}"));
        assert_eq!(permissions.publish.allow, Some(Vec::new()), "{publish:?}");
    }
    assert_eq!(read("{ allow_responses: true, pub: a }").publish, allow(subjects(&["a"])));
}

#[test]
fn a_faulty_permission_is_told() {
    let no_list = "Expected subject permissions to be a subject, or array of subjects, got";
    let no_text = "Subject in permissions array cannot be cast to string";
    let no_rule = "parsing subject permissions, only 'allow' or 'deny' are permitted";
    let no_responses = "error parsing response permissions, expected a boolean or a map";
    let expires = "error parsing expires";
    for (value, column, message) in [
        ("5", 1, "Expected permissions to be a map/struct, got int64"),
        ("{ Foo: 5 }", 16, "Unknown field \"Foo\" parsing permissions"),
        ("{ pub: 5 }", 16, &format!("{no_list} int64")),
        ("{ sub: { deny: true } }", 23, &format!("{no_list} bool")),
        ("{ sub: { deny: { a: b } } }", 23, &format!("{no_list} map")),
        ("{ sub: { Foo: 5 } }", 23, &format!("Unknown field name \"Foo\" {no_rule}")),
        ("{ sub: [ foo, 5 ] }", 28, no_text),
        ("{ pub: '' }", 16, "subject \"\" is not a valid subject"),
        ("{ pub: 'foo q' }", 16, "subject \"foo q\" is not a valid subject"),
        ("{ pub: [ a, b..c, d. ] }", 16, "subject \"b..c\" is not a valid subject"),
        ("{ pub: { deny: '>.a' } }", 23, "subject \">.a\" is not a valid subject"),
        ("{ sub: ' foo ' }", 16, "subject \" foo \" is not a valid subject"),
        ("{ sub: 'foo q r' }", 16, "subject \"foo q r\" is not a valid subject"),
        ("{ sub: 'foo. q' }", 16, "subject \"foo.\" is not a valid subject"),
        ("{ sub: 'foo q..r' }", 16, "queue \"q..r\" is not a valid queue"),
        ("{ allow_response: true }", 16, "Unknown field \"allow_response\" parsing permissions"),
        ("{ allow_responses: 'yes' }", 16, no_responses),
        ("{ allow_responses: { foo: 5 } }", 35, "Unknown field \"foo\" parsing permissions"),
        ("{ allow_responses: { max: 'x' } }", 35, "expected an integer for \"max\", got string"),
        ("{ allow_responses: { ttl: 5 } }", 35, &format!("{expires}, not a duration string")),
        ("{ allow_responses: { ttl: '-a' } }", 35, &format!("{expires}: time: invalid duration \"-a\"")),
    ] {
        let error = try_read(value).expect_err(value);
        assert_eq!(error, format!("x.conf:2:{column}: {message}"), "{value}");
    }
    let two = try_read("{ pub: a..b, sub: { foo: 1, deny: c..d } }").expect_err("all faults are told");
    assert_eq!(two.lines().count(), 3, "{two}");
}
