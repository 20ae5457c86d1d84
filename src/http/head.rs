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

/// A request head. It is moved with its request, so only a few fields stand in it and more of them elsewhere.
#[derive(Debug, Clone)]
pub struct Head {
    pub method: Method,
    pub target: Target,
    pub version: Version,
    pub fields: SmallVec<[Field; 6]>,
    /// The one Host field, if any, or the authority of an absolute target, which replaces it (RFC 9112 3.2.2).
    /// Already checked; may be empty.
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

impl Head {
    /// Back to empty; the field storage stays.
    pub fn clear(&mut self) {
        self.method = Method::Get;
        self.target = Target::Asterisk;
        self.version = Version::Http11;
        self.fields.clear();
        self.host = None;
        self.len = 0;
    }

    /// The raw path: `/` where an absolute target has none (RFC 9112 3.2.1), `*` for the asterisk form.
    #[must_use]
    pub fn path<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        match self.target {
            Target::Origin { path, .. } => path.of(bytes),
            Target::Absolute { path, .. } if path.len == 0 => b"/",
            Target::Absolute { path, .. } => path.of(bytes),
            Target::Authority(authority) => authority.of(bytes),
            Target::Asterisk => b"*",
        }
    }

    /// The raw query without its question mark; `None` when there is no question mark.
    #[must_use]
    pub fn query<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        match self.target {
            Target::Origin { query, .. } | Target::Absolute { query, .. } => {
                query.map(|span| span.of(bytes))
            }
            Target::Authority(_) | Target::Asterisk => None,
        }
    }

    /// The first field of this name, in any case of letters.
    #[must_use]
    pub fn field<'a>(&self, bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
        self.fields
            .iter()
            .find(|field| field.name.of(bytes).eq_ignore_ascii_case(name))
            .map(|field| field.value.of(bytes))
    }
}
