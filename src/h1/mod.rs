//! HTTP/1.x, sans-IO (RFC 9112): bytes in, events out; replies in, bytes out. No sockets, no clock, no Python.
//!
//! ```text
//!          Head, complete                    finish: KeepAlive
//!  Head ───────────────────▶ Received ──────────────────────────▶ Head
//!    │                          ▲   │ finish: Close
//!    │ Head, not complete       │   ▼
//!    ├──▶ Fixed | Chunked ──End─┘  Closed
//!    │         │ Reject
//!    └─Reject──┴──▶ Rejected ──finish──▶ Closed
//! ```
//!
//! Where RFC 9112 leaves a recipient the choice between repair and refusal, this engine refuses: every such repair
//! is a request that two servers in a row can read as two different ones.

#![forbid(unsafe_code)]

mod chunked;
mod encode;
mod engine;
mod error;
mod framing;
mod parse;
mod recall;
#[cfg(test)]
mod tests;

pub use encode::encode_error;
pub use engine::Engine;
pub use error::Error;

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

/// What the caller may write after the reply's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyBody {
    /// Nothing: HEAD, 1xx, 204 and 304, or an empty body. Data given anyway is dropped.
    None,
    /// The body as it is: by [`Engine::encode_data`] and [`Engine::encode_end`], or by the caller itself, all of it.
    Raw,
    /// Only by [`Engine::encode_data`] and [`Engine::encode_end`].
    Chunked,
}

/// What the end of input means at the point it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eof {
    /// Between messages, nothing unread; or a whole message waits for its reply.
    Clean,
    /// Inside a message: what came of it must not be acted on (RFC 9112 8).
    Truncated,
}

/// What follows a complete reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The engine reads heads again; bytes left over are the next request's.
    KeepAlive,
    /// Nothing more may be read or sent.
    Close,
}
