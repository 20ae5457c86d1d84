//! Messages into frames: one frame a message.

use super::close::{MAX_REASON, NO_STATUS, may_be_sent};
use super::deflate::Deflater;
use super::frame::{self, MAX_CONTROL};
use super::{Agreed, Kind, Opcode};

/// A message below this is sent as it is: without the context of earlier ones compression gains nothing.
const MIN_COMPRESSED: usize = 512;

/// The sending side of a server's connection.
#[derive(Debug, Default)]
pub struct Encoder {
    deflater: Option<Deflater>,
}

impl Encoder {
    #[must_use]
    pub fn new(agreed: Option<&Agreed>) -> Self {
        Self {
            deflater: agreed.map(Deflater::new),
        }
    }

    /// Whether messages of this length are compressed.
    #[must_use]
    pub fn compresses(&self, length: usize) -> bool {
        self.deflater.is_some() && length >= MIN_COMPRESSED
    }

    /// Appends a message as one frame.
    pub fn encode(&mut self, out: &mut Vec<u8>, kind: Kind, data: &[u8]) {
        let opcode = opcode(kind);
        if data.len() >= MIN_COMPRESSED
            && let Some(deflater) = &mut self.deflater
        {
            deflater.with(data, |packed| {
                frame::encode(out, opcode, true, true, packed.len(), None);
                out.extend_from_slice(packed);
            });
            return;
        }
        frame::encode(out, opcode, true, false, data.len(), None);
        out.extend_from_slice(data);
    }

    /// Appends the header of a message that is not compressed; the caller sends the payload behind it.
    pub fn encode_header(&self, out: &mut Vec<u8>, kind: Kind, length: usize) {
        frame::encode(out, opcode(kind), true, false, length, None);
    }
}

/// Appends a ping or pong; a longer payload than may be is cut.
pub fn encode_control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    let payload = &payload[..payload.len().min(MAX_CONTROL)];
    frame::encode(out, opcode, true, false, payload.len(), None);
    out.extend_from_slice(payload);
}

/// Appends a close frame. A code that must not be sent is left out; a reason is cut between characters.
pub fn encode_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    if code == NO_STATUS || !may_be_sent(code) {
        return encode_control(out, Opcode::Close, &[]);
    }
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason.as_bytes()[..end];
    frame::encode(out, Opcode::Close, true, false, 2 + reason.len(), None);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason);
}

fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}
