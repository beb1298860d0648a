//! What accounts export and import, with nats-server's errors.

use std::time::Duration;

use super::*;
use crate::config::{
    AccountConfig, DEFAULT_RESPONSE_THRESHOLD, Export, ExportKind, Import, ImportKind, Response, Sharing,
};
use crate::wire::subject::is_valid_filter;

/// What is wrong with A where it exports these; they are on the second line.
fn exports(entries: &str) -> String {
    error(&format!("accounts {{ B {{}}, C {{}}, A {{ exports: [\n{entries}\n] }} }}"))
}

/// What is wrong with C where it imports these; they are on the second line.
fn imports(entries: &str) -> String {
    error(&importing(entries))
}

fn importing(entries: &str) -> String {
    format!(
        "accounts {{ B {{}}, C {{ imports: [\n{entries}\n] }}, A {{ exports: [{{stream: 's.>'}}, {{service: 'q.>'}}] }} }}"
    )
}

fn exports_of(entries: &str) -> Vec<Export> {
    let mut config = config(&format!("accounts {{ A {{ exports: [{entries}] }}, B {{}}, C {{}} }}"));
    assert_eq!(config.validate(), Ok(()), "{entries}");
    config.accounts.remove(0).exports
}

fn stream(subject: &str) -> Export {
    Export { subject: subject.to_owned(), kind: ExportKind::Stream, accounts: None, account_token: None }
}

fn service(subject: &str, response: Response, threshold: Duration) -> Export {
    Export { kind: ExportKind::Service { response, threshold }, ..stream(subject) }
}

#[test]
fn an_account_exports_streams_and_services() {
    let usual = |subject: &str| service(subject, Response::Single, DEFAULT_RESPONSE_THRESHOLD);
    let to = |names: &[&str], export: Export| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Export { accounts: Some(names), ..export }
    };
    for (entries, expected) in [
        ("{stream: 's.>'}, {SERVICE: 'q.*'}", vec![stream("s.>"), usual("q.*")]),
        ("{stream: s, accounts: [B, C]}", vec![to(&["B", "C"], stream("s"))]),
        ("{stream: s, accounts: []}", vec![stream("s")]),
        ("{stream: 's.*', account_token_position: 0}", vec![stream("s.*")]),
        (
            "{stream: 's.*', account_token_position: 2}",
            vec![Export { account_token: Some(2), ..stream("s.*") }],
        ),
        (
            "{service: s, response: SINGLE}, {service: t, response_type: singleton}",
            vec![usual("s"), usual("t")],
        ),
        ("{}, {accounts: [B]}, {response: single}", vec![]),
        ("{service: s}, {stream: s}", vec![usual("s"), stream("s")]),
        ("{service: s, allow_trace: false}", vec![usual("s")]),
    ] {
        assert_eq!(exports_of(entries), expected, "{entries}");
    }
    for (response, expected) in
        [("stream", Response::Stream), ("chunk", Response::Chunked), ("chunked", Response::Chunked)]
    {
        let read = exports_of(&format!("{{service: s, response: {response}}}"));
        assert_eq!(read, [service("s", expected, DEFAULT_RESPONSE_THRESHOLD)], "{response}");
    }
    for key in ["threshold", "response_threshold", "response_time", "response_max_time"] {
        let read = exports_of(&format!("{{service: s, {key}: '1.5s'}}"));
        assert_eq!(read, [service("s", Response::Single, Duration::from_millis(1500))], "{key}");
    }
    assert_eq!(exports_of("{service: s, threshold: '0s'}"), [usual("s")]);
}

#[test]
fn what_is_exported_twice_is_put_together() {
    let of_b = Export { accounts: Some(vec!["B".to_owned()]), ..stream("s") };
    for entries in ["{stream: s}, {stream: s, accounts: [B]}", "{stream: s, accounts: [B]}, {stream: s}"] {
        assert_eq!(exports_of(entries), std::slice::from_ref(&of_b), "{entries}");
    }
    for entries in [
        "{service: s, response: stream, threshold: '3s'}, {service: s}",
        "{service: s}, {service: s, response: stream}, {service: s, response: single, threshold: '3s'}",
    ] {
        assert_eq!(
            exports_of(entries),
            [service("s", Response::Stream, Duration::from_secs(3))],
            "{entries}"
        );
    }
    let both = config("accounts { A { exports: [{stream: s}], EXPORTS: [{stream: t}] } }");
    assert_eq!(both.accounts[0].exports, [stream("s"), stream("t")]);
}

