//! Reads the request, and then frames.

use super::deflate::{Inflater, TAIL};
use super::frame::{self, Head, opcode, unmask};
use super::handshake::{self, Asked};
use super::shared::WebSocket;
use super::{WebSocketFault, WebSocketRefusal};
use crate::transport::{CODED_BYTES, DecodeError};

/// Reads them wherever they are divided.
#[derive(Debug)]
pub(in crate::transport) struct Reader {
    websocket: WebSocket,
    compresses: bool,
    stage: Stage,
    /// What came of a request, of a head or of a control frame that is not whole.
    part: Vec<u8>,
    message: Message,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Request,
    Head,
    /// The payload of a ping, a pong or a close.
    Control(Head),
    /// Bytes of a message, from the one at `offset` in its frame on.
    Data {
        head: Head,
        offset: u64,
    },
    /// The end of a compressed message, of which so much was left out by who sent it.
    Tail {
        left: usize,
    },
}

/// The message whose frames are being read.
#[derive(Debug, Default)]
enum Message {
    #[default]
    None,
    Plain,
    Compressed(Box<Inflater>),
}

impl Reader {
    pub(super) fn new(websocket: WebSocket) -> Self {
        let (stage, part, message) = (Stage::Request, Vec::new(), Message::None);
        Self { websocket, compresses: false, stage, part, message }
    }

