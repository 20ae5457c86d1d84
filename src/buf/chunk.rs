//! A block of received bytes, shared by one writer and any number of read-only views.
//!
//! INVARIANT: bytes in `0..filled` of a block may be read through views and are never written again; bytes in
//! `filled..BLOCK` belong to the one writer. `filled` only grows while a view lives; the writer starts over at
//! zero only when its reference is the last one. The count is `Arc`'s.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ops::Deref;
use std::sync::Arc;

/// Bytes of a block: four full-size reads. Small enough that the block in use stays in L2.
pub const BLOCK: usize = 64 * 1024;

struct Block {
    bytes: Box<[UnsafeCell<u8>]>,
}

// SAFETY: the bytes are plain data; access is divided by the module's invariant: readers only below `filled`,
// the single writer only above it, and a view that carries the bytes to another thread was made (and is handed
// over with the usual synchronisation) after they were written.
unsafe impl Sync for Block {}

impl Block {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            bytes: (0..BLOCK).map(|_| UnsafeCell::new(0)).collect(),
        })
    }
}

/// The writing end of a block. Not `Clone`: one writer.
pub(super) struct Writer {
    block: Arc<Block>,
    filled: usize,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            block: Block::new(),
            filled: 0,
        }
    }

    /// Bytes that can still be written.
    pub(super) fn room(&self) -> usize {
        BLOCK - self.filled
    }

    /// The unfilled rest of the block.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        let rest = &self.block.bytes[self.filled..];
        // SAFETY: no view covers bytes at or above `filled` (they are made by `commit` only, below it), this is the
        // only writer (`Writer` is not Clone and is borrowed mutably), and `UnsafeCell<u8>` has u8's layout.
        unsafe { std::slice::from_raw_parts_mut(UnsafeCell::raw_get(rest.as_ptr()), rest.len()) }
    }

    /// Gives the first `n` bytes of `spare` out as a view; they are read-only from now on.
    pub(super) fn commit(&mut self, n: usize) -> View {
        assert!(n <= self.room());
        let start = self.filled;
        self.filled += n;
        View {
            block: Arc::clone(&self.block),
            start: start as u32,
            len: n as u32,
        }
    }

    /// Starts over at the first byte if no view is left.
    pub(super) fn rewind(&mut self) -> bool {
        if self.filled == 0 {
            return true;
        }
        // `get_mut` synchronises with the drop of the last view, so its reads are over.
        if Arc::get_mut(&mut self.block).is_some() {
            self.filled = 0;
            return true;
        }
        false
    }
}

/// A read-only part of a block; keeps the block alive. Cheap to clone and to cut.
#[derive(Clone)]
pub struct View {
    block: Arc<Block>,
    start: u32,
    len: u32,
}

impl View {
    /// A part of this view.
    ///
    /// # Panics
    /// If the range is not inside the view.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Self {
        assert!(start <= end && end <= self.len as usize);
        Self {
            block: Arc::clone(&self.block),
            start: self.start + start as u32,
            len: (end - start) as u32,
        }
    }

    /// Drops the first `n` bytes from the view.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.len as usize);
        self.start += n as u32;
        self.len -= n as u32;
    }
}

impl Deref for View {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let part = &self.block.bytes[self.start as usize..self.start as usize + self.len as usize];
        // SAFETY: a view covers committed bytes only, and those are never written while any view of the block lives.
        unsafe { std::slice::from_raw_parts(part.as_ptr().cast::<u8>(), part.len()) }
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("View").field(&self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_bytes_stay_while_the_writer_goes_on() {
        let mut writer = Writer::new();
        writer.spare()[..5].copy_from_slice(b"first");
        let first = writer.commit(5);
        writer.spare()[..6].copy_from_slice(b"second");
        let second = writer.commit(6);
        assert_eq!((&first[..], &second[..]), (&b"first"[..], &b"second"[..]));
        assert_eq!(&first.slice(1, 3)[..], b"ir");
    }

    #[test]
    fn a_block_is_rewound_only_when_no_view_is_left() {
        let mut writer = Writer::new();
        writer.spare()[0] = b'a';
        let view = writer.commit(1);
        let copy = view.clone();
        drop(view);
        assert!(!writer.rewind());
        assert_eq!(writer.room(), BLOCK - 1);
        drop(copy);
        assert!(writer.rewind());
        assert_eq!(writer.room(), BLOCK);
    }

    #[test]
    fn a_view_can_be_read_and_dropped_on_another_thread() {
        let mut writer = Writer::new();
        writer.spare()[..3].copy_from_slice(b"abc");
        let view = writer.commit(3);
        let sum = std::thread::spawn(move || view.iter().map(|b| u32::from(*b)).sum::<u32>())
            .join()
            .unwrap();
        assert_eq!(sum, 294);
        assert!(writer.rewind());
    }
}
