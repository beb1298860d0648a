//! Clusters on hosts of their own, in network namespaces, whose network is cut and restored, or is one in which they find each other
//! (`netns/heal.py`).

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use onehop_tests::server::Kind;

/// The exit code of the script where the machine does not allow network namespaces.
const NOT_RUN: i32 = 77;

#[test]
fn two_servers_that_lost_each_other_for_ten_seconds_connect_again() {
    let Some(onehop) = Kind::Onehop.binary() else { return };
    heals_after_a_cut("all onehop", &["--onehop".as_ref(), onehop.as_os_str()]);
}

#[test]
fn one_onehop_between_two_go_servers_makes_them_connect_again() {
    let (Some(onehop), Some(go)) = (Kind::Onehop.binary(), Kind::REFERENCE.binary()) else { return };
    let programs = ["--onehop".as_ref(), onehop.as_os_str(), "--nats-server".as_ref(), go.as_os_str()];
    heals_after_a_cut("onehop in the middle", &programs);
}

#[test]
fn servers_of_one_network_that_know_only_the_name_of_their_cluster_become_a_mesh() {
    let Some(onehop) = Kind::Onehop.binary() else { return };
    run("one-network", "all onehop", &["--onehop".as_ref(), onehop.as_os_str()]);
}

#[test]
fn servers_of_which_nobody_can_dial_any_but_one_become_a_mesh_through_that() {
    let Some(onehop) = Kind::Onehop.binary() else { return };
    run("behind-routers", "all onehop", &["--onehop".as_ref(), onehop.as_os_str()]);
}

#[test]
fn two_servers_that_lost_each_other_for_ever_are_joined_by_the_third() {
    let Some(onehop) = Kind::Onehop.binary() else { return };
    run("lasting-cut", "all onehop", &["--onehop".as_ref(), onehop.as_os_str()]);
}

#[test]
fn two_go_servers_that_lost_each_other_for_ever_are_joined_by_the_onehop_node_between_them() {
    let (Some(onehop), Some(go)) = (Kind::Onehop.binary(), Kind::REFERENCE.binary()) else { return };
    let programs = ["--onehop".as_ref(), onehop.as_os_str(), "--nats-server".as_ref(), go.as_os_str()];
    run("lasting-cut", "onehop in the middle", &programs);
}

/// Runs the chain of three whose ends are cut from each other, and fails unless they connect again and lose nothing afterwards.
fn heals_after_a_cut(servers: &str, programs: &[&OsStr]) {
    run("chain3-cut", servers, programs);
}

/// Prints `NOT RUN` and returns where there are no namespaces, in CI too: whether there are is not ours to choose.
fn run(scenario: &str, servers: &str, programs: &[&OsStr]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("netns").join("heal.py");
    let output = Command::new("python3")
        .arg("-B")
        .arg(script)
        .args(["--scenario", scenario, "--servers", servers, "--must-heal", servers])
        .args(programs)
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return println!("NOT RUN: python3: {error}"),
    };
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    if output.status.code() != Some(NOT_RUN) {
        assert!(output.status.success(), "{said}\n{complained}");
    }
}
