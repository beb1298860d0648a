//! Which mapping is for a subject, and how often (wire.md 1.13).

use std::collections::BTreeMap;

use super::*;

fn to(subject: &str, weight: u8) -> MappingDestination {
    MappingDestination { subject: subject.into(), weight, cluster: None }
}

fn in_cluster(cluster: &str, destination: MappingDestination) -> MappingDestination {
    MappingDestination { cluster: Some(cluster.into()), ..destination }
}

fn mapping(source: &str, destinations: impl Into<Vec<MappingDestination>>) -> Mapping {
    Mapping { source: source.into(), destinations: destinations.into() }
}

fn mapped(mappings: &[Mapping], subject: &str) -> String {
    match mappings_of(mappings).find(subject.as_bytes()) {
        None => subject.to_owned(),
        Some(Choice::Fixed(mapped)) => String::from_utf8(mapped.into()).expect("text"),
        Some(Choice::Drawn(draw)) => panic!("{draw:?}"),
    }
}

fn mappings_of(mappings: &[Mapping]) -> Mappings {
    Mappings::new(mappings, None).expect("mappings")
}

/// How many of a hundred messages go where, told from the thresholds.
fn shares(destinations: impl Into<Vec<MappingDestination>>, cluster: Option<&str>) -> BTreeMap<String, u8> {
    let mappings = Mappings::new(&[mapping("s", destinations)], cluster).expect("mappings");
    match mappings.find(b"s").expect("it matches") {
        Choice::Fixed(mapped) => [(String::from_utf8(mapped.into()).expect("text"), 100)].into(),
        Choice::Drawn(draw) => {
            let mut former = 0;
            let share = |destination: &Destination| {
                let share = destination.below - former;
                former = destination.below;
                (applied(&destination.transform, "s"), share)
            };
            draw.destinations().iter().map(share).collect()
        }
    }
}

fn assert_shares(shares: &BTreeMap<String, u8>, expected: &[(&str, u8)]) {
    let expected = expected.iter().map(|(subject, share)| ((*subject).to_owned(), *share)).collect();
    assert_eq!(*shares, expected);
}

#[test]
fn the_first_mapping_that_matches_is_applied_once() {
    let mappings = [
        Mapping::simple("a", "b"),
        Mapping::simple("b", "a"),
        Mapping::simple("o.>", "tail.>"),
        Mapping::simple("o.*", "star.$1"),
        Mapping::simple("p.*", "star.$1"),
        Mapping::simple("p.>", "tail.>"),
    ];
    for (subject, expected) in
        [("a", "b"), ("b", "a"), ("o.x", "tail.x"), ("p.x", "star.x"), ("p.x.y", "tail.x.y"), ("q", "q")]
    {
        assert_eq!(mapped(&mappings, subject), expected);
    }
    assert!(mappings_of(&[]).is_empty());
}

#[test]
fn the_last_mapping_of_a_source_replaces_the_others() {
    let mappings = [Mapping::simple("a", "b"), Mapping::simple("a", "c")];
    assert_eq!(mapped(&mappings, "a"), "c");
}

#[test]
fn wildcards_in_a_subject_are_tokens_and_a_tail_is_more_than_a_star() {
    let mappings = [Mapping::simple("x.>", "y.>"), Mapping::simple("p.*", "$1.p")];
    for (subject, expected) in [
        ("x.*", "y.*"),
        ("x.>", "y.>"),
        ("x.>.y", "y.>.y"),
        ("p.*", "*.p"),
        ("p.>", "p.>"),
        ("x..y", "x..y"),
        ("x.", "x."),
    ] {
        assert_eq!(mapped(&mappings, subject), expected);
    }
}

#[test]
fn what_the_weights_leave_stays_with_the_source() {
    assert_shares(&shares([to("a", 30)], None), &[("a", 30), ("s", 70)]);
    assert_shares(&shares([to("a", 30), to("b", 30)], None), &[("a", 30), ("b", 30), ("s", 40)]);
    assert_shares(&shares([to("a", 0), to("b", 100)], None), &[("b", 100)]);
    assert_shares(&shares([to("a", 0)], None), &[("s", 100)]);
    assert_shares(&shares([], None), &[("s", 100)]);
}

#[test]
fn what_the_weights_leave_is_lost_where_the_source_is_a_destination() {
    assert_shares(&shares([to("s", 40), to("b", 50)], None), &[("s", 40), ("b", 50)]);
    assert_shares(&shares([in_cluster("X", to("s", 40)), to("b", 30)], None), &[("b", 30)]);
    assert_shares(&shares([to("s", 0)], None), &[("", 100)]);
    let mappings = mappings_of(&[mapping("s.>", [to("s.>", 50)])]);
    let choice = mappings.find(b"s.x").expect("it matches");
    let mut rng = Rng::with_seed(1);
    let mut lost = 0;
    for _ in 0..1000 {
        let mut out = Vec::new();
        choice.apply(b"s.x", &mut rng, &mut out);
        assert!(out.is_empty() || out == b"s.x");
        lost += u32::from(out.is_empty());
    }
    assert!((400..600).contains(&lost), "{lost} of 1000");
}

