//! One connection's TLS, of which the reader and the writer have a half each.

use std::fmt;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{CommonState, Error, ProtocolVersion};

use super::certificate;
use super::facts::{TlsFacts, TlsProgress};
use super::fault;
use super::settings::TlsVersion;
use super::suites::name_of_suite;
use crate::lock::{Mutex, MutexGuard, Place};
use crate::transport::{CODED_BYTES, DecodeError, Decoder, Encoder};

/// The TLS of one connection, to be asked how far it is.
#[derive(Clone, Debug)]
pub struct TlsSession(Arc<Mutex<Session>>);

struct Session {
    side: Side,
    progress: TlsProgress,
    /// The peer said that nothing follows, or this side did.
    has_ended: bool,
    /// What came of a record that is not whole, behind what rustls keeps of a handshake that is not.
    incoming: Vec<u8>,
    /// How much of `incoming` rustls has seen: whole records. Only the reader shows it more, so that what is read is read there,
    /// whatever the writer asks meanwhile.
    seen: usize,
    /// What is to be sent apart from what is encrypted.
    outgoing: Vec<u8>,
    fault: Option<Error>,
}

enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// The half that reads.
#[derive(Debug)]
pub(in crate::transport) struct TlsReader(TlsSession);

/// The half that writes.
#[derive(Debug)]
pub(in crate::transport) struct TlsWriter(TlsSession);

/// What one step led to.
enum Step {
    Next,
    Waits,
    CanSend,
    Ended,
    Failed(Error),
}

impl TlsSession {
    pub(super) fn of_server(connection: UnbufferedServerConnection) -> Self {
        Self::new(Side::Server(Box::new(connection)))
    }

    pub(super) fn of_client(connection: UnbufferedClientConnection) -> Self {
        Self::new(Side::Client(Box::new(connection)))
    }

    fn new(side: Side) -> Self {
        let session = Session {
            side,
            progress: TlsProgress::Handshake,
            has_ended: false,
            incoming: Vec::new(),
            seen: 0,
            outgoing: Vec::new(),
            fault: None,
        };
        Self(Arc::new(Mutex::new(Place::Transport, session)))
    }

    /// The half for what is read.
    pub fn decoder(&self) -> Decoder {
        Decoder::tls(TlsReader(self.clone()))
    }

    /// The half for what is written.
    pub fn encoder(&self) -> Encoder {
        Encoder::tls(TlsWriter(self.clone()))
    }

    /// How far it is.
    pub fn progress(&self) -> TlsProgress {
        self.session().progress
    }

    /// Gives up a handshake: nothing is sent any more but what was to be sent already.
    pub fn give_up(&self) {
        self.session().progress = TlsProgress::Failed;
    }

    /// Why it failed, in the words of nats-server where there are any.
    pub fn fault(&self) -> Option<String> {
        self.session().fault.as_ref().map(fault::describe)
    }

    /// Whether it failed since what came was no TLS at all.
    pub fn met_no_tls(&self) -> bool {
        self.session().fault.as_ref().is_some_and(fault::is_no_tls)
    }

    /// What the handshake led to, once it is over.
    pub fn facts(&self) -> Option<TlsFacts> {
        let session = self.session();
        let common = session.side.common();
        let version = match common.protocol_version()? {
            ProtocolVersion::TLSv1_3 => TlsVersion::V1_3,
            _ => TlsVersion::V1_2,
        };
        let cipher_suite = name_of_suite(common.negotiated_cipher_suite()?.suite());
        let shown = common.peer_certificates().unwrap_or_default();
        Some(TlsFacts { version, cipher_suite, peer: shown.iter().map(certificate::read).collect() })
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.0.lock()
    }
}

#[cfg(test)]
impl TlsSession {
    /// How much memory is taken for bytes.
    pub(super) fn held_bytes(&self) -> usize {
        let session = self.session();
        session.incoming.capacity() + session.outgoing.capacity()
    }
}

impl TlsReader {
    /// Goes on with the head of the next record, or with the rest of it; false if that is not whole.
    pub(in crate::transport) fn step(
        &mut self,
        rest: &mut &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<bool, DecodeError> {
        let mut session = self.0.session();
        session.check()?;
        let (found, after) = rest.split_at(session.missing_bytes().min(rest.len()));
        session.incoming.extend_from_slice(found);
        *rest = after;
        let is_whole = session.missing_bytes() == 0;
        if is_whole {
            session.seen = session.incoming.len();
            session.process(plain);
        }
        if rest.is_empty() {
            session.release();
        }
        Ok(is_whole || !rest.is_empty())
    }
}

impl TlsWriter {
    pub(in crate::transport) fn encode(&mut self, plain: &[u8], encoded: &mut Vec<u8>) -> usize {
        let mut session = self.0.session();
        session.send(encoded);
        match session.progress {
            TlsProgress::Handshake => 0,
            TlsProgress::Open => session.encrypt(plain, encoded),
            // There is no way to say it any more.
            TlsProgress::Failed => plain.len(),
        }
    }

