//! Whatever is pushed by whomever, and however the bytes are divided on their way, the other end reads it as it was.

use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::outbox::{
    Body, Delivery, Outbound, Outbox, Overdue, Pressure, SHARE_AT_BYTES, SLOW_AT_BYTES, WritePolicy,
};
use crate::time::Instant;

const POLICY: WritePolicy = WritePolicy {
    max_pending_bytes: 64 * 1024 * 1024,
    slow_at_bytes: SLOW_AT_BYTES,
    max_control_bytes: None,
    deadline: Duration::from_secs(10),
    retry: false,
};

/// One of the transforms, by a key that decides; small ones are those of tests that need frames.
fn encoder(key: u64) -> Encoder {
    level(key).map_or_else(|| Encoder::framed(key), |level| Encoder::s2(level.into()))
}

/// Its other half.
fn decoder(key: u64) -> Decoder {
    level(key).map_or_else(|| Decoder::framed(key), |_| Decoder::s2(S2Limit::default()))
}

fn level(key: u64) -> Option<S2Level> {
    let levels = [S2Level::Uncompressed, S2Level::Fast, S2Level::Better, S2Level::Best];
    levels.get((key % 8) as usize).copied().filter(|_| key > 1000)
}

/// The end that reads: it is told before which of the plain bytes it is to switch, as a parser would find out.
#[derive(Default)]
struct Reader {
    inbound: Inbound,
    /// The places that were not reached yet, the first at the end, and the key of the decoder.
    switches: Vec<(usize, u64)>,
    plain: Vec<u8>,
}

impl Reader {
    fn new(mut switches: Vec<(usize, u64)>) -> Self {
        switches.reverse();
        Self { switches, ..Self::default() }
    }

    fn read(&mut self, input: &[u8]) -> Result<(), DecodeError> {
        let mut rest = input;
        loop {
            while let Some((_, key)) = self.switches.pop_if(|(at, _)| *at == self.plain.len()) {
                self.inbound.switch(decoder(key));
            }
            let wanted = self.switches.last().map_or(usize::MAX, |(at, _)| at - self.plain.len());
            if self.inbound.is_plain() {
                let (piece, after) = rest.split_at(rest.len().min(wanted));
                self.plain.extend_from_slice(piece);
                rest = after;
                if rest.is_empty() {
                    return Ok(());
                }
                continue;
            }
            let plain = self.inbound.decode(&mut rest)?;
            if plain.is_empty() {
                return Ok(());
            }
            let taken = plain.len().min(wanted);
            self.plain.extend_from_slice(&plain[..taken]);
            self.inbound.take(taken);
        }
    }
}

/// The end that writes: an outbox that is plain until its first mark, and what went to the socket.
#[derive(Default)]
struct Writer {
    outbox: Outbox,
    outbound: Outbound,
    socket: Vec<u8>,
}

impl Writer {
    /// Lets the socket take up to `room` bytes.
    fn write(&mut self, room: usize) {
        if !self.outbox.is_coded() {
            let mut slices = [std::io::IoSlice::new(&[]); 8];
            let filled = self.outbox.slices(&mut slices);
            let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
            let written = bytes.len().min(room);
            self.socket.extend_from_slice(&bytes[..written]);
            return self.outbox.advance(written);
        }
        self.outbound.encode_from(&mut self.outbox);
        let written = self.outbound.encoded().len().min(room);
        self.socket.extend_from_slice(&self.outbound.encoded()[..written]);
        self.outbound.advance(written);
        self.outbox.hand_over(&mut self.outbound);
    }

    fn write_all(&mut self) {
        while !self.outbox.is_empty() {
            self.write(usize::MAX);
        }
    }
}

