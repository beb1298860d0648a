//! What the two halves of a WebSocket share.

use std::sync::Arc;

use super::{Reader, WebSocketFault, WebSocketRefusal, WebSocketTerms, Writer, frame, handshake};
use crate::close::CloseReason;
use crate::lock::{Mutex, MutexGuard, Place};
use crate::transport::{Decoder, Decoding, Encoder, Encoding};

/// The WebSocket of one connection: what its two halves share.
#[derive(Clone, Debug)]
pub struct WebSocket(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    terms: Arc<WebSocketTerms>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// The answer to the request.
    answer: Vec<u8>,
    /// The answer to the last ping.
    pub(super) pong: Vec<u8>,
    /// The last frame. Who ends it first says why.
    pub(super) close: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The request is not answered.
    #[default]
    Opening,
    Open {
        compresses: bool,
    },
    /// The request was refused: nothing but the answer is said.
    Refused,
}

impl WebSocket {
    /// One that is still to be asked for.
    pub fn new(terms: Arc<WebSocketTerms>) -> Self {
        Self(Arc::new(Shared { terms, state: Mutex::new(Place::Transport, State::default()) }))
    }

    /// The half that reads. There is one.
    pub fn decoder(&self) -> Decoder {
        Decoder::new(Decoding::WebSocket(Box::new(Reader::new(self.clone()))))
    }

    /// The half that writes. There is one.
    pub fn encoder(&self) -> Encoder {
        Encoder(Encoding::WebSocket(Box::new(Writer::new(self.clone()))))
    }

    /// Whether the peer asked for it as it should, so that it may be spoken to.
    pub fn is_open(&self) -> bool {
        self.state().is_open()
    }

    /// Hears why the connection ends, which the peer is told.
    pub fn handle_end(&self, reason: CloseReason) {
        let mut state = self.state();
        match state.phase {
            // Nobody was asked, or somebody was turned away.
            Phase::Opening | Phase::Refused => state.phase = Phase::Refused,
            Phase::Open { .. } => state.end(frame::close(close_code(reason), reason.as_str())),
        }
    }

    pub(super) fn terms(&self) -> &WebSocketTerms {
        &self.0.terms
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    pub(super) fn handle_accepted(&self, answer: Vec<u8>, compresses: bool) {
        let mut state = self.state();
        (state.answer, state.phase) = (answer, Phase::Open { compresses });
    }

    pub(super) fn handle_refused(&self, refusal: WebSocketRefusal) {
        let mut state = self.state();
        (state.answer, state.phase) = (handshake::refusal(refusal), Phase::Refused);
    }

    pub(super) fn handle_fault(&self, fault: WebSocketFault) {
        let code = match fault {
            WebSocketFault::Compression => frame::code::INVALID_DATA,
            WebSocketFault::TooLong => frame::code::TOO_BIG,
            _ => frame::code::PROTOCOL,
        };
        self.state().end(frame::close(code, &fault.to_string()));
    }
}

impl State {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    pub(super) fn end(&mut self, frame: Vec<u8>) {
        if self.close.is_empty() {
            self.close = frame;
        }
    }

    /// Appends what is to be said by the way.
    pub(super) fn say(&mut self, encoded: &mut Vec<u8>) {
        encoded.append(&mut self.answer);
        encoded.append(&mut self.pong);
    }
}

/// Under which number a peer is told why its connection ends, as nats-server has it (wire.md 6.5).
fn close_code(reason: CloseReason) -> u16 {
    match reason {
        CloseReason::ClientClosed => frame::code::NORMAL,
        CloseReason::AuthenticationTimeout
        | CloseReason::AuthenticationFailure
        | CloseReason::SlowConsumerPendingBytes
        | CloseReason::SlowConsumerWriteDeadline
        | CloseReason::MaximumConnectionsExceeded
        | CloseReason::MaximumAccountConnectionsExceeded
        | CloseReason::MaximumControlLineExceeded
        | CloseReason::MaximumSubscriptionsExceeded
        | CloseReason::MissingAccount => frame::code::POLICY,
        CloseReason::ParseError | CloseReason::ProtocolViolation | CloseReason::BadClientProtocolVersion => {
            frame::code::PROTOCOL
        }
        CloseReason::MaximumPayloadExceeded => frame::code::TOO_BIG,
        CloseReason::WriteError
        | CloseReason::ReadError
        | CloseReason::StaleConnection
        | CloseReason::ServerShutdown => frame::code::GOING_AWAY,
        _ => frame::code::INTERNAL,
    }
}
