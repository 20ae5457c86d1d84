//! A connection's clients send the same fields with every request: what the last ones said is remembered with their bytes.
//!
//! Equal bytes have one meaning, so a head whose field lines are those of the one before is read by comparing them, and
//! only its request line is parsed. Only what every server takes without a second look is read this way: a method with a
//! name of its own, an absolute path of unreserved characters and the like, HTTP/1.1. All else goes through the grammar.

use super::Limits;
use super::framing::Facts;
use crate::http::{Field, Head, Method, Span, Target, Version, is_plain_byte};

/// Longer blocks of fields are not kept: an idle connection is to stay small.
const MOST: usize = 2048;
/// After so many different blocks in a row the connection's client is one whose fields change.
const PATIENCE: u8 = 8;

/// What a plain path and query are made of (RFC 3986 3.3 and 3.4).
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = is_plain_byte(b) || matches!(b, b':' | b'@' | b'/' | b'?' | b'%');
        byte += 1;
    }
    table
};

#[derive(Debug, Default)]
pub(super) struct Recall {
    kept: Option<Box<Kept>>,
    /// Heads that went through the grammar since one was recalled.
    parsed: u8,
}

#[derive(Debug)]
struct Kept {
    /// From the CRLF of the request line to the empty line.
    block: Box<[u8]>,
    /// Relative to the block.
    fields: Box<[Field]>,
    host: Option<Span>,
    facts: Facts,
}

impl Recall {
    /// Reads a head whose field lines are known. `None`: it has to go through the grammar.
    pub(super) fn read(&mut self, input: &[u8], head: &mut Head, limits: &Limits) -> Option<Facts> {
        let kept = self.kept.as_deref()?;
        let end = memchr::memchr(b'\r', input)?;
        let len = end + kept.block.len();
        if end > limits.request_line || len > limits.head || !input[end..].starts_with(&kept.block)
        {
            return None;
        }
        let line = input[..end].strip_suffix(b" HTTP/1.1")?;
        let space = memchr::memchr(b' ', line)?;
        let method = Method::known(&line[..space])?;
        let start = space + 1;
        if method == Method::Connect || line.get(start) != Some(&b'/') {
            return None;
        }
        let mut question = line.len();
        for (at, &byte) in line.iter().enumerate().skip(start) {
            if !PLAIN[byte as usize] {
                return None;
            }
            if byte == b'?' && question == line.len() {
                question = at;
            }
        }
        head.method = method;
        head.target = Target::Origin {
            path: Span::new(start, question),
            query: (question < line.len()).then(|| Span::new(question + 1, line.len())),
        };
        head.version = Version::Http11;
        head.fields.clear();
        head.fields.extend(kept.fields.iter().map(|field| Field {
            name: shifted(field.name, end),
            value: shifted(field.value, end),
        }));
        head.host = kept.host.map(|host| shifted(host, end));
        head.len = len as u32;
        self.parsed = 1;
        Some(Facts {
            is_head: method == Method::Head,
            ..kept.facts
        })
    }

    /// Remembers the fields of a head that went through the grammar, from the connection's second request on.
    pub(super) fn note(&mut self, bytes: &[u8], head: &Head, facts: &Facts) {
        if self.parsed == 0 || self.parsed > PATIENCE {
            self.parsed = self.parsed.max(1);
            self.kept = None;
            return;
        }
        self.parsed += 1;
        let (Some(first), Target::Origin { .. }, Version::Http11) =
            (head.fields.first(), head.target, head.version)
        else {
            return;
        };
        let start = first.name.start as usize - 2;
        let block = &bytes[start..head.len as usize];
        if block.len() > MOST || !bytes[..start].ends_with(b" HTTP/1.1") {
            return;
        }
        let fields = head.fields.iter().map(|field| Field {
            name: relative(field.name, start),
            value: relative(field.value, start),
        });
        self.kept = Some(Box::new(Kept {
            block: block.into(),
            fields: fields.collect(),
            host: head.host.map(|host| relative(host, start)),
            facts: *facts,
        }));
    }
}

/// An empty value stands nowhere: at 0.
fn relative(span: Span, start: usize) -> Span {
    Span {
        start: span.start.saturating_sub(start as u32),
        ..span
    }
}

fn shifted(span: Span, by: usize) -> Span {
    if span.len == 0 {
        return Span::default();
    }
    Span {
        start: span.start + by as u32,
        ..span
    }
}
