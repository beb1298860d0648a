//! Makes frames.

use super::deflate::Deflater;
use super::frame::{self, opcode};
use super::shared::{Phase, WebSocket};
use crate::transport::CODED_BYTES;

/// Makes a message of what it is given each time, so that all of it can be read.
#[derive(Debug)]
pub(in crate::transport) struct Writer {
    websocket: WebSocket,
    deflater: Option<Deflater>,
}

impl Writer {
    pub(super) fn new(websocket: WebSocket) -> Self {
        Self { websocket, deflater: None }
    }

    pub(in crate::transport) fn encode(&mut self, plain: &[u8], encoded: &mut Vec<u8>) -> usize {
        let mut state = self.websocket.state();
        state.say(encoded);
        let phase = state.phase;
        drop(state);
        match phase {
            Phase::Opening => 0,
            // What was meant for a client is not for whoever this is.
            Phase::Refused => plain.len(),
            Phase::Open { compresses } => {
                let message = &plain[..plain.len().min(CODED_BYTES)];
                if !message.is_empty() {
                    self.push_message(message, compresses, encoded);
                }
                message.len()
            }
        }
    }

    /// Says why nothing follows.
    pub(in crate::transport) fn finish(&mut self, encoded: &mut Vec<u8>) {
        let mut state = self.websocket.state();
        state.say(encoded);
        if state.is_open() && state.close.is_empty() {
            // Whoever ends the connection left it no time to say why.
            state.close = frame::close(frame::code::GOING_AWAY, "");
        }
        encoded.append(&mut state.close);
    }

    /// Frees what is not needed until there is something to compress again.
    pub(in crate::transport) fn release(&mut self) {
        self.deflater = None;
    }

    fn push_message(&mut self, message: &[u8], compresses: bool, encoded: &mut Vec<u8>) {
        if compresses
            && message.len() >= MIN_COMPRESSED_BYTES
            && let Some(shorter) = self.deflater.get_or_insert_with(Deflater::new).deflate(message)
        {
            frame::push_head(encoded, opcode::BINARY | frame::COMPRESSED, shorter.len());
            return encoded.extend_from_slice(&shorter);
        }
        frame::push_head(encoded, opcode::BINARY, message.len());
        encoded.extend_from_slice(message);
    }
}

/// Less is not worth the try, as in nats-server.
const MIN_COMPRESSED_BYTES: usize = 64;
