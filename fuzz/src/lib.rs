//! Fuzz targets: functions that take any bytes and panic if onehop breaks a promise.
//!
//! Each module is one target with a `run`. A text target reads its input as what would come over the wire or from a
//! file; a program target reads it as [`Choices`]: what happens next, byte by byte, so that small changes of the input
//! are small changes of the story. `cargo test` replays the committed corpora and as many random inputs as it has time
//! for; `cargo fuzz` goes on from there (see README.md).

mod choices;
pub mod client;
pub mod cluster;
pub mod config;
pub mod discovery;
pub mod encode;
pub mod http;
pub mod interest;
pub mod json;
mod logging;
pub mod mapping;
pub mod monitor;
pub mod parser;
pub mod permissions;
pub mod proxied;
pub mod s2;
mod stream;
mod subject;
pub mod tls;
pub mod transport;
pub mod websocket;

pub use choices::Choices;

/// The name of a target, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets by name, which is also the name of the folder of their corpus.
pub const TARGETS: [Target; 17] = [
    ("parser", parser::run),
    ("encode", encode::run),
    ("json", json::run),
    ("client", client::run),
    ("cluster", cluster::run),
    ("interest", interest::run),
    ("config", config::run),
    ("discovery", discovery::run),
    ("monitor", monitor::run),
    ("http", http::run),
    ("transport", transport::run),
    ("s2", s2::run),
    ("tls", tls::run),
    ("websocket", websocket::run),
    ("mapping", mapping::run),
    ("permissions", permissions::run),
    ("proxied", proxied::run),
];
