//! Keys seen before, as Python strings with their hash known: a key costs a comparison instead of an object.

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::json::block::ends_of_16;
use crate::json::unescape::{Literal, Scratch, scan_string};
use crate::py::ffi::json::{ascii_str, points_str, utf8_str};

/// Longer keys are rarely field names.
const MAX_KEY: usize = 32;

/// Field names of some dozens of message types; 40 KiB.
const SLOTS: usize = 1024;

/// One for the process. Its lock is only ever tried: a collection of garbage may run Python code, and with it
/// another load, in the middle of one.
static KEYS: Mutex<KeyCache> = Mutex::new(KeyCache { slots: Vec::new() });

pub(super) struct KeyCache {
    slots: Vec<Slot>,
}

/// A key's text, then zeros. A key has no byte that is zero, so words that are equal are equal keys.
type Words = [u64; MAX_KEY / 8];

#[derive(Default)]
struct Slot {
    text: Words,
    key: Option<Py<PyString>>,
}

/// Masks of the first bytes of a block of 16, by their number.
static FIRST: [(u64, u64); 16] = {
    let mut masks = [(0, 0); 16];
    let mut len = 1;
    while len < 16 {
        let mask = (1_u128 << (8 * len)) - 1;
        masks[len] = (mask as u64, (mask >> 64) as u64);
        len += 1;
    }
    masks
};

impl KeyCache {
    /// The cache, if no other load has it at the moment.
    pub(super) fn lend() -> Option<MutexGuard<'static, Self>> {
        let mut cache = KEYS.try_lock().ok()?;
        if cache.slots.is_empty() {
            cache.slots.resize_with(SLOTS, Slot::default);
        }
        Some(cache)
    }

    /// The `str` of a key of plain ASCII, from the text behind its opening quote; with it, the length up to behind
    /// the closing quote. None for a key that has no place here.
    #[inline(always)]
    pub(super) fn scan<'py>(
        &mut self,
        py: Python<'py>,
        text: &[u8],
    ) -> Option<(Bound<'py, PyString>, usize)> {
        let (low, high, len) = last_block(text.first_chunk()?)?;
        if len < 16 {
            let words = [low, high, 0, 0];
            // The empty key's words would be those of an empty slot.
            return (len != 0).then_some((self.get(py, words, &text[..len])?, len + 1));
        }
        let (third, fourth, more) = last_block(text.get(16..)?.first_chunk()?)?;
        let words = [low, high, third, fourth];
        let key = text.get(..16 + more)?;
        (more < 16).then_some((self.get(py, words, key)?, 16 + more + 1))
    }

    #[inline(always)]
    fn get<'py>(
        &mut self,
        py: Python<'py>,
        words: Words,
        ascii: &[u8],
    ) -> Option<Bound<'py, PyString>> {
        let slot = self.slots.get_mut(hash(words) as usize % SLOTS)?;
        if slot.text == words
            && let Some(seen) = &slot.key
        {
            return Some(seen.bind(py).clone());
        }
        let key = ascii_str(py, ascii).ok()?;
        // The evicted key is an exact `str`: dropping it runs no code.
        *slot = Slot {
            text: words,
            key: Some(key.clone().unbind()),
        };
        Some(key)
    }
}

/// The words of the bytes before the closing quote, and their number, 16 without one; None if anything but plain
/// ASCII comes before it.
#[inline(always)]
fn last_block(block: &[u8; 16]) -> Option<(u64, u64, usize)> {
    let (ends, beyond) = ends_of_16(block);
    let whole = u128::from_le_bytes(*block);
    let (low, high) = (whole as u64, (whole >> 64) as u64);
    if ends == 0 {
        return (beyond == 0).then_some((low, high, 16));
    }
    let len = ends.trailing_zeros() as usize & 15;
    let plain = block[len] == b'"' && beyond & (ends ^ (ends - 1)) == 0;
    let mask = FIRST[len];
    plain.then_some((low & mask.0, high & mask.1, len))
}

/// A key of any kind, without the cache.
#[inline(never)]
pub(super) fn scan_rare<'py>(
    py: Python<'py>,
    text: &[u8],
    scratch: &mut Scratch,
) -> Option<(Bound<'py, PyString>, usize)> {
    let (literal, len) = scan_string(text, scratch)?;
    Some((new_str(py, literal)?, len))
}

/// A new `str`; None (no exception) for invalid UTF-8, or for lack of memory.
#[inline(always)]
pub(super) fn new_str<'py>(py: Python<'py>, literal: Literal<'_>) -> Option<Bound<'py, PyString>> {
    match literal {
        Literal::Ascii(text) => ascii_str(py, text).ok(),
        Literal::Utf8(text) => utf8_str(py, text),
        Literal::Points(points) => points_str(py, points),
    }
}

/// Folds the key by full products. Collisions, also chosen ones, only cost a new string.
#[inline(always)]
fn hash([first, second, third, fourth]: Words) -> u64 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd1b5_4a32_d192_ed03);
        product as u64 ^ (product >> 64) as u64
    };
    let head = fold(first, second);
    if third == 0 {
        return head;
    }
    fold(head ^ third, fourth)
}
