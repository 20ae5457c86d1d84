//! The grammar of RFC 7239 section 4, to the letter: what is not well-formed could hide where an element ends.

use crate::http::fields::is_token_byte;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

/// One proxy's element.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub node: Option<Cow<'a, [u8]>>,
    pub host: Option<Cow<'a, [u8]>>,
    pub proto: Option<Cow<'a, [u8]>>,
    by: bool,
}

/// The line is not of RFC 7239's grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Element<'a> {
    /// Reads a field line and appends its elements. Empty list items are skipped (RFC 9110 5.6.1).
    pub(super) fn parse_list(line: &'a [u8], into: &mut Vec<Self>) -> Result<(), Malformed> {
        let mut rest = line;
        loop {
            let (element, after) = Self::parse(skip_whitespace(rest))?;
            into.extend(element);
            match after {
                [] => return Ok(()),
                [b',', after @ ..] => rest = after,
                _ => return Err(Malformed),
            }
        }
    }

    /// `[ pair ] *( ";" [ pair ] )`; `None` for an empty one.
    fn parse(mut rest: &'a [u8]) -> Result<(Option<Self>, &'a [u8]), Malformed> {
        let mut element = Self::default();
        let mut pairs = 0;
        loop {
            match rest {
                [] | [b',', ..] => break,
                // Spaces around semicolons are not in the grammar; they are common and end nothing.
                [b';' | b' ' | b'\t', after @ ..] => {
                    rest = after;
                    continue;
                }
                _ => {}
            }
            let (name, value, after) = pair(rest)?;
            element.put(name, value)?;
            pairs += 1;
            rest = skip_whitespace(after);
            if !matches!(rest, [] | [b';' | b',', ..]) {
                return Err(Malformed);
            }
        }
        Ok(((pairs > 0).then_some(element), rest))
    }

    fn put(&mut self, name: &[u8], value: Cow<'a, [u8]>) -> Result<(), Malformed> {
        let slot = match name.to_ascii_lowercase().as_slice() {
            b"for" => &mut self.node,
            b"host" => &mut self.host,
            b"proto" => &mut self.proto,
            b"by" => {
                return if std::mem::replace(&mut self.by, true) {
                    Err(Malformed)
                } else {
                    Ok(())
                };
            }
            _ => return Ok(()),
        };
        // RFC 7239 4: each parameter at most once in an element.
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(Malformed),
        }
    }
}

/// A name, its value and what follows.
type Pair<'a> = (&'a [u8], Cow<'a, [u8]>, &'a [u8]);

/// `token "=" ( token / quoted-string )`
fn pair(text: &[u8]) -> Result<Pair<'_>, Malformed> {
    let name = token(text);
    let [b'=', rest @ ..] = &text[name..] else {
        return Err(Malformed);
    };
    if name == 0 {
        return Err(Malformed);
    }
    let (value, rest) = match rest {
        [b'"', quoted @ ..] => unquote(quoted)?,
        _ => {
            let length = token(rest);
            if length == 0 {
                return Err(Malformed);
            }
            (Cow::Borrowed(&rest[..length]), &rest[length..])
        }
    };
    Ok((&text[..name], value, rest))
}

fn token(text: &[u8]) -> usize {
    text.iter()
        .position(|b| !is_token_byte(*b))
        .unwrap_or(text.len())
}

/// RFC 9110 5.6.4, from behind the opening quote.
fn unquote(text: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), Malformed> {
    let special = text
        .iter()
        .position(|b| matches!(b, b'"' | b'\\'))
        .ok_or(Malformed)?;
    if text[special] == b'"' {
        return Ok((Cow::Borrowed(&text[..special]), &text[special + 1..]));
    }
    let mut value = Vec::with_capacity(text.len());
    let mut bytes = text.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Ok((Cow::Owned(value), &text[at + 1..])),
            b'\\' => value.push(*bytes.next().ok_or(Malformed)?.1),
            _ => value.push(*byte),
        }
    }
    Err(Malformed)
}

fn skip_whitespace(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Who connected to a proxy (RFC 7239 6), or an entry of `X-Forwarded-For`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Address(IpAddr, Option<u16>),
    /// `unknown`, a name that the proxy made up, or nothing that names an address.
    Hidden,
}

impl Node {
    /// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `[::1]`, `[::1]:80`, and `::1`, which
    /// `X-Forwarded-For` has without brackets.
    pub(super) fn parse(text: &[u8]) -> Self {
        std::str::from_utf8(text)
            .ok()
            .and_then(Self::address)
            .unwrap_or(Self::Hidden)
    }

    fn address(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            let port = match port.strip_prefix(':') {
                Some(port) => node_port(port)?,
                None if port.is_empty() => None,
                None => return None,
            };
            return Some(Self::Address(IpAddr::V6(address).to_canonical(), port));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical(), None));
        }
        let (address, port) = text.split_once(':')?;
        let address: std::net::Ipv4Addr = address.parse().ok()?;
        Some(Self::Address(IpAddr::V4(address), node_port(port)?))
    }
}

/// RFC 7239 6.3: digits, or a made-up name, which is no port to us. `None` in all when it is neither.
fn node_port(text: &str) -> Option<Option<u16>> {
    if text.starts_with('_') {
        return Some(None);
    }
    if text.is_empty() || text.len() > 5 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Some(text.parse().ok()?))
}
