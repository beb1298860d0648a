//! What handling one operation needs, in one parameter.

use super::chore::Chore;
use super::effect::Question;
use super::turn;
use super::{Interruption, Shared};
use crate::auth::{Certificate, Known, PasswordCheck};
use crate::close::CloseReason;
use crate::config::{Config, RouteLimits};
use crate::forwarding::Trace;
use crate::hub::{Entry, Flag, Hub};
use crate::node::Node;
use crate::sink::Sink;
use crate::time::Instant;
use crate::transport::{Decoder, Encoder};
use crate::wire::{self, Connect, ProtocolError};

/// A connection that is being driven: its state, the time, and where output goes.
pub(super) struct Context<'a, S> {
    pub(super) shared: &'a mut Shared,
    pub(super) now: Instant,
    pub(super) sink: &'a mut S,
}

impl<S: Sink> Context<'_, S> {
    pub(super) fn node(&self) -> &Node {
        &self.shared.node
    }

    pub(super) fn hub(&self) -> &Hub {
        self.shared.node.hub()
    }

    /// The configuration that the connection follows.
    pub(super) fn config(&self) -> &Config {
        &self.shared.config
    }

    /// What a server may make this node hold.
    pub(super) fn route_limits(&self) -> RouteLimits {
        self.config().cluster.as_ref().map(|cluster| cluster.limits.clone()).unwrap_or_default()
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.shared.entry
    }

    /// What the peer's certificate says about who it is.
    pub(super) fn certificate(&self) -> Certificate<'_> {
        let tls = self.config().client_tls(self.entry().has(Flag::WebSocket));
        if !tls.is_some_and(|tls| tls.settings().verify_and_map) {
            return Certificate::Silent;
        }
        Certificate::Decides(self.entry().shown_certificate())
    }

    /// Sends protocol lines to the peer, unless it is to hear nothing more over this connection.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if self.entry().has_heir() {
            return;
        }
        self.trace_out(bytes);
        self.sink.send(self.shared.entry.id(), bytes);
    }

    /// Ends the connection.
    pub(super) fn close(&mut self, reason: CloseReason) {
        self.shared.close.get_or_insert(reason);
    }

    /// Logs what the peer did wrong, and handles it.
    pub(super) fn report(&mut self, error: &ProtocolError) {
        self.log_fault(error);
        self.handle_error(error);
    }

    /// Tells the peer what it did wrong, if it is told that, and ends the connection, if that is the end of it.
    pub(super) fn handle_error(&mut self, error: &ProtocolError) {
        if let Some(text) = error.text() {
            self.send(&wire::encode::err_line(&text));
        }
        if let Some(reason) = error.close_reason() {
            self.close(reason);
        }
    }

    /// Begins what takes more than one turn: the first slice is done at the end of this one, or in the next. What input waits
    /// for comes first.
    pub(super) fn begin_chore(&mut self, chore: Chore) {
        let chores = &mut self.shared.chores;
        if chore.holds_input() { chores.push_front(chore) } else { chores.push_back(chore) }
    }

    /// Leaves it to the services to tell the publisher where a traced message went.
    #[cold]
    pub(super) fn tell_trace(&mut self, trace: Box<Trace>) {
        let Some(traced) = trace.into_traced() else { return };
        self.shared.spend(turn::deliveries(traced.reached.len(), 0, 0));
        if self.hub().traces().put(traced) {
            self.hub().want_attention();
        } else {
            self.hit_limit("MAX_TRACES or MAX_TRACES_OF_ONE");
        }
    }

    /// Notes that the peer hit a limit, under the name by which that can be set.
    pub(super) fn hit_limit(&self, limit: &'static str) {
        self.hub().limit_log().hit(self.now, limit, self);
    }

    /// Lets what the peer sends behind the operation that is being handled be decoded first.
    pub(super) fn switch_input(&mut self, decoder: Decoder) {
        self.shared.interruption = Some(Interruption::Switch(decoder));
    }

    /// Lets what is sent to the peer from now on be encoded, whoever sends it.
    pub(super) fn switch_output(&mut self, encoder: Encoder) {
        self.sink.switch(self.shared.entry.id(), encoder);
    }

    /// Lets the program around the node judge what a client presented in its CONNECT. What the client sends behind it waits
    /// for that, for as long as a client may take to authenticate.
    pub(super) fn ask_who_it_is(&mut self, connect: Connect) {
        let number = self.next_question();
        self.wait_for(Question::authenticate(number, connect));
    }

    /// The same where it takes long to find out whether the client's password is right.
    pub(super) fn check_password(&mut self, connect: Connect, check: PasswordCheck, user: Option<Known>) {
        let number = self.next_question();
        self.wait_for(Question::check_password(number, connect, check, user));
    }

    fn next_question(&mut self) -> u32 {
        self.shared.questions += 1;
        self.shared.questions
    }

    fn wait_for(&mut self, question: Question) {
        let shared = &mut *self.shared;
        shared.interruption = Some(Interruption::Wait(Box::new(question)));
        let auth_timeout = shared.config.auth_timeout;
        shared.auth_deadline.get_or_insert(self.now + auth_timeout);
    }

    /// What follows the operation that is being handled comes in frames, in tests.
    pub(super) fn rehearse_input(&mut self) {
        if let Some(key) = self.config().rehearsed_transport {
            self.switch_input(Decoder::framed(key));
        }
    }

    /// What is sent from now on goes in frames, in tests.
    pub(super) fn rehearse_output(&mut self) {
        if let Some(key) = self.config().rehearsed_transport {
            self.switch_output(Encoder::framed(key));
        }
    }

    /// Answers a PING, and notes the activity.
    pub(super) fn handle_ping(&mut self) {
        self.shared.keepalive.handle_activity(self.now);
        self.send(wire::encode::PONG);
    }

    /// Learns the round-trip time from a PONG.
    pub(super) fn handle_pong(&mut self) {
        if let Some(rtt) = self.shared.keepalive.handle_pong(self.now) {
            self.shared.entry.set_rtt(rtt);
        }
    }
}
