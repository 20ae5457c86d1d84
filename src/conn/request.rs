//! A received request as the service gets it.

use super::body::{Body, Incoming};
use crate::buf::Held;
use crate::http::forwarded::Origin;
use crate::http::{Field, Head, Span};
use std::net::{IpAddr, SocketAddr};

/// Head and body of one request. The spans of `head` are relative to `bytes`.
#[derive(Debug)]
pub struct Request {
    pub bytes: Held,
    pub head: Head,
    pub body: Body,
    /// What trusted proxies said; `None` for most connections, which have none in front.
    pub origin: Option<Box<Origin>>,
}

impl Request {
    /// The host that the client asked for: as sent, or as a trusted proxy says.
    #[must_use]
    pub fn host(&self) -> Option<&[u8]> {
        match &self.origin {
            Some(origin) if origin.host.is_some() => origin.host.as_deref(),
            _ => self.head.host.map(|span| self.text(span)),
        }
    }

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
    pub origin: Option<Box<Origin>>,
    /// From so many bytes of its body on it is offered to the service.
    pub offered_at: usize,
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
    /// No connection: the ends that a request without one is said to have.
    Named {
        client: Option<IpAddr>,
        name: String,
        port: u16,
    },
}
