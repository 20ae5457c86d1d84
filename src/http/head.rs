//! A parsed request head as spans into the bytes it was parsed from (RFC 9112 section 3, RFC 9110 section 6.3).

use smallvec::SmallVec;

/// A byte range relative to the first byte of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && u32::try_from(end).is_ok());
        Self {
            start: start as u32,
            len: (end - start) as u32,
        }
    }

    #[must_use]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..(self.start + self.len) as usize]
    }
}

/// RFC 9110 9.1. A method we do not know keeps its span: it is routed like any other token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Trace,
    Connect,
    Other(Span),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Http10,
    Http11,
}

/// RFC 9112 3.2, by form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `/path?query`
    Origin { path: Span, query: Option<Span> },
    /// `http://authority/path?query`; the authority replaces Host (RFC 9112 3.2.2).
    Absolute {
        scheme: Span,
        authority: Span,
        path: Span,
        query: Option<Span>,
    },
    /// CONNECT only.
    Authority(Span),
    /// OPTIONS only.
    Asterisk,
}

/// One field line; the value is without surrounding whitespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub name: Span,
    pub value: Span,
}

/// A request head. Reused from request to request: `clear` keeps the allocation.
#[derive(Debug, Clone)]
pub struct Head {
    pub method: Method,
    pub target: Target,
    pub version: Version,
    pub fields: SmallVec<[Field; 16]>,
    /// The one Host field, if any; already checked against RFC 9112 3.2.
    pub host: Option<Span>,
    /// Bytes from the first of the request line to the last of the empty line.
    pub len: u32,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            method: Method::Get,
            target: Target::Asterisk,
            version: Version::Http11,
            fields: SmallVec::new(),
            host: None,
            len: 0,
        }
    }
}
