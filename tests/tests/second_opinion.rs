//! A client library of another language as a second opinion: nats-py on a cluster of two, and where users have to prove who they
//! are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use onehop_tests::certificates::Authority;
use onehop_tests::mesh::{Topology, start, wait_for_mesh};
use onehop_tests::real_server::{checks, or_not_run, python_package};
use onehop_tests::server::{Kind, Options, Server};
use onehop_tests::users::{CONFIG, OTHER_SEED, SEED};

#[test]
fn nats_py_finds_nothing_unusual() {
    let Some(python) = python() else { return };
    let Some(servers) = start("python", Topology::Chain, &[Kind::Onehop; 2]) else { return };
    wait_for_mesh(&[&servers[0], &servers[1]], Duration::from_secs(15));
    assert_eq!(python.checks("second_opinion.py", &[&servers[0].url(), &servers[1].url()]), 6);
}

#[test]
fn nats_py_comes_in_with_keys_and_passwords_and_hears_what_it_may_not() {
    let Some(python) = python() else { return };
    for kind in Kind::COMPARED {
        println!("{kind}");
        let Some(server) = Server::start(kind, Options::configured(CONFIG)) else { continue };
        assert_eq!(python.checks("users.py", &[&server.url(), SEED, OTHER_SEED]), 5);
    }
}

#[test]
fn nats_py_speaks_tls_after_info_and_before() {
    let Some(python) = python() else { return };
    let authority = Authority::new("A");
    let (own, client) = (authority.sign("server"), authority.sign("client"));
    let path = |path: &Path| path.display().to_string();
    let (ca, cert, key) = (path(&authority.file()), path(client.cert_file()), path(client.key_file()));
    for (settings, first, found) in [
        ("verify: true", "never", 2),
        ("handshake_first: true", "only", 2),
        ("handshake_first: auto", "too", 3),
    ] {
        for kind in Kind::COMPARED {
            println!("{kind}: {settings}");
            let options = Options::configured(&authority.block(&own, settings));
            let Some(server) = Server::start(kind, options) else { continue };
            let url = server.url().replace("nats://", "tls://");
            assert_eq!(
                python.checks("tls.py", &[&url, &ca, &cert, &key, first]),
                found,
                "{kind}: {settings}"
            );
        }
    }
}

/// An interpreter, and where the library lies.
struct Python {
    interpreter: PathBuf,
    package: PathBuf,
}

/// None where the library is not to be had, which is said.
fn python() -> Option<Python> {
    let (package, interpreter) = or_not_run("nats-py", python_package("nats-py[nkeys]==2.12.0"))?;
    Some(Python { interpreter, package })
}

impl Python {
    fn checks(&self, script: &str, arguments: &[&str]) -> usize {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
        let mut command = Command::new(&self.interpreter);
        checks(command.arg(script).args(arguments).env("PYTHONPATH", &self.package))
    }
}
