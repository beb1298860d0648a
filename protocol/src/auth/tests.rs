use data_encoding::{BASE64, BASE64URL_NOPAD};
use ed25519_dalek::{Signer, SigningKey};

use super::*;
use crate::accounts::GLOBAL_ACCOUNT;
use crate::config::{ConnectionType, Identity, User};
use crate::nkey::UserKey;

/// Of `foobar`.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu9log0hrAUiurK9/TETFbcPOPd.iIULC";

/// The public half of [`signing_key`].
const KEY: &str = "UCFIRY65OQE7DFP5KLNS2PF2LVZMUZYJX4OZIEQ36N2IQANUB5XVZ45L";

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn guard(authorization: Authorization) -> Guard {
    Guard::new(&Config { authorization, secret_seed: SecretSeed([7; 16]), ..Config::default() })
}

fn users() -> Vec<User> {
    let key: UserKey = KEY.parse().expect("a key");
    let account = Some("A".to_owned());
    vec![
        User::with_password("joe", "pw"),
        User { account, ..User::with_password("ann", HASH) },
        User { connection_types: Some(vec![ConnectionType::Mqtt]), ..User::with_password("box", "pw") },
        User { connection_types: Some(vec![ConnectionType::Websocket]), ..User::with_password("web", "pw") },
        User::with_nkey(key),
    ]
}

fn connect(user: &str, pass: &str) -> Connect {
    Connect { user: user.to_owned(), pass: pass.to_owned(), ..Connect::default() }
}

/// In which account somebody is let in, after all checks that takes; and whether there were any.
fn outcome(finding: Finding) -> (Option<String>, bool) {
    let account =
        |user: Option<Known>| user.map_or(GLOBAL_ACCOUNT.to_owned(), |user| user.account.to_string());
    match finding {
        Finding::Accepted(user) => (Some(account(user)), false),
        Finding::Refused => (None, false),
        Finding::AskProgram => panic!("nobody to ask"),
        Finding::CheckPassword(check, user) => (check.run().then(|| account(user)), true),
    }
}

fn accepted(account: &str) -> Option<String> {
    Some(account.to_owned())
}

#[test]
fn a_user_is_who_knows_its_password_and_each_refusal_takes_as_long() {
    let guard = guard(Authorization::Users(users()));
    let judge = |user, pass| outcome(guard.judge(&connect(user, pass), 1, Arrival::default()));
    assert_eq!(judge("joe", "pw"), (accepted("$G"), false));
    assert_eq!(judge("ann", "foobar"), (accepted("A"), true));
    for (user, pass) in [
        ("ann", "foobaz"),
        ("ann", HASH),
        ("joe", "foobar"),
        ("joe", ""),
        ("moe", "foobar"),
        ("box", "pw"),
        ("web", "pw"),
        ("", "pw"),
        (KEY, ""),
    ] {
        assert_eq!(judge(user, pass), (None, true), "{user} {pass}");
    }
    assert_eq!(
        outcome(guard.judge(&Connect::default(), 1, Arrival::default())),
        (None, false),
        "nothing was tried"
    );
    let by_websocket = |user| {
        outcome(guard.judge(&connect(user, "pw"), 1, Arrival { by_websocket: true, ..Arrival::default() })).0
    };
    assert_eq!(["web", "joe", "box"].map(by_websocket), [accepted("$G"), accepted("$G"), None]);
}

#[test]
fn where_no_password_is_a_hash_nothing_takes_long() {
    let guard = guard(Authorization::Users(vec![User::with_password("joe", "pw")]));
    assert_eq!(outcome(guard.judge(&connect("moe", "pw"), 1, Arrival::default())), (None, false));
    assert_eq!(outcome(guard.judge(&connect("joe", "pv"), 1, Arrival::default())), (None, false));
}

#[test]
fn a_user_with_a_key_signs_what_its_connection_was_given() {
    let guard = guard(Authorization::Users(users()));
    let [first, second] = [1, 2].map(|cid| guard.nonce(cid));
    assert_eq!(first.len(), 15);
    assert_ne!(first, second);
    let signature = |nonce: &str| signing_key().sign(nonce.as_bytes()).to_bytes();
    let sign = |nonce: &str| BASE64URL_NOPAD.encode(&signature(nonce));
    let judge = |nkey: &str, sig: &str| {
        let connect = Connect { nkey: nkey.to_owned(), sig: sig.to_owned(), ..connect("joe", "pw") };
        outcome(guard.judge(&connect, 1, Arrival::default())).0
    };
    assert_eq!(judge(KEY, &sign(&first)), accepted("$G"));
    assert_eq!(judge(KEY, &BASE64.encode(&signature(&first))), accepted("$G"), "so nats-py writes it");
    for (nkey, sig) in [
        (KEY, sign(&second)),
        (KEY, sign(&first) + "="),
        (KEY, sign(&first).replace(|c: char| c.is_ascii_digit(), "+")),
        (KEY, String::new()),
        (&KEY.replace('5', "6"), sign(&first)),
        ("junk", sign(&first)),
    ] {
        assert_eq!(judge(nkey, &sig), None, "{nkey} {sig}");
    }
}

#[test]
fn nothing_is_given_to_sign_where_nobody_signs() {
    let users = vec![User::with_password("joe", "pw")];
    for authorization in [Authorization::None, Authorization::Users(users)] {
        assert_eq!(guard(authorization).nonce(1), "");
    }
}

#[test]
fn who_presents_nothing_is_the_user_that_needs_nothing() {
    for name in ["ann", KEY] {
        let guard = Guard::new(&Config {
            authorization: Authorization::Users(users()),
            no_auth_user: Some(name.to_owned()),
            ..Config::default()
        });
        assert!(guard.requires_authorization() && guard.is_open());
        assert!(outcome(guard.judge(&Connect::default(), 1, Arrival::default())).0.is_some());
        let token = Connect { auth_token: "x".to_owned(), ..Connect::default() };
        for wrong in [token, connect("", "x"), connect("ann", "")] {
            assert_eq!(outcome(guard.judge(&wrong, 1, Arrival::default())).0, None);
        }
    }
}

#[test]
fn a_single_user_and_a_token_can_be_hashes_too() {
    let one = guard(Authorization::User { user: "joe".to_owned(), password: HASH.into() });
    assert_eq!(outcome(one.judge(&connect("joe", "foobar"), 1, Arrival::default())), (accepted("$G"), true));
    assert_eq!(outcome(one.judge(&connect("moe", "foobar"), 1, Arrival::default())), (None, true));
    let token = guard(Authorization::Token(HASH.into()));
    let judge = |text: &str| {
        outcome(token.judge(
            &Connect { auth_token: text.to_owned(), ..Connect::default() },
            1,
            Arrival::default(),
        ))
    };
    assert_eq!(judge("foobar"), (accepted("$G"), true));
    assert_eq!(judge("foobaz"), (None, true));
}

#[test]
fn the_same_permissions_are_made_ready_once() {
    let shared = std::sync::Arc::new(crate::config::Permissions::default());
    let users =
        ["a", "b"].map(|name| User { permissions: Some(shared.clone()), ..User::with_password(name, "pw") });
    let guard = guard(Authorization::Users(users.to_vec()));
    let permissions = |name| match guard.judge(&connect(name, "pw"), 1, Arrival::default()) {
        Finding::Accepted(Some(Known { permissions: Some(permissions), .. })) => permissions,
        other => panic!("{other:?}"),
    };
    assert!(std::sync::Arc::ptr_eq(&permissions("a"), &permissions("b")));
    assert!(matches!(users[0].identity, Identity::Password { .. }));
}