    /// Goes on with the next bytes; false if there are too few.
    pub(in crate::transport) fn step(
        &mut self,
        rest: &mut &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<bool, DecodeError> {
        match self.stage {
            Stage::Request => self.read_request(rest).map_err(|refusal| self.refuse(refusal)),
            Stage::Head => self.read_head(rest).map_err(|fault| self.fail(fault)),
            Stage::Control(head) => self.read_control(head, rest),
            Stage::Data { head, offset } => {
                self.read_data(head, offset, rest, plain).map_err(|fault| self.fail(fault))
            }
            Stage::Tail { left } => self.read_tail(left, plain).map_err(|fault| self.fail(fault)),
        }
    }

    fn refuse(&self, refusal: WebSocketRefusal) -> DecodeError {
        self.websocket.handle_refused(refusal);
        DecodeError::NoWebSocket(refusal)
    }

    fn fail(&self, fault: WebSocketFault) -> DecodeError {
        self.websocket.handle_fault(fault);
        DecodeError::Frames(fault)
    }

    fn read_request(&mut self, rest: &mut &[u8]) -> Result<bool, WebSocketRefusal> {
        if rest.is_empty() {
            return Ok(false);
        }
        self.part.extend_from_slice(rest);
        *rest = &[];
        if let Asked::Granted { answer, compresses } = handshake::judge(&self.part, self.websocket.terms())? {
            self.part = Vec::new();
            self.compresses = compresses;
            self.stage = Stage::Head;
            self.websocket.handle_accepted(answer, compresses);
        }
        Ok(true)
    }

    fn read_head(&mut self, rest: &mut &[u8]) -> Result<bool, WebSocketFault> {
        if self.part.is_empty()
            && let Some((head, after)) = rest.split_at_checked(Head::bytes_of(rest))
        {
            // Nearly every head is whole.
            *rest = after;
            Head::check([head[0], head[1]])?;
            self.begin_frame(head)?;
            return Ok(true);
        }
        let missing = Head::bytes_of(&self.part) - self.part.len();
        let (found, after) = rest.split_at(rest.len().min(missing));
        *rest = after;
        self.part.extend_from_slice(found);
        if found.len() < missing {
            return Ok(false);
        }
        if let &[first, second] = &self.part[..] {
            Head::check([first, second])?;
            return Ok(true);
        }
        let head = std::mem::take(&mut self.part);
        self.begin_frame(&head)?;
        Ok(true)
    }

    fn begin_frame(&mut self, head: &[u8]) -> Result<(), WebSocketFault> {
        let head = Head::read(head)?;
        self.stage = if head.is_control() { Stage::Control(head) } else { self.begin_data(head)? };
        Ok(())
    }

    /// Begins a frame of a message, and the message if it is the first.
    fn begin_data(&mut self, head: Head) -> Result<Stage, WebSocketFault> {
        let continues = head.opcode == opcode::CONTINUATION;
        match self.message {
            Message::None if continues => return Err(WebSocketFault::Continuation),
            Message::None if head.is_compressed && !self.compresses => {
                return Err(WebSocketFault::UnexpectedCompression);
            }
            Message::None if head.is_compressed => {
                let most_bytes = self.websocket.terms().max_message_bytes;
                self.message = Message::Compressed(Box::new(Inflater::new(most_bytes)));
            }
            Message::None => self.message = Message::Plain,
            _ if !continues => return Err(WebSocketFault::UnfinishedMessage),
            _ if head.is_compressed => return Err(WebSocketFault::Continuation),
            _ => {}
        }
        Ok(Stage::Data { head, offset: 0 })
    }

    /// Goes on with the bytes of a frame, up to its end.
    fn read_data(
        &mut self,
        head: Head,
        offset: u64,
        rest: &mut &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<bool, WebSocketFault> {
        let left = usize::try_from(head.bytes - offset).unwrap_or(usize::MAX);
        let input = &rest[..rest.len().min(left)];
        if input.is_empty() && left > 0 && !self.is_held_up() {
            return Ok(false);
        }
        let taken = match &mut self.message {
            Message::Compressed(inflater) => inflate_masked(inflater, input, head.mask, offset, plain)?,
            Message::None | Message::Plain => copy_masked(input, head.mask, offset, plain),
        };
        *rest = &rest[taken..];
        let is_held_up = self.is_held_up();
        if taken == left && !is_held_up {
            self.end_frame(head);
            return Ok(true);
        }
        self.stage = Stage::Data { head, offset: offset + taken as u64 };
        Ok(taken > 0 || is_held_up)
    }

    fn end_frame(&mut self, head: Head) {
        self.stage = match self.message {
            Message::Compressed(_) if head.is_final => Stage::Tail { left: TAIL.len() },
            _ => Stage::Head,
        };
        if head.is_final && matches!(self.message, Message::Plain) {
            self.message = Message::None;
        }
    }

    fn read_tail(&mut self, left: usize, plain: &mut Vec<u8>) -> Result<bool, WebSocketFault> {
        match &mut self.message {
            Message::Compressed(inflater) if left > 0 || inflater.is_held_up() => {
                let taken = inflater.inflate(&TAIL[TAIL.len() - left..], plain)?;
                self.stage = Stage::Tail { left: left - taken };
            }
            _ => {
                self.message = Message::None;
                self.stage = Stage::Head;
            }
        }
        Ok(true)
    }

    fn is_held_up(&self) -> bool {
        matches!(&self.message, Message::Compressed(inflater) if inflater.is_held_up())
    }

    fn read_control(&mut self, head: Head, rest: &mut &[u8]) -> Result<bool, DecodeError> {
        // A head says more than 125 bytes of none.
        let missing = head.bytes as usize - self.part.len();
        let (found, after) = rest.split_at(rest.len().min(missing));
        *rest = after;
        self.part.extend_from_slice(found);
        if found.len() < missing {
            return Ok(false);
        }
        let mut payload = std::mem::take(&mut self.part);
        unmask(&mut payload, head.mask, 0);
        self.stage = Stage::Head;
        match head.opcode {
            opcode::PING => self.websocket.state().pong = frame::control(opcode::PONG, &payload),
            opcode::CLOSE => {
                let answer = frame::close_answer(&payload).map_err(|fault| self.fail(fault))?;
                self.websocket.state().end(answer);
                return Err(DecodeError::Ended);
            }
            _ => {}
        }
        Ok(true)
    }
}

/// Appends the bytes without their mask, as far as there is room; returns how many.
fn copy_masked(input: &[u8], mask: [u8; 4], offset: u64, plain: &mut Vec<u8>) -> usize {
    let start = plain.len();
    let taken = input.len().min(CODED_BYTES - start);
    plain.extend_from_slice(&input[..taken]);
    unmask(&mut plain[start..], mask, offset);
    taken
}

/// The same of bytes that are compressed, some at a time.
fn inflate_masked(
    inflater: &mut Inflater,
    input: &[u8],
    mask: [u8; 4],
    offset: u64,
    plain: &mut Vec<u8>,
) -> Result<usize, WebSocketFault> {
    let mut piece = [0; PIECE_BYTES];
    let piece = &mut piece[..input.len().min(PIECE_BYTES)];
    piece.copy_from_slice(&input[..piece.len()]);
    unmask(piece, mask, offset);
    inflater.inflate(piece, plain)
}

/// Compressed bytes that are unmasked at once.
const PIECE_BYTES: usize = 2 * 1024;
