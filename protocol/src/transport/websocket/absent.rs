//! In a build without WebSockets there is none.

use crate::close::CloseReason;
use crate::transport::DecodeError;

/// The WebSocket of one connection.
#[derive(Clone, Debug)]
pub enum WebSocket {}

#[derive(Debug)]
pub(in crate::transport) enum Reader {}

#[derive(Debug)]
pub(in crate::transport) enum Writer {}

impl WebSocket {
    /// Whether the peer asked for it as it should, so that it may be spoken to.
    pub fn is_open(&self) -> bool {
        match *self {}
    }

    /// Hears why the connection ends, which the peer is told.
    pub fn handle_end(&self, _: CloseReason) {
        match *self {}
    }
}

impl Reader {
    pub(in crate::transport) fn step(&mut self, _: &mut &[u8], _: &mut Vec<u8>) -> Result<bool, DecodeError> {
        match *self {}
    }
}

impl Writer {
    pub(in crate::transport) fn encode(&mut self, _: &[u8], _: &mut Vec<u8>) -> usize {
        match *self {}
    }

    pub(in crate::transport) fn finish(&mut self, _: &mut Vec<u8>) {
        match *self {}
    }

    pub(in crate::transport) fn release(&mut self) {
        match *self {}
    }
}
