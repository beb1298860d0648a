mod accounts;
mod discovery;
mod healing;
mod limits;
mod mappings;
mod permissions;
mod relay;
mod sharing;
mod websocket;

use std::num::NonZeroU16;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{
    Authorization, ClusterConfig, Compression, Discovery, Healing, HostPort, Listen, MAX_PAYLOAD, Port,
    Relay, RouteLimits, RoutePermissions, Rules, SecretSeed, SubjectRule,
};

/// Variables and files that the tests below name.
struct World;

impl Sources for World {
    fn variable(&self, name: &str) -> Option<String> {
        let value = match name {
            "FIVE" => "5k",
            "SELF" => "$SELF",
            "EMPTY" => "",
            "LIST" => "['nats://a:1', 'nats://b:2']",
            "TWO" => "5 6",
            "HASH" => "#s3cret",
            "SLASHES" => "//s3cret",
            "INDENTED" => " #s3cret",
            "ONLY_HASH" => "#",
            "BRACE" => "s3cret}",
            "SEMICOLON" => "s3cret;",
            "COMMA" => "s3cret,",
            "LINE" => "a\n",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn include(&self, from: &str, path: &str) -> Result<Included, String> {
        let text = match path {
            "bad.conf" => "\nbogus: 5\n",
            "broken.conf" => "port: 5 6",
            "limits.conf" => "max_payload: 2MB, ping_max: $PINGS",
            "port.conf" => "port: 5",
            "self.conf" => "include self.conf",
            "user.conf" => "user: a, password: b",
            _ => return Err(format!("open {path}: no such file or directory")),
        };
        assert!(!from.is_empty());
        Ok(Included { name: path.to_owned(), text: text.to_owned() })
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        match path {
            "secret.key" => Ok(format!("{}\n", discovery::SECRET).into()),
            "bad.key" => Ok(vec![0xff; 32]),
            _ => NoSources.file(path),
        }
    }
}

fn read(text: &str) -> Result<FileSettings, String> {
    parse_file("x.conf", text, &World).map_err(|error| error.to_string())
}

fn config(text: &str) -> Config {
    read(text).unwrap_or_else(|error| panic!("{text:?}: {error}")).config
}

fn cluster(text: &str) -> ClusterConfig {
    config(&format!("cluster {{ port: 6222, {text} }}")).cluster.unwrap()
}

fn error(text: &str) -> String {
    read(text).map(|settings| settings.config).expect_err(text)
}

#[test]
fn an_empty_file_is_the_defaults_and_a_warning() {
    for text in ["", "# only\n// comments", "{}"] {
        let settings = read(text).unwrap();
        assert_eq!(settings.config, Config::default());
        assert_eq!(settings.warnings, ["x.conf: config has no values or is empty"]);
    }
}

#[test]
fn every_field_of_the_node_is_read() {
    let settings = read(
        "server_name: n1\nlisten: '127.0.0.1:5222'\nclient_advertise: 'a.example:1'\nhttp: 8222\n\
         max_connections: 10; max_subscriptions: 11; max_sub_tokens: 12\nmax_payload: 2kb, max_control_line: 1k\n\
         max_pending: 3MB, max_closed_clients: 13\nping_interval: 1m30s, ping_max: 4, write_deadline: \"2s\"\n\
         no_header_support: true, proxy_protocol: true, connect_error_reports: 5, reconnect_error_reports: 6\n\
         authorization { user: u, password: p, timeout: 0.5 }\n\
         lame_duck_duration: 1m0s, lame_duck_grace_period: 5s, no_system_account: true\n\
         server_tags: [' b', A, 'a', '', 'AZ:Eu1'], queue_affinity: ' Az', server_metadata { k: v }, http_base_path: '/x'\n\
         debug: true, trace: yes, logtime: false, logtime_utc: on, log_file: l, pid_file: p, ports_file_dir: d\n\
         log_size_limit: 1k, log_max_num: 3",
    )
    .unwrap();
    let expected = Config {
        server_name: Some("n1".into()),
        host: "127.0.0.1".into(),
        port: Port::Fixed(5222),
        client_advertise: Some(HostPort { host: "a.example".into(), port: Some(1) }),
        max_connections: 10,
        max_subscriptions: 11,
        max_subject_tokens: 12,
        max_payload: 2048,
        max_control_line: 1000,
        max_pending: 3 * 1024 * 1024,
        ping_interval: Duration::from_secs(90),
        ping_max: 4,
        write_deadline: Duration::from_secs(2),
        authorization: Authorization::User { user: "u".into(), password: "p".into() },
        no_auth_user: None,
        is_global_account_open: false,
        mappings: Vec::new(),
        accounts: Vec::new(),
        tls: None,
        allow_non_tls: false,
        auth_timeout: Duration::from_millis(500),
        proxy_protocol: true,
        no_header_support: true,
        max_closed_clients: 13,
        connect_error_reports: 5,
        reconnect_error_reports: 6,
        cluster: None,
        discovery: Discovery::default(),
        lone_cluster_name: None,
        lame_duck_duration: Duration::from_secs(60),
        lame_duck_grace_period: Duration::from_secs(5),
        system_account: None,
        no_system_account: true,
        server_tags: vec!["b".into(), "a".into(), "az:eu1".into()],
        queue_affinity: Some("az".into()),
        server_metadata: [("k".to_owned(), "v".to_owned())].into(),
        http_base_path: "/x".into(),
        monitoring: Some(Listen { host: String::new(), port: Port::Fixed(8222) }),
        websocket: None,
        rehearsed_transport: None,
        seed: 0,
        secret_seed: SecretSeed::default(),
    };
    assert_eq!(settings.config, expected);
    let process = ProcessSettings {
        debug: true,
        trace: true,
        logtime: false,
        logtime_utc: true,
        log_file: Some("l".into()),
        log_size_limit: 1000,
        log_max_num: 3,
        pid_file: Some("p".into()),
        ports_file_dir: Some("d".into()),
    };
    assert_eq!(settings.process, process);
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn every_field_of_the_cluster_is_read() {
    let read = config(
        "cluster {\n name: c1\n listen: 127.0.0.1:-1\n cluster_advertise: a\n no_advertise: true\n\
         routes = [ nats://u:p@a:1\n nats-route://b:2 ]\n authorization { username: x, pass: y, timeout: '3s' }\n\
         connect_retries: 7, connect_backoff: true, pool_size: 5, accounts: [B, A]\n\
         permissions { import: a.>, export { allow: [b, c], deny: c } }\n\
         ping_interval: '5s', ping_max: 8, write_deadline: '9s', compression: off\n}",
    );
    let expected = ClusterConfig {
        name: Some("c1".into()),
        host: "127.0.0.1".into(),
        port: Port::Any,
        advertise: Some(HostPort { host: "a".into(), port: None }),
        no_advertise: true,
        routes: vec!["nats://u:p@a:1".parse().unwrap(), "nats://b:2".parse().unwrap()],
        authorization: Some(crate::config::UserPassword { user: "x".into(), password: "y".into() }),
        tls: None,
        auth_timeout: Duration::from_secs(3),
        connect_retries: 7,
        connect_backoff: true,
        pool_size: NonZeroU16::new(5),
        accounts: vec!["B".into(), "A".into()],
        permissions: RoutePermissions {
            import: Rules { allow: Some(vec![SubjectRule::new("a.>")]), deny: vec![] },
            export: Rules {
                allow: Some(vec![SubjectRule::new("b"), SubjectRule::new("c")]),
                deny: vec![SubjectRule::new("c")],
            },
        },
        ping_interval: Some(Duration::from_secs(5)),
        ping_max: Some(8),
        write_deadline: Some(Duration::from_secs(9)),
        compression: Compression::Off,
        healing: Healing::default(),
        relay: Relay::default(),
        limits: RouteLimits::default(),
    };
    assert_eq!(read.cluster, Some(expected));
}

#[test]
fn json_is_accepted() {
    let config = config("{\"port\": 5, \"cluster\": {\"port\": 6, \"routes\": [\"nats://a:1\"]}}\n");
    assert_eq!(config.port, Port::Fixed(5));
    assert_eq!(config.cluster.unwrap().routes.len(), 1);
}

#[test]
fn keys_are_known_in_any_case_and_the_last_one_wins() {
    assert_eq!(config("PORT: 5\nport: 6").port, Port::Fixed(6));
    assert_eq!(config("port: 6\nPort: 5").port, Port::Fixed(5));
    assert_eq!(config("port: 6\nport: 5").port, Port::Fixed(5));
}

#[test]
fn separators_are_optional_and_comments_end_lines() {
    for text in [
        "port 5",
        "port=5",
        "port : 5",
        "port\n5",
        "port: 5 # c",
        "port: 5 //c",
        "'port': 5;",
        "port:\t5\r\n",
    ] {
        assert_eq!(config(text).port, Port::Fixed(5), "{text:?}");
    }
}

#[test]
fn integers_take_decimal_and_binary_suffixes() {
    for (text, value) in
        [("5", 5), ("5k", 5000), ("5KB", 5120), ("5KiB", 5120), ("5ki", 5120), ("1m", 1_000_000)]
    {
        assert_eq!(config(&format!("max_payload: {text}")).max_payload, value, "{text}");
    }
    // Beyond what a number holds a suffix begins again from below, as in nats-server.
    assert_eq!(config("max_payload: 9EiB").max_payload, config("max_payload: -1").max_payload);
    assert!(error("max_payload: -9EiB").ends_with("max_payload value is too big"));
    assert!(error("port: 9223372036854775808").contains("is out of the range"));
    assert_eq!(error("port: 5x"), "x.conf:1:0: expected an integer for \"port\", got string");
    assert_eq!(error("port: 5.5"), "x.conf:1:0: expected an integer for \"port\", got float64");
    assert_eq!(error("port: - 5"), "Parse error on line 1: 'Expected a digit but got ' '.'");
}

#[test]
fn strings_can_be_bare_quoted_or_raw() {
    let name =
        |value: &str| config(&format!("log_file_: 1\nserver_name: {value}").replace("log_file_: 1\n", ""));
    for (text, value) in [
        ("a-b#c//d", "a-b#c//d"),
        ("1.2.3.4:5", "1.2.3.4:5"),
        ("\"a\\x41\\\"\\\\b\"", "aA\"\\b"),
        ("'a\\b'", "a\\b"),
        ("a\\x41", "aA"),
        ("\"é\"", "é"),
        ("trueish", "trueish"),
        ("#a", "#a"),
        ("//a # c", "//a"),
        ("$2a$10$abc", "$2a$10$abc"),
        ("'$FIVE'", "$FIVE"),
    ] {
        assert_eq!(name(text).server_name.as_deref(), Some(value), "{text}");
    }
    assert_eq!(read("log_file: (\na b\n  c\n)\n").unwrap().process.log_file.unwrap(), "\na b\n  c");
    assert_eq!(
        error("server_name: a\\q"),
        "Parse error on line 1: 'Invalid escape character 'q'. Only the following escape characters are allowed: \
         \\xXX, \\t, \\n, \\r, \\\", \\\\.'"
    );
    assert!(error("server_name: \"\\xff\"").contains("UTF-8"));
    assert!(
        error("server_name: \"\\x4\"").contains("Expected two hexadecimal digits after '\\x', but got '4'")
    );
}

#[test]
fn a_variable_comes_from_the_enclosing_maps_before_it_or_from_outside() {
    assert_eq!(config("a: 5, b: $a, port: $b").port, Port::Fixed(5));
    assert_eq!(config("a: 5, port: $a\ncluster { a: 6, port: $a }").cluster.unwrap().port, Port::Fixed(6));
    assert_eq!(config("max_payload: $FIVE").max_payload, 5000);
    assert_eq!(config("server_name: $EMPTY").server_name, None);
    assert_eq!(cluster("routes: $LIST").routes.len(), 2);
    let unknown = "variable reference for 'b' on line 2 can not be found";
    assert_eq!(error("a { b: 5 }\nport: $b"), unknown);
    assert_eq!(error("\nb: $b"), unknown);
    assert!(error("port: $SELF").ends_with("variable reference cycle for 'SELF'"));
    assert!(error("port: $TWO").contains("could not be parsed: Parse error on line 1"));
}

#[test]
fn a_secret_from_outside_may_begin_as_a_comment_does() {
    let variables = ["HASH", "SLASHES", "INDENTED", "ONLY_HASH"];
    for (variable, secret) in variables.into_iter().zip(["#s3cret", "//s3cret", "#s3cret", "#"]) {
        let token = Authorization::Token(secret.into());
        assert_eq!(config(&format!("authorization {{ token: ${variable} }}")).authorization, token);
        let text = format!("other: ${variable}\nauthorization {{ token: $other }}");
        assert_eq!(config(&text).authorization, token);
    }
}

#[test]
fn a_credential_of_nothing_is_refused() {
    for key in ["user", "password", "token"] {
        for value in ["$EMPTY", "\"\"", "''"] {
            for block in ["authorization", "cluster { name: c, authorization"] {
                let ends = if block == "authorization" { "}" } else { "}}" };
                let error = error(&format!("{block} {{ {key}: {value} {ends}"));
                assert!(error.ends_with(&format!("{key} is empty, which protects nothing")), "{error}");
            }
        }
    }
}

#[test]
fn a_key_used_as_a_variable_may_have_any_name() {
    assert_eq!(config("mine: 5\nport: $mine").port, Port::Fixed(5));
    assert_eq!(error("mine: 5\nport: 5"), "x.conf:1:0: unknown field \"mine\"");
}

#[test]
fn an_included_file_adds_to_the_map_that_includes_it() {
    let config = config("PINGS: 7\ninclude limits.conf\nauthorization { include 'user.conf' }");
    assert_eq!(config.max_payload, 2 * 1024 * 1024);
    assert_eq!(config.ping_max, 7);
    assert_eq!(config.authorization, Authorization::User { user: "a".into(), password: "b".into() });
    assert_eq!(error("\n\ninclude bad.conf"), "bad.conf:2:1: unknown field \"bogus\"");
    let missing = "error parsing include file 'foo', open foo: no such file or directory";
    assert_eq!(error("include foo"), missing);
    assert_eq!(
        error("include broken.conf"),
        "error parsing include file 'broken.conf', Parse error on line 1: 'Expected a top-level value to end with \
         a new line, comment or EOF, but got '6' instead.'"
    );
    assert!(error("include self.conf").ends_with("nested deeper than 64 levels"));
}

#[test]
fn a_fault_of_syntax_is_told_with_its_line() {
    for (text, message) in [
        (
            "port: 5 host: a",
            "Expected a top-level value to end with a new line, comment or EOF, but got 'h' instead.",
        ),
        (
            "a { b: 5 c: 6 }",
            "Expected a map value terminator \",\" or a map terminator \"}\", but got 'c' instead.",
        ),
        (
            "a: [b c]",
            "Expected an array value terminator \",\" or an array terminator \"]\", but got 'c' instead.",
        ),
        ("a: [,b]", "Unexpected array value terminator ','."),
        ("a: ,", "Unexpected map value terminator \",\"."),
        (": 5", "Unexpected key separator ':'"),
        ("a: \"b", "Unexpected EOF."),
        ("a: (b)", "Unexpected EOF processing block."),
        ("a { b: 5", "Unexpected EOF processing map."),
        ("a: [5", "Unexpected EOF processing array."),
        ("a: .5", "Floats must start with a digit"),
        ("port:", "Expected value but found EOF"),
        ("port: 5\n} host: a", "Unexpected map terminator '}'."),
        ("} host: a", "Unexpected map terminator '}'."),
        ("{port: 5", "Unexpected EOF processing map."),
        ("{port: 5} x", "Expected value but found EOF"),
        ("port: 5 }} x", "Unexpected map terminator '}'."),
    ] {
        let line = text.lines().count();
        assert_eq!(error(text), format!("Parse error on line {line}: '{message}'"), "{text:?}");
    }
    assert_eq!(error("port: \n5"), "Parse error on line 1: 'Expected value but found new line'");
}

#[test]
fn braces_around_the_file_and_braces_too_many_mean_nothing() {
    for text in [
        "{\"port\": 5}\nhost: a\n",
        "{\"port\": 5} host: a",
        "{port: 5}\n{host: a}",
        "{}{} port: 5, host: a",
        "{port: 5, host: a}}",
        "host: a, port: 5 }",
        "port: 5, host: a\n}\n# more",
        "port: 5 } host: a",
        "{port: 5} } # more\n",
    ] {
        assert_eq!(config(text).port, Port::Fixed(5), "{text:?}");
        let host = if text.contains("host") { "a" } else { "0.0.0.0" };
        assert_eq!(config(text).host, host, "{text:?}");
    }
    let text = "authorization { token: x }} host: a";
    assert_eq!((config(text).authorization, &*config(text).host), (Authorization::Token("x".into()), "a"));
    // However many there are, none is read within another.
    assert_eq!(config(&"{}\n".repeat(100_000)), Config::default());
}

#[test]
fn a_carriage_return_ends_a_line_as_a_line_feed_does() {
    for text in
        ["port: 5\rhost: a\r", "# c\rport: 5\rhost: a", "port: 5 # c\rhost: \"a\"\r", "{port: 5\rhost: a\r}"]
    {
        assert_eq!((config(text).port, &*config(text).host), (Port::Fixed(5), "a"), "{text:?}");
    }
    assert_eq!(cluster("routes: [\r'nats://a:1'\r'nats://b:2'\r]").routes.len(), 2);
    assert_eq!(config("include port.conf\rhost: a").port, Port::Fixed(5));
    assert_eq!(error("port:\r5"), "Parse error on line 1: 'Expected value but found new line'");
}

#[test]
fn only_blanks_and_tabs_end_a_value_and_all_that_looks_like_one_ends_a_key() {
    for blank in ['\u{a0}', '\u{2003}', '\u{85}', '\u{b}', '\u{c}'] {
        let text = format!("{blank}server_name: a{blank}b");
        assert_eq!(config(&text).server_name, Some(format!("a{blank}b")));
        assert_eq!(config(&format!("server_name{blank}a")).server_name.as_deref(), Some("a"));
        assert_eq!(config(&format!("server_name:{blank}a")).server_name, Some(format!("{blank}a")));
        assert_eq!(cluster(&format!("name: a{blank}b")).name, Some(format!("a{blank}b")));
    }
}

#[test]
fn include_is_known_in_any_case() {
    for word in ["INCLUDE", "Include", "includE"] {
        assert_eq!(config(&format!("{word} port.conf")).port, Port::Fixed(5), "{word}");
    }
    assert_eq!(error("include: port.conf"), "x.conf:1:0: unknown field \"include\"");
}

#[test]
fn what_a_variable_holds_is_used_as_a_whole_or_not_at_all() {
    for variable in ["BRACE", "SEMICOLON", "COMMA"] {
        let told = error(&format!("other: ${variable}"));
        assert!(told.ends_with("after it.'") && !told.contains("s3cret"), "{told}");
        assert!(error(&format!("authorization {{ token: ${variable} }}")).contains("'token' cannot be read"));
    }
    assert_eq!(config("server_name: $LINE").server_name.as_deref(), Some("a"));
}

#[test]
fn a_credential_that_no_client_can_present_is_refused() {
    assert_eq!(error("authorization { token: a\u{fffd}b }"), "x.conf:1:16: token is not UTF-8");
}

#[test]
fn every_faulty_field_is_told_with_its_place_in_the_order_of_the_text() {
    assert_eq!(
        error("\nbogus: 5\n  bogus2 { a: 5 }\ncluster {\n x: 1 }"),
        "x.conf:2:1: unknown field \"bogus\"\nx.conf:3:3: unknown field \"bogus2\"\nx.conf:5:2: unknown field \"x\""
    );
    for (text, message) in [
        ("tls: true", "Expected map to define tls, got bool"),
        ("jetstream: true", "field \"jetstream\" is not supported yet"),
        ("lame_duck_duration: '29s'", "invalid lame_duck_duration of 29s, minimum is 30 seconds"),
        ("lame_duck_grace_period: '-1s'", "invalid lame_duck_grace_period, needs to be positive"),
        ("lame_duck_duration: 60", "expected a string for \"lame_duck_duration\", got int64"),
        ("server_tags: 5", "expected an array for \"server_tags\", got int64"),
        ("server_tags: [5]", "error parsing server_tags: unsupported type int64"),
        ("queue_affinity: ''", "queue_affinity must be one word, the key of a tag"),
        ("queue_affinity: 'a b'", "queue_affinity must be one word, the key of a tag"),
        ("queue_affinity: true", "expected a string for \"queue_affinity\", got bool"),
        ("server_metadata { a: 5 }", "error parsing server_metadata: unsupported type int64"),
        ("server_name: 'a b'", "server name cannot contain spaces"),
        ("listen: localhost", "could not parse address string \"localhost\""),
        ("listen: a:b", "could not parse port \"b\""),
        ("listen: true", "expected port or host:port, got bool"),
        ("port: 99999", "port 99999 is not a number from 1 to 65535, or -1 for any port"),
        ("max_payload: 3GB", "max_payload value is too big"),
        ("max_sub_tokens: 256", "max_sub_tokens value is too big"),
        ("max_sub_tokens: -1", "max_sub_tokens value can not be negative"),
        ("ping_interval: abc", "error parsing ping_interval: time: invalid duration \"abc\""),
        ("write_deadline: '5'", "error parsing write_deadline: time: missing unit in duration \"5\""),
        ("authorization { user: a, token: c }", "Cannot have a user/pass and token"),
        ("cluster: 5", "Expected map to define cluster, got int64"),
        (
            "cluster { routes: ['nats://a:1'] }",
            "solicited routes require cluster capabilities, e.g. --cluster",
        ),
    ] {
        assert_eq!(error(text), format!("x.conf:1:0: {message}"), "{text:?}");
    }
}

#[test]
fn pinned_accounts_are_one_or_a_list() {
    assert_eq!(cluster("accounts: A").accounts, ["A"]);
    assert_eq!(cluster("accounts: [A, '$SYS']").accounts, ["A", "$SYS"]);
    assert_eq!(cluster("pool_size: -1").pool_size, None);
    let faulty = "cluster {\n accounts: [ A, true ] }";
    assert_eq!(error(faulty), "x.conf:2:17: error parsing accounts: unsupported type in array bool");
    let type_of = |value| error(&format!("cluster {{\n accounts: {value} }}"));
    assert_eq!(type_of("{}"), "x.conf:2:2: error parsing accounts: unsupported type map[string]interface {}");
}

#[test]
fn compression_is_a_mode_a_boolean_or_a_block() {
    use crate::config::RttThresholds;
    use crate::transport::S2Level;
    let read = |text: &str| cluster(&format!("name: c, compression: {text}")).compression;
    let by_rtt = |millis: &[u64]| {
        Compression::Auto(RttThresholds(millis.iter().copied().map(Duration::from_millis).collect()))
    };
    for (text, expected) in [
        ("not_supported", Compression::NotSupported),
        ("false", Compression::Off),
        ("accept", Compression::Accept),
        ("true", Compression::S2(S2Level::Fast)),
        ("Better", Compression::S2(S2Level::Better)),
        ("{ mode: s2_best }", Compression::S2(S2Level::Best)),
        ("{}", Compression::Accept),
        ("{ rtts: ['1s'] }", Compression::Accept),
        ("auto", by_rtt(&[10, 50, 100])),
        ("{ mode: s2_auto, rtt_thresholds: ['1ms', '2ms'] }", by_rtt(&[1, 2])),
        ("{ mode: s2_auto, thresholds: ['-1ms', 0s, '3ms'] }", by_rtt(&[0, 0, 3])),
        ("{ mode: s2_auto, rtt: [] }", by_rtt(&[10, 50, 100])),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
    for (text, message) in [
        ("{ mode: s2_uncompressed }", "x.conf:2:3: unsupported compression mode \"s2_uncompressed\""),
        ("{ mode: fast, rate: 1 }", "x.conf:2:15: unknown field \"rate\""),
        ("{ rtt: [abc] }", "x.conf:2:3: time: invalid duration \"abc\""),
    ] {
        assert_eq!(error(&format!("cluster {{ name: c, compression:\n{text} }}")), message);
    }
}

#[test]
fn a_faulty_field_of_the_cluster_is_told() {
    for (text, message) in [
        ("name: 'a b'", "cluster name cannot contain spaces"),
        ("name: _", "cluster name is reserved"),
        ("authorization { token: c }", "Cluster authorization does not support tokens"),
        ("authorization { user: a }", "expected cluster password to be set"),
        ("compression: 5", "field \"compression\" should be a boolean or a structure, got int64"),
        ("compression: foo", "unsupported compression mode \"foo\""),
        ("compression: s2_uncompressed", "unsupported compression mode \"s2_uncompressed\""),
        (
            "permissions { import: a, allow_responses: true }",
            "Cluster permissions do not support dynamic responses",
        ),
        ("permissions { export: 'a q' }", "cluster export allow: subject \"a q\" is not a valid subject"),
        (
            "permissions { export { deny: [b, 'a q'] } }",
            "cluster export deny: subject \"a q\" is not a valid subject",
        ),
        ("accounts: 5", "error parsing accounts: unsupported type int64"),
        ("write_timeout: close", "field \"write_timeout\" is not supported yet"),
        ("pool_size: 65536", "pool_size value is too big"),
    ] {
        assert_eq!(error(&format!("cluster {{\n{text} }}")), format!("x.conf:2:1: {message}"), "{text:?}");
    }
    let bad_route = "cluster {\n routes: [\"127.0.0.1:15555\"] }";
    assert!(error(bad_route).starts_with("x.conf:2:12: error parsing route url [\"127.0.0.1:15555\"]"));
}

#[test]
fn passwords_are_not_in_messages() {
    for text in [
        "cluster { routes: ['nats://u:s3cret@a'] }",
        "cluster { routes: ['http://u:s3cret@a:5'] }",
        "cluster { routes: ['u:s3cret@a:5'] }",
        "cluster { routes: ['nats://u:s3cret'] }",
        "cluster { routes: ['nats://s3cret'] }",
        "cluster { advertise: 'u:s3cret@a:5' }",
        "listen: 'nats://u:s3cret@a:5'",
        "listen: 'u:s3cret@a'",
        "http: 's3cret@a'",
        "client_advertise: 'u:s3cret@a:5'",
        "authorization { user: a, password: $s3cret }",
        "authorization { user: a, PASS: \"s3cret }",
        "authorization { user: a, pass: { s3cret } }",
        "authorization { token: [ s3cret $s3cret ] }",
        "authorization { token: s3cret\\q }",
        "a: -5s3cret\nauthorization { token: $a }",
        "authorization { pass: [ s3cret ] }",
    ] {
        assert!(!error(text).contains("s3cret"), "{}", error(text));
    }
    for number in ["99999999999999999999", "-5317x", "531.7", "5317"] {
        for text in [
            format!("authorization {{ token: {number} }}"),
            format!("a: {number}\nauthorization {{ token: $a }}"),
        ] {
            let told = error(&text);
            assert!(!told.contains("99999") && !told.contains("531"), "{told}");
        }
    }
    let twice = "cluster { port: 5, routes: ['nats://u:s3cret@a:1', 'nats://u:s3cret@a:1'] }";
    let warnings = read(twice).unwrap().warnings;
    assert!(warnings[0].ends_with("Duplicate route entry detected") && !warnings[0].contains("s3cret"));
}

#[test]
fn doubtful_fields_are_read_with_a_warning() {
    let settings = read("ping_interval: 5\ncluster { port: 5, ping_interval: 31s }").unwrap();
    assert_eq!(settings.config.ping_interval, Duration::from_secs(5));
    assert_eq!(
        settings.warnings,
        [
            "x.conf:1:0: invalid use of field \"ping_interval\": ping_interval should be converted to a duration",
            "x.conf:2:20: Cluster 'ping_interval' will reset to 30s which is the max for routes",
        ]
    );
    let settings = read("cluster {\n port: 5, routes: [\"nats://a:5\",\"nats://a:5\"] }").unwrap();
    assert_eq!(settings.config.cluster.unwrap().routes.len(), 1);
    assert_eq!(
        settings.warnings,
        ["x.conf:2:34: invalid use of field \"nats://a:5\": Duplicate route entry detected"]
    );
}

#[test]
fn an_affinity_without_a_tag_of_its_key_is_read_with_a_warning() {
    for tags in ["", "server_tags: [az, 'az:', 'azure:1', 'x:az:1']"] {
        let settings = read(&format!("port: 5\n queue_affinity: az\n{tags}")).unwrap();
        assert_eq!(settings.config.affinity_tag(), None);
        let advice = "no tag of server_tags has this key, so nothing is preferred";
        assert_eq!(
            settings.warnings,
            [format!("x.conf:2:2: invalid use of field \"queue_affinity\": {advice}")]
        );
    }
    let settings = read("queue_affinity: az\nserver_tags: ['az:', 'AZ:b', 'az:a']").unwrap();
    assert_eq!((settings.config.affinity_tag(), settings.warnings), (Some("az:b"), Vec::new()));
}

#[test]
fn zero_asks_for_the_default_except_for_connections() {
    let zero = config(
        "port: 0, max_payload: 0, max_control_line: 0, max_pending: 0, ping_interval: '0s', ping_max: 0, \
         write_deadline: 0s, max_closed_clients: 0, http_port: 0, authorization { timeout: 0 }\n\
         cluster { port: 0 }",
    );
    assert_eq!(zero, Config::default());
    assert_eq!(config("max_connections: 0").max_connections, 0);
    assert_eq!(cluster("pool_size: 0, ping_max: 0, write_deadline: '0s'"), cluster(""));
}

#[test]
fn a_limit_below_zero_that_would_let_nobody_in_is_left_out_with_a_warning() {
    for (field, key) in [
        ("max_control_line: -1", "max_control_line"),
        ("ping_max: -1", "ping_max"),
        ("ping_interval: -1", "ping_interval"),
        ("ping_interval: '-1s'", "ping_interval"),
        ("write_deadline: '-1ms'", "write_deadline"),
        ("authorization { token: x, timeout: -1 }", "timeout"),
        ("authorization { token: x, timeout: -0.5 }", "timeout"),
        ("authorization { token: x, timeout: \"-1s\" }", "timeout"),
        ("cluster { port: 5, ping_max: -1 }", "ping_max"),
        ("cluster { port: 5, ping_interval: '-5s' }", "ping_interval"),
        ("cluster { port: 5, write_deadline: -1 }", "write_deadline"),
        ("cluster { port: 5, authorization { user: a, password: b, timeout: -1 } }", "timeout"),
    ] {
        let settings = read(field).unwrap_or_else(|fault| panic!("{field}: {fault}"));
        let [warning] = &settings.warnings[..] else { panic!("{field}: {:?}", settings.warnings) };
        let expected =
            format!("invalid use of field {key:?}: a limit below zero lets nobody in, so the default holds");
        assert!(warning.ends_with(&expected), "{field}: {warning}");
        assert_eq!(settings.config.auth_timeout, Config::default().auth_timeout);
        assert_eq!(settings.config.max_control_line, Config::default().max_control_line);
        assert_eq!(settings.config.ping_max, Config::default().ping_max);
        assert_eq!(settings.config.ping_interval, Config::default().ping_interval);
        assert_eq!(settings.config.write_deadline, Config::default().write_deadline);
        if let Some(cluster) = settings.config.cluster {
            let defaults = ClusterConfig::default();
            assert_eq!(cluster.ping_max, defaults.ping_max);
            assert_eq!(cluster.ping_interval, defaults.ping_interval);
            assert_eq!(cluster.write_deadline, defaults.write_deadline);
            assert_eq!(cluster.auth_timeout, defaults.auth_timeout);
        }
    }
}

#[test]
fn some_numbers_below_zero_mean_something() {
    let payload = |text: &str| config(text).max_payload;
    assert_eq!(payload("max_payload: -1"), Config::default().max_pending, "as much as can be delivered");
    assert_eq!(payload("max_payload: -1, max_pending: 5MB"), 5 * 1024 * 1024);
    assert_eq!(payload("max_pending: 4GB, max_payload: -1"), MAX_PAYLOAD);
    assert_eq!(cluster("connect_retries: -1").connect_retries, 0);
    let reports = config("connect_error_reports: -1, reconnect_error_reports: -7");
    assert_eq!((reports.connect_error_reports, reports.reconnect_error_reports), (1, 7));
    assert_eq!(read("log_size_limit: -1, log_max_num: -1").unwrap().process, ProcessSettings::default());
    for none in ["max_pending: -1", "max_closed_clients: -1", "max_sub_tokens: -1"] {
        assert!(error(none).ends_with("value can not be negative"), "{none}");
    }
}

#[test]
fn an_address_with_port_0_has_the_port_that_none_at_all_has() {
    assert_eq!((config("listen: 'a:0'").port, &*config("listen: 'a:0'").host), (Port::Fixed(4222), "a"));
    assert_eq!(config("http: 'a:0'").monitoring, None);
    assert_eq!(config("cluster { name: c, listen: 'a:0' }").cluster, None);
    assert_eq!(config("listen: 'a:+05'").port, Port::Fixed(5));
    for wrong in ["a:-2", "a:65536", "a:", "a: 5", "a", "5", "", "::1:5", "nats://a:5", "u:p@a:5"] {
        for key in ["listen", "http"] {
            assert!(read(&format!("{key}: '{wrong}'")).is_err(), "{key}: {wrong:?}");
        }
    }
}

#[test]
fn what_asks_for_nothing_that_is_missing_is_taken() {
    for text in [
        "jetstream: false",
        "jetstream: disabled",
        "jetstream { enabled: false, store_dir: x }",
        "store_dir: x",
        "prof_port: 0",
        "no_fast_producer_stall: false",
        "syslog: false",
        "trace_verbose: false",
        "accounts {}",
        "write_timeout: default",
        "write_timeout: close",
        "disable_sublist_cache: false",
        "disable_sublist_cache: true",
        "leafnodes {}",
        "websocket {}",
        "websocket { host: a, no_tls: true, authorization {}, jwt_cookie: '' }",
        "ws { port: 0 }",
        "https_port: 0",
        "no_auth_user: ''",
        "system_account: ''",
        "authorization { users: [], default_permissions {} }",
    ] {
        assert_eq!(config(text), Config::default(), "{text}");
    }
    for text in ["accounts: []", "permissions {}", "write_timeout: retry"] {
        assert_eq!(cluster(text), cluster(""), "{text}");
    }
    for (text, key) in [
        ("jetstream: enabled", "jetstream"),
        ("jetstream {}", "jetstream"),
        ("jetstream { enabled: true }", "jetstream"),
        ("prof_port: 5", "prof_port"),
        ("no_fast_producer_stall: true", "no_fast_producer_stall"),
        ("syslog: true", "syslog"),
        ("write_timeout: retry", "write_timeout"),
        ("leafnodes { port: 5 }", "leafnodes"),
    ] {
        assert_eq!(error(text), format!("x.conf:1:0: field {key:?} is not supported yet"), "{text}");
    }
}

#[test]
fn a_number_below_zero_lets_no_client_in_and_each_have_any_number_of_subscriptions() {
    let below = config("max_connections: -1, max_subscriptions: -1");
    assert_eq!((below.max_connections, below.max_subscriptions), (0, usize::MAX));
}

#[test]
fn a_cluster_without_a_port_has_a_name_all_the_same() {
    let lone = config("cluster { name: c1, host: '127.0.0.1' }");
    assert_eq!((lone.cluster, lone.lone_cluster_name.as_deref()), (None, Some("c1")));
    assert_eq!(config("cluster { name: c1, port: 5 }").lone_cluster_name, None);
}

#[test]
fn monitoring_listens_where_clients_do_unless_told_otherwise() {
    let address = |text: &str| config(text).monitoring_address();
    let at = |host: &str, port| Some(Listen { host: host.into(), port });
    assert_eq!(address("http: 8222, host: 127.0.0.1"), at("127.0.0.1", Port::Fixed(8222)));
    assert_eq!(address("http: '127.0.0.2:-1', host: 127.0.0.1"), at("127.0.0.2", Port::Any));
    assert_eq!(address("monitor_port: 8222"), at("0.0.0.0", Port::Fixed(8222)));
    assert_eq!(address("host: 127.0.0.1"), None);
}

#[test]
fn durations_are_those_of_go() {
    let interval = |text: &str| config(&format!("ping_interval: '{text}'")).ping_interval;
    assert_eq!(interval("1h1m1s1ms1us1ns"), Duration::new(3661, 1_001_001));
    assert_eq!(interval("1.5h"), Duration::from_secs(5400));
    assert_eq!(interval("+2µs"), Duration::from_micros(2));
    for wrong in ["", "s", "-5x", "--5s", "1.2.3s", "5x", "999999999999999999999999h"] {
        assert!(read(&format!("ping_interval: '{wrong}'")).is_err(), "{wrong:?}");
    }
}

#[test]
fn no_nesting_exhausts_the_stack() {
    for opening in ["{a: ", "{a ", "["] {
        let text = format!("a: {}", opening.repeat(100_000));
        assert!(error(&text).contains("nested deeper than 64 levels"), "{opening}");
    }
    let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(40), "]".repeat(40));
    let text = format!("a: {}\nb: {}", deep("1"), deep("$a"));
    assert_eq!(error(&text), "variable reference for 'a' on line 2 nests deeper than 64 levels");
}

#[test]
fn no_variables_exhaust_the_memory() {
    let mut text = String::from("a0: [x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let reference = format!("$a{},", level - 1);
        text.push_str(&format!("a{level}: [{}]\n", reference.repeat(8)));
    }
    assert!(error(&text).ends_with("expands to more than 32 MiB"));
    let text = format!("a: '{}'\nb: [{}]", "x".repeat(100_000), "$a,".repeat(1000));
    assert!(error(&text).ends_with("expands to more than 32 MiB"));
}

/// Pieces that a configuration is made of, so that random texts come across the parser's branches.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            "(",
            "\n)",
            "\n",
            " ",
            ":",
            "=",
            ",",
            ";",
            "\"",
            "'",
            "\\",
            "\\x4",
            "#",
            "//",
            "$a",
            "$FIVE",
            "$LIST",
            "$",
            "$2a$",
            "include user.conf",
            "include self.conf",
            "a",
            "5",
            "-",
            ".5",
            "5kb",
            "9eb",
            "-5s",
            "cluster",
            "routes",
            "authorization",
            "port",
            "listen",
            "timeout",
            "compression",
            "mode",
            "ping_interval",
            "é",
            "\r",
            "\t",
            "nats://u:p@[::1]:5",
            "user",
            "token",
            "max_payload",
            "users",
            "healing",
            "interval",
            "limits",
            "max_peers",
            "discovery",
            "dns",
            "command",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,4}",
        "\\PC{0,3}",
    ]
}

proptest! {
    #[test]
    fn no_text_panics(pieces in prop::collection::vec(piece(), 0..40)) {
        let _ = read(&pieces.concat());
    }

    #[test]
    fn no_duration_panics(text in "[-+0-9.a-zµ]{0,12}") {
        let _ = scalar::parse_duration(&text);
    }

    #[test]
    fn an_integer_is_read_as_written(value in 0..=i64::from(i32::MAX)) {
        let expected = if value == 0 { Config::default().max_control_line } else { value as usize };
        prop_assert_eq!(config(&format!("max_control_line: {value}")).max_control_line, expected);
    }

    #[test]
    fn a_quoted_string_is_read_as_written(text in "[^'\\s]{1,20}") {
        let settings = read(&format!("log_file: '{text}'")).unwrap();
        prop_assert_eq!(settings.process.log_file, Some(text));
    }
}
