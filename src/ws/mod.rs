//! WebSocket, sans-IO (RFC 6455), with permessage-deflate (RFC 7692): bytes in, messages out; messages in, frames out.
//!
//! ```text
//!  Header ──header──▶ Payload ──last byte──▶ Header          a message is handed out with the end of its last frame
//!    │                   │
//!    └───── fault ───────┴──▶ Failed      nothing after this byte can be trusted
//!    └───── close frame ────▶ Closed      nothing after it is read (RFC 6455 5.5.1)
//! ```
//!
//! [`Decoder`] reads what the peer sends and knows one fragmented message at a time, between whose frames control
//! frames may stand. [`Encoder`] writes whole messages as single frames. Neither does I/O, knows a clock or answers by
//! itself: that a ping wants a pong is its caller's business.

#![forbid(unsafe_code)]

mod close;
mod decoder;
mod deflate;
mod encoder;
mod extension;
mod frame;
mod handshake;
mod mask;
#[cfg(test)]
mod tests;

pub use close::{ABNORMAL, CloseReason, GOING_AWAY, INTERNAL, MAX_REASON, NO_STATUS, NORMAL};
pub use decoder::{Decoder, Event, Step};
pub use encoder::{Encoder, encode_close, encode_control};
pub use extension::{Agreed, Compression};
pub use frame::Opcode;
pub use handshake::{Handshake, Refusal};

/// What a message's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8, checked.
    Text,
    Binary,
}

/// A whole message, unmasked and decompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub kind: Kind,
    pub data: Vec<u8>,
}

/// Which end of the connection this is: a client masks what it sends, a server never does (RFC 6455 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

/// Bounds that the engine itself enforces; the defaults live in `config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Payload bytes of one frame as sent.
    pub frame: usize,
    /// Bytes of one message, decompressed.
    pub message: usize,
}

/// Why a connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a frame breaks the protocol")]
    Protocol,
    #[error("a text is not UTF-8")]
    NotUtf8,
    #[error("a message is too big")]
    TooBig,
    #[error("a compressed message cannot be decompressed")]
    NotDeflate,
}

impl Error {
    /// The code that the peer is told (RFC 6455 7.4.1).
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::NotUtf8 | Self::NotDeflate => 1007,
            Self::TooBig => 1009,
        }
    }
}
