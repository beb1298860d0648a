//! The `mappings` of an account.

use super::super::fields::{self, Fault};
use super::super::{mappings, syntax};
use super::*;
use crate::config::{Mapping, MappingDestination};

/// Reads the one field of `text` as mappings.
fn read(text: &str) -> Result<Vec<Mapping>, String> {
    let document = syntax::parse("x.conf", text, &World).expect("a text without mistakes of syntax");
    let mut report = fields::Report::new(&document.files, &NoSources);
    let mut read = Vec::new();
    fields::read_fields(&document.root, &mut report, |field, report| {
        read = mappings::read(field, report)?;
        Ok::<(), Fault>(())
    });
    let (errors, _) = report.finish();
    if errors.is_empty() { Ok(read) } else { Err(errors.join("\n")) }
}

fn to(subject: &str, weight: u8, cluster: Option<&str>) -> MappingDestination {
    MappingDestination { subject: subject.into(), weight, cluster: cluster.map(str::to_owned) }
}

#[test]
fn mappings_are_read_in_the_order_of_the_text() {
    let text = "mappings {\n foo: bar, \"a.*\": [{destination: b.$1, weight: 50%}, {DEST: c, Weight: 40, cluster: X}]\n\
                Aa: {dest: \"d\", weight: \"+7%\", cluster: \"\"}, none: []\n }";
    let of_a = vec![to("b.$1", 50, None), to("c", 40, Some("X"))];
    let expected = [
        Mapping::simple("foo", "bar"),
        Mapping { source: "a.*".into(), destinations: of_a },
        Mapping { source: "Aa".into(), destinations: vec![to("d", 7, None)] },
        Mapping { source: "none".into(), destinations: Vec::new() },
    ];
    assert_eq!(read(text), Ok(expected.into()));
    assert_eq!(read("mappings {}"), Ok(Vec::new()));
    assert_eq!(read("mappings {\n foo: bar\n foo: baz\n }"), Ok(vec![Mapping::simple("foo", "baz")]));
}

#[test]
fn a_faulty_destination_is_told_in_nats_servers_words() {
    for (destination, message) in [
        ("5", "11: Expected an entry for the mapping destination"),
        ("true", "11: Expected an entry for the mapping destination"),
        ("[bar]", "17: Expected an entry for the mapping destination"),
        ("{}", "11: Missing weight for mapping destination \"\""),
        ("{dest: bar}", "11: Missing weight for mapping destination \"bar\""),
        ("[{destination: bar}]", "17: Missing weight for mapping destination \"bar\""),
        ("{destination: bar, weight: 101}", "35: Invalid weight 101 for mapping destination"),
        ("{destination: bar, weight: -1}", "35: Invalid weight -1 for mapping destination"),
        ("{destination: bar, weight: \"300%\"}", "35: Invalid weight 300 for mapping destination"),
        ("{destination: bar, weight: \" 50 %\"}", "35: Invalid weight \" 50 \" for mapping destination"),
        ("{destination: bar, weight: \"50%%\"}", "35: Invalid weight \"50%\" for mapping destination"),
        ("{destination: bar, weight: \"\"}", "35: Invalid weight \"\" for mapping destination"),
        ("{destination: bar, weight: 1.5}", "35: Unknown entry type for weight of 1.5"),
        ("{destination: bar, weight: true}", "35: Unknown entry type for weight of true"),
        ("{dest: bar, Bogus: 5}", "28: Unknown field \"Bogus\" for mapping destination"),
        ("[{dst: bar, weight: 5}]", "18: Unknown field \"dst\" for mapping destination"),
        (
            "\"x..y\"",
            "11: Error adding mapping for \"foo\" to \"x..y\" : invalid mapping destination: invalid transform",
        ),
        ("{dest: \"d.>\", weight: 5}", "11: Error adding mapping for \"foo\" : invalid subject"),
        (
            "[{dest: a, weight: 60},{dest: b, weight: 60}]",
            "11: Error adding mapping for \"foo\" : total weight needs to be <= 100",
        ),
        (
            "[{dest: a, weight: 6},{dest: a, weight: 6}]",
            "11: Error adding mapping for \"foo\" : duplicate entry for \"a\"",
        ),
        ("{dest: 5, weight: 5}", "17: expected a string for \"dest\", got int64"),
        (
            "{weight: 5}",
            "11: Error adding mapping for \"foo\" : invalid mapping destination: invalid transform",
        ),
    ] {
        let text = format!("mappings {{ foo: {destination} }}");
        let message = format!("x.conf:1:{message}");
        assert_eq!(read(&text), Err(message), "{text}");
    }
    assert_eq!(read("mappings: foo"), Err("x.conf:1:0: Expected map to define mappings, got string".into()));
}

#[test]
fn every_fault_is_told_at_its_place() {
    let text = "mappings {\n \"a.*\": \"b.$2\"\n \"a..\": x\n c: [{dest: d}, {dest: e, weight: f}]\n}";
    let expected = "x.conf:1:0: Subject \"a..\" is not a valid subject\n\
                    x.conf:2:3: Error adding mapping for \"a.*\" to \"b.$2\" : invalid mapping destination: wildcard index \
                    out of range in $2: [2]\n\
                    x.conf:4:6: Missing weight for mapping destination \"d\"\n\
                    x.conf:4:27: Invalid weight \"f\" for mapping destination";
    assert_eq!(read(text), Err(expected.to_owned()));
}
