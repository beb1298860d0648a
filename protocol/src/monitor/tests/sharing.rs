//! What accounts have of each other.

use serde_json::json;

use super::*;
use crate::config::{AccountConfig, DEFAULT_RESPONSE_THRESHOLD, User};
use crate::config::{Export, Import, ImportKind, Response as Answer};
use crate::monitor::sharing::{MAX_RESPONSES, MAX_RESPONSES_BYTES};

/// What these accounts alone may import.
fn only_for(accounts: &[&str], export: Export) -> Export {
    let accounts = Some(accounts.iter().map(|&name| name.to_owned()).collect());
    Export { accounts, ..export }
}

/// A gives something to B, and has a client, and so has B.
fn world() -> World {
    let a = AccountConfig {
        exports: vec![
            Export::stream("s.>"),
            only_for(&["B"], Export::stream("st.*")),
            Export::service("q.*", Answer::Single),
            only_for(&["B", "B"], Export::service("qs.*", Answer::Stream)),
            Export::service("lit", Answer::Chunked),
        ],
        ..AccountConfig::new("A")
    };
    let shared = Import { kind: ImportKind::Service { share: true }, ..Import::service("A", "qs.*", "qs.*") };
    let b = AccountConfig {
        imports: vec![
            Import::service("A", "q.*", "ask.$1"),
            Import::service("A", "lit", "alias"),
            Import::stream("A", "s.>", "in.s.>"),
            shared,
            Import::stream("A", "st.*", "got.$1.here"),
        ],
        ..AccountConfig::new("B")
    };
    let users = [("a", "A"), ("b", "B")];
    let users = users.map(|(name, account)| User::with_password(name, "p").in_account(account));
    let authorization = Authorization::Users(users.into());
    let mut world = World::new(Config { accounts: vec![a, b], authorization, ..Config::default() });
    for user in ["a", "b"] {
        world.client(&format!("CONNECT {{\"verbose\":false,\"user\":\"{user}\",\"pass\":\"p\"}}\r\n"));
    }
    world
}

/// The places of the clients of [`world`].
const A: usize = 0;
const B: usize = 1;

fn detail(world: &World, account: &str) -> Value {
    world.json(&format!("/accountz?acc={account}"))["account_detail"].clone()
}

#[test]
fn accounts_show_what_they_give_and_take_as_it_is_configured() {
    let world = world();
    let (a, b) = (detail(&world, "A"), detail(&world, "B"));
    let expected = json!([
        { "subject": "q.*", "type": "service", "response_type": "Singleton" },
        { "subject": "qs.*", "type": "service", "response_type": "Streamed", "approved_accounts": ["B"] },
        { "subject": "lit", "type": "service", "response_type": "Chunked" },
        { "subject": "s.>", "type": "stream" },
        { "subject": "st.*", "type": "stream", "approved_accounts": ["B"] },
    ]);
    assert_eq!((&a["exports"], a.get("imports"), b.get("exports")), (&expected, None, None));
    let import = |subject: &str, to: Option<&str>, local: &str, kind: &str, share: bool| {
        let mut import = json!({
            "subject": subject, "account": "A", "local_subject": local, "type": kind,
            "invalid": false, "share": share, "tracking": false,
        });
        to.into_iter().for_each(|to| import["to"] = to.into());
        import
    };
    let expected = json!([
        import("s.>", None, "in.s.>", "stream", false),
        import("st.*", None, "got.*.here", "stream", false),
        import("q.*", Some("ask.*"), "ask.*", "service", false),
        import("lit", Some("alias"), "alias", "service", false),
        import("qs.*", Some("qs.*"), "qs.*", "service", true),
    ]);
    assert_eq!(b["imports"], expected);
    let body = world.get("/accountz?acc=B").body;
    let place = |key: &str| body.find(key).expect("a key");
    assert!(
        place("\"imports\"") < place("\"name_tag\"") && place("\"to\"") < place("\"local_subject\": \"ask")
    );
}

