//! Threads and file descriptors of the whole process, so this file has one test only.
#![cfg(all(
    feature = "command",
    feature = "dht",
    feature = "dns",
    feature = "frp",
    feature = "mdns",
    target_os = "linux"
))]

mod common;

use std::net::TcpListener;
use std::time::Duration;
use std::{fs, thread};

use common::{address, is_own_network, own, settings, start, wait_until};
use onehop::config::{Dht, Discovery, Frp, Source};

#[test]
fn sources_that_ended_leave_no_thread_and_no_descriptor() {
    if !is_own_network("sources_that_ended_leave_no_thread_and_no_descriptor") {
        return;
    }
    let before = resources();
    for _ in 0..3 {
        let command = ["echo", "a:1"].map(str::to_owned).to_vec();
        let dht = Some(Dht { bootstrap: vec![address("127.0.0.1:1")], local_addresses: false });
        let dns = vec![address("localhost"), address("_nobody._tcp.invalid")];
        // Who takes the connection and says nothing.
        let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let frp = Some(Frp::at(&format!("http://{}", silent.local_addr().unwrap())).unwrap());
        let secret = Some([1; 32].into());
        let all = Discovery { dns, mdns: true, dht, secret, command, frp, ..settings() };
        let (sources, notes) = start(&all, &own("NA", "leaks"));
        let told = |source| notes.all().iter().any(|note| note.source == source);
        wait_until("names and the program were asked", || told(Source::Dns) && told(Source::Command));
        // The DHT is asked meanwhile, and does not answer.
        thread::sleep(Duration::from_millis(200));
        drop(sources);
        drop(silent);
        wait_until("nothing is left", || resources() == before);
    }
}

/// How many threads and open file descriptors this process has.
fn resources() -> (usize, usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
    (threads.trim().parse().unwrap(), fs::read_dir("/proc/self/fd").unwrap().count())
}
