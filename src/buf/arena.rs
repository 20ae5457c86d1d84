//! A reactor's receive arena: the block being filled, and blocks waiting for their last view to go.

use super::View;
use super::chunk::Writer;

/// At least this much room is offered to one read, so that nearly every head and small body comes in one `recv`.
const READ: usize = 16 * 1024;

/// Blocks kept for reuse; more are freed when their last view goes.
const KEEP: usize = 16;

pub struct Arena {
    current: Writer,
    retired: Vec<Writer>,
}

impl Arena {
    #[must_use]
    pub fn new() -> Self {
        Self {
            current: Writer::new(),
            retired: Vec::new(),
        }
    }

    /// Called between turns: when nothing of the block is in use any more, the next turn writes the same
    /// (cached) memory again.
    pub fn rewind(&mut self) {
        self.current.rewind();
    }

    /// Room for one read, at least 16 KiB.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.current.room() < READ && !self.current.rewind() {
            self.rotate();
        }
        self.current.spare()
    }

    /// The first `n` bytes of [`Arena::spare`], now read-only.
    pub fn commit(&mut self, n: usize) -> View {
        self.current.commit(n)
    }

    fn rotate(&mut self) {
        let next = match self.retired.iter_mut().position(Writer::rewind) {
            Some(free) => self.retired.swap_remove(free),
            None => Writer::new(),
        };
        let full = std::mem::replace(&mut self.current, next);
        if self.retired.len() < KEEP {
            self.retired.push(full);
        }
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reused_once_its_views_are_gone() {
        let mut arena = Arena::new();
        let first = arena.spare().as_ptr() as usize;
        arena.spare()[..4].copy_from_slice(b"body");
        let view = arena.commit(4);
        arena.rewind();
        assert_ne!(arena.spare().as_ptr() as usize, first);
        drop(view);
        arena.rewind();
        assert_eq!(arena.spare().as_ptr() as usize, first);
    }

    #[test]
    fn a_full_block_is_replaced_while_its_views_live() {
        let mut arena = Arena::new();
        let mut views = Vec::new();
        for i in 0..64u8 {
            let spare = arena.spare();
            assert!(spare.len() >= READ);
            spare[..READ].fill(i);
            views.push(arena.commit(READ));
        }
        for (i, view) in views.iter().enumerate() {
            assert!(view.iter().all(|b| *b == i as u8));
        }
    }
}
