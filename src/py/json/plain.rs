//! The fast way to write what most responses are: trees of plain values, on one line, in ASCII.
//!
//! Every value is written with a comma behind it, which the end of its container overwrites. The text is written
//! into a buffer whose bytes all exist already, in moves of a fixed size that may run past the end of a short
//! text: what follows overwrites them.

use pyo3::prelude::*;

use super::escape::{special_mask, write_points, write_rest};
use super::float::write_float;
use crate::py::ffi::json::Text;
use crate::py::ffi::walk::{Short, Sink, walk};

/// Room made at first: most small responses fit.
const FIRST_ROOM: usize = 512;

/// Room for any number, or for a text of up to 16 bytes with what stands around it.
const SHORT_ROOM: usize = 32;

/// Bytes of a longer text that are looked at and moved at a time.
const BLOCK: usize = 32;

/// Appends `value` to `out`; false, with `out` as before, if a part of it is not plain.
#[inline]
pub(super) fn write_plain(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, sort: bool) -> bool {
    let start = out.len();
    let mut writer = Writer { at: start, out };
    let plain = walk(value, sort, &mut writer);
    // Without the comma behind the root.
    let end = if plain { writer.at - 1 } else { start };
    out.truncate(end);
    plain
}

struct Writer<'a> {
    /// Text up to `at`, then bytes without meaning.
    out: &'a mut Vec<u8>,
    at: usize,
}

impl Writer<'_> {
    /// The bytes behind the text, at least `len` of them.
    #[inline]
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

    #[inline]
    fn push(&mut self, bytes: [u8; 2], len: usize) {
        self.room(2)[..2].copy_from_slice(&bytes);
        self.at += len;
    }

    /// A text in quotes with `end` behind it.
    #[inline]
    fn quote(&mut self, text: Short<'_>, end: u8) {
        let Short { bytes, head } = text;
        let len = bytes.len();
        if len <= 16
            && let Some(room) = self.room(SHORT_ROOM).first_chunk_mut::<SHORT_ROOM>()
        {
            room[0] = b'"';
            room[1..9].copy_from_slice(&head.to_le_bytes());
            let special = if let Some(tail) = bytes.last_chunk::<8>() {
                room[len - 7..=len].copy_from_slice(tail);
                special_mask(head) | special_mask(u64::from_le_bytes(*tail))
            } else {
                // Spaces in place of the zeros behind a text of less than eight bytes.
                special_mask(head | 0x2020_2020_2020_2020 << (8 * len))
            };
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
        let mut done = 0;
        let target = &mut room[1..];
        if len < BLOCK
            && let (Some(head), Some(tail)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>())
            && !any_special(head)
            && !any_special(tail)
        {
            target[..16].copy_from_slice(head);
            target[len - 16..len].copy_from_slice(tail);
            done = len;
        }
        for (from, to) in bytes
            .as_chunks::<BLOCK>()
            .0
            .iter()
            .zip(target.as_chunks_mut::<BLOCK>().0)
        {
            if any_special(from) {
                break;
            }
            *to = *from;
            done += BLOCK;
        }
        if done < len && done + BLOCK > len && done > 0 {
            // The last block once more, shifted: what was already seen is plain.
            if let (Some(from), Some(to)) = (
                bytes.last_chunk::<BLOCK>(),
                target[..len].last_chunk_mut::<BLOCK>(),
            ) && !any_special(from)
            {
                *to = *from;
                done = len;
            }
        }
        self.at += done + 1;
        if done < len {
            self.append(|out| write_rest(out, &bytes[done..], true));
        }
        self.push([b'"', end], 2);
    }

    /// Lets a function that appends to a vector do so.
    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.truncate(self.at);
        write(self.out);
        self.at = self.out.len();
        // The vector may have grown: what it has is room.
        let room = self.out.capacity().min(self.at + FIRST_ROOM);
        self.out.resize(room, 0);
    }

    /// A number's text and a comma.
    #[inline]
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
}

impl Sink for Writer<'_> {
    #[inline]
    fn open(&mut self, bracket: u8) {
        self.push([bracket, 0], 1);
    }

    #[inline]
    fn close(&mut self, bracket: u8) {
        // In place of the last item's comma; an empty container has none.
        if self.out[self.at - 1] == b',' {
            self.at -= 1;
        }
        self.push([bracket, b','], 2);
    }

    #[inline]
    fn key(&mut self, key: Short<'_>) {
        self.quote(key, b':');
    }

    #[inline]
    fn short(&mut self, text: Short<'_>) {
        self.quote(text, b',');
    }

    #[inline(never)]
    fn text(&mut self, text: Text<'_>) {
        self.append(|out| {
            out.push(b'"');
            match text {
                Text::One(bytes) => write_rest(out, bytes, true),
                Text::Two(units) => write_points(out, units.iter().map(|&unit| u32::from(unit))),
                Text::Four(points) => write_points(out, points.iter().copied()),
            }
            out.extend_from_slice(b"\",");
        });
    }

    #[inline]
    fn int(&mut self, number: i64) {
        if let digit @ 0..=9 = number {
            self.push([b'0' + digit as u8, b','], 2);
        } else {
            self.number(itoa::Buffer::new().format(number).as_bytes());
        }
    }

    #[inline]
    fn float(&mut self, number: f64) {
        // Where Python writes no exponent, the shortest digits are laid out as Python does.
        if (1e-4..1e16).contains(&number.abs()) {
            self.number(zmij::Buffer::new().format_finite(number).as_bytes());
        } else {
            self.append(|out| {
                write_float(out, number);
                out.push(b',');
            });
        }
    }

    #[inline]
    fn word(&mut self, word: &'static [u8]) {
        self.number(word);
    }
}

/// Moves up to 31 bytes by two moves of a fixed size.
#[inline]
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

/// True if a byte of the block needs an escape. One pass without a branch, which compiles to vector code.
#[inline]
fn any_special<const N: usize>(block: &[u8; N]) -> bool {
    block.iter().fold(false, |any, &byte| {
        any | (byte.wrapping_sub(0x20) > 0x5e) | (byte == b'"') | (byte == b'\\')
    })
}
