//! An ordinary client library, `async-nats`, on a cluster of two of either runtime. It takes the list of servers from the first `INFO` only;
//! that the list follows the cluster afterwards is shown with raw clients in `mesh.rs`.

use std::future::Future;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, HeaderMap, RequestErrorKind, Subscriber};
use bytes::Bytes;
use onehop_tests::certificates::Authority;
use onehop_tests::mesh::{Topology, start, wait_for_mesh};
use onehop_tests::server::{Kind, Options, Server};
use smol::stream::StreamExt;

const MESH_TIMEOUT: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_secs(10);

/// Two members with a client each.
struct Pair {
    servers: Vec<Server>,
    near: Client,
    far: Client,
}

/// Runs a test on a cluster of two of each runtime, within a minute.
fn on_a_pair(test: impl AsyncFn(&mut Pair)) {
    for kind in Kind::RUNTIMES {
        println!("{kind}");
        let Some(servers) = start("clients", Topology::Chain, &[kind; 2]) else { return };
        wait_for_mesh(&[&servers[0], &servers[1]], MESH_TIMEOUT);
        block_on(async {
            let near = connect(&servers[0]).await;
            let far = connect(&servers[1]).await;
            test(&mut Pair { servers, near, far }).await;
        });
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let outcome = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await });
    outcome.expect("the test ends within a minute")
}

async fn connect(server: &Server) -> Client {
    options().connect(server.url()).await.expect("the server accepts a client")
}

#[test]
fn a_client_library_speaks_tls() {
    let authority = Authority::new("A");
    let (own, client) = (authority.sign("server"), authority.sign("client"));
    for kind in Kind::RUNTIMES {
        let Some(server) = Server::start(kind, Options::configured(&authority.block(&own, "verify: true")))
        else {
            return;
        };
        block_on(async {
            let options = options()
                .require_tls(true)
                .add_root_certificates(authority.file())
                .add_client_certificate(client.cert_file().to_owned(), client.key_file().to_owned());
            let url = server.url().replace("127.0.0.1", "localhost");
            let client = options.connect(url).await.expect("the server accepts a client");
            let mut heard = client.subscribe("a").await.expect("a subscription");
            for size in [0, 1, 100, 20_000, 900_000] {
                client.publish("a", vec![b'x'; size].into()).await.expect("publishing works");
                assert_eq!(next(&mut heard).await.payload.len(), size, "{kind}");
            }
        });
    }
}

fn options() -> ConnectOptions {
    ConnectOptions::new().reconnect_delay_callback(|_| Duration::from_millis(100))
}

async fn next(subscriber: &mut Subscriber) -> async_nats::Message {
    let message = tokio::time::timeout(STEP, subscriber.next()).await.expect("a message comes in time");
    message.expect("the subscription is open")
}

/// Sends until the far side hears it: interest needs a moment to cross the route. Returns after the stragglers are drained.
async fn wait_for_interest(publisher: &Client, subscriber: &mut Subscriber, subject: &str) {
    for _ in 0..500 {
        publisher.publish(subject.to_owned(), "probe".into()).await.expect("publishing works");
        publisher.flush().await.expect("flushing works");
        if tokio::time::timeout(Duration::from_millis(20), subscriber.next()).await.is_ok() {
            while tokio::time::timeout(Duration::from_millis(100), subscriber.next()).await.is_ok() {}
            return;
        }
    }
    panic!("interest in {subject} never arrived");
}

#[test]
fn messages_cross_the_route_in_order() {
    on_a_pair(async |pair| {
        let mut subscriber = pair.far.subscribe("news.>").await.expect("subscribing works");
        wait_for_interest(&pair.near, &mut subscriber, "news.probe").await;
        for number in 0..1000 {
            pair.near
                .publish(format!("news.{number}"), number.to_string().into())
                .await
                .expect("publishing works");
        }
        for number in 0..1000 {
            let message = next(&mut subscriber).await;
            assert_eq!(message.subject.as_str(), format!("news.{number}"));
            assert_eq!(message.payload, number.to_string());
        }
    });
}

#[test]
fn headers_and_large_payloads_arrive_unchanged() {
    on_a_pair(async |pair| {
        let mut subscriber = pair.far.subscribe("data").await.expect("subscribing works");
        wait_for_interest(&pair.near, &mut subscriber, "data").await;
        let payload: Bytes =
            (0..1024 * 1024 - 200).map(|index| (index % 253) as u8).collect::<Vec<_>>().into();
        let mut headers = HeaderMap::new();
        headers.insert("Color", "blue");
        headers.append("Color", "green");
        for round in 0..5 {
            let mut headers = headers.clone();
            headers.insert("Round", round.to_string().as_str());
            pair.near.publish_with_headers("data", headers, payload.clone()).await.expect("publishing works");
        }
        pair.near.flush().await.expect("flushing works");
        for round in 0..5 {
            let message = next(&mut subscriber).await;
            let got = message.headers.expect("headers came along");
            let colors: Vec<&str> = got.get_all("Color").map(|value| value.as_str()).collect();
            assert_eq!(colors, ["blue", "green"]);
            assert_eq!(got.get("Round").map(|value| value.as_str()), Some(round.to_string().as_str()));
            assert!(message.payload == payload, "the payload changed in round {round}");
        }
    });
}