    pub(in crate::transport) fn has_failed(&self) -> bool {
        self.0.progress() == TlsProgress::Failed
    }

    pub(in crate::transport) fn finish(&mut self, encoded: &mut Vec<u8>) {
        let mut session = self.0.session();
        session.send(encoded);
        if session.progress == TlsProgress::Open {
            session.say_goodbye(encoded);
        }
    }
}

impl Session {
    /// Whether more is to be read.
    fn check(&self) -> Result<(), DecodeError> {
        match self.progress {
            TlsProgress::Failed => Err(DecodeError::Corrupt),
            _ if self.has_ended => Err(DecodeError::Ended),
            _ => Ok(()),
        }
    }

    /// How much is missing until a record is whole that rustls has not seen: one at a time, so that none is decrypted before
    /// there is room for what it says. What cannot be a record is shown to rustls as it is.
    fn missing_bytes(&self) -> usize {
        let record = &self.incoming[self.seen..];
        let Some(head) = record.first_chunk::<HEAD_BYTES>() else {
            return HEAD_BYTES - record.len();
        };
        let [_, _, _, high, low] = *head;
        let body_bytes = usize::from(u16::from_be_bytes([high, low]));
        let is_record = (FIRST_KIND..=LAST_KIND).contains(&head[0]) && body_bytes <= MAX_BODY_BYTES;
        if is_record { (HEAD_BYTES + body_bytes).saturating_sub(record.len()) } else { 0 }
    }

    /// Goes on as far as what came allows.
    fn process(&mut self, plain: &mut Vec<u8>) {
        if self.progress == TlsProgress::Failed {
            return;
        }
        loop {
            match self.step(plain) {
                Step::Next => {}
                Step::Waits => return,
                // A server may send before it knows who the client is, but has no reason to.
                Step::CanSend if self.side.common().is_handshaking() => return,
                Step::CanSend => {
                    self.progress = TlsProgress::Open;
                    return;
                }
                Step::Ended => {
                    self.has_ended = true;
                    return;
                }
                Step::Failed(error) => return self.fail(error),
            }
        }
    }

    fn step(&mut self, plain: &mut Vec<u8>) -> Step {
        let incoming = &mut self.incoming[..self.seen];
        let (discard, step) = match &mut self.side {
            Side::Server(server) => hear(server.process_tls_records(incoming), plain, &mut self.outgoing),
            Side::Client(client) => hear(client.process_tls_records(incoming), plain, &mut self.outgoing),
        };
        self.incoming.drain(..discard);
        self.seen -= discard;
        step
    }

    /// Notes why it is over, and what the peer is to be told of that.
    fn fail(&mut self, error: Error) {
        self.progress = TlsProgress::Failed;
        self.fault = Some(error);
        // An alert, if there is one. What came is not looked at again as long as there is.
        while self.side.common().wants_write() {
            self.step(&mut Vec::new());
        }
        if self.fault.as_ref().is_some_and(fault::is_no_tls) {
            // Whoever speaks something else would not understand it.
            self.outgoing.clear();
        }
        self.incoming = Vec::new();
        self.seen = 0;
    }

    /// Appends what is to be sent apart from what is encrypted, and before that: a part of the handshake that is this side's turn,
    /// an answer to what came, another key.
    fn send(&mut self, encoded: &mut Vec<u8>) {
        let mut nothing = Vec::new();
        self.process(&mut nothing);
        debug_assert!(nothing.is_empty(), "the reader has read all that it showed to rustls");
        encoded.append(&mut self.outgoing);
        self.outgoing = Vec::new();
    }

    /// Encrypts the start of `plain`, and returns how much that is.
    fn encrypt(&mut self, plain: &[u8], encoded: &mut Vec<u8>) -> usize {
        let part = &plain[..plain.len().min(CODED_BYTES)];
        if part.is_empty() {
            return 0;
        }
        let mut room = part.len() + part.len().div_ceil(RECORD_BYTES) * OVERHEAD_BYTES;
        loop {
            match self.seal(room, encoded, |traffic, space| traffic.encrypt(part, space)) {
                Sealed::Written => return part.len(),
                Sealed::NeedsRoom(bytes) if bytes > room => room = bytes,
                Sealed::NeedsRoom(_) | Sealed::Never => {
                    // So much was written with one key that TLS 1.2 has to end; what rustls says of that is the last word.
                    self.send(encoded);
                    self.progress = TlsProgress::Failed;
                    return plain.len();
                }
            }
            // Another key may come first.
            self.send(encoded);
        }
    }

