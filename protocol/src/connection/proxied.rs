//! Clients that may come by way of a proxy, which says first whom it speaks for (wire.md 1.14).

use std::time::Duration;

use log::Level;

use super::{Connection, Shared};
use crate::close::CloseReason;
use crate::sink::Sink;
use crate::time::Instant;
use crate::transport::{ProxyRead, ProxyReader};

impl Connection {
    /// Lets what comes first be such a header, or show that there is none. The time to authenticate begins behind it.
    pub(super) fn expect_header(&mut self, now: Instant) {
        self.shared.auth_deadline = Some(now + HEADER_TIMEOUT);
    }

    /// Reads of the header what came of it, and goes on with what stands behind it.
    #[cold]
    pub(super) fn handle_header<S: Sink>(&mut self, now: Instant, input: &[u8], sink: &mut S) {
        let Some(header) = self.header.as_mut().filter(|_| self.shared.close.is_none()) else {
            return;
        };
        let mut rest = input;
        let said = match header.read(&mut rest) {
            Ok(ProxyRead::More) => return,
            Ok(ProxyRead::Origin(origin)) => {
                origin.into_iter().for_each(|origin| self.shared.entry.set_origin(origin));
                Vec::new()
            }
            Ok(ProxyRead::Absent(said)) => said,
            Err(fault) => return self.refuse_header(now, fault, sink),
        };
        self.header = None;
        self.shared.begin_authentication(now);
        if let Some(opening) = &mut self.opening {
            opening.begin_anew(now);
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

impl Shared {
    /// Gives a client that must present itself time for that.
    fn begin_authentication(&mut self, now: Instant) {
        let must_present_itself = self.node.hub().guard().requires_authorization();
        self.auth_deadline = must_present_itself.then(|| now + self.config.auth_timeout);
    }
}

/// What is known of a header that has not come.
pub(super) type Header = Box<ProxyReader>;

/// How long a proxy may take for its header, as with nats-server.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
