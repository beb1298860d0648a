//! What nats-server made of these subjects and destinations (wire.md 1.13).

use super::*;

fn assert_mapped(source: &str, destination: &str, subjects: &[(&str, &str)]) {
    let transform = Transform::new(source, destination).expect("a transform");
    for (subject, mapped) in subjects {
        assert_eq!(applied(&transform, subject), *mapped, "{source} to {destination} of {subject}");
    }
}

fn assert_faulty(source: &str, faults: &[(&str, &str)]) {
    for (destination, fault) in faults {
        let error = Transform::new(source, destination).expect_err(destination).to_string();
        assert_eq!(error.trim_start_matches("invalid mapping destination: "), *fault, "{destination:?}");
    }
}

#[test]
fn wildcards_take_their_places_in_any_order_and_as_often_as_they_are_named() {
    assert_mapped("foo", "bar", &[("foo", "bar")]);
    assert_mapped("s.*.*", "d.$1.$1.$2", &[("s.x.y", "d.x.x.y")]);
    assert_mapped("s.*.*", "$2.{{wildcard(1)}}", &[("s.x.y", "y.x")]);
    assert_mapped("s.*", "d.c", &[("s.x", "d.c")]);
    assert_mapped("s.*.c", "d.$1.{{wildcard(1)}}", &[("s.b.c", "d.b.b")]);
    assert_mapped("s.>", "d.>", &[("s.x.y", "d.x.y"), ("s.x", "d.x")]);
    assert_mapped("s.*.>", "d.>", &[("s.x.y", "d.y"), ("s.x.y.z", "d.y.z")]);
    assert_mapped("s.*.>", "d.$1.c.>", &[("s.x.y.z", "d.x.c.y.z")]);
    assert_mapped(">", ">", &[("x.y", "x.y")]);
}

#[test]
fn a_wildcard_below_one_is_the_first_token() {
    for destination in ["d.$0", "d.$-1", "d.{{wildcard(0)}}", "d.{{wildcard(-1)}}", "d.{{split(0,-)}}"] {
        assert_mapped("s1.*", destination, &[("s1.x", "d.s1")]);
    }
    assert_mapped("s78.*", "d.{{left(-1,2)}}", &[("s78.x", "d.s7")]);
}

#[test]
fn what_is_no_function_is_a_literal() {
    for token in [
        "{{}}",
        "{{wildcard(1)",
        "x{{wildcard(1)}}",
        "{{wildcard(1)}}x",
        "$1x",
        "x$1",
        "$x",
        "$",
        "$1_0",
        ">>",
        "**",
    ] {
        assert_mapped("s.*", &format!("d.{token}"), &[("s.y", &format!("d.{token}"))]);
    }
    for text in ["{{split(1,.)}}", "{{wildcard(1.0)}}"] {
        assert_mapped("s.*", text, &[("s.y", text)]);
    }
    assert_mapped("s.*", "$99999999999999999999", &[("s.y", "$99999999999999999999")]);
}

#[test]
fn functions_may_have_blanks_and_a_capital_for_each_word() {
    let spellings = [
        "$01",
        "$+1",
        "{{Wildcard(1)}}",
        "{{ wildcard ( 1 ) }}",
        "{{\twildcard(1)\t}}",
        "{{{wildcard(1)}}}",
        "{{{{wildcard(1)}}}}",
        "{{wildcard(+1)}}",
        "{{x{{left(1,9)}}",
        "{{left(1,9)}}x}}",
        "{{left (1,\t9)}}",
        "{{SplitFromleft(1,0)}}",
        "{{split( 1 ,  -)}}",
    ];
    for spelling in spellings {
        assert_mapped("s.*", spelling, &[("s.y", "y")]);
    }
    assert_mapped("s.*", "{{split(1,a)b)}}", &[("s.xa)by", "x.y")]);
    let unknown = [
        "{{ }}",
        "{{bogus(1)}}",
        "{{WILDCARD(1)}}",
        "{{SLICEFROMLEFT(1,1)}}",
        "{{Split_From_Left(1,2)}}",
        "{{wildcard}}",
        "{{wildcard(1}}",
        "{{wildcard(1)x}}",
        "{{(1)}}",
        "{{}}}",
        "{{bo gus(1)}}",
    ];
    for token in unknown {
        assert_faulty("s.*", &[(token, &format!("unknown function in {token}"))]);
    }
}

