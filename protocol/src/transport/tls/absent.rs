//! What stands for TLS where it is not built in: nothing that could be made.

use std::convert::Infallible;
use std::time::Duration;

use super::facts::{TlsFacts, TlsProgress};
use super::settings::{TlsError, TlsSettings};
use crate::transport::{DecodeError, Decoder, Encoder};

/// TLS as it is set for one port: there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls(Infallible);

/// The TLS of one connection: there is none.
#[derive(Clone, Debug)]
pub struct TlsSession(Infallible);

/// The half that reads.
#[derive(Debug)]
pub(in crate::transport) struct TlsReader(Infallible);

/// The half that writes.
#[derive(Debug)]
pub(in crate::transport) struct TlsWriter(Infallible);

impl Tls {
    /// For a port that clients connect to.
    ///
    /// # Errors
    /// Always: this was built without TLS.
    pub fn for_clients(
        _settings: TlsSettings,
        _system: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> Result<Self, TlsError> {
        Err(TlsError(NOT_BUILT.to_owned()))
    }

    /// For routes.
    ///
    /// # Errors
    /// Always: this was built without TLS.
    pub fn for_routes(
        _settings: TlsSettings,
        _system: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> Result<Self, TlsError> {
        Err(TlsError(NOT_BUILT.to_owned()))
    }

    /// What it was made of.
    pub fn settings(&self) -> &TlsSettings {
        match self.0 {}
    }

    /// When this side's certificate ends to be valid, in seconds since 1970.
    pub fn not_after(&self) -> Option<u64> {
        match self.0 {}
    }

    /// The session of a connection that was accepted.
    ///
    /// # Errors
    /// None that could be.
    pub fn accept(&self, _now: Duration) -> Result<TlsSession, TlsError> {
        match self.0 {}
    }

    /// The session of a connection to a server.
    ///
    /// # Errors
    /// None that could be.
    pub fn connect(
        &self,
        _host: &str,
        _known_hosts: &[&str],
        _now: Duration,
    ) -> Result<TlsSession, TlsError> {
        match self.0 {}
    }

    pub(crate) fn judge(&self, _facts: &TlsFacts) -> Result<(), &'static str> {
        match self.0 {}
    }
}

impl TlsSession {
    /// The half for what is read.
    pub fn decoder(&self) -> Decoder {
        Decoder::tls(TlsReader(self.0))
    }

    /// The half for what is written.
    pub fn encoder(&self) -> Encoder {
        Encoder::tls(TlsWriter(self.0))
    }

    /// How far it is.
    pub fn progress(&self) -> TlsProgress {
        match self.0 {}
    }

    /// Gives up a handshake.
    pub fn give_up(&self) {
        match self.0 {}
    }

    /// Why it failed.
    pub fn fault(&self) -> Option<String> {
        match self.0 {}
    }

    /// Whether it failed since what came was no TLS at all.
    pub fn met_no_tls(&self) -> bool {
        match self.0 {}
    }

    /// What the handshake led to.
    pub fn facts(&self) -> Option<TlsFacts> {
        match self.0 {}
    }
}

impl TlsReader {
    pub(in crate::transport) fn step(
        &mut self,
        _rest: &mut &[u8],
        _plain: &mut Vec<u8>,
    ) -> Result<bool, DecodeError> {
        match self.0 {}
    }
}

impl TlsWriter {
    pub(in crate::transport) fn encode(&mut self, _plain: &[u8], _encoded: &mut Vec<u8>) -> usize {
        match self.0 {}
    }

    pub(in crate::transport) fn has_failed(&self) -> bool {
        match self.0 {}
    }

    pub(in crate::transport) fn finish(&mut self, _encoded: &mut Vec<u8>) {
        match self.0 {}
    }
}

/// Whether this cipher suite is spoken.
pub fn is_spoken_suite(_name: &str) -> bool {
    false
}

/// Whether keys are exchanged in this group.
pub fn is_spoken_group(_name: &str) -> bool {
    false
}

const NOT_BUILT: &str = "TLS is not built in: it takes the feature `tls`";
