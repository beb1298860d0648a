//! The reference server: sockets, timers, signals, files and HTTP around the machines of `onehop`.
//!
//! Every connection belongs to one of several worker threads, whose local executor runs its driver and waits in a poller of
//! its own. A driver reads into the worker's buffer and hands that to the connection's machine; what the machine sends is
//! staged in the worker's [`Staging`](onehop::delivery::Staging), and leaves after the whole read buffer was handled: it is
//! pushed under the lock of each target's [socket](sockets), and written without it by a direct write that does not block,
//! whichever worker the target belongs to. Only what the socket does not take at once is left to the target's own driver.
//! Who connects goes to the worker that has the least to do, and a thread watches that all workers go on. Nothing of the
//! protocol is decided here; what is to be is written in [`onehop::driver`]. [Monitoring](monitor) has a thread of its
//! own, which no worker waits for.

pub mod clock;
mod dial;
mod discovery;
mod driver;
pub mod files;
mod listen;
mod load;
mod log_file;
pub mod logger;
pub mod monitor;
pub mod options;
mod password_checks;
mod ports_file;
mod reactor;
pub mod server;
pub mod signals;
pub mod sockets;
mod summons;
mod watch;
mod worker;
mod worker_thread;
