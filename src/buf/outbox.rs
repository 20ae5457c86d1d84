//! Bytes to be sent on one connection: one growing buffer, and behind it large pieces sent by reference and parts of
//! files.

use super::file::{FilePart, Sink};
use std::collections::VecDeque;
use std::io::{self, IoSlice};

/// A large body that somebody else owns. Its drop may need a lock of the owner's, so a finished one is
/// handed back instead of dropped where it was sent.
pub trait Payload: Send {
    fn bytes(&self) -> &[u8];
}

pub enum Segment {
    Bytes(Vec<u8>),
    Payload(Box<dyn Payload>),
    File(FilePart),
}

impl Segment {
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().map_or_else(|part| part.len, <[u8]>::len)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is in memory, or the part of a file that it is.
    fn bytes(&self) -> Result<&[u8], &FilePart> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Payload(payload) => Ok(payload.bytes()),
            Self::File(part) => Err(part),
        }
    }
}

/// A buffer larger than this is not kept by an idle connection.
const KEEP: usize = 1024;

/// Slices handed to one `writev`.
const SLICES: usize = 32;

/// What a flush came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Everything is sent.
    All,
    /// The sink takes no more now, and will tell when it does.
    Blocked,
    /// The bound was reached: there is more to send, and nothing will tell of it.
    Bounded,
}

#[derive(Default)]
pub struct Outbox {
    front: Vec<u8>,
    sent: usize,
    rest: VecDeque<Segment>,
    /// Unsent bytes in `rest`, the front segment's sent part (`rest_sent`) aside.
    rest_len: usize,
    rest_sent: usize,
}

