//! The fast way to write what most responses are: trees of plain values, on one line, in ASCII.

use std::cell::Cell;

use pyo3::prelude::*;

use crate::json::writer::Writer;
use crate::json::{Short, Text, Word};
use crate::py::ffi::walk::{Sink, walk};

/// A buffer that grew beyond this is not kept for the next call.
const KEPT_SIZE: usize = 256 * 1024;

thread_local! {
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Gives the text of `value` to `take`; None if a part of it is not plain.
#[inline]
pub(super) fn with_plain<T>(
    value: &Bound<'_, PyAny>,
    sort: bool,
    take: impl FnOnce(&[u8]) -> T,
) -> Option<T> {
    let mut writer = Writer::new(ROOM.take());
    let plain = walk(value, sort, &mut writer);
    let taken = plain.then(|| take(writer.written()));
    let buffer = writer.into_buffer();
    if buffer.len() <= KEPT_SIZE {
        ROOM.set(buffer);
    }
    taken
}

impl Sink for Writer {
    #[inline(always)]
    fn open(&mut self, bracket: u8) {
        Self::open(self, bracket);
    }

    #[inline(always)]
    fn close(&mut self, bracket: u8) {
        Self::close(self, bracket);
    }

    #[inline(always)]
    fn key(&mut self, key: Short<'_>) {
        Self::key(self, key);
    }

    #[inline(always)]
    fn short(&mut self, text: Short<'_>) {
        Self::short(self, text);
    }

    #[inline(always)]
    fn text(&mut self, text: Text<'_>) {
        Self::text(self, text);
    }

    #[inline(always)]
    fn int(&mut self, number: i64) {
        Self::int(self, number);
    }

    #[inline(always)]
    fn float(&mut self, number: f64) {
        Self::float(self, number);
    }

    #[inline(always)]
    fn word(&mut self, word: Word) {
        Self::word(self, word);
    }
}
