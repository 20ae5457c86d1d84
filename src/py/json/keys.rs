//! Keys seen before, as Python strings with their hash known: a key costs a comparison instead of an object.

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::py::ffi::json::ascii_str;

/// Longer keys are rarely field names.
const MAX_KEY: usize = 32;

/// Field names of some dozens of message types; 56 KiB.
const SLOTS: usize = 1024;

/// One for the process. Its lock is only ever tried: a collection of garbage may run Python code, and with it
/// another load, in the middle of one.
static KEYS: Mutex<KeyCache> = Mutex::new(KeyCache { slots: Vec::new() });

pub(super) struct KeyCache {
    slots: Vec<Option<Slot>>,
}

struct Slot {
    hash: u64,
    len: usize,
    /// The key's text, then zeros.
    text: [u8; MAX_KEY],
    key: Py<PyString>,
}

impl Slot {
    #[inline]
    fn holds(&self, hash: u64, ascii: &[u8]) -> bool {
        if self.hash != hash || self.len != ascii.len() {
            return false;
        }
        if let (Some(_), Some(last)) = (ascii.first_chunk::<8>(), ascii.last_chunk::<8>()) {
            let from = self.len - 8;
            return self
                .text
                .as_chunks()
                .0
                .iter()
                .zip(ascii.as_chunks::<8>().0)
                .all(|(a, b)| a == b)
                && self.text.get(from..from + 8) == Some(last);
        }
        self.text.iter().zip(ascii).all(|(a, b)| a == b)
    }
}

impl KeyCache {
    /// The cache, if no other load has it at the moment.
    pub(super) fn lend() -> Option<MutexGuard<'static, Self>> {
        let mut cache = KEYS.try_lock().ok()?;
        if cache.slots.is_empty() {
            cache.slots.resize_with(SLOTS, || None);
        }
        Some(cache)
    }

    /// The `str` of a key of plain ASCII.
    #[inline]
    pub(super) fn get<'py>(
        &mut self,
        py: Python<'py>,
        ascii: &[u8],
    ) -> PyResult<Bound<'py, PyString>> {
        if ascii.is_empty() || ascii.len() > MAX_KEY {
            return ascii_str(py, ascii);
        }
        let hash = hash(ascii);
        let slot = &mut self.slots[hash as usize % SLOTS];
        if let Some(seen) = slot
            && seen.holds(hash, ascii)
        {
            return Ok(seen.key.bind(py).clone());
        }
        let key = ascii_str(py, ascii)?;
        let mut text = [0; MAX_KEY];
        text[..ascii.len()].copy_from_slice(ascii);
        // The evicted key is an exact `str`: dropping it runs no code.
        *slot = Some(Slot {
            hash,
            len: ascii.len(),
            text,
            key: key.clone().unbind(),
        });
        Ok(key)
    }
}

/// Folds the key by full products. Collisions, also chosen ones, only cost a new string.
#[inline]
fn hash(key: &[u8]) -> u64 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd1b5_4a32_d192_ed03);
        product as u64 ^ (product >> 64) as u64
    };
    let len = key.len();
    let mut state = len as u64;
    if let (Some(_), Some(last)) = (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        for word in key.as_chunks::<8>().0 {
            state = fold(state, u64::from_le_bytes(*word));
        }
        return fold(state, u64::from_le_bytes(*last));
    }
    let word = if let (Some(first), Some(last)) = (key.first_chunk::<4>(), key.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
    } else {
        key.iter()
            .fold(0, |word, &byte| word << 8 | u64::from(byte))
    };
    fold(state, word)
}
