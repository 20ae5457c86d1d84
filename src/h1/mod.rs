//! HTTP/1.x, sans-IO (RFC 9112): bytes in, events out; replies in, bytes out. No sockets, no clock, no Python.

mod error;

pub use error::Error;

use crate::http::Head;

/// What one call of [`Engine::handle`] took and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes of `input` that are done with; the caller drops them before the next call.
    pub consumed: usize,
    pub event: Event,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Nothing more can be said until more bytes come.
    Incomplete,
    /// `head` was filled; its spans are relative to `input[head_start]` with `head_start = consumed - head.len`.
    /// `complete` means that the message has no body: no `End` follows.
    Head { body: BodyLength, complete: bool },
    /// Payload bytes `input[start..end]`, within `consumed`, transfer coding removed.
    Data { start: usize, end: usize },
    /// The message is complete; trailers (if any) were checked, bounded and dropped.
    End,
    /// Answer with `error.status_hint()` and close: nothing after this byte can be trusted.
    Reject(Error),
}

/// RFC 9112 6.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    None,
    Fixed(u64),
    Chunked,
}

/// Bounds that the engine itself enforces; the defaults live in `config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request line without CRLF; past it 414.
    pub request_line: usize,
    /// Bytes of the whole head; past it 431.
    pub head: usize,
    /// Field lines; past it 431.
    pub fields: usize,
    /// Bytes of one chunk-size line with extensions; past it 400.
    pub chunk_line: usize,
    /// Bytes of the trailer section; past it 431.
    pub trailers: usize,
    /// Bytes of payload after decoding; past it 413 (declared: before any is read).
    pub body: u64,
}

/// How the reply's end is found by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyLength {
    Known(u64),
    /// Chunked on 1.1, until close on 1.0.
    Unknown,
}

#[allow(dead_code)]
fn _shape(_: &Head) {}
