//! Whoever pushes what around the marks, and however the socket takes and gives it, the other end reads it as it was; and
//! bytes that nobody made do no harm.

use std::io::IoSlice;
use std::time::Duration;

use onehop::outbox::{Body, Delivery, Outbound, Outbox, SLOW_AT_BYTES, WritePolicy};
use onehop::transport::{DecodeError, Decoder, Encoder, Inbound, MAX_LAYERS, S2Level, S2Limit};

use crate::Choices;

/// The input chooses what happens: messages are staged by several and flushed, lines are pushed, marks are set, and the
/// socket takes some bytes. Then it chooses how they are divided on their way, and whether one of them is damaged.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut story = Story::default();
    for _ in 0..MAX_STEPS {
        if choices.is_empty() {
            break;
        }
        story.step(&mut choices);
    }
    story.write_all();
    let damage = choices.flag().then(|| choices.byte());
    story.read(&mut choices);
    if let Some(damage) = damage {
        story.read_damaged(&mut choices, damage);
    }
}

/// One direction of a connection.
#[derive(Default)]
struct Story {
    stages: [Stage; 3],
    outbox: Outbox,
    outbound: Outbound,
    socket: Vec<u8>,
    /// All that was pushed, and where in it the marks are.
    pushed: Stage,
    marks: usize,
}

/// What somebody pushed.
#[derive(Default)]
struct Stage {
    outbox: Outbox,
    bytes: Vec<u8>,
    marks: Vec<(usize, u64)>,
}

impl Stage {
    fn push(&mut self, body: &[u8]) {
        let body = [body, b"\r\n"].concat();
        let body = Body::new(&body);
        self.outbox.push(&Delivery { prefix: b"MSG a 1 ", line: b"1\r\n", body: &body });
        for part in [b"MSG a 1 ", &b"1\r\n"[..], body.bytes()] {
            self.bytes.extend_from_slice(part);
        }
    }

    fn switch(&mut self, key: u64) {
        self.outbox.switch(encoder(key));
        self.marks.push((self.bytes.len(), key));
    }
}

impl Story {
    fn step(&mut self, choices: &mut Choices<'_>) {
        let who = choices.below(self.stages.len());
        match choices.below(6) {
            0 => {
                let body = vec![choices.byte(); choices.pick(&[0, 10, 300, 9000])];
                self.stages[who].push(&body);
            }
            1 => self.flush(who),
            2 => {
                let bytes = choices.bytes();
                self.outbox.push_bytes(bytes);
                self.pushed.bytes.extend_from_slice(bytes);
            }
            3 if self.marks < MAX_LAYERS => {
                self.marks += 1;
                self.stages[who].switch(u64::from(choices.byte()));
            }
            4 => self.write(1 + choices.below(256)),
            _ => self.write(usize::MAX),
        }
        assert!(self.outbox.pending_bytes() >= self.outbound.encoded().len(), "what is encoded still waits");
    }

    fn flush(&mut self, who: usize) {
        let mut stage = std::mem::take(&mut self.stages[who]);
        self.outbox.absorb(&mut stage.outbox, &POLICY);
        let before = self.pushed.bytes.len();
        self.pushed.marks.extend(stage.marks.iter().map(|(at, key)| (before + at, *key)));
        self.pushed.bytes.extend(stage.bytes);
    }

    /// Lets the socket take some bytes at the most.
    fn write(&mut self, room: usize) {
        if !self.outbox.is_coded() {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = self.outbox.slices(&mut slices);
            let before = self.socket.len();
            self.socket.extend(slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(room));
            return self.outbox.advance(self.socket.len() - before);
        }
        self.outbound.encode_from(&mut self.outbox);
        let written = self.outbound.encoded().len().min(room);
        self.socket.extend_from_slice(&self.outbound.encoded()[..written]);
        self.outbound.advance(written);
        self.outbox.hand_over(&mut self.outbound);
    }

    fn write_all(&mut self) {
        (0..self.stages.len()).for_each(|who| self.flush(who));
        while !self.outbox.is_empty() {
            self.write(usize::MAX);
        }
        assert!(self.outbound.is_empty());
    }

    fn read(&self, choices: &mut Choices<'_>) {
        let mut reader = Reader::new(&self.pushed.marks);
        let mut rest = &self.socket[..];
        while !rest.is_empty() {
            let at_once = if choices.is_empty() { rest.len() } else { 1 + choices.below(256) };
            let (piece, after) = rest.split_at(rest.len().min(at_once));
            assert_eq!(reader.read(piece), Ok(()));
            rest = after;
        }
        assert_eq!(reader.plain.len(), self.pushed.bytes.len());
        assert!(reader.plain == self.pushed.bytes, "the bytes that were pushed");
    }

    /// What comes before a damaged byte is read as it was; what follows does no harm.
    fn read_damaged(&self, choices: &mut Choices<'_>, damage: u8) {
        let place = usize::from(choices.byte()) << 8 | usize::from(choices.byte());
        let Some(place) = place.checked_rem(self.socket.len()) else {
            return;
        };
        let mut socket = self.socket.clone();
        socket[place] ^= damage;
        let mut reader = Reader::new(&self.pushed.marks);
        assert_eq!(reader.read(&socket[..place]), Ok(()));
        assert!(self.pushed.bytes.starts_with(&reader.plain));
        let result = reader.read(&socket[place..]);
        if result.is_err() {
            let (again, before) = (reader.read(b"more"), reader.plain.len());
            assert_eq!((again, reader.plain.len()), (result, before), "after a fault nothing is read");
        }
    }
}

/// Frames, or S2 at one of its levels, by a key that decides.
fn encoder(key: u64) -> Encoder {
    match S2Level::ALL.get((key % 8) as usize) {
        Some(level) => Encoder::s2((*level).into()),
        None => Encoder::framed(key),
    }
}

/// Its other half.
fn decoder(key: u64) -> Decoder {
    if key % 8 < S2Level::ALL.len() as u64 { Decoder::s2(S2Limit::default()) } else { Decoder::framed(key) }
}

/// The other end, which knows where the marks are.
struct Reader<'a> {
    inbound: Inbound,
    marks: &'a [(usize, u64)],
    plain: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn new(marks: &'a [(usize, u64)]) -> Self {
        Self { inbound: Inbound::default(), marks, plain: Vec::new() }
    }

    fn read(&mut self, input: &[u8]) -> Result<(), DecodeError> {
        let mut rest = input;
        loop {
            while let Some(((_, key), marks)) =
                self.marks.split_first().filter(|((at, _), _)| *at == self.plain.len())
            {
                self.inbound.switch(decoder(*key));
                self.marks = marks;
            }
            let wanted = self.marks.first().map_or(usize::MAX, |(at, _)| at - self.plain.len());
            let plain = if self.inbound.is_plain() { rest } else { self.inbound.decode(&mut rest)? };
            if plain.is_empty() {
                return Ok(());
            }
            let taken = plain.len().min(wanted);
            self.plain.extend_from_slice(&plain[..taken]);
            if self.inbound.is_plain() { rest = &rest[taken..] } else { self.inbound.take(taken) }
        }
    }
}

const POLICY: WritePolicy = WritePolicy {
    max_pending_bytes: usize::MAX,
    slow_at_bytes: SLOW_AT_BYTES,
    max_control_bytes: None,
    deadline: Duration::from_secs(10),
    retry: true,
};

/// A longer story tells nothing new.
const MAX_STEPS: usize = 200;
