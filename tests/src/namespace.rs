//! Tests in a network of their own, which has nothing but loopback: for what would reach others by multicast.

use std::env;
use std::process::Command;

use crate::real_server::not_run;

/// Runs the test of this name of this program again in a network of its own, where this returns true. Elsewhere it returns false
/// when that is over.
///
/// Prints `NOT RUN` where there are no network namespaces, in CI too: whether there are is not ours to choose.
///
/// # Panics
///
/// If the test fails there.
pub fn is_own_network(test: &str) -> bool {
    if env::var_os(MARK).is_some() {
        return true;
    }
    let own_network = |program: &str, arguments: &[&str]| {
        let script = "ip link set lo up && ip link set lo multicast on && ip route add 224.0.0.0/4 dev lo && exec \"$0\" \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "sh", "-c", script, program]).args(arguments);
        command.env(MARK, "1").output()
    };
    match own_network("true", &[]) {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            not_run(&format!("{test}: {}", String::from_utf8_lossy(&output.stderr).trim()));
            return false;
        }
        Err(fault) => {
            not_run(&format!("{test}: unshare: {fault}"));
            return false;
        }
    }
    let program = env::current_exe().expect("a program").display().to_string();
    let output = own_network(&program, &["--exact", test, "--nocapture"]).expect("it was there a moment ago");
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// The environment variable that tells a test where it is.
const MARK: &str = "ONEHOP_OWN_NETWORK";
