//! What stands before the bytes of a frame, and the frames that are no messages.

use super::WebSocketFault;

/// What a frame is.
pub(super) mod opcode {
    pub(in super::super) const CONTINUATION: u8 = 0;
    pub(in super::super) const TEXT: u8 = 1;
    pub(in super::super) const BINARY: u8 = 2;
    pub(in super::super) const CLOSE: u8 = 8;
    pub(in super::super) const PING: u8 = 9;
    pub(in super::super) const PONG: u8 = 10;
}

/// Why a WebSocket ends.
pub(super) mod code {
    pub(in super::super) const NORMAL: u16 = 1000;
    pub(in super::super) const GOING_AWAY: u16 = 1001;
    pub(in super::super) const PROTOCOL: u16 = 1002;
    pub(in super::super) const INVALID_DATA: u16 = 1007;
    pub(in super::super) const POLICY: u16 = 1008;
    pub(in super::super) const TOO_BIG: u16 = 1009;
    pub(in super::super) const INTERNAL: u16 = 1011;
}

/// The frame is the last one of its message.
pub(super) const FINAL: u8 = 0x80;

/// The message is compressed.
pub(super) const COMPRESSED: u8 = 0x40;

/// What nobody agreed on.
const RESERVED: u8 = 0x30;

const MASKED: u8 = 0x80;

/// The length follows in two bytes, or in eight.
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// What a control frame may carry.
pub(super) const MAX_CONTROL_BYTES: usize = 125;

/// A head that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) opcode: u8,
    pub(super) is_final: bool,
    pub(super) is_compressed: bool,
    pub(super) bytes: u64,
    pub(super) mask: [u8; 4],
}

impl Head {
    /// How long a head is, by as much of it as there is: at least two bytes.
    pub(super) fn bytes_of(part: &[u8]) -> usize {
        match part.get(1).map(|byte| byte & !MASKED) {
            None => 2,
            Some(TWO_BYTES) => 2 + 2 + 4,
            Some(EIGHT_BYTES) => 2 + 8 + 4,
            Some(_) => 2 + 4,
        }
    }

    /// Checks what the first two bytes say, so that what is wrong needs no more of them.
    pub(super) fn check(start: [u8; 2]) -> Result<(), WebSocketFault> {
        let [first, second] = start;
        let (opcode, length) = (first & 0x0f, second & !MASKED);
        if first & RESERVED != 0 {
            return Err(WebSocketFault::ReservedBits);
        }
        match opcode {
            opcode::CONTINUATION | opcode::TEXT | opcode::BINARY => {}
            opcode::CLOSE | opcode::PING | opcode::PONG => {
                if usize::from(length) > MAX_CONTROL_BYTES {
                    return Err(WebSocketFault::LongControlFrame);
                }
                if first & FINAL == 0 {
                    return Err(WebSocketFault::FragmentedControlFrame);
                }
                if first & COMPRESSED != 0 {
                    return Err(WebSocketFault::CompressedControlFrame);
                }
            }
            unknown => return Err(WebSocketFault::UnknownOpcode(unknown)),
        }
        if second & MASKED == 0 { Err(WebSocketFault::NoMask) } else { Ok(()) }
    }

    /// Reads a whole head whose start is good.
    pub(super) fn read(head: &[u8]) -> Result<Self, WebSocketFault> {
        let (start, mask) = head.split_at(head.len() - 4);
        let bytes = match start[2..] {
            [] => u64::from(start[1] & !MASKED),
            ref length => length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        if bytes > i64::MAX as u64 {
            return Err(WebSocketFault::Length);
        }
        Ok(Self {
            opcode: start[0] & 0x0f,
            is_final: start[0] & FINAL != 0,
            is_compressed: start[0] & COMPRESSED != 0,
            bytes,
            mask: [mask[0], mask[1], mask[2], mask[3]],
        })
    }

    pub(super) fn is_control(&self) -> bool {
        self.opcode >= opcode::CLOSE
    }
}

/// Takes off the mask of the bytes of a frame from the one at `offset` on.
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: u64) {
    let mut mask = mask;
    mask.rotate_left((offset % 4) as usize);
    let narrow = u64::from(u32::from_ne_bytes(mask));
    let wide = narrow << 32 | narrow;
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let masked = u64::from_ne_bytes(word.try_into().unwrap_or_default());
        word.copy_from_slice(&(masked ^ wide).to_ne_bytes());
    }
    words.into_remainder().iter_mut().zip(wide.to_ne_bytes()).for_each(|(byte, mask)| *byte ^= mask);
}

/// Appends the head of a frame of this node, which is the only one of its message and not masked.
pub(super) fn push_head(encoded: &mut Vec<u8>, first: u8, bytes: usize) {
    encoded.push(FINAL | first);
    match bytes {
        0..=125 => encoded.push(bytes as u8),
        126..=0xffff => {
            encoded.push(TWO_BYTES);
            encoded.extend_from_slice(&(bytes as u16).to_be_bytes());
        }
        _ => {
            encoded.push(EIGHT_BYTES);
            encoded.extend_from_slice(&(bytes as u64).to_be_bytes());
        }
    }
}

/// A frame that is no message.
pub(super) fn control(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(2 + payload.len());
    push_head(&mut frame, opcode, payload.len());
    frame.extend_from_slice(payload);
    frame
}

/// The last frame, with the reason as far as there is room for it.
pub(super) fn close(code: u16, reason: &str) -> Vec<u8> {
    debug_assert!(reason.is_ascii(), "it may be cut anywhere");
    let reason = &reason.as_bytes()[..reason.len().min(MAX_CONTROL_BYTES - 2)];
    control(opcode::CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// What is answered to the last frame of the peer.
pub(super) fn close_answer(payload: &[u8]) -> Result<Vec<u8>, WebSocketFault> {
    match payload {
        [] => Ok(control(opcode::CLOSE, &[])),
        [_] => Err(WebSocketFault::CloseLength),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(WebSocketFault::CloseCode(code));
            }
            if std::str::from_utf8(reason).is_err() {
                return Ok(close(code::INVALID_DATA, "invalid utf8 body in close frame"));
            }
            Ok(control(opcode::CLOSE, payload))
        }
    }
}
