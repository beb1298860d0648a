//! What a connection does before its protocol begins, or right behind its greeting: TLS, or a request for a WebSocket, or one
//! within the other (wire.md 6).
//!
//! Nothing of what comes is an operation as long as this lasts, and what is to be sent waits in the transport.

use std::time::Duration;

use log::Level;

use super::client::Client;
use super::route::Route;
use super::{Connection, Side, turn};
use crate::close::CloseReason;
use crate::hub::{Flag, Kind};
use crate::quote::brief;
use crate::routes::{DialError, DialId};
use crate::sink::Sink;
use crate::time::Instant;
#[cfg(feature = "websocket")]
use crate::transport::WebSocket;
use crate::transport::{
    DecodeError, HandshakeFirst, Inbound, Tls, TlsError, TlsFacts, TlsProgress, TlsSession,
};
use crate::wire::ProtocolError;

/// How far that is, and until when it is to get further.
#[derive(Debug)]
pub(super) struct Opening {
    stage: Stage,
    until: Instant,
}

#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// A client chooses by its first byte: TLS or nothing, as it was told.
    Choice(Tls),
    /// A client that says nothing by now is to be greeted before TLS.
    Silence(Tls),
    /// The two sides get to know each other.
    Handshake(TlsSession, Tls),
    /// A client asks for a WebSocket.
    #[cfg(feature = "websocket")]
    Upgrade(WebSocket),
}

impl Opening {
    /// When [`Connection::handle_opening_timeout`] is to be called.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Gives this stage more time: a proxy had to say first whom it speaks for.
    pub(super) fn delay(&mut self, by: Duration) {
        self.until += by;
    }
}

