//! The fast way to write what most responses are: trees of plain values, on one line, in ASCII.
//!
//! Every value is written with a comma behind it, which the end of its container overwrites. The text is written
//! into a buffer whose bytes all exist already, in moves of a fixed size that may run past the end of a short
//! text: what follows overwrites them.

use super::block::{any_escape, escapes_of_16};
use super::escape::ESCAPES;
use super::float::write_float;
use super::{Short, Text, Word};

/// Room made at first.
const FIRST_ROOM: usize = 2048;

/// Room for any number, or for a text of up to 16 bytes with what stands around it.
const SHORT_ROOM: usize = 32;

/// Bytes of a longer text that are looked at and moved at a time.
const BLOCK: usize = 64;

/// And of what is left, or of a text that is shorter.
const STEP: usize = 16;

const SPACES: u64 = 0x2020_2020_2020_2020;

/// Characters between two looks at the room that is left.
const PIECE: usize = 1024;

/// A text in the making. Its buffer keeps its bytes for the next one: no text has to clear its room.
#[derive(Debug, Default)]
pub struct Writer {
    /// Text up to `at`, then bytes without meaning.
    out: Vec<u8>,
    at: usize,
}

impl Writer {
    /// With a buffer whose bytes mean nothing.
    #[inline]
    #[must_use]
    pub const fn new(buffer: Vec<u8>) -> Self {
        Self { out: buffer, at: 0 }
    }