#[test]
fn partitions_are_those_of_nats_server() {
    assert_mapped("s20.*", "{{partition(3)}}", &[("s20.x", "0"), ("s20.y", "2"), ("s20.zz", "2")]);
    assert_mapped("s.*", "{{partition(0)}}", &[("s.x", "0")]);
    assert_mapped("s.*", "{{partition(1)}}", &[("s.x", "0")]);
    assert_mapped("s.*", "{{partition(-3,1)}}", &[("s.x", "4245442695"), ("s.y", "4228665076")]);
    assert_mapped("s23.*", "{{partition(3,0)}}", &[("s23.x", "1")]);
    let of_two = [("s.x.y", "2"), ("s.xy.z", "8"), ("s.x.yz", "8")];
    assert_mapped("s.*.*", "{{partition(10,1,2)}}", &of_two);
    assert_mapped("s.*.*", "{{Partition( 10 ,2 ,1)}}", &[("s.x.y", "4"), ("s.a.bc", "7")]);
    assert_mapped("s.*.*", "{{partition(10,1,1)}}", &[("s.x.y", "1"), ("s.a.bc", "7")]);
    let large =
        [("s.x", "2097959048"), ("s.y", "2081181429"), ("s.zz", "1466432373"), ("s.abcdef", "2135394859")];
    assert_mapped("s.*", "{{partition(2147483647,1)}}", &large);
    assert_mapped("s28.*.*", "{{partition(1000)}}", &[("s28.x.y", "339")]);
    assert_mapped("s.*.*.>", "{{wildcard(2)}}.{{partition(5,1)}}.>", &[("s.c.e.f", "e.3.f")]);
}

#[test]
fn a_source_without_wildcards_is_partitioned_as_a_whole() {
    for (source, wildcards, partition) in [
        ("lit.a.b", ",0", "431"),
        ("lit.a.c", ",1", "812"),
        ("lit.a.d", ",2", "193"),
        ("lit.a.e", ",1,2", "574"),
        ("lit.a.f", ",-1", "955"),
        ("lit.a.g", ",3", "336"),
        ("lit.a.g", "", "336"),
    ] {
        assert_mapped(source, &format!("{{{{partition(1000{wildcards})}}}}"), &[(source, partition)]);
    }
}

#[test]
fn tokens_are_split_at_delimiters_and_empty_pieces_are_left_out() {
    let dashes =
        [("s.a-b-c", "d.a.b.c"), ("s.-a--b-", "d.a.b"), ("s.-", "d."), ("s.--", "d."), ("s.ab", "d.ab")];
    assert_mapped("s.*", "d.{{split(1,-)}}", &dashes);
    assert_mapped("s.*", "{{split(1,--)}}", &[("s.a--b-c", "a.b-c"), ("s.a---b", "a.-b")]);
    assert_mapped("s.*", "{{split(1,*)}}", &[("s.a*b", "a.b")]);
    assert_mapped("s.*", "q.{{split(1,-)}}.r", &[("s.-", "q..r"), ("s.a-b", "q.a.b.r")]);
    assert_mapped(
        "s.*",
        "{{split(1,)}}.{{split(1, )}}",
        &[("s.abc", "a.b.c.a.b.c"), ("s.\u{e4}b", "ä.b.ä.b")],
    );
    assert_mapped("s.*.*", "{{split(2,-)}}.x", &[("s.abc.d-e", "d.e.x")]);
}

#[test]
fn tokens_are_cut_at_so_many_bytes_unless_they_are_too_short() {
    for (function, long, odd, even) in [
        ("splitFromLeft", "ab.cdef", "ab.c", "ab"),
        ("splitFromRight", "abcd.ef", "a.bc", "ab"),
        ("sliceFromLeft", "ab.cd.ef", "ab.c", "ab"),
        ("sliceFromRight", "ab.cd.ef", "a.bc", "ab"),
        ("left", "ab", "ab", "ab"),
        ("right", "ef", "bc", "ab"),
    ] {
        let subjects = [("s.abcdef", long), ("s.abc", odd), ("s.ab", even), ("s.a", "a")];
        assert_mapped("s.*", &format!("{{{{{function}(1,2)}}}}"), &subjects);
        assert_mapped("s.*", &format!("{{{{{function}(1,0)}}}}"), &[("s.abc", "abc")]);
        assert_mapped("s.*", &format!("{{{{{function}(1,-1)}}}}"), &[("s.abc", "abc")]);
    }
    let mut out = Vec::new();
    let left = Transform::new("s.*", "{{left(1,1)}}").expect("a transform");
    left.apply("s.ä".as_bytes(), &mut Rng::new(), &mut out);
    assert_eq!(out, b"\xc3", "a character can be cut");
}

#[test]
fn random_numbers_are_below_their_number() {
    let transform = Transform::new("s", "d.{{random(3)}}").expect("a transform");
    assert!(transform.is_random());
    let mut rng = Rng::with_seed(1);
    let mut seen: Vec<Vec<u8>> = (0..100)
        .map(|_| {
            let mut out = Vec::new();
            transform.apply(b"s", &mut rng, &mut out);
            out
        })
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, [b"d.0", b"d.1", b"d.2"]);
    for numbers in ["1", " 0 ", "-1", "-2147483649"] {
        let destination = format!("{{{{Random({numbers})}}}}");
        assert!(!Transform::new("s", &destination).expect("a transform").is_random());
        assert_mapped("s", &destination, &[("s", "0")]);
    }
}

