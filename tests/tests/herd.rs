//! Very many connect at once, or there is no descriptor left for them.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use onehop_tests::mesh::wait_until;
use onehop_tests::raw::RawConn;
use onehop_tests::real_server::not_run;
use onehop_tests::server::{Kind, Options, Server};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_herd_that_comes_while_the_server_is_held_up_is_let_in_afterwards() {
    for kind in Kind::RUNTIMES {
        let Some(server) = Server::start(kind, Options::default()) else { return };
        server.signal("STOP");
        // Whom the system has no place for while nobody accepts does not get through to it.
        let mut herd: Vec<_> = (0..herd()).map(|_| RawConn::connect(server.ports().client)).collect();
        server.signal("CONT");
        let greeted = |client: &mut RawConn| client.read_until(PATIENCE, |frames| !frames.is_empty());
        assert!(herd.iter_mut().all(greeted), "not everybody was greeted by {kind}");
    }
}

/// So many that they do not fit into what the standard library lets wait, and into what a process usually may open.
fn herd() -> usize {
    let system =
        fs::read_to_string("/proc/sys/net/core/somaxconn").ok().and_then(|max| max.trim().parse().ok());
    system.unwrap_or(128).min(700)
}

#[test]
fn a_server_without_descriptors_waits_for_some_and_says_so_once_per_second() {
    for kind in Kind::RUNTIMES {
        let Some(server) = Server::start(kind, Options::default()) else { return };
        if !limit_descriptors(&server, 60) {
            return not_run("this machine has no prlimit");
        }
        let started = Instant::now();
        let mut clients: Vec<_> = (0..100).map(|_| RawConn::connect(server.ports().client)).collect();
        // Monitoring lacks them too, and is not to say so beside the others.
        let page = TcpStream::connect((Ipv4Addr::LOCALHOST, server.ports().monitor)).expect("a backlog");
        server.wait_for_log("Accept error", PATIENCE);
        let greeted =
            |client: &mut RawConn| client.read_until(Duration::from_secs(1), |frames| !frames.is_empty());
        let seated = clients.iter_mut().map(greeted).take_while(|greeted| *greeted).count();
        assert!((20..60).contains(&seated), "{seated} were greeted by {kind}");
        let said = server.log().matches("Accept error").count();
        let seconds = started.elapsed().as_secs() as usize;
        assert!(said <= 1 + seconds, "{kind} said it {said} times in {seconds} s");
        clients.drain(..seated);
        let seated = clients.iter_mut().map(greeted).take_while(|greeted| *greeted).count();
        assert!(seated >= 20, "{seated} were greeted by {kind} when there was room for more");
        drop((clients, page));
        wait_until("monitoring is served", PATIENCE, || server.monitor("/healthz").is_ok());
        assert!(greeted(&mut RawConn::connect(server.ports().client)));
    }
}

fn limit_descriptors(server: &Server, most: usize) -> bool {
    let pid = format!("--pid={}", server.pid());
    Command::new("prlimit")
        .args([pid, format!("--nofile={most}:{most}")])
        .status()
        .is_ok_and(|it| it.success())
}