#[test]
fn accounts_show_who_waits_for_their_answers() {
    let mut world = world();
    let shown = |world: &World, account: &str| {
        let responses = detail(world, account).get("responses").cloned().unwrap_or(json!({}));
        let responses = responses.as_object().expect("an object").clone();
        let mut list: Vec<_> = responses.into_iter().collect();
        list.sort_by_cached_key(|(_, response)| response["subject"].to_string());
        list
    };
    world.hear(A, "SUB *.* 1\r\nSUB back 2\r\n");
    assert_eq!((detail(&world, "A").get("responses"), shown(&world, "B")), (None, Vec::new()));
    world.hear(B, "SUB in.> 1\r\nPUB ask.1 in.1 0\r\n\r\nPUB qs.1 in.2 0\r\n\r\nPUB alias in.3 0\r\n\r\n");
    let asked = shown(&world, "A");
    let entry = |subject: &str, share: bool, (reply, response): &(String, Value)| {
        assert!(reply.starts_with("_R_.") && reply.len() == "_R_.6chars.6chars".len(), "{reply}");
        let expected = json!({
            "subject": subject, "account": "B", "to": reply, "local_subject": reply, "type": 2,
            "invalid": false, "share": share, "tracking": false,
        });
        assert_eq!(response, &expected);
    };
    assert_eq!(asked.len(), 2, "nobody is there for the third");
    entry("in.1", false, &asked[0]);
    entry("in.2", true, &asked[1]);
    world.hear(A, &format!("PUB {} 1\r\n!\r\nPUB {} back 1\r\n!\r\n", asked[0].0, asked[1].0));
    assert_eq!(shown(&world, "A"), asked[1..]);
    let back = shown(&world, "B");
    assert_eq!((&back[0].1["subject"], &back[0].1["account"]), (&json!("back"), &json!("A")));
    world.now = at(DEFAULT_RESPONSE_THRESHOLD.as_secs());
    assert_eq!((shown(&world, "A"), shown(&world, "B")), (Vec::new(), Vec::new()), "it is too late");
}

#[test]
fn of_very_many_who_wait_for_answers_some_are_shown_and_all_counted() {
    let counts = |world: &World| {
        let detail = detail(world, "A");
        (detail["responses"].as_object().expect("an object").len(), detail["onehop_responses"].as_u64())
    };
    let mut world = world();
    world.hear(A, "SUB q.* 1\r\n");
    let ask = |count: usize, reply: &str| format!("PUB ask.1 {reply} 0\r\n\r\n").repeat(count);
    world.hear(B, &ask(MAX_RESPONSES, "in.1"));
    assert_eq!(counts(&world), (MAX_RESPONSES, None));
    world.hear(B, &ask(3, "in.1"));
    assert_eq!(counts(&world), (MAX_RESPONSES, Some(MAX_RESPONSES as u64 + 3)));
    world.now = at(DEFAULT_RESPONSE_THRESHOLD.as_secs());
    let long = "r".repeat(MAX_RESPONSES_BYTES / 8);
    world.hear(B, &ask(8, &long));
    let (shown, left_out) = counts(&world);
    assert_eq!((shown, left_out), (8, None), "those who waited too long are not shown");
    world.hear(B, &ask(1, &long));
    assert_eq!(counts(&world).0, 8);
    assert!(counts(&world).1.is_some());
}

/// What `/subsz` lists, and how many of how many.
fn listed(world: &World, options: &str) -> (Vec<String>, u64) {
    let page = world.json(&format!("/subsz?subs=1{options}"));
    let shown = |each: &Value| {
        let text = |key: &str| each[key].as_str().unwrap_or_default().to_owned();
        let [account, subject, queue, sid] = ["account", "subject", "qgroup", "sid"].map(text);
        assert_eq!(text("account_tag"), account);
        format!("{account} {subject} {queue} {sid} {} of {}", each["msgs"], each["cid"])
    };
    let list = page["subscriptions_list"].as_array().into_iter().flatten().map(shown).collect();
    (list, page["total"].as_u64().expect("a number"))
}

