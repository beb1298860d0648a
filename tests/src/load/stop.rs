//! Whether the whole program is to stop before its end.
//!
//! What runs looks here between two messages, ends its round early and lets its servers end with it. There is one program,
//! and what stops it are signals to the process, so this is one for all.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use async_signal::{Signal, Signals};
use smol::stream::StreamExt;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Whether to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Stops the program as soon as it looks.
pub fn request() {
    REQUESTED.store(true, Ordering::Relaxed);
}

/// From here on SIGINT and SIGTERM stop the program in order instead of at once.
pub fn at_signals() -> io::Result<()> {
    let mut signals = Signals::new([Signal::Int, Signal::Term])?;
    thread::spawn(move || {
        if smol::block_on(signals.next()).is_some() {
            request();
        }
        // Signals that follow change nothing, but must not end the program while its servers end.
        while smol::block_on(signals.next()).is_some() {}
    });
    Ok(())
}