#[test]
fn an_answer_may_not_take_less_than_no_time() {
    let text = "accounts { A { exports: [{service: s, threshold: '-2s'}] } }";
    let settings = read(text).expect(text);
    let usual = service("s", Response::Single, DEFAULT_RESPONSE_THRESHOLD);
    assert_eq!(settings.config.accounts[0].exports, [usual]);
    let advice = "below zero no answer would come through, so the default holds";
    let warning = format!("x.conf:1:38: invalid use of field \"threshold\": {advice}");
    assert_eq!(settings.warnings, [warning]);
}

#[test]
fn what_nats_server_says_of_an_export_is_said_with_its_place() {
    for (entries, message) in [
        ("x", "2:1: Export Items should be a map with type entry, got string"),
        ("{stream: s, bogus: 1}", "2:13: unknown field \"bogus\""),
        ("{stream: 5}", "2:2: Expected stream name to be string, got int64"),
        ("{service: 5}", "2:2: Expected service name to be string, got int64"),
        ("{stream: s, service: b}", "2:13: Detected service \"b\" but already saw a stream"),
        ("{service: s, stream: b}", "2:14: Detected stream \"b\" but already saw a service"),
        ("{stream: s, response: single}", "2:13: Detected response directive on non-service"),
        ("{response: single, stream: s}", "2:2: Detected response directive on non-service"),
        ("{stream: s, threshold: '2s'}", "2:13: Detected response directive on non-service"),
        ("{stream: s, latency: x}", "2:13: Detected latency directive on non-service"),
        ("{stream: s, allow_trace: false}", "2:13: Detected allow_trace directive on non-service"),
        ("{service: s, response: bogus}", "2:14: Unknown response type: \"bogus\""),
        ("{service: s, response: streamed}", "2:14: Unknown response type: \"streamed\""),
        ("{service: s, response: 5 }", "2:14: Expected response type to be string, got int64"),
        (
            "{service: s, threshold: 2}",
            "2:14: Expected response threshold to be a parseable time duration, got int64",
        ),
        (
            "{service: s, threshold: abc}",
            "2:14: Expected response threshold to be a parseable time duration, got \"abc\"",
        ),
        (
            "{stream: s, accounts: B}",
            "2:13: interface conversion: interface {} is string, not []interface {}",
        ),
        ("{stream: s, accounts: [true, B]}", "2:24: interface conversion: interface {} is bool, not string"),
        (
            "{service: 's.*', account_token_position: '2'}",
            "2:18: interface conversion: interface {} is string, not int64",
        ),
        ("{service: s, allow_trace: 5}", "2:14: interface conversion: interface {} is int64, not bool"),
        // Not built yet.
        ("{service: s, allow_trace: true}", "2:14: field \"allow_trace\" is not supported yet"),
        ("{service: s, latency: {subject: x}}", "2:14: field \"latency\" is not supported yet"),
    ] {
        assert_eq!(exports(entries), format!("x.conf:{message}"), "{entries}");
    }
}

#[test]
fn what_shows_when_all_accounts_are_known_is_said_at_the_place_of_the_accounts() {
    for (entries, message) in [
        ("{stream: s, accounts: [Z]}", "\"Z\" account not defined for stream export"),
        ("{service: s, accounts: ['$G']}", "\"$G\" account not defined for service export"),
        (
            "{stream: 's.*', account_token_position: 1}",
            "Error adding stream export \"s.*\": sublist: invalid subject",
        ),
        (
            "{service: 's.>', account_token_position: 2}",
            "Error adding service export \"s.>\": sublist: invalid subject",
        ),
        (
            "{stream: 's.*', account_token_position: 3}",
            "Error adding stream export \"s.*\": sublist: invalid subject",
        ),
        // nats-server panics.
        (
            "{stream: 's.*', account_token_position: -1}",
            "Error adding stream export \"s.*\": sublist: invalid subject",
        ),
        // nats-server takes it, and nobody can import it.
        ("{stream: 'a..b'}", "Error adding stream export \"a..b\": sublist: invalid subject"),
    ] {
        assert_eq!(exports(entries), format!("x.conf:1:0: {message}"), "{entries}");
    }
    let several = "{service: q, accounts: [Y]}, {stream: s, accounts: [Z, W]}";
    let message = "x.conf:1:0: \"Z\" account not defined for stream export\n\
                   x.conf:1:0: \"W\" account not defined for stream export\n\
                   x.conf:1:0: \"Y\" account not defined for service export";
    assert_eq!(exports(several), message);
    let other_mistake = "{stream: s, accounts: [Z]}, {bogus: 1}";
    assert_eq!(exports(other_mistake), "x.conf:2:30: unknown field \"bogus\"");
}