#[test]
fn a_cluster_with_destinations_of_its_own_takes_only_those() {
    let destinations = [in_cluster("X", to("x", 20)), to("all", 100)];
    assert_shares(&shares(destinations.clone(), Some("X")), &[("x", 20), ("s", 80)]);
    assert_shares(&shares(destinations.clone(), Some("Y")), &[("all", 100)]);
    assert_shares(&shares(destinations, None), &[("all", 100)]);
    assert_shares(&shares([in_cluster("X", to("x", 30))], None), &[("s", 100)]);
    assert_shares(&shares([in_cluster("X", to("x", 0)), to("all", 100)], Some("X")), &[("s", 100)]);
}

#[test]
fn a_random_destination_is_drawn_for_each_message() {
    let mappings = mappings_of(&[Mapping::simple("s", "d.{{random(5)}}")]);
    assert!(matches!(mappings.find(b"s"), Some(Choice::Drawn(_))));
}

#[test]
fn the_rest_of_a_source_that_looks_like_a_function_stays_too() {
    let mappings = mappings_of(&[mapping("s.$1.*", [to("b", 1)])]);
    let Some(Choice::Drawn(draw)) = mappings.find(b"s.$1.x") else { panic!("two destinations") };
    assert_eq!(applied(&draw.destinations()[1].transform, "s.$1.x"), "s.$1.x");
}

#[test]
fn faulty_mappings_are_refused() {
    let out_of_range = "invalid mapping destination: wildcard index out of range in $2: [2]";
    for (mapping, fault) in [
        (mapping("a", [to("b", 60), to("c", 60), to("d.>", 5)]), "total weight needs to be <= 100"),
        (mapping("a", [to("d.>", 5), to("c", 60), to("c", 60)]), "invalid subject"),
        (mapping("a", [to("b", 60), to("b", 60)]), "duplicate entry for \"b\""),
        (mapping("a", [to("b", 5), in_cluster("X", to("b", 5))]), "duplicate entry for \"b\""),
        (mapping("a", [to("b", 101)]), "total weight needs to be <= 100"),
        (
            mapping("a", [in_cluster("X", to("b", 80)), in_cluster("X", to("c", 80))]),
            "total weight needs to be <= 100",
        ),
        (mapping("a.*", [to("b.$2", 5)]), out_of_range),
        (mapping("a.*", [in_cluster("X", to("b.$2", 5))]), out_of_range),
        (mapping("a..b", [to("b", 5)]), "invalid subject"),
        (mapping("a", [to("", 5)]), "invalid mapping destination: invalid transform"),
    ] {
        let error = mapping.validate().expect_err(fault);
        assert_eq!(error.to_string(), fault, "{mapping:?}");
        assert_eq!(Mappings::new(&[mapping], None), Err(error));
    }
    let clusters = [to("b", 80), in_cluster("X", to("c", 80)), in_cluster("Y", to("d", 80))];
    mapping("a", clusters).validate().expect("each cluster has a hundred");
}

#[test]
fn weights_are_shown_added_up_from_the_lightest_on() {
    let shown = |source: &str, destinations: &[(&str, u8, &str)]| {
        let destination = |&(subject, weight, cluster): &(&str, u8, &str)| MappingDestination {
            subject: subject.to_owned(),
            weight,
            cluster: Some(cluster.to_owned()).filter(|name| !name.is_empty()),
        };
        let destinations = destinations.iter().map(destination).collect();
        let all = Mapping { source: source.to_owned(), destinations }.added_up();
        let text = all.iter().map(|destination| {
            let MappingDestination { subject, weight, cluster } = destination;
            format!("{subject} {weight} {}", cluster.as_deref().unwrap_or_default()).trim_end().to_owned()
        });
        text.collect::<Vec<_>>().join(", ")
    };
    // As nats-server 2.15.1 shows them.
    assert_eq!(shown("zz", &[("b", 100, "")]), "b 100");
    assert_eq!(shown("w.*", &[("x.$1", 30, ""), ("y.$1", 20, "")]), "y.$1 20, x.$1 50, w.$1 100");
    assert_eq!(shown("w.*.>", &[("x.$1.>", 30, "")]), "x.$1.> 30, w.$1.> 100");
    assert_eq!(shown("l", &[("l", 20, ""), ("f", 40, "")]), "l 20, f 60");
    assert_eq!(shown("o", &[("a", 20, ""), ("b", 40, ""), ("c", 5, "")]), "c 5, a 25, o 60, b 100");
    assert_eq!(shown("n", &[]), "n 100");
    assert_eq!(shown("z", &[("q", 0, "")]), "q 0, z 100");
    let clusters = [("c1", 30, "X"), ("c2", 20, ""), ("c3", 30, "W"), ("c4", 10, "X"), ("c5", 1, "")];
    let expected = "c5 1, c2 21, c 100, c3 30 W, c 100 W, c4 10 X, c1 40 X, c 100 X";
    assert_eq!(shown("c", &clusters), expected);
    assert_eq!(shown("d", &[("e", 30, "X")]), "d 100, e 30 X, d 100 X");
}