/// What happens to a writer.
#[derive(Clone, Debug)]
enum Step {
    /// A message of this size is pushed by one of several who stage what they push.
    Stage(usize, usize),
    /// What one of them staged is absorbed.
    Flush(usize),
    /// Bytes are pushed at once.
    Push(usize),
    /// A mark is set.
    Switch(u64),
    /// One of them stages a mark.
    StageSwitch(usize, u64),
    Write(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let size =
        prop_oneof![4 => 0usize..200, 1 => SHARE_AT_BYTES..SHARE_AT_BYTES + 10, 1 => 60_000usize..70_000];
    prop_oneof![
        4 => (0..STAGES, size.clone()).prop_map(|(who, size)| Step::Stage(who, size)),
        4 => (0..STAGES).prop_map(Step::Flush),
        2 => size.prop_map(Step::Push),
        1 => any::<u64>().prop_map(Step::Switch),
        1 => (0..STAGES, any::<u64>()).prop_map(|(who, key)| Step::StageSwitch(who, key)),
        4 => prop_oneof![1usize..100, Just(5000), Just(usize::MAX)].prop_map(Step::Write),
    ]
}

/// What was staged: its bytes, and the marks in it.
#[derive(Default)]
struct Stage {
    outbox: Outbox,
    bytes: Vec<u8>,
    marks: Vec<(usize, u64)>,
}

impl Stage {
    fn push(&mut self, size: usize, serial: usize) {
        let body: Vec<u8> = (0..size + 2).map(|at| (at + serial) as u8).collect();
        let body = Body::new(&body);
        self.outbox.push(&Delivery { prefix: b"MSG a 1 ", line: b"9\r\n", body: &body });
        for part in [b"MSG a 1 ".as_slice(), b"9\r\n", body.bytes()] {
            self.bytes.extend_from_slice(part);
        }
    }
}

proptest! {
    #[test]
    fn several_who_push_around_a_switch_are_read_in_the_order_in_which_they_pushed(
        steps in prop::collection::vec(step(), 1..60),
        pieces in prop::collection::vec(1usize..3000, 1..20),
    ) {
        let mut writer = Writer::default();
        let mut stages: [Stage; STAGES] = std::array::from_fn(|_| Stage::default());
        let (mut expected, mut switches, mut marks) = (Vec::new(), Vec::new(), 0);
        for (serial, step) in steps.into_iter().enumerate() {
            match step {
                Step::Stage(who, size) => stages[who].push(size, serial),
                Step::Flush(who) => {
                    let stage = std::mem::take(&mut stages[who]);
                    let mut outbox = stage.outbox;
                    writer.outbox.absorb(&mut outbox, &POLICY);
                    prop_assert!(outbox.is_empty() && !outbox.is_coded());
                    switches.extend(stage.marks.iter().map(|(at, key)| (expected.len() + at, *key)));
                    expected.extend(stage.bytes);
                }
                Step::Push(size) => {
                    writer.outbox.push_bytes(&vec![serial as u8; size]);
                    expected.extend(vec![serial as u8; size]);
                }
                Step::Switch(_) | Step::StageSwitch(..) if marks == MAX_LAYERS => {}
                Step::Switch(key) => {
                    marks += 1;
                    writer.outbox.switch(encoder(key));
                    switches.push((expected.len(), key));
                }
                Step::StageSwitch(who, key) => {
                    marks += 1;
                    let stage = &mut stages[who];
                    stage.outbox.switch(encoder(key));
                    stage.marks.push((stage.bytes.len(), key));
                }
                Step::Write(room) => writer.write(room),
            }
            let waits = writer.outbox.pending_bytes();
            prop_assert!(waits >= writer.outbound.encoded().len());
        }
        writer.write_all();
        prop_assert!(writer.outbound.is_empty());

        let mut reader = Reader::new(switches);
        let (mut rest, mut place) = (&writer.socket[..], 0);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(pieces[place % pieces.len()]));
            prop_assert_eq!(reader.read(piece), Ok(()));
            (rest, place) = (after, place + 1);
        }
        prop_assert!(reader.plain == expected, "{} of {} bytes", reader.plain.len(), expected.len());
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), key in 0u64..3) {
        let mut reader = Reader::new(vec![(0, key), (20, key)]);
        let _ = bytes.chunks(7).try_for_each(|piece| reader.read(piece));
    }
}

#[test]
fn a_short_transcript_is_the_same_wherever_it_is_switched_and_split() {
    let text = b"INFO {}\r\nPING\r\nMSG a 1 2\r\nhi\r\n";
    for at in 0..=text.len() {
        let mut writer = Writer::default();
        writer.outbox.push_bytes(&text[..at]);
        writer.outbox.switch(Encoder::framed(1));
        writer.outbox.push_bytes(&text[at..]);
        writer.write_all();
        assert_ne!(writer.socket.len(), text.len() + usize::from(at == text.len()));
        for split in 0..=writer.socket.len() {
            let mut reader = Reader::new(vec![(at, 1)]);
            let (first, second) = writer.socket.split_at(split);
            assert_eq!((reader.read(first), reader.read(second)), (Ok(()), Ok(())));
            assert_eq!(reader.plain, text, "switched at {at}, split at {split}");
        }
    }
}