    /// Lets the peer know that nothing follows.
    fn say_goodbye(&mut self, encoded: &mut Vec<u8>) {
        // Where it cannot be said, the end of the connection says it.
        let _ = self.seal(GOODBYE_BYTES, encoded, |traffic, space| traffic.queue_close_notify(space));
        // Nor is anything read any more: rustls would complain of a fault to a peer that it has taken leave of.
        self.has_ended = true;
    }

    /// Lets rustls write so much behind `encoded`. It has nothing to say of its own: see [`Session::send`].
    fn seal(
        &mut self,
        room: usize,
        encoded: &mut Vec<u8>,
        write: impl FnOnce(Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Sealed {
        let start = encoded.len();
        encoded.resize(start + room, 0);
        let (incoming, space) = (&mut self.incoming[..self.seen], &mut encoded[start..]);
        let written = match &mut self.side {
            Side::Server(server) => match server.process_tls_records(incoming).state {
                Ok(ConnectionState::WriteTraffic(traffic)) => Some(write(Traffic::OfServer(traffic), space)),
                _ => None,
            },
            Side::Client(client) => match client.process_tls_records(incoming).state {
                Ok(ConnectionState::WriteTraffic(traffic)) => Some(write(Traffic::OfClient(traffic), space)),
                _ => None,
            },
        };
        encoded.truncate(start + if let Some(Ok(bytes)) = written { bytes } else { 0 });
        match written {
            Some(Ok(_)) => Sealed::Written,
            Some(Err(EncryptError::InsufficientSize(needed))) => Sealed::NeedsRoom(needed.required_size),
            Some(Err(EncryptError::EncryptExhausted)) | None => Sealed::Never,
        }
    }

    /// Holds no memory that it does not need.
    fn release(&mut self) {
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
    }
}

impl Traffic<'_> {
    fn encrypt(self, plain: &[u8], encoded: &mut [u8]) -> Result<usize, EncryptError> {
        match self {
            Self::OfServer(mut traffic) => traffic.encrypt(plain, encoded),
            Self::OfClient(mut traffic) => traffic.encrypt(plain, encoded),
        }
    }

    fn queue_close_notify(self, encoded: &mut [u8]) -> Result<usize, EncryptError> {
        match self {
            Self::OfServer(mut traffic) => traffic.queue_close_notify(encoded),
            Self::OfClient(mut traffic) => traffic.queue_close_notify(encoded),
        }
    }
}

impl Side {
    fn common(&self) -> &CommonState {
        match self {
            Self::Server(server) => server,
            Self::Client(client) => client,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("progress", &self.progress).finish_non_exhaustive()
    }
}

/// What rustls makes of what came, and what it wants to send. Returns how much of what came it is done with.
fn hear<D>(
    status: UnbufferedStatus<'_, '_, D>,
    plain: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
) -> (usize, Step) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                    Err(error) => return (discard, Step::Failed(error)),
                }
            }
            Step::Next
        }
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            if let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) {
                let start = outgoing.len();
                outgoing.resize(start + needed.required_size, 0);
                // It is as long as that says.
                let _ = data.encode(&mut outgoing[start..]);
            }
            Step::Next
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Step::Next
        }
        Ok(ConnectionState::WriteTraffic(_)) => Step::CanSend,
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Step::Ended,
        // Early data is never asked for.
        Ok(_) => Step::Waits,
        Err(error) => Step::Failed(error),
    };
    (discard, step)
}

/// The right to write.
enum Traffic<'a> {
    OfServer(WriteTraffic<'a, ServerConnectionData>),
    OfClient(WriteTraffic<'a, ClientConnectionData>),
}

/// What came of writing.
#[derive(Clone, Copy)]
enum Sealed {
    Written,
    NeedsRoom(usize),
    Never,
}

/// The kind of a record, its version and the length of its body.
const HEAD_BYTES: usize = 5;

/// The kinds of records, from change_cipher_spec to application_data.
const FIRST_KIND: u8 = 20;
const LAST_KIND: u8 = 23;

/// The longest body of a record, encrypted (RFC 5246 6.2.3).
const MAX_BODY_BYTES: usize = RECORD_BYTES + 2048;

/// So much is encrypted in one record.
const RECORD_BYTES: usize = 16 * 1024;

/// A record is at most so much longer than what it says.
const OVERHEAD_BYTES: usize = 64;

/// As much as it takes to say that nothing follows.
const GOODBYE_BYTES: usize = 256;
