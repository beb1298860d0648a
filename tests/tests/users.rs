//! Users as an ordinary client library, `async-nats`, meets them: keys, hashed passwords, and what each may do.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerError};
use onehop_tests::server::{Kind, Options, Server};
use onehop_tests::users::{CONFIG, OTHER_SEED, SEED};
use smol::stream::StreamExt;
use tokio::sync::mpsc;

const STEP: Duration = Duration::from_secs(10);

/// Runs a test on each runtime, and on the server that it is to be like.
fn on_each(test: impl AsyncFn(&Server)) {
    for kind in Kind::COMPARED {
        println!("{kind}");
        let Some(server) = Server::start(kind, Options::configured(CONFIG)) else { continue };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let ends = async { tokio::time::timeout(Duration::from_secs(60), test(&server)).await };
        runtime.block_on(ends).expect("the test ends within a minute");
    }
}

fn by_key(seed: &str) -> ConnectOptions {
    ConnectOptions::with_nkey(seed.to_owned())
}

fn by_password(user: &str, password: &str) -> ConnectOptions {
    ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
}

async fn client(server: &Server, options: ConnectOptions) -> Client {
    options.connect(server.url()).await.expect("the server accepts the client")
}

/// A client, and what the server complains of.
async fn client_with_complaints(
    server: &Server,
    options: ConnectOptions,
) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (complain, complaints) = mpsc::unbounded_channel();
    let options = options.event_callback(move |event| {
        let complain = complain.clone();
        async move {
            if let Event::ServerError(ServerError::Other(text)) = event {
                let _ = complain.send(text);
            }
        }
    });
    (client(server, options).await, complaints)
}

async fn next<T>(what: impl Future<Output = Option<T>>) -> T {
    tokio::time::timeout(STEP, what).await.expect("it comes in time").expect("there is more")
}

#[test]
fn who_signs_with_the_right_key_or_knows_the_password_comes_in() {
    on_each(async |server| {
        client(server, by_key(SEED)).await;
        client(server, by_password("hashed", "foobar")).await;
        for wrong in [by_key(OTHER_SEED), by_password("hashed", "foobaz"), by_password("nobody", "foobar")] {
            let refused = wrong.connect(server.url()).await.expect_err("the server refuses the client");
            assert_eq!(refused.kind(), async_nats::ConnectErrorKind::AuthorizationViolation);
        }
    });
}

#[test]
fn a_user_hears_what_it_may_not_and_gets_only_what_it_may() {
    on_each(async |server| {
        let (user, mut complaints) = client_with_complaints(server, by_key(SEED)).await;
        let mut orders = user.subscribe("orders.*").await.expect("subscribed");
        let _forbidden = user.subscribe("bills.*").await.expect("subscribed");
        user.publish("bills.1", "x".into()).await.expect("published");
        user.flush().await.expect("flushed");
        let complaint = next(complaints.recv()).await;
        assert!(
            complaint.to_lowercase().contains("permissions violation for subscription to"),
            "{complaint}"
        );
        let complaint = next(complaints.recv()).await;
        assert!(complaint.to_lowercase().contains("permissions violation for publish to"), "{complaint}");
        let other = client(server, by_password("hashed", "foobar")).await;
        for subject in ["orders.secret", "orders.1"] {
            other.publish(subject, subject.into()).await.expect("published");
        }
        assert_eq!(next(orders.next()).await.subject.as_str(), "orders.1");
    });
}

#[test]
fn who_may_only_answer_answers_each_request_once() {
    on_each(async |server| {
        let (responder, mut complaints) = client_with_complaints(server, by_password("responder", "p")).await;
        let mut requests = responder.subscribe("orders.price").await.expect("subscribed");
        responder.flush().await.expect("flushed");
        let user = client(server, by_key(SEED)).await;
        let answer = tokio::join!(user.request("orders.price", "?".into()), async {
            let reply = next(requests.next()).await.reply.expect("a request");
            responder.publish(reply.clone(), "7".into()).await.expect("published");
            responder.publish(reply, "8".into()).await.expect("published");
        })
        .0;
        assert_eq!(answer.expect("an answer").payload, "7");
        let complaint = next(complaints.recv()).await;
        assert!(complaint.to_lowercase().contains("permissions violation for publish to"), "{complaint}");
    });
}
