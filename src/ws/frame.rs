//! Frame headers (RFC 6455 5.2).

use super::Error;

/// Payload bytes of a control frame, at the most (RFC 6455 5.5).
pub const MAX_CONTROL: usize = 125;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub fin: bool,
    /// RSV1: the message is compressed (RFC 7692 6).
    pub compressed: bool,
    pub opcode: Opcode,
    pub mask: Option<[u8; 4]>,
    pub length: u64,
    /// Bytes of the header itself.
    pub size: usize,
}

/// Reads a header; `None`: it is not complete. A fault in the first two bytes is seen as soon as they are here.
pub fn parse(input: &[u8]) -> Result<Option<Header>, Error> {
    let [first, second, ..] = *input else {
        return Ok(None);
    };
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(Error::Protocol)?;
    let fin = first & 0x80 != 0;
    let compressed = first & 0x40 != 0;
    let short = second & 0x7f;
    // RSV2 and RSV3 mean nothing that was agreed on.
    if first & 0x30 != 0
        || opcode.is_control() && (!fin || compressed || usize::from(short) > MAX_CONTROL)
    {
        return Err(Error::Protocol);
    }
    let (length, mut size) = match short {
        126 => {
            let Some(bytes) = input.get(2..4) else {
                return Ok(None);
            };
            (u64::from(u16::from_be_bytes([bytes[0], bytes[1]])), 4)
        }
        127 => {
            let Some(bytes) = input.get(2..10) else {
                return Ok(None);
            };
            let mut number = [0; 8];
            number.copy_from_slice(bytes);
            (u64::from_be_bytes(number), 10)
        }
        _ => (u64::from(short), 2),
    };
    // RFC 6455 5.2: the shortest form there is, and no number with the highest bit.
    if short == 126 && length < 126
        || short == 127 && !(0x1_0000..=i64::MAX as u64).contains(&length)
    {
        return Err(Error::Protocol);
    }
    let mut mask = None;
    if second & 0x80 != 0 {
        let Some(key) = input.get(size..size + 4) else {
            return Ok(None);
        };
        mask = Some([key[0], key[1], key[2], key[3]]);
        size += 4;
    }
    Ok(Some(Header {
        fin,
        compressed,
        opcode,
        mask,
        length,
        size,
    }))
}

/// Writes a header.
pub fn encode(
    out: &mut Vec<u8>,
    opcode: Opcode,
    fin: bool,
    compressed: bool,
    length: usize,
    mask: Option<[u8; 4]>,
) {
    let first = u8::from(fin) << 7 | u8::from(compressed) << 6 | opcode.bits();
    let masked = u8::from(mask.is_some()) << 7;
    match length {
        0..=125 => out.extend_from_slice(&[first, masked | length as u8]),
        126..=0xffff => {
            let [a, b] = (length as u16).to_be_bytes();
            out.extend_from_slice(&[first, masked | 126, a, b]);
        }
        _ => {
            out.extend_from_slice(&[first, masked | 127]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if let Some(mask) = mask {
        out.extend_from_slice(&mask);
    }
}
