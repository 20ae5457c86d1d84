//! The chunked transfer coding (RFC 9112 7.1), decoded byte for byte so that a cut anywhere changes nothing.
//!
//! Only CRLF ends a line here: a decoder that takes a bare LF, or skips two bytes after chunk data unseen, can be made
//! to disagree with its neighbour about where a message ends. Trailers are checked, bounded and dropped, never merged.

use super::{Error, Limits};
use crate::http::is_token_byte;

/// What the extensions of a whole body may cost beyond its payload: they mean nothing to us, and thousands of small
/// chunks with large extensions would otherwise be work that no body limit sees.
const EXTENSION_ALLOWANCE: u64 = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    Size,
    /// Whitespace after the size: an extension must follow.
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
}

/// What came out of one [`Decoder::decode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoded {
    /// All of the input was taken.
    Incomplete,
    /// Payload `input[start..end]`; the input is taken up to `end`.
    Data { start: usize, end: usize },
    /// The body ended; the input is taken up to here.
    End(usize),
}

/// Decoder of one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoder {
    state: State,
    /// Size of the current chunk while its line is read, then what is left of its data.
    size: u64,
    /// Bytes of the current size line, or of the trailer section.
    line: usize,
    /// Field lines in the trailer section.
    fields: usize,
    extensions: u64,
    payload: u64,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            state: State::SizeStart,
            size: 0,
            line: 0,
            fields: 0,
            extensions: 0,
            payload: 0,
        }
    }

    pub(super) fn decode(&mut self, input: &[u8], limits: &Limits) -> Result<Decoded, Error> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.state == State::Data {
                return Ok(self.take_data(input, at));
            }
            at += 1;
            match self.state {
                State::SizeStart
                | State::Size
                | State::SizeSpace
                | State::Extension
                | State::SizeLf => {
                    self.size_line(byte, limits)?;
                }
                State::DataCr if byte == b'\r' => self.state = State::DataLf,
                State::DataLf if byte == b'\n' => self.begin_line(State::SizeStart),
                State::Data | State::DataCr | State::DataLf => return Err(Error::ChunkEnd),
                State::EndLf if byte == b'\n' => return Ok(Decoded::End(at)),
                State::TrailerStart
                | State::TrailerName
                | State::TrailerValue
                | State::TrailerLf
                | State::EndLf => self.trailer(byte, limits)?,
            }
        }
        Ok(Decoded::Incomplete)
    }

    fn take_data(&mut self, input: &[u8], start: usize) -> Decoded {
        let here = (input.len() - start) as u64;
        let taken = here.min(self.size);
        self.size -= taken;
        if self.size == 0 {
            self.state = State::DataCr;
        }
        Decoded::Data {
            start,
            end: start + taken as usize,
        }
    }

    fn begin_line(&mut self, state: State) {
        self.state = state;
        self.size = 0;
        self.line = 0;
    }

    fn size_line(&mut self, byte: u8, limits: &Limits) -> Result<(), Error> {
        self.line += 1;
        if self.line > limits.chunk_line {
            return Err(Error::ChunkExtension);
        }
        match (self.state, byte) {
            (State::SizeStart | State::Size, _) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                // RFC 9112 7.1: recipients must anticipate sizes that overflow.
                self.size = self.size.checked_mul(16).ok_or(Error::ChunkSize)? | digit;
                self.state = State::Size;
            }
            (State::Size, b' ' | b'\t') => self.state = State::SizeSpace,
            (State::SizeSpace, b' ' | b'\t') => {}
            (State::Size | State::SizeSpace, b';') => {
                self.state = State::Extension;
                self.extension_byte()?;
            }
            // Trailing whitespace without an extension is no chunk size in the grammar.
            (State::Size | State::Extension, b'\r') => self.state = State::SizeLf,
            (State::Extension, _) if is_text(byte) => self.extension_byte()?,
            (State::Extension, _) => return Err(Error::ChunkExtension),
            (State::SizeLf, b'\n') => self.end_size_line(limits)?,
            (State::SizeLf, _) => return Err(Error::ChunkEnd),
            _ => return Err(Error::ChunkSize),
        }
        Ok(())
    }

    fn extension_byte(&mut self) -> Result<(), Error> {
        self.extensions += 1;
        if self.extensions > EXTENSION_ALLOWANCE.saturating_add(self.payload) {
            return Err(Error::ChunkExtension);
        }
        Ok(())
    }

    fn end_size_line(&mut self, limits: &Limits) -> Result<(), Error> {
        if self.size == 0 {
            self.begin_line(State::TrailerStart);
            return Ok(());
        }
        self.payload = self
            .payload
            .checked_add(self.size)
            .ok_or(Error::BodyTooLarge)?;
        if self.payload > limits.body {
            return Err(Error::BodyTooLarge);
        }
        self.line = 0;
        self.state = State::Data;
        Ok(())
    }

    fn trailer(&mut self, byte: u8, limits: &Limits) -> Result<(), Error> {
        self.line += 1;
        self.state = match (self.state, byte) {
            (State::TrailerStart, b'\r') => State::EndLf,
            // The final CRLF is not counted: it belongs to no field.
            _ if self.line > limits.trailers => return Err(Error::TrailersTooLarge),
            (State::TrailerStart, _) if is_token_byte(byte) => {
                self.fields += 1;
                if self.fields > limits.fields {
                    return Err(Error::TrailersTooLarge);
                }
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerName, _) if is_token_byte(byte) => State::TrailerName,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if is_text(byte) => State::TrailerValue,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            _ => return Err(Error::Trailer),
        };
        Ok(())
    }
}

/// RFC 9110 5.5: what may stand in a value, and in an extension at the most.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
