//! The request target (RFC 9112 3.2): its four forms, and its decoding as WSGI frameworks see it.
//!
//! Nothing is normalised here: dot segments, doubled slashes and encodings are the router's business.

use std::borrow::Cow;

use super::host::split_port;
use super::{Method, Span, Target};

/// Why a target was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetError {
    /// None of the four forms, or a byte that may not stand in it.
    Malformed,
    /// A well-formed CONNECT: an origin server opens no tunnels.
    Connect,
}

impl Target {
    /// Parses the target at `span` of a head's bytes.
    ///
    /// # Errors
    /// [`TargetError`]; every CONNECT is an error.
    pub fn parse(method: Method, bytes: &[u8], span: Span) -> Result<Self, TargetError> {
        let raw = span.of(bytes);
        if method == Method::Connect {
            return Err(match split_port(raw) {
                Some(Some(port)) if !port.is_empty() && raw[0] != b':' => TargetError::Connect,
                _ => TargetError::Malformed,
            });
        }
        let start = span.start as usize;
        match raw {
            [b'/', ..] => {
                let (path, query) = split_query(raw, start)?;
                Ok(Self::Origin { path, query })
            }
            b"*" if method == Method::Options => Ok(Self::Asterisk),
            _ => parse_absolute(raw, start),
        }
    }
}

/// Decodes a path as WSGI frameworks see `PATH_INFO`: percent-decoded once, then UTF-8 with replacement characters.
#[must_use]
pub fn percent_decode_path(path: &[u8]) -> Cow<'_, str> {
    match percent_encoding::percent_decode(path).into() {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(into_string_lossy(bytes)),
    }
}

/// Decodes a name or value of a query: like a path, and `+` is a space.
#[must_use]
pub fn percent_decode_query(part: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'+', part).is_none() {
        return percent_decode_path(part);
    }
    let spaced: Vec<u8> = part
        .iter()
        .map(|&b| if b == b'+' { b' ' } else { b })
        .collect();
    let decoded: Vec<u8> = percent_encoding::percent_decode(&spaced).collect();
    Cow::Owned(into_string_lossy(decoded))
}

/// The raw pairs of a query string, in order; empty pieces are skipped, a piece without `=` has an empty value.
#[must_use]
pub fn query_pairs(query: &[u8]) -> QueryPairs<'_> {
    QueryPairs { rest: query }
}

/// Iterator of [`query_pairs`].
#[derive(Debug, Clone)]
pub struct QueryPairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for QueryPairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (piece, rest) = split_once(self.rest, b'&').unwrap_or((self.rest, &[]));
            self.rest = rest;
            if !piece.is_empty() {
                return Some(split_once(piece, b'=').unwrap_or((piece, &[])));
            }
        }
        None
    }
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = memchr::memchr(at, bytes)?;
    Some((&bytes[..index], &bytes[index + 1..]))
}

fn into_string_lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// RFC 9112 3.2.2. Only the schemes that this server answers for.
fn parse_absolute(raw: &[u8], start: usize) -> Result<Target, TargetError> {
    let scheme_len = memchr::memchr(b':', raw).ok_or(TargetError::Malformed)?;
    let scheme = &raw[..scheme_len];
    if !(scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")) {
        return Err(TargetError::Malformed);
    }
    let after = raw[scheme_len..]
        .strip_prefix(b"://")
        .ok_or(TargetError::Malformed)?;
    let from = scheme_len + 3;
    let authority_len = after
        .iter()
        .position(|&b| b == b'/' || b == b'?')
        .unwrap_or(after.len());
    let authority = &after[..authority_len];
    // RFC 9110 4.2.1 and 4.2.4: an empty host is invalid, and so is userinfo from an untrusted source.
    if authority.is_empty() || authority[0] == b':' || split_port(authority).is_none() {
        return Err(TargetError::Malformed);
    }
    let path_start = from + authority_len;
    let (path, query) = split_query(&raw[path_start..], start + path_start)?;
    Ok(Target::Absolute {
        scheme: Span::new(start, start + scheme_len),
        authority: Span::new(start + from, start + path_start),
        path,
        query,
    })
}