impl Connection {
    /// Begins with what comes before a client may say anything.
    pub(super) fn open_client<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let Some(tls) = self.shared.config.tls.clone() else {
            return self.begin(now, sink);
        };
        if self.shared.node.hub().directory().count(Kind::Client) > self.shared.config.max_connections {
            // It is told so before anything is done for it.
            return self.greet(now, sink);
        }
        match tls.settings().handshake_first {
            HandshakeFirst::Always => self.shake_hands_as_server(now, &tls, sink),
            HandshakeFirst::Within(wait) => self.wait_at(Stage::Silence(tls), now, wait),
            HandshakeFirst::Never => {
                self.greet(now, sink);
                self.expect_tls(now, tls, sink);
            }
        }
    }

    /// When a client is to be greeted that says nothing, if it was not: it may wait for that, even if it could have begun with the
    /// header of a proxy.
    pub(super) fn greeting_due(&self) -> Option<Instant> {
        let opening = self.opening.as_ref().filter(|opening| matches!(opening.stage, Stage::Silence(_)));
        opening.map(|opening| opening.until)
    }

    /// A client that was greeted speaks TLS now, or chooses whether to.
    fn expect_tls<S: Sink>(&mut self, now: Instant, tls: Tls, sink: &mut S) {
        if self.shared.config.allow_non_tls {
            let timeout = tls.settings().timeout;
            self.wait_at(Stage::Choice(tls), now, timeout);
        } else {
            self.shake_hands_as_server(now, &tls, sink);
        }
    }

    /// Begins with what comes before a server may say anything: nothing, unless routes are encrypted.
    pub(super) fn open_route<S: Sink>(&mut self, now: Instant, dial: Option<DialId>, sink: &mut S) {
        let Some(tls) = self.shared.config.cluster.as_ref().and_then(|cluster| cluster.tls.clone()) else {
            return;
        };
        let Some(dial) = dial else {
            if self.shared.config.cluster.as_ref().is_some_and(|cluster| cluster.relays()) {
                let timeout = tls.settings().timeout;
                return self.wait_at(Stage::Choice(tls), now, timeout);
            }
            return self.shake_hands_as_server(now, &tls, sink);
        };
        let host = self.shared.node.cluster().and_then(|cluster| cluster.dialed_host(dial));
        let host = host.unwrap_or_else(|| self.shared.entry.remote().ip().to_string());
        if let Err(error) = self.connect_tls(now, &tls, &host, sink) {
            self.shared.node.handle_dial_failed(now, dial, &DialError::Failed(error));
        }
    }

    /// Begins with TLS to a server that was dialed by this name.
    pub(super) fn connect_tls<S: Sink>(
        &mut self,
        now: Instant,
        tls: &Tls,
        host: &str,
        sink: &mut S,
    ) -> Result<(), String> {
        let config = self.shared.config.clone();
        let routes = config.cluster.iter().flat_map(|cluster| &cluster.routes);
        let known_hosts: Vec<_> = routes.map(|route| route.host.as_str()).collect();
        let session = tls.connect(host, &known_hosts, self.calendar(now));
        let outcome = session.as_ref().map(drop).map_err(ToString::to_string);
        self.shake_hands(now, tls, session, sink);
        outcome
    }

    /// Whether what came first is no TLS, where that may be: all that a client says, and of a server the CONNECT of a circuit.
    fn begins_without_tls(&self, input: &[u8]) -> bool {
        match self.side {
            Side::Route(_) => input.first() == Some(&b'C'),
            Side::Client(_) | Side::Circuit(_) => input.first() != Some(&TLS_HANDSHAKE),
        }
    }

    /// Whether this is a server that has dialed this node and speaks TLS, unless it wants a circuit, which its first byte will tell.
    pub(super) fn may_want_circuit(&self) -> bool {
        let opening = self.opening.as_ref();
        matches!(self.side, Side::Route(_)) && opening.is_some_and(|it| matches!(it.stage, Stage::Choice(_)))
    }

    /// Goes on with what came, as far as possible. False if that takes more input.
    pub(super) fn open<S: Sink>(
        &mut self,
        now: Instant,
        inbound: &mut Inbound,
        rest: &mut &[u8],
        sink: &mut S,
    ) -> bool {
        match self.opening.as_deref().map(|opening| opening.stage.clone()) {
            None => {}
            Some(_) if inbound.is_plain() && rest.is_empty() => return false,
            Some(Stage::Choice(_)) if self.begins_without_tls(rest) => self.begin(now, sink),
            Some(Stage::Silence(_))
                if self.shared.config.allow_non_tls && rest.first() != Some(&TLS_HANDSHAKE) =>
            {
                self.begin(now, sink);
            }
            Some(Stage::Choice(tls) | Stage::Silence(tls)) => {
                let is_ungreeted = self.may_want_circuit();
                self.shake_hands_as_server(now, &tls, sink);
                if is_ungreeted && self.shared.close.is_none() {
                    Route::greet_late(&mut self.shared.context(now, sink));
                }
            }
            Some(Stage::Handshake(session, tls)) => match inbound.decode(rest) {
                Ok(_) if session.progress() == TlsProgress::Open => {
                    self.handle_open(now, &session, &tls, sink);
                }
                Ok(_) => return false,
                Err(error) => self.handle_failed_handshake(now, &session, error, sink),
            },
            #[cfg(feature = "websocket")]
            Some(Stage::Upgrade(websocket)) => match inbound.decode(rest) {
                Ok(_) if websocket.is_open() => self.handle_upgraded(now, sink),
                Ok(_) => return false,
                Err(error) => self.handle_decode_error(now, error, sink),
            },
        }
        true
    }

    /// What was waited for did not come.
    pub(super) fn handle_opening_timeout<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let Some(opening) = self.opening.take() else { return };
        match opening.stage {
            Stage::Choice(_) if matches!(self.side, Side::Route(_)) => self.give_up_handshake(now, sink),
            Stage::Choice(_) => self.begin(now, sink),
            Stage::Silence(tls) => {
                self.greet(now, sink);
                self.expect_tls(now, tls, sink);
            }
            Stage::Handshake(session, _) => {
                session.give_up();
                self.give_up_handshake(now, sink);
            }
            #[cfg(feature = "websocket")]
            Stage::Upgrade(_) => self.handle_close_request(CloseReason::ClientClosed),
        }
    }

    fn give_up_handshake<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let mut context = self.shared.context(now, sink);
        context.log(Level::Debug, "TLS handshake timeout");
        context.close(CloseReason::TlsHandshakeFailure);
    }

    /// The connection ended before it was open; how that is called, and is to be logged.
    pub(super) fn handle_closed_opening<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let Some(Stage::Handshake(session, _)) = self.opening.take().map(|opening| opening.stage) else {
            return;
        };
        session.give_up();
        let ended = [CloseReason::ClientClosed, CloseReason::ReadError, CloseReason::WriteError];
        if self.shared.close.is_some_and(|reason| ended.contains(&reason)) {
            self.shared.close = Some(CloseReason::TlsHandshakeFailure);
            let mut context = self.shared.context(now, sink);
            context.log_failed_handshake(Level::Error, "EOF");
        }
    }

    pub(super) fn wait_at(&mut self, stage: Stage, now: Instant, lasts: Duration) {
        self.opening = Some(Box::new(Opening { stage, until: now + lasts }));
        // What comes is not to be taken for operations.
        self.inbound.get_or_insert_default();
    }

    pub(super) fn shake_hands_as_server<S: Sink>(&mut self, now: Instant, tls: &Tls, sink: &mut S) {
        if self.shared.close.is_some() {
            return;
        }
        let is_client = matches!(self.side, Side::Client(_));
        let most = tls.settings().connection_rate_limit;
        if is_client && most > 0 && !self.shared.node.hub().may_shake_hands(now, most) {
            return self.shared.context(now, sink).report(&ProtocolError::ConnectionThrottled);
        }
        self.shake_hands(now, tls, tls.accept(self.calendar(now)), sink);
    }

    fn shake_hands<S: Sink>(
        &mut self,
        now: Instant,
        tls: &Tls,
        session: Result<TlsSession, TlsError>,
        sink: &mut S,
    ) {
        let mut context = self.shared.context(now, sink);
        match session {
            Ok(session) => {
                context.switch_output(session.encoder());
                context.switch_input(session.decoder());
                self.wait_at(Stage::Handshake(session, tls.clone()), now, tls.settings().timeout);
            }
            Err(error) => {
                context.log_failed_handshake(Level::Error, &error.to_string());
                context.close(CloseReason::TlsHandshakeFailure);
            }
        }
    }

    fn handle_open<S: Sink>(&mut self, now: Instant, session: &TlsSession, tls: &Tls, sink: &mut S) {
        self.shared.spend(turn::HANDSHAKE);
        self.tls = Some(session.clone());
        let facts = session.facts();
        let mut context = self.shared.context(now, sink);
        if let Some(facts) = facts {
            context.log(Level::Debug, "TLS handshake complete");
            let TlsFacts { version, cipher_suite, .. } = &facts;
            context.log(Level::Debug, format_args!("TLS version {version}, cipher suite {cipher_suite}"));
            let verdict = tls.judge(&facts);
            context.entry().set_tls(facts);
            if let Err(why) = verdict {
                context.log_failed_handshake(Level::Error, why);
                return context.close(CloseReason::TlsHandshakeFailure);
            }
        }
        #[cfg(feature = "websocket")]
        if self.shared.entry.kind() == Kind::Upgrading {
            return self.await_upgrade(now, sink);
        }
        if matches!(self.side, Side::Client(Client::Arrived)) {
            self.shared.entry.set(Flag::TlsFirst, true);
        }
        self.begin(now, sink);
    }

    fn handle_failed_handshake<S: Sink>(
        &mut self,
        now: Instant,
        session: &TlsSession,
        error: DecodeError,
        sink: &mut S,
    ) {
        // Whoever speaks something else may do so all day.
        let level = if session.met_no_tls() { Level::Debug } else { Level::Error };
        let why = session.fault().unwrap_or_else(|| error.to_string());
        session.give_up();
        let mut context = self.shared.context(now, sink);
        context.log_failed_handshake(level, &why);
        context.close(CloseReason::TlsHandshakeFailure);
        self.opening = None;
    }

    /// TLS broke off that was spoken already. With 1.3 a server that dialed hears only now that what it showed was no good.
    pub(super) fn handle_tls_fault<S: Sink>(&mut self, now: Instant, fault: &str, sink: &mut S) {
        let is_refused = matches!(&self.side, Side::Route(route) if !route.is_member());
        let mut context = self.shared.context(now, sink);
        if is_refused {
            context.log_failed_handshake(Level::Error, fault);
            return context.close(CloseReason::TlsHandshakeFailure);
        }
        context.log(Level::Debug, format_args!("TLS error: {}", brief(fault)));
        context.close(CloseReason::ReadError);
    }

    /// Greets a client, unless it was.
    fn greet<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        if let Side::Client(client) = &mut self.side {
            client.greet(&mut self.shared.context(now, sink), self.header.is_some());
        }
    }

    /// Lets the protocol begin.
    pub(super) fn begin<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        self.opening = None;
        self.shared.began = now;
        if self.awaits_circuit() {
            // It is greeted next.
            return;
        }
        let mut context = self.shared.context(now, sink);
        match &mut self.side {
            Side::Client(client) => client.handle_open(&mut context, self.header.is_some()),
            Side::Route(route) => route.handle_open(&mut context),
            Side::Circuit(_) => {}
        }
    }

    fn calendar(&self, now: Instant) -> Duration {
        self.shared.node.calendar(now)
    }
}

/// The first byte of a client that begins with TLS.
const TLS_HANDSHAKE: u8 = 0x16;
