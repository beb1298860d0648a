//! What a node answers itself in the system account, to clients as to servers (wire.md 10).

use crate::scene::{Peer, SECOND, Scene};

fn system_client(scene: &mut Scene, node: &str) -> Peer {
    let client = scene.client_in(node, "$SYS");
    scene.send(
        client,
        b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB in.> 1\r\n",
    );
    scene.take(client);
    client
}

fn pair() -> Scene {
    let mut scene = Scene::cluster(&[("A", &[]), ("B", &["A"])]);
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)), "{}", scene.describe());
    scene
}

fn id(scene: &Scene, node: &str) -> String {
    scene.node(node).node().hub().server_id().to_owned()
}

fn ask(scene: &mut Scene, client: Peer, subject: &str, question: &str) -> String {
    let line = format!("PUB $SYS.REQ.SERVER.{subject}.ROUTEZ in.1 {}\r\n{question}\r\n", question.len());
    scene.send(client, line.as_bytes());
    scene.take(client)
}

#[test]
fn a_client_of_the_system_account_is_answered_by_every_server() {
    let mut scene = pair();
    let client = system_client(&mut scene, "A");
    let answers = ask(&mut scene, client, "PING", "");
    assert_eq!(answers.matches("MSG in.1 1 ").count(), 2, "{answers}");
    for node in ["A", "B"] {
        assert!(answers.contains(&format!(r#"{{"server":{{"name":"{node}""#)), "{answers}");
    }
    assert_eq!(answers.matches(r#""num_routes":4,"#).count(), 2, "{answers}");
}

#[test]
fn a_question_to_one_server_is_answered_by_that_one() {
    let mut scene = pair();
    let client = system_client(&mut scene, "A");
    for node in ["A", "B"] {
        let subject = id(&scene, node);
        let answer = ask(&mut scene, client, &subject, "");
        assert_eq!(answer.matches("MSG in.1 1 ").count(), 1, "{answer}");
        assert!(answer.contains(&format!(r#"{{"server":{{"name":"{node}""#)), "{answer}");
    }
    // As nats-server 2.15.1 does.
    let nobody = ask(&mut scene, client, "NOBODY", "");
    assert_eq!(
        nobody,
        "HMSG in.1 1 61 61\r\nNATS/1.0 503\r\nNats-Subject: $SYS.REQ.SERVER.NOBODY.ROUTEZ\r\n\r\n\r\n"
    );
    let faulty = ask(&mut scene, client, "PING", "bogus");
    assert_eq!(faulty.matches(r#""error":{"code":400,"#).count(), 2, "{faulty}");
    assert_eq!(ask(&mut scene, client, "PING", r#"{"server_name":"C"}"#), "");
}

#[test]
fn clients_of_other_accounts_reach_no_service() {
    let mut scene = pair();
    let client = scene.client("A");
    scene.send(client, b"CONNECT {\"verbose\":false}\r\nSUB > 1\r\n");
    scene.take(client);
    assert_eq!(ask(&mut scene, client, "PING", "").matches("MSG").count(), 1, "its own question");
}

#[test]
fn one_member_of_a_queue_group_gets_the_answer() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let members = [(); 3].map(|()| {
        let member = scene.client_in("A", "$SYS");
        scene.send(member, b"CONNECT {\"verbose\":false}\r\nSUB in.1 q 1\r\n");
        scene.take(member);
        member
    });
    let question = b"PUB $SYS.REQ.SERVER.PING.ROUTEZ in.1 0\r\n\r\n";
    scene.send(members[0], question);
    let got: Vec<_> = members.map(|member| scene.take(member).matches("MSG in.1 1 ").count()).into();
    assert_eq!(got.iter().sum::<usize>(), 1, "{got:?}");
}

#[test]
fn more_questions_of_one_client_at_once_than_the_mailbox_holds_are_dropped_and_counted() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let client = system_client(&mut scene, "A");
    let questions = "PUB $SYS.REQ.SERVER.PING.ROUTEZ in.1 0\r\n\r\n".repeat(1500);
    scene.send(client, questions.as_bytes());
    scene.run_for(SECOND);
    let dropped = scene.node("A").node().hub().mailbox().dropped();
    let answered = scene.take(client).matches(r#""num_routes":0"#).count();
    assert_eq!((answered, dropped), (256, 1244));
    assert_eq!(
        ask(&mut scene, client, "PING", "").matches("MSG in.1 1 ").count(),
        1,
        "then all is well again"
    );
}

#[test]
fn messages_to_nobody_do_not_wake_the_services() {
    let mut scene = Scene::alone(|_| {});
    let client = system_client(&mut scene, "A");
    let node = scene.node("A").node().clone();
    let _ = node.take_attention();
    scene.send(client, b"PUB nobody.listens 2\r\nhi\r\n");
    assert!(!node.take_attention());
    scene.send(client, b"PUB $SYS.REQ.SERVER.PING.ROUTEZ 2\r\nhi\r\n");
    assert!(node.take_attention());
}

#[test]
fn a_client_of_another_account_is_answered_where_that_imports_the_service() {
    use onehop::config::{AccountConfig, Authorization, Export, Import, Response, User};
    let mut scene = Scene::alone(|config| {
        let service = "$SYS.REQ.SERVER.*.ROUTEZ";
        let system = AccountConfig {
            exports: vec![Export::service(service, Response::Single)],
            ..AccountConfig::new("SYS")
        };
        let import = Import::service("SYS", service, "routes.$1");
        let other = AccountConfig { imports: vec![import], ..AccountConfig::new("B") };
        config.system_account = Some("SYS".to_owned());
        config.accounts = vec![system, other];
        config.authorization = Authorization::Users(vec![User::with_password("b", "p").in_account("B")]);
    });
    let client = scene.client("A");
    scene.send(client, b"CONNECT {\"verbose\":false,\"user\":\"b\",\"pass\":\"p\"}\r\nSUB in.1 1\r\n");
    scene.take(client);
    let question = format!("PUB routes.{} in.1 0\r\n\r\n", id(&scene, "A"));
    scene.send(client, question.as_bytes());
    let answer = scene.take(client);
    assert!(answer.starts_with("MSG in.1 1 ") && answer.contains(r#""num_routes":0"#), "{answer}");
}