/// Checks every byte and finds the first `?`. A `#` is refused: a fragment is never sent, and peers that cut it off
/// would see another target than we do.
fn split_query(raw: &[u8], start: usize) -> Result<(Span, Option<Span>), TargetError> {
    let end = start + raw.len();
    let mut question = None;
    for (index, &byte) in raw.iter().enumerate() {
        match byte {
            b'?' if question.is_none() => question = Some(start + index),
            b'#' => return Err(TargetError::Malformed),
            b'!'..=b'~' => {}
            _ => return Err(TargetError::Malformed),
        }
    }
    Ok(match question {
        Some(at) => (Span::new(start, at), Some(Span::new(at + 1, end))),
        None => (Span::new(start, end), None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, raw: &[u8]) -> Result<Target, TargetError> {
        Target::parse(method, raw, Span::new(0, raw.len()))
    }

    #[test]
    fn splits_the_origin_form_at_the_first_question_mark() {
        let raw = b"/a/b?x=1?y";
        let Ok(Target::Origin { path, query }) = parse(Method::Get, raw) else {
            panic!("not origin-form")
        };
        assert_eq!(path.of(raw), b"/a/b");
        assert_eq!(query.map(|q| q.of(raw)), Some(&b"x=1?y"[..]));
    }

    #[test]
    fn tells_an_empty_query_from_none() {
        let Ok(Target::Origin { query, .. }) = parse(Method::Get, b"/?") else {
            panic!("not origin-form")
        };
        assert_eq!(query, Some(Span::new(2, 2)));
        let Ok(Target::Origin { query, .. }) = parse(Method::Get, b"/") else {
            panic!("not origin-form")
        };
        assert_eq!(query, None);
    }

    #[test]
    fn splits_the_absolute_form() {
        for (raw, authority, path, query) in [
            (
                &b"http://a.example:80/p?q"[..],
                &b"a.example:80"[..],
                &b"/p"[..],
                Some(&b"q"[..]),
            ),
            (b"HTTPS://a?q", b"a", b"", Some(b"q")),
            (b"http://[::1]", b"[::1]", b"", None),
        ] {
            let Ok(Target::Absolute {
                authority: a,
                path: p,
                query: q,
                ..
            }) = parse(Method::Get, raw)
            else {
                panic!("not absolute-form: {raw:?}")
            };
            assert_eq!(
                (a.of(raw), p.of(raw), q.map(|q| q.of(raw))),
                (authority, path, query)
            );
        }
    }

    #[test]
    fn refuses_what_is_no_target() {
        for raw in [
            &b""[..],
            b"foo",
            b"*",
            b"/a#b",
            b"/a b",
            b"/\x01",
            b"/\x7f",
            b"/caf\xc3\xa9",
            b"http:/a",
            b"http:///p",
            b"http://:80/",
            b"http://u@a/",
            b"http://a b/",
            b"ftp://a/",
            b"mailto:a",
            b"http://a#f",
            b"://a",
            b"a:80",
        ] {
            assert_eq!(
                parse(Method::Get, raw),
                Err(TargetError::Malformed),
                "{raw:?}"
            );
        }
    }

    #[test]
    fn keeps_the_asterisk_for_options() {
        assert_eq!(parse(Method::Options, b"*"), Ok(Target::Asterisk));
        assert_eq!(parse(Method::Options, b"**"), Err(TargetError::Malformed));
    }

    #[test]
    fn names_a_tunnel_only_for_a_whole_authority() {
        assert_eq!(
            parse(Method::Connect, b"a.example:443"),
            Err(TargetError::Connect)
        );
        for raw in [
            &b"a.example:"[..],
            b"a.example",
            b"/",
            b":80",
            b"u@a:80",
            b"http://a/",
        ] {
            assert_eq!(
                parse(Method::Connect, raw),
                Err(TargetError::Malformed),
                "{raw:?}"
            );
        }
    }

    #[test]
    fn decodes_a_path_once_and_as_utf8() {
        for (raw, text) in [
            (&b"/plain"[..], "/plain"),
            (b"/caf%C3%A9", "/café"),
            (b"/%2525", "/%25"),
            (b"/a%2Fb", "/a/b"),
            (b"/%ff", "/\u{fffd}"),
            (b"/%e2%82", "/\u{fffd}"),
            (b"/%", "/%"),
            (b"/%g1", "/%g1"),
            (b"/a+b", "/a+b"),
        ] {
            assert_eq!(percent_decode_path(raw), text, "{raw:?}");
        }
        assert!(matches!(percent_decode_path(b"/plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn reads_plus_as_space_in_a_query() {
        assert_eq!(percent_decode_query(b"a+b%2Bc"), "a b+c");
        assert!(matches!(percent_decode_query(b"plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn splits_a_query_into_raw_pairs() {
        let pairs: Vec<_> = query_pairs(b"a=1&&b&=c&d=e=f&").collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"a", b"1"), (b"b", b""), (b"", b"c"), (b"d", b"e=f")];
        assert_eq!(pairs, expected);
        assert_eq!(query_pairs(b"").count(), 0);
    }
}
