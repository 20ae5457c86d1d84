//! Bytes received on one connection and not yet parsed.
//!
//! What one read brought stays where the read put it (a view of the arena). Only a message that is still
//! incomplete when its turn ends moves into memory of the connection's own, so that an idle or slow peer
//! pins no block.

use super::View;

#[derive(Debug, Default)]
pub enum Inbox {
    #[default]
    Empty,
    Shared(View),
    /// INVARIANT: `start < bytes.len()`.
    Own {
        bytes: Vec<u8>,
        start: usize,
    },
}

impl Inbox {
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Shared(view) => view,
            Self::Own { bytes, start } => &bytes[*start..],
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Adds what a read brought.
    pub fn push(&mut self, read: View) {
        if read.is_empty() {
            return;
        }
        match self {
            Self::Empty => *self = Self::Shared(read),
            Self::Shared(_) => {
                self.settle();
                self.push(read);
            }
            Self::Own { bytes, start } => {
                if *start > bytes.len() / 2 {
                    bytes.drain(..*start);
                    *start = 0;
                }
                bytes.extend_from_slice(&read);
            }
        }
    }

    /// Drops the first `n` bytes.
    pub fn consume(&mut self, n: usize) {
        if n == self.len() {
            *self = Self::Empty;
            return;
        }
        match self {
            Self::Empty => debug_assert_eq!(n, 0),
            Self::Shared(view) => view.advance(n),
            Self::Own { start, .. } => *start += n,
        }
    }

    /// Gives the first `n` bytes to a holder that outlives the turn, without a copy where they are in the arena.
    pub fn share(&self, start: usize, end: usize) -> Held {
        match self {
            Self::Shared(view) => Held::View(view.slice(start, end)),
            _ => Held::Own(self.bytes()[start..end].into()),
        }
    }

    /// Ends the turn for this inbox: unparsed bytes leave the arena.
    pub fn settle(&mut self) {
        if let Self::Shared(view) = self {
            *self = Self::Own {
                bytes: view.to_vec(),
                start: 0,
            };
        }
    }
}

/// Received bytes kept by a request.
#[derive(Debug, Clone)]
pub enum Held {
    View(View),
    Own(Box<[u8]>),
}

impl std::ops::Deref for Held {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::View(view) => view,
            Self::Own(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::Arena;

    fn read(arena: &mut Arena, bytes: &[u8]) -> View {
        arena.spare()[..bytes.len()].copy_from_slice(bytes);
        arena.commit(bytes.len())
    }

    #[test]
    fn bytes_keep_their_order_across_reads_settling_and_consumption() {
        let mut arena = Arena::new();
        let mut inbox = Inbox::default();
        inbox.push(read(&mut arena, b"GET "));
        inbox.settle();
        inbox.push(read(&mut arena, b"/ HTTP"));
        inbox.consume(4);
        inbox.push(read(&mut arena, b"/1.1"));
        assert_eq!(inbox.bytes(), b"/ HTTP/1.1");
        inbox.consume(10);
        assert!(inbox.is_empty());
    }

    #[test]
    fn settled_bytes_pin_no_block() {
        let mut arena = Arena::new();
        let mut inbox = Inbox::default();
        let before = arena.spare().as_ptr() as usize;
        inbox.push(read(&mut arena, b"half a head"));
        inbox.settle();
        arena.rewind();
        assert_eq!(arena.spare().as_ptr() as usize, before);
        assert_eq!(inbox.bytes(), b"half a head");
    }
}
