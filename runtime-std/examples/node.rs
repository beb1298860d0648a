//! A node that joins a cluster, and tells what it does.
//!
//! ```text
//! cargo run -p onehop-std --example node -- --name A --port 4222 --cluster-port 6222
//! cargo run -p onehop-std --example node -- --name B --port 4223 --cluster-port 6223 --route nats://127.0.0.1:6222
//! cargo run -p onehop-std --example node -- --name C --port 4224 --cluster-port 6224 --route nats://127.0.0.1:6223
//! ```
//!
//! The address of any one member is enough: C, which was told of B only, connects to A too. Press Enter to shut a node
//! down.

use std::error::Error;
use std::io::stdin;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use onehop::Node;
use onehop::config::{ClusterConfig, Config, Listen, Port};
use onehop::hub::Kind;
use onehop_std::Server;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let config = parse(std::env::args().skip(1))?;
    log::set_logger(&Printer).map_err(|error| error.to_string())?;
    log::set_max_level(LevelFilter::Info);
    let server = Server::start(config)?;
    println!("Server {} is ready for clients on {}", server.node().hub().server_name(), server.client_addr());
    let node = server.node().clone();
    thread::spawn(move || report(&node));
    while stdin().read_line(&mut String::new())? == 0 {
        // In the background, where nobody presses keys.
        thread::park();
    }
    println!("Shutting down");
    server.shutdown();
    Ok(())
}

/// Prints the node's numbers whenever they change.
fn report(node: &Node) {
    let mut printed = String::new();
    loop {
        let totals = node.hub().totals();
        let [clients, routes] = [Kind::Client, Kind::Route].map(|kind| totals.traffic(kind));
        let numbers = format!(
            "cluster {}: {} peers, {} clients, {} messages in, {} out",
            node.cluster_name().unwrap_or_default(),
            node.peer_count(),
            node.hub().directory().count(Kind::Client),
            clients.in_messages() + routes.in_messages(),
            clients.out_messages() + routes.out_messages(),
        );
        if numbers != printed {
            println!("{numbers} ({} connections so far)", totals.connections.load(Ordering::Relaxed));
            printed = numbers;
        }
        thread::sleep(Duration::from_millis(500));
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Config, Box<dyn Error>> {
    let mut config = Config { host: "127.0.0.1".to_owned(), ..Config::default() };
    let mut cluster = ClusterConfig { name: Some("onehop".to_owned()), ..ClusterConfig::default() };
    cluster.host.clone_from(&config.host);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--port" => config.port = Port::Fixed(value.parse()?),
            "--http-port" => {
                config.monitoring = Some(Listen { host: String::new(), port: Port::Fixed(value.parse()?) });
            }
            "--cluster-port" => cluster.port = Port::Fixed(value.parse()?),
            "--route" => cluster.routes.push(value.parse()?),
            "--name" => config.server_name = Some(value),
            _ => return Err(format!("unknown argument {flag}").into()),
        }
    }
    config.cluster = Some(cluster);
    Ok(config)
}

/// Prints what the server logs.
struct Printer;

impl Log for Printer {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        println!("[{}] {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

const USAGE: &str = "usage: node [--name NAME] [--port PORT] [--http-port PORT] [--cluster-port PORT] \
                     [--route nats://HOST:PORT]";
