//! JSON text without an interpreter: literals and numbers, written and read, in the notation of Python's `json`.
//!
//! Nothing here fails on input: what these functions do not read, such as NaN, huge integers, lone surrogates, is
//! left to the caller by a None. All of it is safe code; several bytes at a time go through `block`.

pub mod block;
pub mod decimal;
pub mod escape;
pub mod float;
pub mod number;
pub mod unescape;
pub mod utf8;
pub mod writer;

#[cfg(test)]
mod tests;

/// The code points of a text in the narrowest width that holds them all.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// ASCII or Latin-1.
    One(&'a [u8]),
    Two(&'a [u16]),
    Four(&'a [u32]),
}

/// The three words of JSON.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    Null,
    True,
    False,
}

/// A text of one byte per character.
#[derive(Clone, Copy, Debug)]
pub struct Short<'a> {
    pub bytes: &'a [u8],
    /// The first eight bytes, the first one lowest, then zeros.
    pub head: u64,
}

impl<'a> Short<'a> {
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let head = match bytes.first_chunk::<8>() {
            Some(head) => u64::from_le_bytes(*head),
            None => bytes
                .iter()
                .rev()
                .fold(0, |head, &byte| head << 8 | u64::from(byte)),
        };
        Self { bytes, head }
    }
}
