//! Method names (RFC 9110 9, RFC 5789). They are case-sensitive: `get` is a method we do not know.

use super::{Method, Span};

impl Method {
    /// The method that `name` is, if it is one of those with a variant of its own.
    #[must_use]
    pub fn known(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => return None,
        })
    }

    /// The method at `span` of a head's bytes.
    #[must_use]
    pub fn parse(bytes: &[u8], span: Span) -> Self {
        Self::known(span.of(bytes)).unwrap_or(Self::Other(span))
    }

    /// The name, given the head's bytes (an unknown method points into them).
    #[must_use]
    pub fn as_bytes(self, head: &[u8]) -> &[u8] {
        match self {
            Self::Other(span) => span.of(head),
            known => known.name().as_bytes(),
        }
    }

    /// The name as text; a method is an ASCII token, so nothing is lost.
    #[must_use]
    pub fn as_str(self, head: &[u8]) -> &str {
        match self {
            Self::Other(span) => std::str::from_utf8(span.of(head)).unwrap_or(""),
            known => known.name(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
            Self::Other(_) => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_method_keeps_its_name() {
        for name in [
            "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
        ] {
            let method = Method::parse(name.as_bytes(), Span::new(0, name.len()));
            assert_eq!(Some(method), Method::known(name.as_bytes()));
            assert_eq!(method.as_str(b""), name);
        }
    }

    #[test]
    fn an_unknown_method_points_at_its_name() {
        for name in ["get", "PROPFIND", "G", "GETS"] {
            let method = Method::parse(name.as_bytes(), Span::new(0, name.len()));
            assert!(matches!(method, Method::Other(_)), "{name}");
            assert_eq!(method.as_bytes(name.as_bytes()), name.as_bytes());
        }
    }
}
