//! The threads that check passwords where that takes long. They run when nobody else wants to.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread;

use log::error;
use onehop::connection::PasswordCheck;
use onehop::driver::PasswordChecks;
use smol::channel;

/// How many threads are used.
pub(crate) fn threads_at_once() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What comes of a check, once it had its turn; false if it gets none.
pub(crate) fn ask(
    checks: &Arc<PasswordChecks>,
    from: IpAddr,
    check: PasswordCheck,
) -> impl Future<Output = bool> + use<> {
    let (answer, answered) = channel::bounded(1);
    let answer = move |is_right| {
        let _ = answer.try_send(is_right);
    };
    if checks.put(from, check, answer) {
        start_thread(checks.clone());
    }
    async move { answered.recv().await.unwrap_or(false) }
}

fn start_thread(checks: Arc<PasswordChecks>) {
    let worker = checks.clone();
    let work = move || {
        give_way();
        worker.work();
    };
    if let Err(fault) = thread::Builder::new().name("passwords".to_owned()).spawn(work) {
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
