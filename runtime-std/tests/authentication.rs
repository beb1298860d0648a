//! Clients that the program around the server judges.

mod common;

use std::io;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use common::{Client, alone};
use onehop::config::{Authorization, Config};
use onehop::connection::Verdict;
use onehop::driver::Authenticator;
use onehop_std::Server;

fn external() -> Config {
    Config { authorization: Authorization::External, ..alone() }
}

#[test]
fn the_program_is_asked_who_may_come_in_and_nobody_waits_for_its_answer_but_whom_it_is_about() {
    let (ask, asked) = mpsc::channel();
    let (answer, answered) = mpsc::channel();
    let answered = Mutex::new(answered);
    let authenticator = Authenticator::new(move |credentials| {
        if credentials.user == "slow" {
            ask.send(()).expect("somebody to ask");
            answered.lock().unwrap_or_else(PoisonError::into_inner).recv().expect("an answer");
        }
        match credentials.password.expose() {
            "good" => Verdict::Accepted { account: "$G".to_owned() },
            _ => Verdict::Refused,
        }
    });
    let server = Server::start_with(external(), authenticator).expect("a server");
    let mut slow = client(&server, "slow", "good");
    asked.recv().expect("a question");
    client(&server, "joe", "bad").expect(&["-ERR 'Authorization Violation'", ""]);
    client(&server, "joe", "good").expect(&["PONG"]);
    answer.send(()).expect("somebody to answer");
    slow.expect(&["PONG"]);
}

#[test]
fn a_judge_that_panics_refuses_one_client_and_judges_the_next() {
    let authenticator = Authenticator::new(|credentials| {
        assert_ne!(credentials.user, "cause");
        Verdict::Accepted { account: "$G".to_owned() }
    });
    let server = Server::start_with(external(), authenticator).expect("a server");
    client(&server, "cause", "").expect(&["-ERR 'Authorization Violation'", ""]);
    client(&server, "joe", "").expect(&["PONG"]);
}

#[test]
fn where_somebody_else_says_who_may_come_in_there_must_be_somebody() {
    let refused = Server::start(external()).expect_err("nobody could come in");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(refused.to_string(), "authorization is external, and there is no authenticator to be asked");
}

/// A client that has presented itself, and asked for an answer.
fn client(server: &Server, user: &str, password: &str) -> Client {
    let mut client = Client::greeted(server.client_addr());
    let names = format!("\"user\":\"{user}\",\"pass\":\"{password}\"");
    client.send(format!("CONNECT {{\"verbose\":false,{names}}}\r\nPING\r\n"));
    client
}
