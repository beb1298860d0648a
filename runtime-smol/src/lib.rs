//! The reference server: sockets, timers, signals, files and HTTP around the machines of `onehop`.

pub mod logger;
pub mod monitor;
pub mod options;
