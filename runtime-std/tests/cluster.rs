//! Several servers as one cluster.

mod common;

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use common::{Client, member, wait_until};
use onehop_std::Server;

#[test]
fn a_chain_becomes_a_mesh_and_a_message_reaches_every_node_once() {
    let servers = chain(&["A", "B", "C"]);
    wait_for_mesh(&servers, 2);
    let addresses: Vec<_> = servers.iter().map(Server::client_addr).collect();
    assert_all_hear_each_other(&addresses);
}

#[test]
fn a_member_that_comes_back_is_connected_again() {
    let mut servers = chain(&["A", "B", "C"]);
    wait_for_mesh(&servers, 2);
    servers.pop().unwrap().shutdown();
    wait_for_mesh(&servers, 1);
    servers.push(Server::start(member("C2", &[servers[1].route_addr().unwrap()])).unwrap());
    wait_for_mesh(&servers, 2);
    let addresses: Vec<_> = servers.iter().map(Server::client_addr).collect();
    assert_all_hear_each_other(&addresses);
}

#[test]
fn a_member_that_is_told_its_own_address_goes_on() {
    let port = free_port();
    let own = SocketAddr::from(([127, 0, 0, 1], port));
    let mut config = member("A", &[own]);
    config.cluster.as_mut().unwrap().port = onehop::config::Port::Fixed(port);
    let first = Server::start(config).unwrap();
    let second = Server::start(member("B", &[own])).unwrap();
    wait_for_mesh(&[first, second], 1);
}

/// Set `NATS_SERVER` to the path of a nats-server to run this.
#[test]
fn a_chain_through_a_real_server_becomes_a_mesh_too() {
    let Some(binary) = std::env::var_os("NATS_SERVER") else {
        println!("NOT RUN: NATS_SERVER does not name a nats-server");
        return;
    };
    let first = Server::start(member("A", &[])).unwrap();
    let (client_port, route_port) = (free_port(), free_port());
    let mut command = Command::new(binary);
    command.args(["-a", "127.0.0.1", "-p", &client_port.to_string(), "-n", "B"]);
    command.args(["--cluster_name", "std", "--cluster", &format!("nats://127.0.0.1:{route_port}")]);
    command.args(["--routes", &format!("nats://{}", first.route_addr().unwrap())]);
    let _real = Real(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let last = Server::start(member("C", &[SocketAddr::from(([127, 0, 0, 1], route_port))])).unwrap();
    let ours = [first, last];
    wait_for_mesh(&ours, 2);
    let real = SocketAddr::from(([127, 0, 0, 1], client_port));
    assert_all_hear_each_other(&[ours[0].client_addr(), real, ours[1].client_addr()]);
}

struct Real(Child);

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Each knows only the one before it.
fn chain(names: &[&str]) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for name in names {
        let known: Vec<_> = servers.last().and_then(Server::route_addr).into_iter().collect();
        servers.push(Server::start(member(name, &known)).unwrap());
    }
    servers
}

fn wait_for_mesh(servers: &[Server], peers: usize) {
    wait_until("every member has routes to all others", || {
        servers.iter().all(|server| server.node().peer_count() == peers)
    });
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A client on every node publishes; a client on every node hears each message once.
fn assert_all_hear_each_other(addresses: &[SocketAddr]) {
    let mut subscribers: Vec<_> = addresses.iter().copied().map(Client::connect_to).collect();
    for subscriber in &mut subscribers {
        subscriber.send("SUB from.*.* 1\r\n");
        subscriber.flush();
    }
    let mut publishers: Vec<_> = addresses.iter().copied().map(Client::connect_to).collect();
    let mut publish = |about: &str| {
        for (index, publisher) in publishers.iter_mut().enumerate() {
            publisher.send(format!("PUB from.{index}.{about} 5\r\nhello\r\n"));
            publisher.flush();
        }
    };
    let expected = |about: &str| -> Vec<String> {
        (0..addresses.len()).map(|index| format!("MSG from.{index}.{about} 1 5")).collect()
    };
    // Interest takes its time to travel.
    wait_until("the interest of every node is known to all", || {
        publish("interest");
        let heard: Vec<_> = subscribers.iter_mut().map(messages).collect();
        heard.iter().all(|heard| *heard == expected("interest"))
    });
    publish("news");
    for subscriber in &mut subscribers {
        assert_eq!(messages(subscriber), expected("news"));
    }
}

/// What a client has heard when it hears nothing more, sorted.
fn messages(subscriber: &mut Client) -> Vec<String> {
    let mut messages = Vec::new();
    while !subscriber.hears_nothing() {
        let line = subscriber.any_line();
        if line != "PING" {
            messages.push(line);
            subscriber.expect(&["hello"]);
        }
    }
    messages.sort();
    messages
}
