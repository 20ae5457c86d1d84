//! A received request as the service gets it.

use super::body::{Body, Incoming};
use crate::buf::Held;
use crate::http::{Field, Head, Span};
use std::net::SocketAddr;

/// Head and body of one request. The spans of `head` are relative to `bytes`.
#[derive(Debug)]
pub struct Request {
    pub bytes: Held,
    pub head: Head,
    pub body: Body,
}

impl Request {
    #[must_use]
    pub fn text(&self, span: Span) -> &[u8] {
        span.of(&self.bytes)
    }

    /// The first field of this name, any case.
    #[must_use]
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.head
            .fields
            .iter()
            .map(|Field { name, value }| (name.of(&self.bytes), value.of(&self.bytes)))
    }
}

/// A request whose body is still coming in.
#[derive(Debug)]
pub(super) struct Arriving {
    pub bytes: Held,
    pub head: Head,
    pub body: Incoming,
}

/// Both ends of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerAddr {
    Inet {
        peer: SocketAddr,
        local: SocketAddr,
    },
    /// A unix socket; peers have no address.
    Unix {
        local: String,
    },
}
