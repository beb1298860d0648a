//! Clients that may come by way of a proxy, which says first whom it speaks for (wire.md 1.14).

use std::time::Duration;

use log::Level;

use super::Connection;
use crate::close::CloseReason;
use crate::sink::Sink;
use crate::time::Instant;
use crate::transport::{ProxyRead, ProxyReader};

impl Connection {
    /// Reads of the header what came of it, and goes on with what stands behind it.
    #[cold]
    pub(super) fn handle_header<S: Sink>(&mut self, now: Instant, input: &[u8], sink: &mut S) {
        let Some(Header { reader, since }) =
            self.header.as_deref_mut().filter(|_| self.shared.close.is_none())
        else {
            return;
        };
        let (mut rest, waited) = (input, now.since(*since));
        let said = match reader.read(&mut rest) {
            Ok(ProxyRead::More) => return,
            Ok(ProxyRead::Origin(origin)) => {
                origin.into_iter().for_each(|origin| self.shared.entry.set_origin(origin));
                Vec::new()
            }
            Ok(ProxyRead::Absent(said)) => said,
            Err(fault) => return self.refuse_header(now, fault, sink),
        };
        self.header = None;
        // What has to come in time is waited for from now on.
        if let Some(deadline) = &mut self.shared.auth_deadline {
            *deadline += waited;
        }
        if let Some(opening) = &mut self.opening {
            opening.delay(waited);
        }
        for said in [&said, rest] {
            if !said.is_empty() {
                self.handle_input(now, said, sink);
            }
        }
    }

    /// Ends a connection whose header is wrong, or does not come.
    #[cold]
    pub(super) fn refuse_header<S: Sink>(&mut self, now: Instant, why: impl std::fmt::Display, sink: &mut S) {
        let mut context = self.shared.context(now, sink);
        context.log(Level::Warn, format_args!("Error reading PROXY protocol header: {why}"));
        context.close(CloseReason::ProtocolViolation);
    }
}

/// A header that has not come.
#[derive(Debug)]
pub(super) struct Header {
    reader: ProxyReader,
    since: Instant,
}

impl Header {
    /// What comes first may be one, or show that there is none.
    pub(super) fn new(now: Instant) -> Self {
        Self { reader: ProxyReader::default(), since: now }
    }

    /// Until when it has to come.
    pub(super) fn until(&self) -> Instant {
        self.since + HEADER_TIMEOUT
    }
}

/// How long a proxy may take for its header, as with nats-server.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
