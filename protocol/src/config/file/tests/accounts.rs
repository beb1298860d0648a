//! Accounts, with nats-server's errors.

use super::*;
use crate::config::{AccountConfig, AccountLimits, ConfigError, Identity, Mapping, User};

const USER_KEY: &str = "UCFIRY65OQE7DFP5KLNS2PF2LVZMUZYJX4OZIEQ36N2IQANUB5XVZ45L";
const ACCOUNT_KEY: &str = "ADFB2JXYTXOJEL6LNAXDREUGRX35BOLZI3B4PFFAC7IRPR3OA4QNKBN2";

fn users(config: &Config) -> Vec<(String, Option<String>, bool)> {
    let Authorization::Users(users) = &config.authorization else { return Vec::new() };
    let shown = |user: &User| (user.identity.to_string(), user.account.clone(), user.permissions.is_some());
    users.iter().map(shown).collect()
}

#[test]
fn accounts_have_users_beside_those_of_no_account() {
    let config = config(&format!(
        "accounts {{\n B {{ nkey: {ACCOUNT_KEY}, exports: [], imports: [], users: [{{user: b, password: p}}],\n\
         default_permissions {{publish: x}} }}\n A {{ USERS = [{{user: a}}, {{nkey: {USER_KEY}}}] }}\n C {{}} }}\n\
         authorization {{ users: [{{user: g, password: p}}] }}",
    ));
    let accounts: Vec<_> = ["B", "A", "C"].map(AccountConfig::new).into();
    assert_eq!((&config.accounts, config.is_global_account_open), (&accounts, false));
    let account = |name: &str| Some(name.to_owned());
    let expected = [
        ("g".to_owned(), None, false),
        ("b".to_owned(), account("B"), true),
        ("a".to_owned(), account("A"), false),
        (USER_KEY.to_owned(), account("A"), false),
    ];
    assert_eq!(users(&config), expected);
    assert_eq!(config.validate(), Ok(()));
}

#[test]
fn accounts_may_be_named_only() {
    let config = config("accounts: [A, 'B']");
    assert_eq!(config.accounts, ["A", "B"].map(AccountConfig::new));
    assert_eq!(config.authorization, Authorization::None);
    assert!(!config.is_global_account_open);
}

#[test]
fn where_only_the_system_account_is_named_the_global_one_stays_open() {
    for (text, is_open) in [
        ("accounts { '$SYS' { users: [{user: s, password: p}] } }", true),
        ("accounts: ['$SYS']", true),
        ("accounts { A {}, '$SYS' {} }", false),
        ("accounts { '$SYS' {} }\nauthorization {}", false),
        ("accounts { '$SYS' { users: [{user: s}] } }\nno_auth_user: s", false),
        ("accounts: [A]", false),
        ("accounts: [A]\nsystem: A", true),
        ("accounts: [A, '$SYS']\nsystem: A", false),
    ] {
        assert_eq!(config(text).is_global_account_open, is_open, "{text}");
    }
    for (text, name) in [
        ("no_sys_acc: true", None),
        ("no_sys_acc: true\naccounts: ['$SYS']", Some("$SYS")),
        ("accounts: [A]", Some("$SYS")),
        ("system_account: A\naccounts: [A]", Some("A")),
        ("no_sys_acc: true\nsystem: A\naccounts: [A]", Some("A")),
        ("system: ''", Some("$SYS")),
    ] {
        assert_eq!(config(text).system_account_name(), name, "{text}");
    }
}

#[test]
fn what_nats_server_says_of_accounts_is_said_with_its_place() {
    for (text, message) in [
        (
            "accounts: [A, A, B, B]",
            "x.conf:1:14: Duplicate Account Entry: A\nx.conf:1:20: Duplicate Account Entry: B",
        ),
        ("accounts: ['$G']", "x.conf:1:12: \"$G\" is a Reserved Account"),
        ("accounts: [ [A] ]", "x.conf:1:12: interface conversion: interface {} is array, not string"),
        ("system_account: 5", "x.conf:1:0: system account name must be a string"),
        ("accounts: 5", "x.conf:1:0: Expected map to define accounts, got int64"),
        ("accounts: A", "x.conf:1:0: Expected map to define accounts, got string"),
        (
            "accounts { A {}, B: 5, C: x }",
            "x.conf:1:17: Expected map entries for accounts\nx.conf:1:23: Expected map entries for accounts",
        ),
        ("accounts { $G {} }", "x.conf:1:11: \"$G\" is a Reserved Account"),
        ("accounts { 'a b' {} }", "x.conf:1:12: account name \"a b\" is not one word"),
        ("accounts { A { users: 5 } }", "x.conf:1:15: Expected users field to be an array, got int64"),
        ("accounts { A { users: [{password: p}] } }", "x.conf:1:23: User entry requires a user"),
        ("accounts { A { users: [{user: a, foo: 1}] } }", "x.conf:1:33: unknown field \"foo\""),
        ("accounts { A { users: [{user: a}, {user: a}] } }", "x.conf:1:15: Duplicate user \"a\" detected"),
        (
            "accounts { A { users: [{user: a}] }\n B { users: [{user: a}] } }",
            "x.conf:2:6: Duplicate user \"a\" detected",
        ),
        (
            "authorization { users: [{user: a}] }\naccounts { A { users: [{user: a}] } }",
            "x.conf:2:16: Duplicate user \"a\" detected",
        ),
        (
            "authorization { token: b }\naccounts { A { users: [{user: a}] } }",
            "x.conf:2:16: Can not have a token and accounts",
        ),
        (
            "accounts { A { users: [{user: a}] } }\nauthorization { user: b, password: p }",
            "x.conf:1:15: Can not have a single user/pass and accounts",
        ),
        ("accounts { A { bogus: 5 } }", "x.conf:1:15: unknown field \"bogus\""),
        ("accounts { A { permissions {} } }", "x.conf:1:15: unknown field \"permissions\""),
        ("accounts { A { nkey: abc } }", "x.conf:1:15: Not a valid public nkey for an account: \"abc\""),
        (
            "accounts { A { default_permissions: 5 } }",
            "x.conf:1:15: Expected permissions to be a map/struct, got int64",
        ),
        (
            "accounts { A { limits: 5 } }",
            "x.conf:1:15: Expected account limits to be a map/struct, got int64",
        ),
        (
            "accounts { A { limits { max_subs: x } } }",
            "x.conf:1:24: interface conversion: interface {} is string, not int64",
        ),
        (
            "accounts { A { limits { max_leafs: 1.5 } } }",
            "x.conf:1:24: interface conversion: interface {} is float64, not int64",
        ),
        (
            "accounts { A { limits { bogus: 5 } } }",
            "x.conf:1:24: Unknown field \"bogus\" parsing account limits",
        ),
        ("accounts { A { exports: 5 } }", "x.conf:1:15: Exports should be an array, got int64"),
        (
            "accounts { A { imports {} } }",
            "x.conf:1:15: Imports should be an array, got map[string]interface {}",
        ),
        ("accounts { A { jetstream: enabled } }", "x.conf:1:15: field \"jetstream\" is not supported yet"),
    ] {
        assert_eq!(error(text), message, "{text}");
    }
    for text in [
        "accounts { A {} }\nauthorization { token: b }",
        "accounts: [A]\nauthorization { user: b, password: p }",
        "accounts { A { users: [] } }\nauthorization { user: b, password: p }",
        "accounts { A { jetstream: false, limits {} } }",
    ] {
        assert_eq!(config(text).accounts, [AccountConfig::new("A")], "{text}");
    }
}