#[test]
fn what_an_importer_listens_to_is_listed_at_the_exporter() {
    let mut world = world();
    world.hear(A, "SUB own 1\r\n");
    let counts =
        |world: &World, path: &str| world.json(path)["num_subscriptions"].as_u64().expect("a number");
    let before = ["/subsz", "/subsz?acc=A", "/subsz?acc=B"].map(|path| counts(&world, path));
    world.hear(B, "SUB in.s.* 1\r\nSUB > 2\r\nSUB got.5.* g 3\r\nSUB other 4\r\n");
    let after = ["/subsz", "/subsz?acc=A", "/subsz?acc=B"].map(|path| counts(&world, path));
    assert_eq!(after, [before[0] + 8, before[1] + 4, before[2] + 4]);
    assert_eq!(detail(&world, "A")["subscriptions"], after[1]);
    world.hear(A, "PUB s.1 0\r\n\r\nPUB s.1.2 0\r\n\r\n");
    let at_exporter =
        ["A own  1 0 of 1", "B s.*  1 1 of 2", "B s.>  2 2 of 2", "B st.*  2 2 of 2", "B st.5 g 3 0 of 2"];
    let at_exporter = at_exporter.map(str::to_owned).to_vec();
    assert_eq!(listed(&world, "&acc=A"), (at_exporter.clone(), 5));
    let own = ["B >  2 2 of 2", "B got.5.* g 3 0 of 2", "B in.s.*  1 1 of 2", "B other  4 0 of 2"];
    let own = own.map(str::to_owned).to_vec();
    assert_eq!(listed(&world, "&acc=B"), (own.clone(), 4));
    assert_eq!(listed(&world, ""), ([at_exporter, own].concat(), 9));
    let tested = ["B >  2 2 of 2", "B st.*  2 2 of 2", "B st.5 g 3 0 of 2"].map(str::to_owned);
    let mut found = listed(&world, "&test=st.5");
    found.0.sort_unstable();
    assert_eq!(found, (tested.to_vec(), 3));
    assert_eq!(listed(&world, "&acc=A&offset=1&limit=1"), (vec!["B s.*  1 1 of 2".to_owned()], 5));
    let client = &world.json("/connz?subs=1&acc=B")["connections"][0];
    assert_eq!(client["subscriptions"], 4);
    assert_eq!(client["subscriptions_list"], json!(["in.s.*", ">", "got.5.*", "other"]));
    world.hear(B, "UNSUB 2\r\nUNSUB 3\r\n");
    assert_eq!(listed(&world, "&acc=A").1, 2);
    world.close(B, CloseReason::ClientClosed);
    assert_eq!(listed(&world, "").1, 1);
}

#[test]
fn an_importer_with_many_subscriptions_is_listed_with_all_of_them_at_the_exporter() {
    const MANY: usize = 2_500;
    let mut world = world();
    let lines: String = (0..MANY).map(|number| format!("SUB in.s.{} {number}\r\n", number / 2)).collect();
    world.hear(B, &lines);
    let (mut list, total) = listed(&world, "&acc=A&limit=10000");
    list.sort_unstable();
    let mut expected: Vec<_> =
        (0..MANY).map(|number| format!("B s.{}  {number} 0 of 2", number / 2)).collect();
    expected.sort_unstable();
    assert!(list == expected && total == MANY as u64);
}

#[test]
fn requests_and_answers_are_counted_but_those_who_listen_for_them_are_not_clients() {
    let mut world = world();
    world.hear(A, "SUB q.* 1\r\n");
    let before = detail(&world, "A")["subscriptions"].as_u64().expect("a number");
    world.hear(B, "PUB ask.1 in.1 0\r\n\r\n");
    assert_eq!(detail(&world, "A")["subscriptions"], before + 1, "the account listens for answers");
    assert_eq!(listed(&world, "&acc=A"), (vec!["A q.*  1 1 of 1".to_owned()], 1));
}

#[test]
fn who_connects_anew_and_names_no_credentials_is_still_shown_as_its_user() {
    let mut world = world();
    let shown = |world: &World| {
        let connections = world.json("/connz?auth=1")["connections"].clone();
        let of = |each: &Value| format!("{} {}", each["account"], each["authorized_user"]);
        connections.as_array().into_iter().flatten().map(of).collect::<Vec<_>>()
    };
    world.hear(A, "CONNECT {\"verbose\":false}\r\n");
    assert_eq!(shown(&world), [r#""A" "a""#, r#""B" "b""#]);
    world.hear(A, "CONNECT {\"user\":\"b\",\"pass\":\"p\"}\r\n");
    assert_eq!(shown(&world), [r#""B" "b""#, r#""B" "b""#]);
}