#[test]
fn threads_that_push_around_a_switch_lose_and_reorder_nothing() {
    const WRITERS: usize = 4;
    const LINES: usize = 2000;
    let outbox = Mutex::new(Outbox::new());
    let is_open = std::sync::atomic::AtomicUsize::new(WRITERS);
    let mut socket = Vec::new();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (outbox, is_open) = (&outbox, &is_open);
            scope.spawn(move || {
                let mut staged = Outbox::new();
                for line in 0..LINES {
                    staged.push_bytes(format!("{writer} {line}\n").as_bytes());
                    if writer == 0 && line % (LINES / MAX_LAYERS) == 300 {
                        // A reader finds out by what it reads where the switch is.
                        staged.push_bytes(b"switch\n");
                        staged.switch(Encoder::framed(7));
                    }
                    if line % 3 == 0 {
                        outbox.lock().expect("a lock").absorb(&mut staged, &POLICY);
                    }
                }
                outbox.lock().expect("a lock").absorb(&mut staged, &POLICY);
                is_open.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
            });
        }
        let mut outbound = Outbound::new();
        let mut is_last = false;
        while !is_last {
            is_last = is_open.load(std::sync::atomic::Ordering::Acquire) == 0;
            outbox.lock().expect("a lock").hand_over(&mut outbound);
            loop {
                outbound.encode();
                let written = outbound.encoded().len().min(777);
                socket.extend_from_slice(&outbound.encoded()[..written]);
                outbound.advance(written);
                if written == 0 {
                    break;
                }
            }
        }
    });
    let lines = lines_of(&socket);
    for writer in 0..WRITERS {
        let own: Vec<&String> = lines.iter().filter(|line| line.starts_with(&format!("{writer} "))).collect();
        let expected: Vec<String> = (0..LINES).map(|line| format!("{writer} {line}")).collect();
        assert!(own.into_iter().eq(&expected), "the lines of {writer}");
    }
}

/// Reads lines, and switches behind each that says so.
fn lines_of(socket: &[u8]) -> Vec<String> {
    let mut inbound = Inbound::default();
    let (mut lines, mut line, mut rest) = (Vec::new(), Vec::new(), socket);
    loop {
        let byte = if inbound.is_plain() {
            rest.split_off_first().copied()
        } else {
            let byte = inbound.decode(&mut rest).expect("good frames").first().copied();
            inbound.take(usize::from(byte.is_some()));
            byte
        };
        let Some(byte) = byte else {
            assert!(line.is_empty());
            return lines;
        };
        if byte != b'\n' {
            line.push(byte);
            continue;
        }
        if line == b"switch" {
            inbound.switch(Decoder::framed(7));
        }
        lines.push(String::from_utf8(std::mem::take(&mut line)).expect("text"));
    }
}

#[test]
fn what_waits_for_the_socket_counts_as_it_is_and_encoded() {
    let policy = WritePolicy { max_pending_bytes: 300_000, ..POLICY };
    let mut writer = Writer::default();
    writer.outbox.switch(Encoder::framed(1));
    writer.outbox.push_bytes(&[b'x'; 200_000]);
    writer.outbound.encode_from(&mut writer.outbox);
    assert!(
        writer.outbound.encoded().len() < 2 * CODED_BYTES + 10_000,
        "{}",
        writer.outbound.encoded().len()
    );
    assert!(writer.outbox.pending_bytes() > 200_000, "frames are longer than what is in them");
    assert_eq!(writer.outbox.pressure(&policy), Pressure::Low);
    writer.outbox.push_bytes(&[b'x'; 100_000]);
    assert_eq!(writer.outbox.pressure(&policy), Pressure::Overflow);
    writer.write_all();
    assert_eq!((writer.outbox.pending_bytes(), writer.outbound.pending_bytes()), (0, 0));
}

#[test]
fn an_encoded_client_must_take_what_waited_within_the_deadline_and_a_route_some_of_it() {
    let waited = 200_000;
    for (retry, written, verdict) in [
        (false, 150_000, Overdue::Close),
        (true, 150_000, Overdue::No),
        (true, 0, Overdue::Close),
        // All that waited, and not all that came later.
        (false, 300_000, Overdue::No),
    ] {
        let policy = WritePolicy { retry, ..POLICY };
        let mut writer = Writer::default();
        writer.outbox.push_bytes(b"plain");
        writer.outbox.switch(Encoder::framed(1));
        writer.outbox.push_bytes(&vec![b'x'; waited]);
        writer.outbox.hand_over(&mut writer.outbound);
        writer.outbox.handle_blocked(Instant::ZERO, &policy);
        writer.outbox.push_bytes(&vec![b'y'; waited]);
        while writer.socket.len() < written {
            writer.write(10_000);
        }
        let deadline = Instant::ZERO + policy.deadline;
        assert_eq!(writer.outbox.poll_deadline(), Some(deadline));
        assert_eq!(writer.outbox.handle_deadline(deadline, &policy), verdict, "{written} bytes, {retry}");
    }
}

