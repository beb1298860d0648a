//! A NATS server whose protocol brain does no IO.
#![forbid(unsafe_code)]

pub mod config;
pub mod id;
pub mod interest;
pub mod outbox;
pub mod time;
pub mod wire;