#[test]
fn an_account_imports_what_others_export_before_or_behind_it() {
    let import = |kind, subject: &str, to: &str| Import {
        account: "A".to_owned(),
        subject: subject.to_owned(),
        to: to.to_owned(),
        kind,
    };
    let stream = |subject, to| vec![import(ImportKind::Stream, subject, to)];
    let service = |subject, to| vec![import(ImportKind::Service { share: false }, subject, to)];
    for (entry, expected) in [
        ("{stream: {account: A, subject: 's.>'}}", stream("s.>", "s.>")),
        ("{stream: {account: A, subject: 's.>'}, prefix: p}", stream("s.>", "p.s.>")),
        ("{stream: {account: A, subject: 's.*'}, prefix: 'p.'}", stream("s.*", "p.s.*")),
        ("{Stream: {Account: A, SUBJECT: 's.*'}, To: 'p.$1'}", stream("s.*", "p.$1")),
        ("{to: 'p.*', prefix: '', stream: {account: A, subject: 's.*'}, share: true}", stream("s.*", "p.*")),
        ("{stream: {account: A, subject: 's.a'}, to: '', prefix: p}", stream("s.a", "p.s.a")),
        ("{stream: {account: A, subject: 's.*'}, allow_trace: false}", stream("s.*", "s.*")),
        ("{service: {account: A, subject: 'q.a'}}", service("q.a", "q.a")),
        ("{service: {account: A, subject: 'q.*'}, to: 'ask.$1', prefix: x}", service("q.*", "ask.$1")),
        ("{service: {account: A, subject: 'q.a'}, to: 'ask.>'}", service("q.a", "ask.>")),
        ("{service: {account: A, subject: 'q.$1'}, to: 'ask.*'}", service("q.$1", "ask.*")),
        (
            "{share: true, service: {account: A, subject: q.a}}",
            vec![import(ImportKind::Service { share: true }, "q.a", "q.a")],
        ),
        ("{}, {to: x}, {prefix: x}", vec![]),
    ] {
        let config = config(&importing(entry));
        assert_eq!(config.validate(), Ok(()), "{entry}");
        assert_eq!(config.accounts[1].imports, expected, "{entry}");
    }
}

#[test]
fn what_nats_server_says_of_an_import_is_said_with_its_place() {
    for (entries, message) in [
        ("x", "2:1: Import Items should be a map with type entry, got string"),
        ("{stream: {account: A, subject: s.a}, bogus: 1}", "2:38: unknown field \"bogus\""),
        ("{stream: {account: A, subject: s.a, to: x}}", "2:37: unknown field \"to\""),
        ("{stream: s}", "2:2: Stream entry should be an account map, got string"),
        ("{service: 5}", "2:2: Service entry should be an account map, got int64"),
        ("{stream: {account: A}}", "2:2: Expect an account name and a subject"),
        ("{service: {account: '', subject: q.a}}", "2:2: Expect an account name and a subject"),
        (
            "{stream: {account: A, subject: 5}}",
            "2:2: Expect an account name and a subject\n\
             x.conf:2:23: interface conversion: interface {} is int64, not string",
        ),
        (
            "{service: {account: A, subject: q.a}, stream: {account: A, subject: s.a}}",
            "2:39: Detected stream but already saw a service",
        ),
        (
            "{stream: {account: A, subject: s.a}, service: {account: A, subject: q.a}}",
            "2:38: Detected service but already saw a stream",
        ),
        (
            "{stream: {account: A, subject: s.a}, prefix: p, to: x}",
            "2:49: Stream import can not have a 'prefix' and a 'to' property",
        ),
        (
            "{stream: {account: A, subject: s.a}, to: true}",
            "2:38: interface conversion: interface {} is bool, not string",
        ),
        (
            "{service: {account: A, subject: q.a}, share: 'true'}",
            "2:39: interface conversion: interface {} is string, not bool",
        ),
        (
            "{service: {account: A, subject: q.a}, allow_trace: false}",
            "2:39: Detected allow_trace directive on a non-stream",
        ),
        (
            "{stream: {account: A, subject: s.a}, allow_trace: x}",
            "2:38: interface conversion: interface {} is string, not bool",
        ),
        (
            "{service: {account: A, subject: q.a}, to: x}, {service: {account: A, subject: q.b}, to: x}",
            "2:47: Duplicate service import subject \"x\", previously used in import for account \"A\", subject \"q.a\"",
        ),
        // Not built yet.
        (
            "{stream: {account: A, subject: s.a}, allow_trace: true}",
            "2:38: field \"allow_trace\" is not supported yet",
        ),
    ] {
        assert_eq!(imports(entries), format!("x.conf:{message}"), "{entries}");
    }
}