#[test]
fn messages_are_counted_where_they_are_pushed_and_not_again_when_they_are_encoded() {
    let mut stage = Stage::default();
    stage.outbox.switch(Encoder::framed(1));
    stage.push(10, 0);
    let mut writer = Writer::default();
    writer.outbox.absorb(&mut stage.outbox, &POLICY);
    writer.write_all();
    assert_eq!((stage.outbox.take_traffic(), writer.outbox.take_traffic()), ((1, 10), (0, 0)));
}

#[test]
fn nothing_that_was_good_before_a_fault_is_lost_and_nothing_after_it_is_read() {
    for (fault, error) in [(b"\xff".as_slice(), DecodeError::Corrupt), (b"\0", DecodeError::Ended)] {
        let mut socket = Vec::new();
        Encoder::framed(1).encode(b"PING\r\n", &mut socket);
        socket.extend_from_slice(fault);
        let whole = socket.len();
        Encoder::framed(1).encode(b"PONG\r\n", &mut socket);
        for split in 0..=whole {
            let mut reader = Reader::new(vec![(0, 1)]);
            let results = [reader.read(&socket[..split]), reader.read(&socket[split..])];
            assert_eq!(results[1], Err(error));
            assert_eq!(reader.plain, b"PING\r\n");
        }
    }
}

#[test]
fn each_layer_says_that_nothing_follows_once_all_is_encoded() {
    let mut writer = Writer::default();
    writer.outbox.switch(Encoder::framed(1));
    writer.outbox.switch(Encoder::framed(2));
    writer.outbox.push_bytes(&[b'x'; 100_000]);
    writer.outbound.finish();
    writer.write_all();
    let mut reader = Reader::new(vec![(0, 1), (0, 2)]);
    assert_eq!(reader.read(&writer.socket), Err(DecodeError::Ended));
    assert_eq!(reader.plain.len(), 100_000);
}

#[test]
fn an_encoded_connection_keeps_its_buffers_from_one_busy_batch_to_the_next_and_holds_none_when_idle() {
    let mut writer = Writer::default();
    writer.outbox.switch(Encoder::framed(1));
    writer.outbox.switch(Encoder::framed(2));
    let mut reader = Reader::new(vec![(0, 1), (0, 2)]);
    let batches = [&[b'x'; 100_000][..], &[b'x'; 100_000], b"PING\r\n"];
    let held = batches.map(|batch| {
        writer.outbox.push_bytes(batch);
        writer.write_all();
        writer.outbox.release_into(&mut Outbox::new());
        writer.outbound.release();
        assert_eq!(reader.read(&std::mem::take(&mut writer.socket)), Ok(()));
        reader.inbound.release();
        assert_eq!(writer.outbox.memory_bytes(), 0);
        [writer.outbound.memory_bytes(), reader.inbound.memory_bytes()]
    });
    assert!(held[0].iter().all(|bytes| *bytes >= CODED_BYTES), "{held:?}");
    assert!(held[0] == held[1] && held[2] == [0; 2], "{held:?}");
}

#[test]
fn decoding_stops_while_enough_waits_to_be_handled() {
    let mut socket = Vec::new();
    Encoder::framed(1).encode(&[b'x'; 10 * CODED_BYTES], &mut socket);
    let mut inbound = Inbound::default();
    inbound.switch(Decoder::framed(1));
    let mut rest = &socket[..];
    let shown = inbound.decode(&mut rest).expect("good frames").len();
    assert!((CODED_BYTES..CODED_BYTES + 100).contains(&shown), "{shown}");
    assert!(rest.len() > 8 * CODED_BYTES);
}

const STAGES: usize = 3;

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "more layers than there are transforms")]
fn a_connection_that_is_switched_more_often_than_there_are_transforms_is_a_mistake_of_ours_on_its_way_in() {
    let mut inbound = Inbound::default();
    (0..=MAX_LAYERS).for_each(|_| inbound.switch(Decoder::framed(1)));
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "more layers than there are transforms")]
fn a_connection_that_is_switched_more_often_than_there_are_transforms_is_a_mistake_of_ours_on_its_way_out() {
    let mut writer = Writer::default();
    for _ in 0..=MAX_LAYERS {
        writer.outbox.switch(Encoder::framed(1));
        writer.outbox.push_bytes(b"PING\r\n");
        writer.write_all();
    }
}
