//! A client library of another language as a second opinion: nats-py on a cluster of two.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use onehop_tests::mesh::{Topology, start, wait_for_mesh};
use onehop_tests::real_server::{not_run, python_package};
use onehop_tests::server::Kind;

#[test]
fn nats_py_finds_nothing_unusual() {
    let (package, python) = match python_package("nats-py==2.12.0") {
        Ok(found) => found,
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "nats-py is needed in CI: {reason}");
            not_run(&format!("nats-py: {reason}"));
            return;
        }
    };
    let Some(servers) = start("python", Topology::Chain, &[Kind::Onehop; 2]) else { return };
    wait_for_mesh(&[&servers[0], &servers[1]], Duration::from_secs(15));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join("second_opinion.py");
    let output = Command::new(python)
        .arg(script)
        .args([servers[0].url(), servers[1].url()])
        .env("PYTHONPATH", package)
        .output()
        .expect("the interpreter of the virtual environment starts");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    assert_eq!(said.matches(": ok").count(), 6, "{said}");
}