#[test]
fn imports_fit_what_is_exported() {
    for (entries, message) in [
        ("{stream: {account: Z, subject: s}}", "\"Z\" account not defined for stream import"),
        ("{service: {account: '$SYS', subject: s}}", "\"$SYS\" account not defined for service import"),
        (
            "{stream: {account: B, subject: s}}",
            "Error adding stream import \"s\": stream import not authorized",
        ),
        (
            "{stream: {account: A, subject: s}}",
            "Error adding stream import \"s\": stream import not authorized",
        ),
        (
            "{stream: {account: A, subject: '>'}}",
            "Error adding stream import \">\": stream import not authorized",
        ),
        (
            "{stream: {account: A, subject: q.a}}",
            "Error adding stream import \"q.a\": stream import not authorized",
        ),
        (
            "{stream: {account: A, subject: s..a}}",
            "Error adding stream import \"s..a\": stream import not authorized",
        ),
        (
            "{service: {account: A, subject: s.a}}",
            "Error adding service import \"s.a\": service import not authorized",
        ),
        (
            "{service: {account: A, subject: q..a}}",
            "Error adding service import \"q..a\": sublist: invalid subject",
        ),
        (
            "{service: {account: A, subject: x}, to: 'x y'}",
            "Error adding service import \"x\": sublist: invalid subject",
        ),
        (
            "{stream: {account: A, subject: 's.*'}, prefix: 'p.*'}",
            "Error adding stream import \"s.*\": stream import prefix can not contain wildcard tokens",
        ),
        (
            "{stream: {account: A, subject: 's.*'}, prefix: 'p..x'}",
            "Error adding stream import \"s.*\": failed to create mapping transform for stream import subject from \
             \"s.*\" to \"p..x.s.*\": invalid subject",
        ),
        (
            "{stream: {account: A, subject: 's.*'}, to: p}",
            "Error adding stream import \"s.*\": failed to create mapping transform for stream import subject from \
             \"s.*\" to \"p\": invalid mapping destination: not using all of the token wildcard(s) in p",
        ),
        (
            "{service: {account: A, subject: 'q.*'}, to: 'p.>'}",
            "Error adding service import \"q.*\": failed to create mapping transform for service import subject from \
             \"p.>\" to \"q.*\": invalid subject",
        ),
        (
            "{service: {account: A, subject: 'q.*'}, to: 'p.$2'}",
            "Error adding service import \"q.*\": failed to create mapping transform for service import subject from \
             \"p.$2\" to \"q.*\": invalid mapping destination: wildcard index out of range in $2: [2]",
        ),
        (
            "{stream: {account: A, subject: s.a}}, {stream: {account: A, subject: s.a}, to: x}",
            "Error adding stream import \"s.a\": stream import already exists",
        ),
        (
            "{service: {account: A, subject: 'q.*'}, to: 'x.$1'}, {service: {account: A, subject: 'q.*'}, to: 'x.*'}",
            "Error adding service import \"q.*\": duplicate service import subject \"x.*\", previously used in import \
             for account \"A\", subject \"q.*\"",
        ),
    ] {
        assert_eq!(imports(entries), format!("x.conf:1:0: {message}"), "{entries}");
    }
    let alike = "{stream: {account: A, subject: s.a}, to: x}, {stream: {account: A, subject: s.b}, to: x},\
                 {service: {account: A, subject: 'q.*'}, to: 'x.*'}, {service: {account: A, subject: q.b}, to: x.a}";
    assert_eq!(config(&importing(alike)).validate(), Ok(()));
}

