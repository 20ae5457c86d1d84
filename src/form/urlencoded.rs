//! `application/x-www-form-urlencoded`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The pairs of a body, decoded, in order; `None` if it is not UTF-8. Empty pieces are skipped, a piece without `=`
/// has an empty value. Bytes that percent-encoding hides and that are no UTF-8 stay percent-encoded, in upper case.
#[must_use]
pub fn pairs(body: &[u8]) -> Option<Pairs<'_>> {
    let rest = std::str::from_utf8(body).ok()?;
    Some(Pairs { rest })
}

/// Iterator of [`pairs`].
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (piece, rest) = split_once(self.rest, b'&').unwrap_or((self.rest, ""));
            self.rest = rest;
            if !piece.is_empty() {
                let (name, value) = split_once(piece, b'=').unwrap_or((piece, ""));
                return Some((decode(name), decode(value)));
            }
        }
        None
    }
}

fn split_once(text: &str, at: u8) -> Option<(&str, &str)> {
    let index = memchr::memchr(at, text.as_bytes())?;
    Some((&text[..index], &text[index + 1..]))
}

fn decode(part: &str) -> Cow<'_, str> {
    if memchr::memchr2(b'+', b'%', part.as_bytes()).is_none() {
        return Cow::Borrowed(part);
    }
    let spaced = part.replace('+', " ");
    let decoded: Vec<u8> = percent_encoding::percent_decode(spaced.as_bytes()).collect();
    Cow::Owned(String::from_utf8(decoded).unwrap_or_else(|error| quoted(error.as_bytes())))
}

/// The text with what is no UTF-8 percent-encoded.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
