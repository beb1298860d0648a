//! The threads that check passwords where that takes long. They run when nobody else wants to.

use std::net::IpAddr;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use log::error;
use onehop::connection::PasswordCheck;
use onehop::driver::PasswordChecks;

/// How many threads are used.
pub(crate) fn threads_at_once() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Waits for what comes of a check, for `longest` at the most.
pub(crate) fn wait(
    checks: &Arc<PasswordChecks>,
    from: IpAddr,
    check: PasswordCheck,
    longest: Duration,
) -> Option<bool> {
    let (answer, answered) = mpsc::channel();
    let answer = move |is_right| {
        let _ = answer.send(is_right);
    };
    if checks.put(from, check, answer) {
        start_thread(checks.clone());
    }
    match answered.recv_timeout(longest) {
        Ok(is_right) => Some(is_right),
        // Too many wait.
        Err(mpsc::RecvTimeoutError::Disconnected) => Some(false),
        Err(mpsc::RecvTimeoutError::Timeout) => None,
    }
}

fn start_thread(checks: Arc<PasswordChecks>) {
    let worker = checks.clone();
    let work = move || {
        give_way();
        worker.work();
    };
    if let Err(fault) = thread::Builder::new().name("onehop-passwords".to_owned()).spawn(work) {
        error!("no thread to check passwords: {fault}");
        checks.handle_thread_failed();
    }
}

/// Lets all other threads run first that want to.
#[cfg(target_os = "linux")]
fn give_way() {
    const LAST: i32 = 19;
    // The priority is one of the thread there. Without it the check is done all the same.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), LAST);
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}
