//! The way of bytes from the outbox to the socket.

use super::Outbox;
use crate::transport::{Buffer, CODED_BYTES, Encoder, MAX_LAYERS};

/// The driver's half of an encoded connection: what it took out of the outbox, and what it made of it.
///
/// ```text
/// lock   outbox.hand_over(&mut outbound)
///        loop: outbound.encode(), write outbound.encoded(), outbound.advance(written); until all is written or the socket
///        takes no more
/// lock   outbox.hand_over(&mut outbound), and outbox.handle_blocked(..) if the socket takes no more
/// ```
///
/// The last step of one round may be the first of the next. How much is encoded ahead of the socket is bounded by
/// [`CODED_BYTES`]; the rest waits as it is.
#[derive(Debug, Default)]
pub struct Outbound {
    /// Taken out of the outbox and not encoded yet; with the marks in it.
    plain: Outbox,
    /// The first is next to the socket.
    layers: Vec<Layer>,
    /// What the socket is to take.
    encoded: Buffer,
    /// How many plain bytes stand behind what was encoded and is not all written.
    coded_plain_bytes: usize,
    /// Plain bytes that were written in full, and whether any byte was, since the outbox was told.
    done: Done,
    finishes: bool,
    /// What is left can be encoded once more was read.
    waits: bool,
    #[cfg(feature = "sim")]
    legible: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Layer {
    encoder: Encoder,
    /// What the next inner layer made, if there is one.
    input: Buffer,
    is_finished: bool,
}

/// What an outbox needs to know of a write.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) plain_bytes: usize,
    pub(crate) has_progress: bool,
}

impl Outbound {
    /// One that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encodes as much as should wait for the socket, once that took what was encoded before: so it is known which of the
    /// plain bytes are written. To be called before [`Outbound::encoded`] is looked at.
    pub fn encode(&mut self) {
        if !self.encoded.is_empty() {
            return;
        }
        while self.encoded.len() < CODED_BYTES && self.step() {}
        self.waits = self.encoded.is_empty() && !self.is_empty();
    }

    /// Whether a transform can encode nothing more. What it had to say of that is encoded.
    pub fn has_failed(&self) -> bool {
        self.layers.iter().any(|layer| layer.encoder.has_failed())
    }

    /// Whether all that is left waits for bytes of the peer, as it does during a handshake: to encode again is of no use until
    /// something was read.
    pub fn waits_for_peer(&self) -> bool {
        self.waits
    }

    /// Takes all that waits in `outbox`, encodes as much as should wait for the socket, and lets the outbox count that. For
    /// whoever owns both.
    pub fn encode_from(&mut self, outbox: &mut Outbox) {
        outbox.hand_over(self);
        self.encode();
        outbox.hand_over(self);
    }

    /// What to write next.
    pub fn encoded(&self) -> &[u8] {
        self.encoded.bytes()
    }

    /// Drops the first `written` bytes of what is encoded, since the socket took them.
    pub fn advance(&mut self, written: usize) {
        self.encoded.take(written);
        self.done.has_progress |= written > 0;
        if self.encoded.is_empty() && self.layers.iter().all(|layer| layer.input.is_empty()) {
            self.done.plain_bytes += std::mem::take(&mut self.coded_plain_bytes);
        }
    }

    /// Ends each transform once all is encoded.
    pub fn finish(&mut self) {
        self.finishes = true;
    }

    /// Whether nothing waits here.
    pub fn is_empty(&self) -> bool {
        self.pending_bytes() == 0
    }

    /// How many bytes wait here, as they are or encoded.
    pub fn pending_bytes(&self) -> usize {
        let between: usize = self.layers.iter().map(|layer| layer.input.len()).sum();
        self.plain.pending_bytes() + between + self.encoded.len()
    }

    /// Frees what holds nothing and is not needed all the time. For a connection that has nothing more to write for now.
    pub fn release(&mut self) {
        self.plain.release_into(&mut Outbox::new());
        let is_idle = self.encoded.release();
        for layer in &mut self.layers {
            layer.input.release();
            if is_idle {
                layer.encoder.release();
            }
        }
    }

