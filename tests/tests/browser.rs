//! The clients that WebSockets are there for: nats.js in Node, and a page in headless Chromium, which connects, subscribes, asks
//! and publishes. They do the same with nats-server.

use std::path::{Path, PathBuf};
use std::process::Command;

use onehop_tests::real_server::{checks, node_packages, or_not_run};
use onehop_tests::server::{Kind, Options, Server};

/// What both clients do.
const CHECKS: usize = 5;

#[test]
fn nats_js_in_node_finds_nothing_unusual() {
    let Some(node) = Node::with("nats.js-3.4.0", &["@nats-io/nats-core@3.4.0"]) else { return };
    for kind in Kind::COMPARED {
        for fields in ["", "compression: true"] {
            let Some(server) = start(kind, fields) else { continue };
            assert_eq!(node.checks("client.mjs", &[&url(&server)]), CHECKS, "{kind}");
        }
    }
}

/// The browser takes part in compression; and a page is let in from where it may be from.
#[test]
fn a_page_in_a_browser_finds_nothing_unusual_and_is_refused_where_it_is_from_elsewhere() {
    let packages = ["nats.ws@1.30.3", "@sparticuz/chromium@153.0.0"];
    let Some(node) = Node::with("chromium-153.0.0", &packages) else { return };
    for kind in Kind::COMPARED {
        let [Some(server), Some(strict)] =
            ["compression: true", "same_origin: true"].map(|fields| start(kind, fields))
        else {
            continue;
        };
        assert_eq!(node.checks("browser.mjs", &[&url(&server), &url(&strict)]), CHECKS + 1, "{kind}");
        strict.wait_for_log("origin not allowed: not same origin", std::time::Duration::from_secs(5));
    }
}

fn start(kind: Kind, fields: &str) -> Option<Server> {
    let config = format!("websocket {{ listen: '127.0.0.1:-1', no_tls: true, {fields} }}");
    Server::start(kind, Options::configured(&config))
}

fn url(server: &Server) -> String {
    format!("ws://127.0.0.1:{}", server.ports().websocket)
}

/// An interpreter, and where packages lie.
struct Node {
    interpreter: PathBuf,
    packages: PathBuf,
}

impl Node {
    /// None where they are not to be had, which is said.
    fn with(name: &str, packages: &[&str]) -> Option<Self> {
        let (interpreter, packages) = or_not_run(name, node_packages(name, packages))?;
        Some(Self { interpreter, packages })
    }

    fn checks(&self, script: &str, arguments: &[&str]) -> usize {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("node").join(script);
        checks(Command::new(&self.interpreter).arg(script).arg(&self.packages).args(arguments))
    }
}