#[test]
fn requests_are_answered_across_the_route_or_refused_at_once() {
    on_a_pair(async |pair| {
        let refused = pair.near.request("double", "1".into()).await.expect_err("nobody responds");
        assert_eq!(refused.kind(), RequestErrorKind::NoResponders);
        let mut requests = pair.far.subscribe("double").await.expect("subscribing works");
        wait_for_interest(&pair.near, &mut requests, "double").await;
        let responder = pair.far.clone();
        let serving = tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let Some(reply) = request.reply else { continue };
                let number: u32 = std::str::from_utf8(&request.payload).unwrap_or("").parse().unwrap_or(0);
                responder.publish(reply, (2 * number).to_string().into()).await.expect("publishing works");
            }
        });
        for number in 0..200_u32 {
            let answer =
                pair.near.request("double", number.to_string().into()).await.expect("an answer comes");
            assert_eq!(answer.payload, (2 * number).to_string());
        }
        serving.abort();
    });
}

#[test]
fn one_member_of_a_queue_group_hears_each_message() {
    on_a_pair(async |pair| {
        let mut members = Vec::new();
        for member in [&pair.near, &pair.near, &pair.far, &pair.far] {
            members.push(member.queue_subscribe("jobs", "crew".to_owned()).await.expect("subscribing works"));
        }
        let mut ready = pair.far.subscribe("ready").await.expect("subscribing works");
        wait_for_interest(&pair.near, &mut ready, "ready").await;
        for number in 0..400 {
            pair.near.publish("jobs", number.to_string().into()).await.expect("publishing works");
        }
        pair.near.flush().await.expect("flushing works");
        let mut got = Vec::new();
        let mut counts = Vec::new();
        for member in &mut members {
            let before = got.len();
            while let Ok(Some(message)) =
                tokio::time::timeout(Duration::from_millis(300), member.next()).await
            {
                got.push(
                    String::from_utf8_lossy(&message.payload).parse::<u32>().expect("a number was sent"),
                );
            }
            counts.push(got.len() - before);
        }
        got.sort_unstable();
        assert_eq!(got, (0..400).collect::<Vec<_>>());
        assert!(counts.iter().all(|&count| count > 40), "unevenly shared: {counts:?}");
    });
}

#[test]
fn unsubscribing_after_some_messages_and_draining_work() {
    on_a_pair(async |pair| {
        let mut limited = pair.near.subscribe("limited").await.expect("subscribing works");
        limited.unsubscribe_after(3).await.expect("unsubscribing works");
        for number in 0..5 {
            pair.near.publish("limited", number.to_string().into()).await.expect("publishing works");
        }
        for number in 0..3 {
            assert_eq!(next(&mut limited).await.payload, number.to_string());
        }
        assert!(limited.next().await.is_none(), "the subscription ends after three");

        let mut drained = pair.near.subscribe("drained").await.expect("subscribing works");
        for number in 0..100 {
            pair.near.publish("drained", number.to_string().into()).await.expect("publishing works");
        }
        pair.near.flush().await.expect("flushing works");
        drained.drain().await.expect("draining works");
        for number in 0..100 {
            assert_eq!(next(&mut drained).await.payload, number.to_string());
        }
        assert!(drained.next().await.is_none(), "a drained subscription ends");
    });
}

#[test]
fn a_client_reconnects_to_a_restarted_server_and_hears_again() {
    on_a_pair(async |pair| {
        let mut subscriber = pair.far.subscribe("again").await.expect("subscribing works");
        wait_for_interest(&pair.near, &mut subscriber, "again").await;
        pair.servers[1].restart();
        wait_for_mesh(&[&pair.servers[0], &pair.servers[1]], MESH_TIMEOUT);
        wait_for_interest(&pair.near, &mut subscriber, "again").await;
        pair.near.publish("again", "back".into()).await.expect("publishing works");
        assert_eq!(next(&mut subscriber).await.payload, "back");
    });
}

#[test]
fn a_client_of_a_killed_server_moves_to_one_that_it_was_told_of() {
    on_a_pair(async |pair| {
        let moved = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let notify = moved.clone();
        let mover = options()
            .event_callback(move |event| {
                let notify = notify.clone();
                async move {
                    if matches!(event, Event::Connected) {
                        notify.store(true, std::sync::atomic::Ordering::SeqCst);
                    }
                }
            })
            .connect(pair.servers[1].url())
            .await
            .expect("the server accepts a client");
        let wanted = mover.server_info().connect_urls.len();
        assert_eq!(wanted, 2, "the client was told of both members: {:?}", mover.server_info().connect_urls);
        let mut subscriber = mover.subscribe("moving").await.expect("subscribing works");
        wait_for_interest(&pair.near, &mut subscriber, "moving").await;
        moved.store(false, std::sync::atomic::Ordering::SeqCst);
        pair.servers[1].kill();
        wait_for_interest(&pair.near, &mut subscriber, "moving").await;
        assert!(moved.load(std::sync::atomic::Ordering::SeqCst), "the client connected again");
        assert_eq!(mover.server_info().server_name, pair.servers[0].name());
    });
}

#[test]
fn only_the_right_credentials_are_accepted() {
    let with_user = Options::default().with(&["--user", "u", "--pass", "secret"]);
    let with_token = Options::default().with(&["--auth", "secret"]);
    let Some(user_server) = Server::start(Kind::Onehop, with_user) else { return };
    let Some(token_server) = Server::start(Kind::Onehop, with_token) else { return };
    block_on(async {
        let user = |pass: &str| ConnectOptions::with_user_and_password("u".to_owned(), pass.to_owned());
        user("secret").connect(user_server.url()).await.expect("the right password is accepted");
        user("wrong").connect(user_server.url()).await.expect_err("a wrong password is refused");
        ConnectOptions::new().connect(user_server.url()).await.expect_err("no password is refused");
        let token = |token: &str| ConnectOptions::with_token(token.to_owned());
        token("secret").connect(token_server.url()).await.expect("the right token is accepted");
        token("wrong").connect(token_server.url()).await.expect_err("a wrong token is refused");
    });
}