/// Whether C may import this from an account that exports these.
fn is_authorized(exports: &str, import: &str) -> bool {
    let import = format!("{{account: A, subject: '{import}'}}");
    let of_kind = |kind: &str| {
        let exports = exports.replace("what", kind);
        let text = format!(
            "accounts {{ A {{ exports: [{exports}] }}, B {{}}, C {{ imports: [{{{kind}: {import}}}] }} }}"
        );
        read(&text).is_ok()
    };
    let (stream, service) = (of_kind("stream"), of_kind("service"));
    assert_eq!(stream, service, "{exports} {import}");
    stream
}

#[test]
fn the_export_of_the_very_subject_says_who_may_import_it_and_otherwise_each_that_covers_it() {
    for (exports, import, expected) in [
        ("{what: s, accounts: [C]}", "s", true),
        ("{what: s, accounts: [B]}", "s", false),
        ("{what: s, accounts: [B]}, {what: s, accounts: [C]}", "s", true),
        ("{what: s, accounts: [B]}, {what: s}", "s", false),
        ("{what: 's.*'}, {what: s.a, accounts: [B]}", "s.a", false),
        ("{what: 's.*', accounts: [B]}, {what: s.a}", "s.a", true),
        ("{what: 's.*', accounts: [B]}, {what: 's.>'}", "s.a", true),
        ("{what: 's.*'}, {what: 's.>'}", "s.>", true),
        ("{what: 's.*', account_token_position: 2}", "s.C", true),
        ("{what: 's.*', account_token_position: 2}", "s.B", false),
        ("{what: 's.*', account_token_position: 2}", "s.*", false),
        ("{what: 's.*', account_token_position: 2, accounts: [B]}", "s.C", true),
        ("{what: 's.*', account_token_position: 2, accounts: [C]}", "s.B", false),
        ("{what: '*.s.>', account_token_position: 1}", "C.s.>", true),
    ] {
        assert_eq!(is_authorized(exports, import), expected, "{exports} {import}");
    }
}

#[test]
fn nothing_comes_back_to_where_it_comes_from() {
    // Each import is the importer, its subject there, the exporter, and the subject there.
    for (imports, is_cycle) in [
        ("A s B s, B s A s", true),
        ("A x B s, B s A s", false),
        ("A s B x, B x A s", true),
        ("A s.* B x.*, B x.b A s.a", true),
        ("A s.a B x.a, B x.b A s.b", false),
        ("A s.a B x.a, B x.a A s.b", false),
        ("A s.a B x.a, B x.* A s.*", true),
        ("A s B s, B s C s, C s A s", true),
        ("A s B s, B s C s, C s B s", true),
        ("A s B s, B s C s", false),
        ("A s A s", true),
        ("A t A s", false),
        ("A x.> A x.y.>", true),
    ] {
        for kind in ["stream", "service"] {
            let mut text = String::new();
            for name in ["A", "B", "C"] {
                let of_account = |import: &&str| import.trim().starts_with(name);
                let entry = |import: &str| {
                    let words: Vec<_> = import.split_whitespace().collect();
                    format!(
                        "{{{kind}: {{account: {}, subject: '{}'}}, to: '{}'}}",
                        words[2], words[3], words[1]
                    )
                };
                let entries: Vec<_> = imports.split(',').filter(of_account).map(entry).collect();
                let entries = entries.join(", ");
                text += &format!("{name} {{ exports: [{{{kind}: '>'}}], imports: [{entries}] }}\n");
            }
            let text = format!("accounts {{\n{text}}}");
            let fault = read(&text).err().unwrap_or_default();
            assert_eq!(fault.ends_with("import forms a cycle"), is_cycle, "{imports} {kind}: {fault}");
        }
    }
    let mixed = "accounts { A { exports: [{service: s}, {stream: s}], imports: [{service: {account: B, subject: s}}] },\n\
                 B { exports: [{service: s}], imports: [{stream: {account: A, subject: s}}] } }";
    assert_eq!(config(mixed).validate(), Ok(()));
}

