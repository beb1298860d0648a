//! What nats-server subscribed to at the exporter (wire.md 1.13).

use super::*;

fn assert_reversed(source: &str, destination: &str, filters: &[(&str, &str)]) {
    let import = ImportTransform::new(source, destination).expect("an import");
    for (filter, exported) in filters {
        let reversed =
            import.reverse(filter.as_bytes()).map(|filter| String::from_utf8(filter).expect("text"));
        assert_eq!(reversed.as_deref().unwrap_or(""), *exported, "{source} to {destination} for {filter}");
    }
}

#[test]
fn what_the_importer_asks_for_is_asked_of_the_exporter_as_far_as_it_is_exported() {
    let filters = [
        ("got.*.here", "st.*"),
        ("got.5.here", "st.5"),
        ("got.>", "st.*"),
        (">", "st.*"),
        ("got.5.*", "st.5"),
        ("*.5.here", "st.5"),
        ("*.*.*", "st.*"),
        ("got.*.>", "st.*"),
        ("got.5.>", "st.5"),
        ("*.>", "st.*"),
        ("got", ""),
        ("got.*", ""),
        ("got.5.here.x", ""),
        ("got.5.here.>", ""),
        ("got.6.there", ""),
    ];
    assert_reversed("st.*", "got.$1.here", &filters);
    let filters = [
        ("x.1.2", "s2.2.1"),
        ("x.1.*", "s2.*.1"),
        ("x.*.2", "s2.2.*"),
        ("x.1.>", "s2.*.1"),
        ("*.*.*", "s2.*.*"),
    ];
    assert_reversed("s2.*.*", "x.$2.$1", &filters);
    assert_reversed("st.5", "k.l", &[("k.l", "st.5"), (">", "st.5"), ("k.m", "")]);
    assert_reversed(
        "s7.*.x",
        "k.{{wildcard(1)}}",
        &[("k.1", "s7.1.x"), ("*.1", "s7.1.x"), ("k.>", "s7.*.x")],
    );
}

#[test]
fn the_rest_of_a_subject_is_asked_for_as_it_is() {
    let filters = [
        ("y.>", "s3.>"),
        ("y.a", "s3.a"),
        ("y.*", "s3.*"),
        ("y.a.*", "s3.a.*"),
        (">", "s3.>"),
        ("*.a.>", "s3.a.>"),
        ("y.*.b", "s3.*.b"),
        ("y", ""),
    ];
    assert_reversed("s3.>", "y.>", &filters);
    let filters =
        [("z.1.>", "s4.1.>"), ("z.*.a", "s4.*.a"), ("*.1.a", "s4.1.a"), ("*.>", "s4.*.>"), ("z.1", "")];
    assert_reversed("s4.*.>", "z.$1.>", &filters);
    assert_reversed("s3.>", ">", &[("a", "s3.a"), (">", "s3.>"), ("a.>", "s3.a.>")]);
}

#[test]
fn a_star_is_the_next_wildcard() {
    let filters = [("*.m.*", "s2.*.*"), ("5.m.6", "s2.5.6"), ("5.*.6", "s2.5.6"), ("5.>", "s2.5.*")];
    assert_reversed("s2.*.*", "*.m.*", &filters);
    assert_reversed("s2.*.*", "m.$2.*", &[("m.6.5", "s2.5.6")]);
    assert_reversed("st.*", "pre.st.*", &[("pre.*.5", "st.5"), ("*.*.5", "st.5"), ("st.5", "")]);
}

#[test]
fn a_wildcard_that_is_named_twice_is_one_thing() {
    // nats-server crashes at all but the first.
    let filters = [("k.*.*", "st.*"), ("k.5.5", "st.5"), ("k.5.*", "st.5"), ("k.*.5", "st.5"), ("k.5.6", "")];
    assert_reversed("st.*", "k.$1.$1", &filters);
}

#[test]
fn messages_go_the_other_way() {
    let import = ImportTransform::new("s2.*.*", "m.$2.*").expect("an import");
    let mut out = Vec::new();
    import.apply(b"s2.5.6", &mut out);
    assert_eq!(out, b"m.6.5");
}

#[test]
fn what_cannot_be_reversed_is_refused() {
    for (source, destination, fault) in [
        ("st.*", "k", "invalid mapping destination: not using all of the token wildcard(s) in k"),
        ("s2.*.*", "k.$2", "invalid mapping destination: not using all of the token wildcard(s) in k.$2"),
        ("st.*", "k.$2", "invalid mapping destination: wildcard index out of range in $2: [2]"),
        ("s3.>", "k", "invalid subject"),
        ("st.*", "k..$1", "invalid subject"),
        ("st.*", "k..$2", "invalid subject"),
        ("st.*", "", "invalid subject"),
        ("st.*", "k.>.$1", "invalid subject"),
        ("st.*", "{{bogus(1)}}", "invalid mapping destination: unknown function in {{bogus(1)}}"),
        (
            "st.*",
            "k.{{left(1,1)}}",
            "invalid mapping destination: the only mapping function allowed for import transforms is {{Wildcard()}} \
             in {{left(1,1)}}",
        ),
    ] {
        let error = ImportTransform::new(source, destination).expect_err(destination);
        assert_eq!(error.to_string(), fault);
    }
    assert!(ImportTransform::new("st.*", "k.$1.$0").is_err());
}

#[test]
fn all_that_the_importer_hears_matches_one_filter() {
    for (source, destination, filter) in [
        ("st.*", "got.$1.here", "got.*.here"),
        ("st.*", "*", "*"),
        ("s2.*.*", "x.$2.{{wildcard(1)}}", "x.*.*"),
        ("s4.*.>", "z.$1.>", "z.*.>"),
        ("st.5", "k.l", "k.l"),
    ] {
        let import = ImportTransform::new(source, destination).expect("an import");
        assert_eq!(import.destination_filter(), filter.as_bytes(), "{source} to {destination}");
    }
}
