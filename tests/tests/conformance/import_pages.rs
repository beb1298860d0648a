//! What monitoring shows of streams and services of other accounts (wire.md 8.4).

use onehop_tests::mask;
use onehop_tests::raw::RawConn;
use onehop_tests::server::{Kind, Server};
use serde_json::{Value, json};

use super::accounts::connect;
use super::imports::{publish, shared};

/// What servers list of themselves, such as what each account imports of `$SYS`, is left out, and so are the numbers of clients.
#[test]
fn pages_show_what_is_exported_and_imported_and_who_waits_for_an_answer() {
    let options = shared(
        "{stream: \"s.>\"}, {stream: \"st.*\", accounts: [B]}, {service: \"q.*\"}, {service: \"qs.*\", response: stream, accounts: [B]},\n\
         {service: \"qc.*\", response: chunked, response_threshold: \"1h\"}, {service: lit}",
        "{stream: {account: A, subject: \"s.>\"}, prefix: from}, {stream: {account: A, subject: \"st.*\"}, to: \"got.$1.here\"},\n\
         {service: {account: A, subject: \"q.*\"}, to: \"ask.$1\"}, {service: {account: A, subject: \"qs.*\"}, share: true},\n\
         {service: {account: A, subject: \"qc.*\"}}, {service: {account: A, subject: lit}, to: alias}",
        "",
    );
    let mut seen = Vec::new();
    for kind in Kind::COMPARED {
        let Some(server) = Server::start(kind, options.clone()) else { return };
        let before = pages(&server);
        let [mut a, mut b] = [(); 2].map(|()| RawConn::connect(server.ports().client));
        let says = |conn: &mut RawConn, lines: String| {
            conn.send(lines);
            conn.ping();
        };
        says(&mut a, connect("a", "SUB *.* 1\r\nSUB back 2\r\n"));
        says(&mut b, connect("b", "SUB in.> 1\r\nSUB from.> 2\r\nSUB got.5.* g 3\r\nSUB got.> 4\r\n"));
        says(&mut b, "PUB ask.1 in.1 1\r\n?\r\nPUB qs.1 in.2 1\r\n?\r\nPUB qc.1 in.3 1\r\n?\r\n".to_owned());
        says(&mut a, publish(&["s.1", "s.2", "s.3"]));
        let asked = pages(&server);
        let replies: Vec<String> = a.frames().iter().filter_map(|frame| frame.reply()).collect();
        says(&mut a, format!("PUB {0} back 1\r\n!\r\nPUB {1} 1\r\n!\r\n", replies[0], replies[1]));
        b.ping();
        seen.push((kind, [before, asked, pages(&server)]));
    }
    let (_, expected) = seen.remove(0);
    for (kind, found) in seen {
        assert_eq!(found, expected, "{kind} (left)");
    }
}

fn pages(server: &Server) -> Value {
    let sorted = |list: &Value, keep: &dyn Fn(&Value) -> bool| {
        let list = list.as_array().into_iter().flatten().filter(|entry| keep(entry));
        let mut list: Vec<Value> = list.map(without_ids).collect();
        list.sort_by_cached_key(ToString::to_string);
        list
    };
    let account = |name: &str| {
        let detail = &server.page(&format!("/accountz?acc={name}"))["account_detail"];
        let responses = detail["responses"].as_object().into_iter().flatten();
        let mut responses: Vec<String> = responses
            .map(|(reply, response)| {
                String::from_utf8_lossy(&mask::replies(format!("{reply} {response}").as_bytes())).into_owned()
            })
            .collect();
        responses.sort_unstable();
        json!([
            sorted(&detail["exports"], &|_| true),
            sorted(&detail["imports"], &|import| import["account"] != "$SYS"),
            responses
        ])
    };
    let elsewhere = &server.page("/subsz?subs=1&acc=A")["subscriptions_list"];
    let tested = &server.page("/subsz?subs=1&test=st.5")["subscriptions_list"];
    let connections = &server.page("/connz?subs=detail")["connections"];
    let own = connections.as_array().into_iter().flatten().map(|client| {
        let mut list = sorted(&client["subscriptions_list_detail"], &|_| true);
        list.iter_mut().filter(|entry| entry["subject"] == "from.>").for_each(without_count);
        list.sort_by_cached_key(ToString::to_string);
        json!([client["subscriptions"], list])
    });
    let mut own: Vec<Value> = own.collect();
    // Which of clients that came one right behind the other has the smaller number is left to the server.
    own.sort_by_cached_key(ToString::to_string);
    let of_importer = |entry: &Value| entry["account"] == "B";
    json!([account("A"), account("B"), sorted(elsewhere, &of_importer), sorted(tested, &of_importer), own])
}

/// What came by an import counts there for onehop alone.
fn without_count(entry: &mut Value) {
    entry.as_object_mut().into_iter().for_each(|fields| drop(fields.remove("msgs")));
}

fn without_ids(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(fields) = entry.as_object_mut() {
        fields.remove("cid");
    }
    entry
}