#[test]
fn a_configuration_without_a_file_obeys_the_same_rules() {
    let import = |account: &str| Import {
        account: account.to_owned(),
        subject: "s".to_owned(),
        to: "s".to_owned(),
        kind: ImportKind::Stream,
    };
    let refused = |exports: Vec<Export>, account: &str| {
        let exporter = AccountConfig { exports, ..AccountConfig::new("A") };
        let importer = AccountConfig { imports: vec![import(account)], ..AccountConfig::new("B") };
        let config = Config { accounts: vec![importer, exporter], ..Config::default() };
        config.validate().err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refused(vec![stream("s")], "A"), "");
    assert_eq!(refused(vec![stream("s")], "Z"), "\"Z\" account not defined for stream import");
    let fault = "Error adding stream import \"s\": stream import not authorized";
    assert_eq!(refused(vec![Export { accounts: Some(vec![]), ..stream("s") }], "A"), fault);
    let to_nobody = Export { accounts: Some(vec!["Z".to_owned()]), ..stream("s") };
    assert_eq!(refused(vec![to_nobody], "A"), "\"Z\" account not defined for stream export");
    let fault = "Error adding stream export \"s\": it is there twice";
    assert_eq!(refused(vec![stream("s"), stream("s")], "A"), fault);
    let unnamed = Export { account_token: Some(0), ..stream("s.*") };
    let fault = "Error adding stream export \"s.*\": sublist: invalid subject";
    assert_eq!(refused(vec![unnamed], "A"), fault);
    let exporter = AccountConfig { exports: vec![stream("s")], ..AccountConfig::new("A") };
    assert_eq!(
        exporter.export_for("B", &import("A")).map(|export| export.kind.sharing()),
        Some(Sharing::Stream)
    );
}

#[test]
fn an_import_has_a_filter_at_the_importer() {
    let filter = |kind, subject: &str, to: &str| {
        let import = Import { account: "A".to_owned(), subject: subject.to_owned(), to: to.to_owned(), kind };
        import.filter().expect("subjects that fit")
    };
    let service = ImportKind::Service { share: false };
    for (subject, to, expected) in
        [("s.*", "got.$1.here", "got.*.here"), ("s.*.>", "x.{{wildcard(1)}}.>", "x.*.>"), ("s.a", "b", "b")]
    {
        assert_eq!(filter(ImportKind::Stream, subject, to), expected);
        assert_eq!(filter(service, subject, to), expected);
    }
    assert_eq!(filter(service, "q.$1", "ask.*"), "ask.*");
    assert_eq!(filter(service, "q.a", "ask.$1"), "ask.$1");
}

fn subject() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "a",
        "b",
        "*",
        ">",
        "$1",
        "$2",
        "{{wildcard(1)}}",
        "{{left(1,1)}}",
        "",
        "é",
    ]);
    prop::collection::vec(token, 1..4).prop_map(|tokens| tokens.join("."))
}

fn entry_of_exports() -> impl Strategy<Value = String> {
    let more =
        ["", ", accounts: [B]", ", account_token_position: 2", ", response: stream", ", threshold: '-2s'"];
    (prop::sample::select(vec!["stream", "service"]), subject(), prop::sample::select(more.to_vec()))
        .prop_map(|(kind, subject, more)| format!("{{{kind}: '{subject}'{more}}}"))
}

fn entry_of_imports() -> impl Strategy<Value = String> {
    let place = prop::sample::select(vec!["to", "prefix", "bogus"]);
    let (kind, account) = (vec!["stream", "service"], vec!["A", "B"]);
    (prop::sample::select(kind), prop::sample::select(account), subject(), place, subject()).prop_map(
        |(kind, account, subject, place, to)| {
            format!("{{{kind}: {{account: {account}, subject: '{subject}'}}, {place}: '{to}'}}")
        },
    )
}

proptest! {
    #[test]
    fn what_is_taken_is_exported_and_can_be_transformed(
        exports in prop::collection::vec(entry_of_exports(), 0..4),
        imports in prop::collection::vec(entry_of_imports(), 1..3),
    ) {
        let (exports, imports) = (exports.join(", "), imports.join(", "));
        let text = format!("accounts {{ A {{ exports: [{{stream: '>'}}, {{service: '>'}}] }}, B {{ exports: [{exports}], imports: [{imports}] }} }}");
        let Ok(settings) = read(&text) else { return Ok(()) };
        prop_assert_eq!(settings.config.validate(), Ok(()));
        for import in &settings.config.accounts[1].imports {
            let exporter = settings.config.accounts.iter().find(|account| account.name == import.account);
            prop_assert!(exporter.expect("an exporter").export_for("B", import).is_some());
            prop_assert!(is_valid_filter(import.filter().expect("subjects that fit").as_bytes()));
        }
    }
}
