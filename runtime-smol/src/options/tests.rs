use std::time::Duration;

use onehop::config::{Authorization, ClusterConfig, Dht, Discovery, Frp, Included, Port, UserPassword};
use proptest::prelude::*;

use super::*;

/// One file, `x.conf`, with this text.
struct File(&'static str);

impl Sources for File {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn include(&self, _from: &str, path: &str) -> Result<Included, String> {
        match path {
            "x.conf" => Ok(Included { name: path.to_owned(), text: self.0.to_owned() }),
            _ => Err(format!("open {path}: no such file or directory")),
        }
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        self.include("", path).map(|included| included.text.into_bytes())
    }
}

fn parse_line(line: &str, file: &'static str) -> Result<Command, Failure> {
    let arguments = line.split(' ').filter(|word| !word.is_empty()).map(|word| word.replace("''", ""));
    parse(arguments, &File(file))
}

fn run_with(line: &str, file: &'static str) -> Options {
    match parse_line(line, file) {
        Ok(Command::Run(options)) => *options,
        other => panic!("{line}: {other:?}"),
    }
}

fn run(line: &str) -> Options {
    run_with(line, "")
}

fn cluster(line: &str) -> ClusterConfig {
    run(line).config.cluster.unwrap()
}

/// The message without the program's name.
fn refused_with(line: &str, file: &'static str) -> String {
    let failure = parse_line(line, file).expect_err(line);
    assert_eq!(failure.exit_code, 1, "{line}");
    failure.message.strip_prefix("onehop: ").unwrap().to_owned()
}

fn refused(line: &str) -> String {
    refused_with(line, "")
}

#[test]
fn no_flags_are_the_defaults() {
    let expected = Options {
        config: Config::default(),
        process: ProcessSettings::default(),
        config_file: None,
        warnings: vec![],
    };
    assert_eq!(run(""), expected);
}

#[test]
fn a_flag_takes_one_or_two_dashes_and_its_value_after_a_blank_or_an_equals_sign() {
    for line in ["-p 5", "--p 5", "-p=5", "--port=5", "-port 5", "-p 4 -p 5"] {
        assert_eq!(run(line).config.port, Port::Fixed(5), "{line}");
    }
    assert_eq!(run("-p -1").config.port, Port::Any);
    for number in ["22", "+22", "0x16", "0X1_6", "0b10110", "0o26", "026", "0_26", "2_2"] {
        assert_eq!(run(&format!("-p {number}")).config.port, Port::Fixed(22), "{number}");
    }
    for none in ["a", "1e4", "0x", "0xg", "08", "_2", "2_", "2__2", "0x+2", "--2", "99999999999999999999"] {
        let said = format!("invalid value \"{none}\" for flag -p: parse error");
        assert_eq!(refused(&format!("-p={none}")), said, "{none}");
    }
    assert_eq!(run("-n a=b").config.server_name.as_deref(), Some("a=b"));
    assert_eq!(run("-n=a=b").config.server_name.as_deref(), Some("a=b"));
}

#[test]
fn a_switch_takes_its_value_only_after_an_equals_sign() {
    assert!(run("-D").process.debug);
    assert!(run("--debug=T").process.debug);
    assert!(!run("-D -D=false").process.debug);
    assert!(!run("-T=0").process.logtime);
    assert_eq!(refused("-D false"), "unrecognized command: \"false\"");
    assert_eq!(refused("-D=tRUE"), "invalid boolean value \"tRUE\" for -D: parse error");
    let both = run("-DV").process;
    assert!(both.debug && both.trace);
    let neither = run("-DV=false").process;
    assert!(!neither.debug && !neither.trace);
}

#[test]
fn every_flag_of_the_node_is_read() {
    let options = run(
        "--addr 127.0.0.1 -n n1 -P pid -m 8222 --client_advertise a:1 -l log --log_size_limit 1000 --logtime_utc -V \
         --user u --pass p --ports_file_dir d -sd s",
    );
    assert_eq!(options.config.host, "127.0.0.1");
    assert_eq!(options.config.server_name.as_deref(), Some("n1"));
    assert_eq!(options.config.client_advertise.unwrap().to_string(), "a:1");
    assert_eq!(options.config.monitoring.unwrap().port, Port::Fixed(8222));
    let authorization = Authorization::User { user: "u".into(), password: "p".into() };
    assert_eq!(options.config.authorization, authorization);
    let process = ProcessSettings {
        debug: false,
        trace: true,
        logtime: true,
        logtime_utc: true,
        log_file: Some("log".into()),
        log_size_limit: 1000,
        log_max_num: 0,
        pid_file: Some("pid".into()),
        ports_file_dir: Some("d".into()),
    };
    assert_eq!(options.process, process);
    assert_eq!(run("--log_size_limit -1").process.log_size_limit, 0);
    assert_eq!(run("--auth t").config.authorization, Authorization::Token("t".into()));
}

#[test]
fn every_flag_of_the_cluster_is_read() {
    let cluster = cluster(
        "--cluster nats://u:p@127.0.0.1:-1 --cluster_name c1 --no_advertise --cluster_advertise a:1 \
         --connect_retries 7 --routes nats://a:1,,nats://b:2,nats://a:1",
    );
    let expected = ClusterConfig {
        name: Some("c1".into()),
        host: "127.0.0.1".into(),
        port: Port::Any,
        advertise: Some("a:1".parse().unwrap()),
        no_advertise: true,
        routes: vec!["nats://a:1".parse().unwrap(), "nats://b:2".parse().unwrap()],
        authorization: Some(UserPassword { user: "u".into(), password: "p".into() }),
        connect_retries: 7,
        ..ClusterConfig::default()
    };
    assert_eq!(cluster, expected);
    assert_eq!(self::cluster("--cluster_listen nats://h:6222").port, Port::Fixed(6222));
}

#[test]
fn routes_may_have_blanks_after_their_commas() {
    let routes = "nats://a:1, nats://b:2".to_owned();
    let arguments = ["--cluster", "nats://h:6222", "--routes"].map(String::from);
    let command = parse(arguments.into_iter().chain([routes]), &File("")).unwrap();
    let Command::Run(options) = command else { panic!("{command:?}") };
    assert_eq!(options.config.cluster.unwrap().routes.len(), 2);
}

#[test]
fn flags_override_the_file() {
    let file = "port: 5, server_name: f, debug: true, http: '127.0.0.2:8222', log_file: l\n\
                authorization { user: u, password: p }\n\
                cluster { name: f, port: 6, routes: ['nats://a:1'], authorization { user: x, password: y } }";
    let unchanged = run_with("-c x.conf", file);
    assert_eq!(unchanged.config.port, Port::Fixed(5));
    assert_eq!(unchanged.config_file.as_deref(), Some("x.conf"));
    let line =
        "-c x.conf -p 7 -D=false -m 9 --pass q --routes nats://b:2 --cluster nats://h:8 --cluster_name n";
    let options = run_with(line, file);
    assert_eq!(options.config.port, Port::Fixed(7));
    assert_eq!(options.config.server_name.as_deref(), Some("f"));
    assert!(!options.process.debug);
    assert_eq!(options.process.log_file.as_deref(), Some("l"));
    let monitoring = options.config.monitoring.unwrap();
    assert_eq!((monitoring.host.as_str(), monitoring.port), ("127.0.0.2", Port::Fixed(9)));
    let authorization = Authorization::User { user: "u".into(), password: "q".into() };
    assert_eq!(options.config.authorization, authorization);
    let cluster = options.config.cluster.unwrap();
    assert_eq!((cluster.host.as_str(), cluster.port), ("h", Port::Fixed(8)));
    assert_eq!(cluster.name.as_deref(), Some("n"));
    assert_eq!(cluster.routes, ["nats://b:2".parse().unwrap()]);
    assert!(cluster.authorization.is_some());
    assert_eq!(run_with("-c x.conf --cluster ''", file).config.cluster, None);
    assert_eq!(run_with("-c x.conf --cluster nats://h:0", file).config.cluster, None);
    assert_eq!(run("--cluster nats://:5").config.cluster.unwrap().host, "0.0.0.0");
    assert_eq!(run("--cluster nats://h:5 --connect_retries -1").config.cluster.unwrap().connect_retries, 0);
    assert_eq!(run_with("-c x.conf -m 0 -p 0", file).config.monitoring, None);
    assert_eq!(run_with("-c x.conf -p 0", file).config.port, Port::Fixed(4222));
}

#[test]
fn an_empty_value_undoes_what_the_file_says() {
    let file = "server_name: f, client_advertise: 'a:1', log_file: l, pid_file: p, ports_file_dir: d\n\
                cluster { name: f, port: 6, routes: ['nats://a:1'], cluster_advertise: 'a:2' }";
    let line = "-n '' --client_advertise '' -l '' -P '' --ports_file_dir '' \
                --cluster_name '' --routes '' --cluster_advertise ''";
    let Options { config, process, warnings, .. } = run_with(&format!("-c x.conf {line}"), file);
    assert_eq!((config.server_name, config.client_advertise), (None, None));
    assert_eq!(process, ProcessSettings::default());
    let cluster = ClusterConfig { port: Port::Fixed(6), ..ClusterConfig::default() };
    assert_eq!((config.cluster, warnings), (Some(cluster), vec![]));
    assert_eq!(run("-c ''"), run(""));
    assert_eq!(
        run("-n '' --client_advertise '' -l '' -P '' --cluster_name '' --routes '' --cluster ''"),
        run("")
    );
}

/// nats-server is open then, and on all interfaces.
#[test]
fn an_empty_value_takes_no_protection_away() {
    for file in
        ["host: '127.0.0.1'\nauthorization { user: u, password: p }", "authorization { token: t }", ""]
    {
        let options = run_with("-c x.conf -a '' --user '' --pass '' --auth ''", file);
        assert_eq!(options.config, run_with("-c x.conf", file).config);
        let warnings =
            ["a", "user", "pass", "auth"].map(|flag| format!("flag -{flag} is empty and has no effect"));
        assert!(options.warnings.ends_with(&warnings), "{:?}", options.warnings);
    }
}

#[test]
fn tls_for_clients_takes_a_certificate_and_its_key() {
    for flags in ["--tls", "--tlsverify", "--tls --tlskey k", "--tlscacert a"] {
        assert_eq!(refused(flags), "TLS Server certificate must be present and valid", "{flags}");
    }
    for flags in ["--tls --tlscert c", "--tlscert c"] {
        assert_eq!(refused(flags), "TLS Server private key must be present and valid", "{flags}");
    }
    let missing = "error parsing X509 certificate/key pair: open c: no such file or directory";
    assert_eq!(refused("--tls --tlscert c --tlskey k"), missing);
    assert_eq!(run("--tls=false --tlsverify=false --tlscert=").config.tls, None);
}

/// The route port of nats-server is open then.
#[test]
fn a_cluster_url_without_a_password_leaves_the_one_of_the_file() {
    let file = "cluster { port: 6, authorization { user: u, password: p } }";
    let authorization = |flag: &str| {
        let options = run_with(&format!("-c x.conf --cluster nats://{flag}127.0.0.1:7"), file);
        options.config.cluster.unwrap().authorization
    };
    let user = |user: &str, password: &str| UserPassword { user: user.into(), password: password.into() };
    assert_eq!(authorization(""), Some(user("u", "p")));
    assert_eq!(authorization("x:y@"), Some(user("x", "y")));
}

#[test]
fn a_bad_value_is_told_in_one_line() {
    for (line, message) in [
        ("-p abc", "invalid value \"abc\" for flag -p: parse error"),
        ("-p", "flag needs an argument: -p"),
        (
            "-p 99999",
            "invalid value \"99999\" for flag -port: expected a number from 1 to 65535, or -1 for any port",
        ),
        ("--connect_retries x", "invalid value \"x\" for flag -connect_retries: parse error"),
        ("-n a\tb", "server name cannot contain spaces"),
        ("--cluster nats://h:1 --cluster_name _", "cluster name is reserved"),
        (
            "--cluster h:1",
            "invalid value for flag -cluster: the address must start with nats:// or another scheme",
        ),
        ("--cluster nats://h", "invalid value for flag -cluster: missing port in address"),
        ("--cluster nats://u@h:1", "expected cluster password to be set"),
        ("--routes nats://a:1", "solicited routes require cluster capabilities, e.g. --cluster"),
        (
            "--client_advertise a:b",
            "invalid value for flag -client_advertise: the port must be a number from 1 to 65535",
        ),
        ("--user u --pass p --auth t", "Cannot have a user/pass and token"),
        ("--pass p", "Cannot have a password without a user"),
        (
            "--auth $2a$10$abc",
            "a password or token begins like a bcrypt hash and is none, so nothing would match it",
        ),
    ] {
        assert_eq!(refused(line), message, "{line}");
    }
}

#[test]
fn an_unknown_flag_prints_the_usage() {
    for (line, message) in [
        ("--bogus", "flag provided but not defined: -bogus"),
        ("-bogus=5", "flag provided but not defined: -bogus"),
        ("---p 5", "bad flag syntax: ---p"),
        ("-=5", "bad flag syntax: -=5"),
    ] {
        let failure = parse_line(line, "").unwrap_err();
        assert_eq!(failure.exit_code, 2);
        assert_eq!(failure.message.lines().next(), Some(format!("onehop: {message}").as_str()));
        assert!(failure.message.contains("Usage: onehop [options]"));
    }
}

#[test]
fn a_flag_that_only_nats_server_has_is_told_unless_it_asks_for_nothing() {
    for name in ["js", "DVV", "ms 5"] {
        let plain = name.split(['=', ' ']).next().unwrap();
        assert_eq!(refused(&format!("--{name}")), format!("flag -{plain} is not supported yet"));
    }
    assert_eq!(run("--tls=false -js=0 -s=f --https_port 0 -ms=0 --profile 0 -r '' --store_dir x"), run(""));
    assert_eq!(refused("--tls=x"), "invalid boolean value \"x\" for -tls: parse error");
    assert_eq!(refused("--ms"), "flag needs an argument: -ms");
}

#[test]
fn a_signal_is_for_a_process_or_for_that_of_a_file() {
    let order =
        |word: &str, process: &str| Ok(Command::Signal(Order { word: word.into(), process: process.into() }));
    assert_eq!(parse_line("--signal ldm=5", ""), order("ldm", "5"));
    assert_eq!(parse_line("-sl=reload=/run/a=b.pid", ""), order("reload", "/run/a=b.pid"));
    assert_eq!(refused("-sl foo=1"), "unknown signal \"foo\"");
    assert_eq!(refused("-sl ldm"), "which server is to be sent \"ldm\"? Expected ldm=<pid>");
}

#[test]
fn an_address_that_stands_in_a_wrong_place_is_shown_without_its_password() {
    assert_eq!(refused("nats://u:s3cret@h"), "unrecognized command: \"nats://[REDACTED]@h\"");
    assert_eq!(refused("-p u:s3cret@h"), "invalid value \"[REDACTED]@h\" for flag -p: parse error");
    assert!(!refused("--cluster u:s3cret@h").contains("s3cret"));
    assert!(!refused("--routes nats://u:s3cret --cluster nats://h:1").contains("s3cret"));
}

#[test]
fn a_word_ends_the_flags() {
    assert_eq!(refused("foo"), "unrecognized command: \"foo\"");
    assert_eq!(refused("-p 4999 foo -p x"), "unrecognized command: \"foo\"");
    assert_eq!(refused("-- foo"), "unrecognized command: \"foo\"");
    assert_eq!(refused("-"), "unrecognized command: \"-\"");
    assert_eq!(run("-p 5 --").config.port, Port::Fixed(5));
}

#[test]
fn the_version_and_the_usage_are_printed() {
    for line in ["-v", "--version", "version", "-p 5 -v"] {
        assert_eq!(parse_line(line, ""), Ok(Command::Print("onehop: v0.1.0".into())), "{line}");
    }
    for line in ["-h", "--help", "help", "-v -h"] {
        let Ok(Command::Print(text)) = parse_line(line, "") else { panic!("{line}") };
        assert!(text.contains("Usage: onehop [options]"), "{line}");
    }
}

#[test]
fn every_flag_is_in_the_usage() {
    for word in usage::USAGE.split_whitespace().filter(|word| word.starts_with('-')) {
        let name = word.trim_start_matches('-').split(['=', '[', ',']).next().unwrap();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        assert!(Flag::named(name).is_some(), "{word}");
    }
}

#[test]
fn a_file_can_be_tested() {
    let valid = "onehop: configuration file x.conf is valid";
    assert_eq!(parse_line("-t -c x.conf", "port: 5"), Ok(Command::ConfigIsValid(valid.into())));
    assert_eq!(refused("-t"), "must specify [-c, --config] option to check configuration file syntax");
    assert_eq!(refused_with("-t -c x.conf", "\nbogus: 5"), "x.conf:2:1: unknown field \"bogus\"");
    let warning =
        "x.conf:1:0: invalid use of field \"ping_interval\": ping_interval should be converted to a duration";
    assert_eq!(refused_with("-t -c x.conf", "ping_interval: 5"), warning);
    assert_eq!(run_with("-c x.conf", "ping_interval: 5").warnings, [warning]);
}

#[test]
fn a_file_that_is_missing_or_wrong_is_told() {
    assert_eq!(refused("-c none.conf"), "open none.conf: no such file or directory");
    assert_eq!(refused_with("-c x.conf", "\nbogus: 5"), "x.conf:2:1: unknown field \"bogus\"");
    let pending = "max_payload (2097152) cannot be higher than max_pending (1048576)";
    assert_eq!(refused_with("-c x.conf", "max_payload: 2MB, max_pending: 1MB"), pending);
}

#[test]
fn a_cluster_flag_without_a_cluster_is_a_warning() {
    assert_eq!(run("--connect_retries 5").warnings, ["flag -connect_retries has no effect without -cluster"]);
}

#[test]
fn a_cluster_name_without_a_cluster_is_told_all_the_same() {
    let lone = |line: &str, file| run_with(line, file).config.lone_cluster_name;
    assert_eq!(lone("--cluster_name c", ""), Some("c".into()));
    assert_eq!(lone("-c x.conf --cluster_name c", "cluster { name: f }"), Some("c".into()));
    assert_eq!(lone("-c x.conf --cluster ''", "cluster { name: f, port: 5 }"), Some("f".into()));
    assert_eq!(refused("--cluster_name _"), "cluster name is reserved");
    let file = "cluster { name: f }";
    let Config { cluster, lone_cluster_name, .. } = run_with("-c x.conf --cluster nats://h:1", file).config;
    assert_eq!((cluster.unwrap().name.as_deref(), lone_cluster_name), (Some("f"), None));
}

#[test]
fn every_flag_of_discovery_is_read() {
    let line = "--discover c --peers_file p --discover_dns a,,b:5 --discover_dns [::1]:7,a";
    let Config { cluster, discovery, .. } = run(line).config;
    let expected = Discovery {
        peers_file: Some("p".into()),
        dns: ["a", "b:5", "[::1]:7"].map(|name| name.parse().unwrap()).to_vec(),
        mdns: true,
        ..Discovery::default()
    };
    assert_eq!(discovery, expected);
    let port = Port::Fixed(6222);
    let expected = ClusterConfig { name: Some("c".into()), port, ..ClusterConfig::default() };
    assert_eq!(cluster, Some(expected), "on all addresses");
}

#[test]
fn whoever_has_a_secret_looks_for_those_that_have_the_same() {
    let secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
    let config = run_with("--secret x.conf", secret).config;
    let place = config.cluster.expect("it opens a port");
    assert_eq!((place.host.as_str(), place.port.to_bind(), place.name), ("0.0.0.0", 6222, None));
    let Discovery { dht, secret: known, mdns, .. } = config.discovery;
    assert_eq!((dht, known, mdns), (Some(Dht::default()), secret.parse().ok(), false));
    let both = run_with("--discover c --secret x.conf --cluster_listen nats://h:5", secret).config;
    let name = both.cluster.expect("a cluster").name;
    assert_eq!((name.as_deref(), both.discovery.mdns, both.discovery.dht.is_some()), (Some("c"), true, true));
    let message = parse_line("--secret x.conf", "no secret").expect_err("it is none").message;
    assert!(message.starts_with("onehop: invalid value \"x.conf\" for flag -secret: "), "{message}");
    assert!(!message.contains("no secret"), "{message}");
    assert!(parse_line("--secret y.conf", "").expect_err("there is none").message.contains("y.conf"));
    let new = parse(["--new_secret", "f"].map(str::to_owned), &SystemSources);
    assert_eq!(new, Ok(Command::NewSecret("f".to_owned())));
}

#[test]
fn the_client_of_frp_is_asked_where_a_flag_says_in_the_name_that_the_file_says() {
    let frp =
        |flags: &str, file: &'static str| run_with(&format!("-c x.conf {flags}"), file).config.discovery.frp;
    let at = |url: &str| Frp::at(url).unwrap();
    let bare = "cluster { port: 7 }";
    assert_eq!(frp("--discover_frp http://a:5", bare), Some(at("http://a:5")));
    let file = "cluster { port: 7 }, discovery { frp { user: u, password: p, interval: 5s } }";
    let named = |url: &str| Frp {
        user: "u".into(),
        password: "p".into(),
        interval: Some(Duration::from_secs(5)),
        ..at(url)
    };
    assert_eq!(frp("", file), Some(named("http://127.0.0.1:7400")));
    assert_eq!(frp("--discover_frp http://[::1]", file), Some(named("http://[::1]:7400")));
    assert_eq!(frp("--discover_frp ''", file), None);
    let wrong =
        "invalid value for flag -discover_frp: discovery frp requires a url such as http://127.0.0.1:7400";
    assert_eq!(refused("--discover c --discover_frp http://u:s3cret@a"), wrong);
    let alone = "discovery requires cluster capabilities, e.g. --cluster";
    assert_eq!(refused("--discover_frp http://a"), alone);
}

#[test]
fn who_looks_for_a_cluster_is_in_it() {
    let place = |line: &str, file| {
        let Config { cluster, lone_cluster_name, discovery, .. } = run_with(line, file).config;
        let ClusterConfig { name, host, port, .. } = cluster.expect(line);
        assert!(discovery.mdns && lone_cluster_name.is_none(), "{line}");
        (name.expect(line), host, port.to_bind())
    };
    let at = |host: &str, port| ("c".to_owned(), host.to_owned(), port);
    assert_eq!(place("--discover c --cluster_name c", ""), at("0.0.0.0", 6222));
    assert_eq!(place("--cluster nats://h:5 --discover c", ""), at("h", 5));
    let file = "cluster { port: 7, host: '127.0.0.1' }";
    assert_eq!(place("-c x.conf --discover c", file), at("127.0.0.1", 7));
    assert_eq!(place("-c x.conf --discover c --cluster nats://h:5", file), at("h", 5));
    assert_eq!(place("-c x.conf --discover c", "cluster { name: c, port: 7 }"), at("0.0.0.0", 7));
    for name in ["c", "''"] {
        let line = format!("-c x.conf --discover c --cluster_name {name}");
        assert_eq!(place(&line, "cluster { name: f, port: 7 }"), at("0.0.0.0", 7), "the flag holds");
    }
    let routes = cluster("--discover c --routes nats://a:1 --connect_retries 7");
    assert_eq!((routes.routes.len(), routes.connect_retries), (1, 7));
}

#[test]
fn flags_of_discovery_override_the_same_field_of_the_file() {
    let file = "cluster { name: c, port: 7 }\n\
                discovery { peers_file: f, dns: [a, b], mdns: true, command: c, interval: 5s }";
    let read = |flags: &str| run_with(&format!("-c x.conf {flags}"), file).config.discovery;
    let unchanged = read("");
    let dns = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    assert_eq!(read("--peers_file p"), Discovery { peers_file: Some("p".into()), ..unchanged.clone() });
    assert_eq!(read("--discover_dns b:5"), Discovery { dns: dns(&["b:5"]), ..unchanged.clone() });
    assert_eq!(read("--discover c"), unchanged);
    assert_eq!(read("--discover ''"), Discovery { mdns: false, ..unchanged.clone() });
    let none = read("--discover '' --discover_dns '' --peers_file ''");
    assert_eq!(none, Discovery { peers_file: None, dns: vec![], mdns: false, ..unchanged });
    assert_eq!(run("--discover '' --discover_dns '' --peers_file ''"), run(""));
    let file = "cluster { port: 7 }, discovery { mdns: false }";
    assert!(run_with("-c x.conf --discover c", file).config.discovery.mdns);
}

#[test]
fn what_cannot_be_looked_for_is_told() {
    let other = "invalid value \"c\" for flag -discover: the name of the cluster is \"f\"";
    assert_eq!(refused("--discover c --cluster_name f"), other);
    for file in ["cluster { name: f, port: 7 }", "cluster { name: f }"] {
        assert_eq!(refused_with("-c x.conf --discover c --cluster nats://h:5", file), other);
    }
    assert_eq!(refused_with("-c x.conf --discover c", "cluster { name: f, port: 7 }"), other);
    // It may have more in it, such as who may be a member.
    let portless = "flag -discover needs a port for the cluster \"f\" of the file";
    assert_eq!(refused_with("-c x.conf --discover f", "cluster { name: f }"), portless);
    let alone = "discovery requires cluster capabilities, e.g. --cluster";
    for line in ["--peers_file p", "--discover_dns a", "--discover c --cluster ''"] {
        assert_eq!(refused(line), alone, "{line}");
    }
    let many: Vec<_> = (0..65).map(|number| format!("a{number}")).collect();
    for (line, message) in [
        ("--discover _", "cluster name is reserved"),
        ("--discover a\tb", "cluster name cannot contain spaces"),
        ("--discover c --discover_dns :5", "invalid value for flag -discover_dns: missing host in address"),
        (
            "--discover c --discover_dns a,b:c",
            "invalid value for flag -discover_dns: the port must be a number from 1 to 65535",
        ),
        (
            "--discover c --discover_dns nats://a:5",
            "invalid value for flag -discover_dns: not a host, an IPv4 address or an IPv6 address in brackets",
        ),
        (
            &format!("--discover c --discover_dns {}", many.join(",")),
            "discovery dns cannot have more than 16 entries",
        ),
    ] {
        assert_eq!(refused(line), message, "{line}");
    }
}

proptest! {
    #[test]
    fn no_arguments_panic(
        arguments in prop::collection::vec("(--?)?(p|c|D|DV|tls|cluster|routes|discover|discover_dns|user|pass|t|bogus)?(=)?[ -~é]{0,6}", 0..6)
    ) {
        let _ = parse(arguments, &File("port: 5"));
    }
}