impl Outbox {
    /// Unsent bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.front.len() - self.sent + self.rest_len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends to the outbox through `write`, which must only append.
    pub fn append<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        if self.rest.is_empty() {
            return write(&mut self.front);
        }
        if !matches!(self.rest.back(), Some(Segment::Bytes(_))) {
            self.rest.push_back(Segment::Bytes(Vec::new()));
        }
        let Some(Segment::Bytes(last)) = self.rest.back_mut() else {
            return write(&mut self.front);
        };
        let before = last.len();
        let result = write(last);
        self.rest_len += last.len() - before;
        result
    }

    /// Queues a large piece without copying it.
    pub fn push(&mut self, segment: Segment) {
        self.rest_len += segment.len();
        self.rest.push_back(segment);
    }

    /// Writes until everything is sent, the sink says `WouldBlock`, or `bound` bytes were written: a client that reads
    /// as fast as it is sent to would otherwise keep the thread for the whole of a large answer.
    ///
    /// # Errors
    /// The sink's, `WouldBlock` and `Interrupted` aside; a sink that takes nothing is `WriteZero`, a file that ends before
    /// its part does is `UnexpectedEof`.
    pub fn flush(
        &mut self,
        sink: &mut impl Sink,
        finished: &mut Vec<Box<dyn Payload>>,
        mut bound: usize,
    ) -> io::Result<Flushed> {
        while !self.is_empty() {
            if bound == 0 {
                return Ok(Flushed::Bounded);
            }
            let offered = self.len().min(bound);
            let written = if self.rest.is_empty() {
                sink.write(&self.front[self.sent..][..offered])
            } else {
                self.write_rest(sink, bound)
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.advance(n, finished);
                    bound = bound.saturating_sub(n);
                    // A short write means a full socket buffer: the next call would say WouldBlock.
                    if n < offered && self.rest.is_empty() {
                        return Ok(Flushed::Blocked);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.front.clear();
        self.sent = 0;
        Ok(Flushed::All)
    }

    /// Gives up an idle connection's buffer to `spare`, the reactor's list of buffers.
    pub fn release(&mut self, spare: &mut Vec<Vec<u8>>) {
        if self.is_empty() && self.front.capacity() > 0 {
            let mut buffer = std::mem::take(&mut self.front);
            self.sent = 0;
            if buffer.capacity() <= 64 * KEEP && spare.len() < KEEP {
                buffer.clear();
                spare.push(buffer);
            }
        }
    }

    /// Takes a buffer from the reactor's list when it has none.
    pub fn acquire(&mut self, spare: &mut Vec<Vec<u8>>) {
        if self.front.capacity() == 0 {
            self.front = spare.pop().unwrap_or_else(|| Vec::with_capacity(KEEP));
        }
    }

    /// Drops what was not sent; payloads go to `finished`.
    pub fn clear(&mut self, finished: &mut Vec<Box<dyn Payload>>) {
        self.front.clear();
        self.sent = 0;
        self.rest_len = 0;
        self.rest_sent = 0;
        for segment in self.rest.drain(..) {
            if let Segment::Payload(payload) = segment {
                finished.push(payload);
            }
        }
    }

    // Out of line: most answers are in `front` as a whole.
    #[inline(never)]
    fn write_rest(&self, sink: &mut impl Sink, bound: usize) -> io::Result<usize> {
        if let Some(part) = self.file_in_front() {
            let most = (part.len - self.rest_sent).min(bound);
            return sink.send_file(&part.file, part.offset + self.rest_sent as u64, most);
        }
        self.write_vectored(sink, bound)
    }

    /// The part of a file that is to be sent next.
    fn file_in_front(&self) -> Option<&FilePart> {
        match self.rest.front() {
            Some(Segment::File(part)) if self.sent == self.front.len() => Some(part),
            _ => None,
        }
    }

    fn write_vectored(&self, sink: &mut impl io::Write, mut bound: usize) -> io::Result<usize> {
        let front = &self.front[self.sent..];
        // As far as the next file, which is not in memory.
        let rest = self.rest.iter().map_while(|segment| segment.bytes().ok());
        let rest = rest.enumerate().map(|(i, bytes)| {
            let skip = if i == 0 { self.rest_sent } else { 0 };
            &bytes[skip..]
        });
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut n = 0;
        for bytes in std::iter::once(front).chain(rest) {
            if n == SLICES || bound == 0 {
                break;
            }
            if !bytes.is_empty() {
                let bytes = &bytes[..bytes.len().min(bound)];
                bound -= bytes.len();
                slices[n] = IoSlice::new(bytes);
                n += 1;
            }
        }
        sink.write_vectored(&slices[..n])
    }

    fn advance(&mut self, mut n: usize, finished: &mut Vec<Box<dyn Payload>>) {
        let front = (self.front.len() - self.sent).min(n);
        self.sent += front;
        n -= front;
        self.rest_len -= n;
        self.rest_sent += n;
        while let Some(first) = self.rest.front() {
            let len = first.len();
            if self.rest_sent < len {
                break;
            }
            self.rest_sent -= len;
            if let Some(Segment::Payload(payload)) = self.rest.pop_front() {
                finished.push(payload);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::file_of;
    use super::*;
    use std::sync::Arc;

    struct Slow {
        got: Vec<u8>,
        step: usize,
        calls: usize,
    }

    impl io::Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(2) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let n = bytes.len().min(self.step);
            self.got.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Slow {}

    struct Text(&'static str);

    impl Payload for Text {
        fn bytes(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }

    #[test]
    fn everything_is_sent_in_order_through_short_writes() {
        for step in 1..20 {
            let mut outbox = Outbox::default();
            let mut finished = Vec::new();
            outbox.append(|out| out.extend_from_slice(b"head "));
            outbox.push(Segment::Payload(Box::new(Text("payload "))));
            outbox.append(|out| out.extend_from_slice(b"next "));
            outbox.push(Segment::Bytes(b"last".to_vec()));
            assert_eq!(outbox.len(), 22);
            let mut sink = Slow {
                got: Vec::new(),
                step,
                calls: 0,
            };
            for _ in 0..200 {
                if outbox.flush(&mut sink, &mut finished, 9).unwrap() == Flushed::All {
                    break;
                }
            }
            assert_eq!(sink.got, b"head payload next last", "step {step}");
            assert_eq!(finished.len(), 1);
            assert!(outbox.is_empty());
        }
    }

    #[test]
    fn a_flush_ends_at_its_bound_though_the_sink_takes_all() {
        let mut outbox = Outbox::default();
        let mut finished = Vec::new();
        outbox.append(|out| out.extend_from_slice(b"head "));
        outbox.push(Segment::Payload(Box::new(Text("payload "))));
        outbox.push(Segment::Payload(Box::new(Text("last"))));
        let mut sent = Vec::new();
        for expected in [&b"head pa"[..], b"head payload l"] {
            let flushed = outbox.flush(&mut sent, &mut finished, 7).unwrap();
            assert_eq!(
                (flushed, sent.as_slice()),
                (Flushed::Bounded, expected),
                "{} left",
                outbox.len()
            );
        }
        let flushed = outbox.flush(&mut sent, &mut finished, 7).unwrap();
        assert_eq!(
            (flushed, sent.as_slice()),
            (Flushed::All, &b"head payload last"[..])
        );
        assert_eq!(finished.len(), 2);
    }

    #[test]
    fn parts_of_files_are_sent_between_what_is_in_memory() {
        let file = Arc::new(file_of(b"0123456789"));
        for (step, bound) in (1..20).flat_map(|step| [(step, 3), (step, 64)]) {
            let mut outbox = Outbox::default();
            let mut finished = Vec::new();
            outbox.append(|out| out.extend_from_slice(b"head "));
            outbox.push(Segment::File(FilePart::new(Arc::clone(&file), 7, 3)));
            outbox.append(|out| out.extend_from_slice(b" and "));
            outbox.push(Segment::File(FilePart::new(Arc::clone(&file), 0, 4)));
            outbox.push(Segment::Payload(Box::new(Text(" end"))));
            assert_eq!(outbox.len(), 21);
            let mut sink = Slow {
                got: Vec::new(),
                step,
                calls: 0,
            };
            for _ in 0..200 {
                if outbox.flush(&mut sink, &mut finished, bound).unwrap() == Flushed::All {
                    break;
                }
            }
            assert_eq!(
                sink.got, b"head 789 and 0123 end",
                "step {step}, bound {bound}"
            );
            assert_eq!(finished.len(), 1);
        }
        assert_eq!(Arc::strong_count(&file), 1);
    }

    #[test]
    fn a_file_that_ends_too_early_is_an_error() {
        let mut outbox = Outbox::default();
        let part = FilePart::new(Arc::new(file_of(b"short")), 0, 9);
        outbox.push(Segment::File(part));
        let mut sent = Vec::new();
        let error = outbox.flush(&mut sent, &mut Vec::new(), 64).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(sent, b"short");
    }

    #[test]
    fn dropped_output_hands_its_payloads_back() {
        let mut outbox = Outbox::default();
        let mut finished = Vec::new();
        outbox.push(Segment::Payload(Box::new(Text("x"))));
        outbox.clear(&mut finished);
        assert_eq!((finished.len(), outbox.len()), (1, 0));
    }
}
