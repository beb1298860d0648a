//! Raw client-port scripts, run against nats-server 2.15.1 and both runtimes in the same test: all must answer the same bytes
//! and close the same connections. Each script runs twice, sent whole and sent byte by byte.

mod accounts;
mod auth;
mod connect;
mod delivery;
mod framing;
mod headers;
mod import_pages;
mod imports;
mod limits;
mod operations;
mod random;
mod subjects;
mod timing;
mod users;

/// `CONNECT` of a client that wants neither `+OK` nor subject checks, followed by `lines`.
fn terse(lines: &str) -> String {
    format!("CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\n{lines}")
}

/// The same for a client that understands headers and wants to hear of missing responders.
fn modern(lines: &str) -> String {
    format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}}\r\n{lines}"
    )
}