    pub(crate) fn plain_mut(&mut self) -> &mut Outbox {
        &mut self.plain
    }

    /// How many plain bytes are not written in full.
    pub(crate) fn plain_bytes(&self) -> usize {
        self.plain.pending_bytes() + self.coded_plain_bytes
    }

    pub(crate) fn take_done(&mut self) -> Done {
        std::mem::take(&mut self.done)
    }

    /// Lets each layer go on once, the innermost first; false if none could.
    fn step(&mut self) -> bool {
        if let Some(encoder) = self.plain.take_mark() {
            debug_assert!(self.layers.len() < MAX_LAYERS, "more layers than there are transforms");
            self.layers.push(Layer { encoder, input: Buffer::default(), is_finished: false });
            return true;
        }
        if self.layers.is_empty() {
            return self.pass_on();
        }
        let mut moved = false;
        let mut inner_is_finished = self.finishes && self.plain.is_empty();
        for place in (0..self.layers.len()).rev() {
            moved |= self.step_layer(place, inner_is_finished);
            inner_is_finished = self.layers[place].is_finished;
        }
        moved
    }

    /// Before the first mark, bytes go out as they are.
    fn pass_on(&mut self) -> bool {
        let chunk = self.plain.next_chunk();
        let taken = chunk.len().min(CODED_BYTES);
        self.encoded.end().extend_from_slice(&chunk[..taken]);
        #[cfg(feature = "sim")]
        self.legible.iter_mut().for_each(|legible| legible.extend_from_slice(&chunk[..taken]));
        self.note_coded(taken);
        taken > 0
    }

    fn step_layer(&mut self, place: usize, inner_is_finished: bool) -> bool {
        let is_innermost = place + 1 == self.layers.len();
        let (outer, inner) = self.layers.split_at_mut(place);
        let output = outer.last_mut().map_or(&mut self.encoded, |layer| &mut layer.input);
        let Some(Layer { encoder, input, is_finished }) = inner.first_mut() else {
            return false;
        };
        if *is_finished || output.len() >= CODED_BYTES {
            return false;
        }
        let before = output.len();
        let chunk = if is_innermost { self.plain.next_chunk() } else { input.bytes() };
        let offered = if is_innermost { chunk.len().min(CODED_BYTES) } else { chunk.len() };
        let taken = encoder.encode(&chunk[..offered], output.end());
        if inner_is_finished && taken == chunk.len() {
            encoder.finish(output.end());
            *is_finished = true;
        }
        let moved = taken > 0 || output.len() > before;
        #[cfg(feature = "sim")]
        if let Some(legible) = self.legible.as_mut().filter(|_| place == 0) {
            let said = if encoder.encrypts() { &chunk[..taken] } else { &output.bytes()[before..] };
            legible.extend_from_slice(said);
        }
        if is_innermost {
            self.note_coded(taken)
        } else {
            input.take(taken)
        }
        moved
    }

    fn note_coded(&mut self, plain_bytes: usize) {
        self.plain.drop_first(plain_bytes);
        self.coded_plain_bytes += plain_bytes;
    }
}

#[cfg(feature = "sim")]
impl Outbound {
    /// Keeps from now on what is made for the socket as it would be without TLS, for who reads along.
    pub(crate) fn keep_legible(&mut self) {
        self.legible.get_or_insert_default();
    }

    /// What was made since the last call, if it is kept. The socket may not have taken all of it.
    pub(crate) fn take_legible(&mut self) -> Option<Vec<u8>> {
        self.legible.as_mut().map(std::mem::take)
    }
}

#[cfg(test)]
impl Outbound {
    pub(crate) fn memory_bytes(&self) -> usize {
        let between: usize = self.layers.iter().map(|layer| layer.input.memory_bytes()).sum();
        self.plain.memory_bytes() + between + self.encoded.memory_bytes()
    }
}