    /// The text so far, without the comma behind its last value.
    #[inline]
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.out[..self.at.saturating_sub(1)]
    }

    /// The buffer, for the next text.
    #[inline]
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.out
    }

    /// The bytes behind the text, at least `len` of them.
    #[inline(always)]
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.out.len() - self.at < len {
            self.grow(len);
        }
        &mut self.out[self.at..]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, len: usize) {
        let size = (self.at + len).max(self.out.len() * 2).max(FIRST_ROOM);
        self.out.resize(size, 0);
    }

    #[inline(always)]
    fn push(&mut self, bytes: [u8; 2], len: usize) {
        self.room(2)[..2].copy_from_slice(&bytes);
        self.at += len;
    }

    /// A text in quotes with `end` behind it.
    #[inline(always)]
    fn quote(&mut self, text: Short<'_>, end: u8) {
        let Short { bytes, head } = text;
        let len = bytes.len();
        if len <= 16
            && let Some(room) = self.room(SHORT_ROOM).first_chunk_mut::<SHORT_ROOM>()
        {
            room[0] = b'"';
            room[1..9].copy_from_slice(&head.to_le_bytes());
            // Spaces in place of what a short text does not have.
            let (head, tail) = if let Some(tail) = bytes.last_chunk::<8>() {
                room[len - 7..=len].copy_from_slice(tail);
                (head, u64::from_le_bytes(*tail))
            } else {
                (head | SPACES << (8 * len), SPACES)
            };
            let both = u128::from(head) | u128::from(tail) << 64;
            let special = escapes_of_16(&both.to_le_bytes());
            if special == 0 {
                room[len + 1] = b'"';
                room[len + 2] = end;
                self.at += len + 3;
                return;
            }
        }
        self.quote_long(bytes, end);
    }

    #[inline(never)]
    fn quote_long(&mut self, bytes: &[u8], end: u8) {
        let len = bytes.len();
        let room = self.room(len + SHORT_ROOM);
        room[0] = b'"';
        let done = copy_plain(&mut room[1..], bytes);
        self.at += done + 1;
        for piece in bytes[done..].chunks(PIECE) {
            let written = escape(self.room(6 * PIECE + SHORT_ROOM), piece);
            self.at += written;
        }
        self.push([b'"', end], 2);
    }

    /// Code points in quotes.
    #[inline(always)]
    fn quote_wide(&mut self, mut points: impl ExactSizeIterator<Item = u32>) {
        self.push([b'"', 0], 1);
        while points.len() > 0 {
            let room = self.room(12 * PIECE + SHORT_ROOM);
            let mut to = 0;
            for point in points.by_ref().take(PIECE) {
                match u8::try_from(point) {
                    Ok(byte) => to += put_escape(room, to, byte),
                    Err(_) if point < 0x1_0000 => to += put_unit(room, to, point),
                    Err(_) => {
                        let offset = point - 0x1_0000;
                        to += put_unit(room, to, 0xd800 | offset >> 10);
                        to += put_unit(room, to, 0xdc00 | offset & 0x3ff);
                    }
                }
            }
            self.at += to;
        }
        self.push([b'"', b','], 2);
    }

    /// A number's text and a comma.
    #[inline(always)]
    fn number(&mut self, text: &[u8]) {
        let len = text.len();
        if let Some(room) = self.room(SHORT_ROOM).first_chunk_mut::<SHORT_ROOM>()
            && len < SHORT_ROOM
        {
            copy_short(room, text);
            room[len] = b',';
            self.at += len + 1;
        }
    }

    /// `[` or `{`.
    #[inline(always)]
    pub fn open(&mut self, bracket: u8) {
        self.push([bracket, 0], 1);
    }

    /// `]` or `}`.
    #[inline(always)]
    pub fn close(&mut self, bracket: u8) {
        // In place of the last item's comma; an empty container has none.
        self.at -= usize::from(self.out[self.at - 1] == b',');
        self.push([bracket, b','], 2);
    }

    /// A key, and that its value follows.
    #[inline(always)]
    pub fn key(&mut self, key: Short<'_>) {
        self.quote(key, b':');
    }

    /// A text of one byte per character, of ASCII more often than not.
    #[inline(always)]
    pub fn short(&mut self, text: Short<'_>) {
        self.quote(text, b',');
    }

    /// Any text.
    #[inline(never)]
    pub fn text(&mut self, text: Text<'_>) {
        match text {
            Text::One(bytes) => self.quote_long(bytes, b','),
            Text::Two(units) => self.quote_wide(units.iter().map(|&unit| u32::from(unit))),
            Text::Four(points) => self.quote_wide(points.iter().copied()),
        }
    }

    #[inline(always)]
    pub fn int(&mut self, number: i64) {
        if let Some(&text) = usize::try_from(number).ok().and_then(|at| SMALL.get(at)) {
            self.room(4)[..4].copy_from_slice(&text);
            self.at += 2 + usize::from(number >= 10) + usize::from(number >= 100);
        } else {
            self.long_int(number);
        }
    }

    #[inline(never)]
    fn long_int(&mut self, number: i64) {
        let size = number.unsigned_abs();
        if size >= 100_000_000 {
            self.number(itoa::Buffer::new().format(number).as_bytes());
        } else if let Some(room) = self.room(SHORT_ROOM).first_chunk_mut::<SHORT_ROOM>() {
            let (text, len) = eight_digits(size);
            let start = usize::from(number < 0);
            room[0] = b'-';
            room[start..start + 8].copy_from_slice(&text.to_le_bytes());
            room[start + len] = b',';
            self.at += start + len + 1;
        }
    }

    /// A float as Python writes it, NaN and the infinities too.
    #[inline]
    pub fn float(&mut self, number: f64) {
        // Where Python writes no exponent, the shortest digits are laid out as Python does.
        if (1e-4..1e16).contains(&number.abs()) {
            self.number(zmij::Buffer::new().format_finite(number).as_bytes());
        } else {
            let mut text = Vec::with_capacity(SHORT_ROOM);
            write_float(&mut text, number);
            self.number(&text);
        }
    }

    #[inline(always)]
    pub fn word(&mut self, word: Word) {
        let (text, len) = match word {
            Word::Null => (b"null,   ", 5),
            Word::True => (b"true,   ", 5),
            Word::False => (b"false,  ", 6),
        };
        self.room(8)[..8].copy_from_slice(text);
        self.at += len;
    }
}

/// The text of small integers, and the comma behind it.
static SMALL: [[u8; 4]; 1000] = {
    let mut table = [[b','; 4]; 1000];
    let mut number = 0;
    while number < 1000 {
        let (text, len) = eight_digits(number as u64);
        let mut at = 0;
        while at < len {
            table[number][at] = text.to_le_bytes()[at];
            at += 1;
        }
        number += 1;
    }
    table
};