#[test]
fn an_account_has_limits_of_which_minus_one_is_none() {
    let limits = |text: &str| {
        let account = config(&format!("accounts {{ A {{ limits {{ {text} }} }} }}")).accounts.remove(0);
        let AccountLimits { max_connections, max_subscriptions, max_payload } = account.limits;
        [max_connections, max_subscriptions, max_payload]
    };
    assert_eq!(
        limits("max_connections: 3, max_subscriptions: 1k, max_payload: 0"),
        [Some(3), Some(1000), Some(0)]
    );
    assert_eq!(limits("max_conn: 3, max_subs: 4, max_pay: 5, max_leafnodes: 6"), [3, 4, 5].map(Some));
    assert_eq!(limits("max_conn: -1, max_subs: -2, max_payload: -1"), [None, Some(0), None]);
    assert_eq!(limits(""), [None; 3]);
}

#[test]
fn the_global_account_and_others_have_mappings() {
    let config =
        config("mappings {a: b}\nmaps {c: d}\naccounts { A { maps {e: f}, mappings {g: h} }, B {} }");
    let simple = |pairs: &[(&str, &str)]| -> Vec<Mapping> {
        pairs.iter().map(|(from, to)| Mapping::simple(*from, *to)).collect()
    };
    assert_eq!(config.mappings_of("$G"), simple(&[("a", "b"), ("c", "d")]));
    assert_eq!(config.mappings_of("A"), simple(&[("e", "f"), ("g", "h")]));
    assert_eq!([config.mappings_of("B"), config.mappings_of("C")], [[].as_slice(); 2]);
    let fault = "x.conf:1:10: Error adding mapping for \"a\" to \"b..c\" : invalid mapping destination: invalid transform";
    assert_eq!(error("mappings {a: 'b..c'}"), fault);
    let broken = Config { mappings: simple(&[("a", "b..c")]), ..Config::default() };
    let fault = "Error adding mapping for \"a\" : invalid mapping destination: invalid transform";
    assert_eq!(broken.validate().map_err(|error| error.to_string()), Err(fault.to_owned()));
}

#[test]
fn accounts_are_checked_as_a_whole_too() {
    let refused = |change: fn(&mut Config)| {
        let mut config = Config { accounts: vec![AccountConfig::new("A")], ..Config::default() };
        change(&mut config);
        config.validate()
    };
    assert_eq!(refused(|_| {}), Ok(()));
    let twice = refused(|config| config.accounts.push(AccountConfig::new("A")));
    assert_eq!(twice, Err(ConfigError::DuplicateAccount("A".to_owned())));
    let reserved = refused(|config| config.accounts.push(AccountConfig::new("$G")));
    assert_eq!(reserved, Err(ConfigError::ReservedAccount("$G".to_owned())));
    assert_eq!(refused(|config| config.system_account = Some("A".to_owned())), Ok(()));
    for name in ["B", "$SYS"] {
        let config = Config { system_account: Some(name.to_owned()), ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::SystemAccountMissing), "{name}");
    }
    let global = refused(|config| config.system_account = Some("$G".to_owned()));
    assert_eq!(global, Err(ConfigError::GlobalSystemAccount));
    let nobodys = refused(|config| {
        let identity = Identity::Password { name: "b".to_owned(), password: "p".into() };
        let user = User { account: Some("B".to_owned()), identity, ..User::with_password("", "") };
        config.authorization = Authorization::Users(vec![user]);
    });
    assert_eq!(nobodys, Err(ConfigError::UnknownAccount("B".to_owned())));
}