#[test]
fn destinations_that_do_not_fit_their_source_are_refused() {
    for source in ["", "a..b", "a.>.b", "a b"] {
        assert_eq!(Transform::new(source, "b"), Err(TransformError::InvalidSubject), "{source:?}");
    }
    for (source, destination) in [
        ("a.*", "b.*"),
        ("a.*", "b.>"),
        ("a.>", "b"),
        ("a.>", "b.$1"),
        ("a", "b.>"),
        ("a", "b.*"),
        ("a.*.*", "b.*.$1"),
        ("a.*", "b.*.$2"),
        ("a.*", "b.$2.>"),
        ("a.*", "b.{{wildcard(x)}}.*"),
        ("a.*", ">"),
        (">", "b"),
    ] {
        assert_faulty(source, &[(destination, "invalid subject")]);
    }
    for (destination, fault) in [
        ("", "invalid transform"),
        ("c..d", "invalid transform"),
        ("c.", "invalid transform"),
        ("c d", "invalid transform"),
        ("b.$ 1", "invalid transform"),
        ("b.{{wildcard(1)}} ", "invalid transform"),
        ("b.{{wildcard(x)}}..c", "invalid transform"),
        ("b.{{bogus(1)}}..c", "unknown function in {{bogus(1)}}"),
        ("b.$9.{{bogus(1)}}", "unknown function in {{bogus(1)}}"),
        ("b.>.c", "invalid transform in c"),
        ("b.>.c d", "invalid transform in c d"),
        (">.x.{{bogus(1)}}", "invalid transform in x"),
        ("b.>.{{bogus(1)}}", "invalid transform in {{bogus(1)}}"),
        (">.>", "invalid transform in >"),
        (">..", "invalid transform"),
    ] {
        assert_faulty("a.*", &[(destination, fault)]);
    }
}

#[test]
fn arguments_must_be_as_many_and_as_large_as_the_function_wants() {
    let invalid = "function argument is invalid or in the wrong format";
    let not_enough = "not enough arguments passed to the function";
    let too_many = "too many arguments passed to the function";
    for (token, fault) in [
        ("{{wildcard(x)}}", invalid),
        ("{{wildcard( )}}", invalid),
        ("{{wildcard(1_0)}}", invalid),
        ("{{wildcard((1)}}", invalid),
        ("{{wildcard(1))}}", invalid),
        ("{{wildcard(9999999999999999999)}}", invalid),
        ("{{wildcard(1)}}{{wildcard(1)}}", invalid),
        ("{{wildcard()}}", not_enough),
        ("{{wildcard(1, )}}", too_many),
        ("{{partition()}}", invalid),
        ("{{partition(3,)}}", invalid),
        ("{{partition(3,x,5)}}", invalid),
        ("{{partition(2147483648,1)}}", invalid),
        ("{{split()}}", not_enough),
        ("{{split(x)}}", not_enough),
        ("{{split(x,-)}}", invalid),
        ("{{split(1,a b)}}", invalid),
        ("{{split(1,,)}}", too_many),
        ("{{splitFromLeft(1)}}", not_enough),
        ("{{splitFromLeft(1,x)}}", invalid),
        ("{{splitFromLeft(1,2,3)}}", too_many),
        ("{{left(2,x)}}", invalid),
        ("{{left(1,4294967297)}}", invalid),
        ("{{left(1,-2147483649)}}", invalid),
        ("{{random()}}", invalid),
        ("{{random(2147483648)}}", invalid),
        ("{{random(1,2)}}", not_enough),
    ] {
        assert_faulty("a.*", &[(token, &format!("{fault} in {token}"))]);
    }
}

#[test]
fn wildcards_must_be_there() {
    for (token, wildcard) in [
        ("$2", 2),
        ("{{wildcard(2)}}", 2),
        ("{{wildcard(9223372036854775807)}}", i64::MAX),
        ("{{partition(3,1,5)}}", 5),
        ("{{partition(3,4,5)}}", 4),
        ("{{split(2,-)}}", 2),
    ] {
        assert_faulty("a.*", &[(token, &format!("wildcard index out of range in {token}: [{wildcard}]"))]);
    }
    assert_faulty("a.>", &[("b.$1.>", "wildcard index out of range in $1: [1]")]);
    for token in ["$0", "$1", "{{wildcard(0)}}", "{{split(1,-)}}", "{{left(1,2)}}"] {
        assert_faulty("a", &[(token, &format!("wildcard index out of range in {token}"))]);
    }
    assert_faulty("a.*", &[("$9.{{wildcard(x)}}", "wildcard index out of range in $9: [9]")]);
}