/// Moves up to 31 bytes by two moves of a fixed size.
#[inline(always)]
fn copy_short(to: &mut [u8; SHORT_ROOM], from: &[u8]) {
    let len = from.len().min(SHORT_ROOM);
    if let (Some(head), Some(tail)) = (from.first_chunk::<16>(), from.last_chunk::<16>()) {
        to[..16].copy_from_slice(head);
        to[len - 16..len].copy_from_slice(tail);
    } else if let (Some(head), Some(tail)) = (from.first_chunk::<8>(), from.last_chunk::<8>()) {
        to[..8].copy_from_slice(head);
        to[len - 8..len].copy_from_slice(tail);
    } else if let (Some(head), Some(tail)) = (from.first_chunk::<4>(), from.last_chunk::<4>()) {
        to[..4].copy_from_slice(head);
        to[len - 4..len].copy_from_slice(tail);
    } else {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }
}

/// Moves the blocks before the first that needs an escape, or all of the text; the length moved.
#[inline]
fn copy_plain(to: &mut [u8], from: &[u8]) -> usize {
    let len = from.len();
    let mut done = copy_blocks::<BLOCK>(to, from, any_escape);
    if done + BLOCK > len {
        done += copy_blocks::<STEP>(&mut to[done..], &from[done..], any_step);
    }
    // The last step once more, shifted back: what was already seen is plain.
    if done + STEP > len
        && let (Some(from), Some(to)) = (
            from.last_chunk::<STEP>(),
            to[..len].last_chunk_mut::<STEP>(),
        )
        && !any_step(from)
    {
        *to = *from;
        return len;
    }
    done
}

#[inline(always)]
fn any_step(block: &[u8; STEP]) -> bool {
    escapes_of_16(block) != 0
}

#[inline(always)]
fn copy_blocks<const N: usize>(
    to: &mut [u8],
    from: &[u8],
    any_escape: impl Fn(&[u8; N]) -> bool,
) -> usize {
    let mut done = 0;
    for (from, to) in from.as_chunks::<N>().0.iter().zip(to.as_chunks_mut().0) {
        if any_escape(from) {
            break;
        }
        *to = *from;
        done += N;
    }
    done
}

/// Writes a text with its escapes; the length written. There is room for six bytes each and 32 more.
fn escape(to: &mut [u8], from: &[u8]) -> usize {
    let mut at = 0;
    let mut end = 0;
    while let Some(block) = from.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        to[end..end + 16].copy_from_slice(block);
        let special = escapes_of_16(block);
        if special == 0 {
            at += 16;
            end += 16;
        } else {
            let plain = special.trailing_zeros() as usize & 15;
            end += plain;
            end += put_escape(to, end, block[plain]);
            at += plain + 1;
        }
    }
    let mut left = from.len() - at;
    let Some(last) = from.last_chunk::<16>() else {
        for &byte in &from[at..] {
            end += put_escape(to, end, byte);
        }
        return end;
    };
    // What is left of the last block, moved to its front step by step.
    let mut block = u128::from_le_bytes(*last) >> (8 * (15 - left)) >> 8;
    loop {
        let bytes = block.to_le_bytes();
        to[end..end + 16].copy_from_slice(&bytes);
        let special = escapes_of_16(&bytes) | 1 << left;
        let plain = special.trailing_zeros() as usize & 15;
        end += plain;
        if plain == left {
            return end;
        }
        end += put_escape(to, end, bytes[plain]);
        left -= plain + 1;
        block = block >> (8 * plain) >> 8;
    }
}

/// Writes a character below 0x100 as it stands in a literal, and bytes without meaning up to eight.
#[inline(always)]
fn put_escape(to: &mut [u8], at: usize, byte: u8) -> usize {
    let text = ESCAPES[usize::from(byte)];
    to[at..at + 8].copy_from_slice(&text.to_le_bytes());
    (text >> 56) as usize
}

/// The digits of a number below 10^8 as text, the first one lowest, and how many there are.
#[inline(always)]
const fn eight_digits(number: u64) -> (u64, usize) {
    // Halves to numbers of four, two and one digit, all at once; the products divide by 100 and by 10.
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | (twos - 10 * tens) << 8;
    // The last digit is always written.
    let zeros = (ones | 1 << 56).trailing_zeros() & 56;
    let text = (ones | 0x3030_3030_3030_3030) >> zeros;
    (text, 8 - zeros as usize / 8)
}

/// Writes `\uXXXX`.
#[inline(always)]
fn put_unit(to: &mut [u8], at: usize, unit: u32) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u32| HEX[(unit >> shift & 0xf) as usize];
    let text = [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)];
    to[at..at + 6].copy_from_slice(&text);
    6
}
