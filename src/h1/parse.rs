//! Request heads (RFC 9112 2 to 5): httparse for the grammar, then what httparse lets pass.
//!
//! httparse takes a bare LF for a line end, raw UTF-8 in a target, and knows no minor version past 1; those are
//! judged here. A partial head is not parsed again for every byte that trickles in: the search for its end remembers
//! where it stopped, and the grammar is tried again when the end is there or the size has doubled.

use std::mem::MaybeUninit;

use super::framing::{Collector, Facts};
use super::{Error, Limits};
use crate::http::{Field, Head, Method, Span, Target, TargetError, Version};

/// Storage for field lines on the stack; `Limits::fields` past it has no effect.
const MAX_FIELDS: usize = 256;
/// Longest method name. The longest registered one has 17 bytes.
const MAX_METHOD: usize = 64;
/// Empty lines before a request line (RFC 9112 2.2 asks for one; some old clients send it after each body).
const MAX_BLANK_LINES: u8 = 8;

/// How far an incomplete head was looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scan {
    /// Bytes searched for line ends.
    searched: usize,
    /// Start of the line that `searched` is in.
    line_start: usize,
    /// Size at which the grammar is tried again.
    retry_at: usize,
    blank_lines: u8,
}

impl Scan {
    /// Counts the empty lines at the start of `input` and returns their bytes.
    pub(super) fn skip_blank_lines(&mut self, input: &[u8]) -> Result<usize, Error> {
        let mut at = 0;
        loop {
            match &input[at..] {
                [b'\r', b'\n', ..] => {
                    self.blank_lines += 1;
                    if self.blank_lines > MAX_BLANK_LINES {
                        return Err(Error::RequestLine);
                    }
                    at += 2;
                }
                [b'\n', ..] | [b'\r', _, ..] => return Err(Error::LineEnd),
                _ => return Ok(at),
            }
        }
    }

    /// Parses the head that `input` starts with; `None` while it is incomplete.
    pub(super) fn parse(
        &mut self,
        input: &[u8],
        head: &mut Head,
        limits: &Limits,
    ) -> Result<Option<Facts>, Error> {
        let window = &input[..input.len().min(limits.head)];
        let is_first_look = self.searched == 0;
        let mut is_whole = !is_first_look && self.search(window)?;
        if is_first_look || is_whole || window.len() >= self.retry_at {
            if let Some(facts) = parse_head(window, head, limits)? {
                return Ok(Some(facts));
            }
            self.retry_at = window.len() * 2;
            // A head that comes in one piece is never searched: httparse alone sees it.
            is_whole |= is_first_look && self.search(window)?;
        }
        if is_whole {
            // The empty line is there, and the grammar did not see it.
            return Err(Error::RequestLine);
        }
        self.check_bounds(window, limits)?;
        Ok(None)
    }

    /// Looks at line ends not seen before: whether the empty line is there, and that no LF is without its CR.
    fn search(&mut self, window: &[u8]) -> Result<bool, Error> {
        while let Some(found) = memchr::memchr(b'\n', &window[self.searched..]) {
            let lf = self.searched + found;
            if lf == 0 || window[lf - 1] != b'\r' {
                return Err(Error::LineEnd);
            }
            let is_empty_line = lf == self.line_start + 1;
            self.searched = lf + 1;
            self.line_start = lf + 1;
            if is_empty_line {
                return Ok(true);
            }
        }
        self.searched = window.len();
        Ok(false)
    }

    /// The limits, for a head that is not complete.
    fn check_bounds(&self, window: &[u8], limits: &Limits) -> Result<(), Error> {
        if window.len() > MAX_METHOD && memchr::memchr(b' ', &window[..=MAX_METHOD]).is_none() {
            return Err(Error::Method);
        }
        if self.line_start == 0 {
            // One past the limit may be the CR.
            if window.len() > limits.request_line + 1 || window.len() >= limits.head {
                return Err(Error::RequestLineTooLong);
            }
        } else if memchr::memchr(b'\n', window).is_some_and(|lf| lf > limits.request_line + 1) {
            return Err(Error::RequestLineTooLong);
        } else if window.len() >= limits.head {
            return Err(Error::HeadTooLarge);
        }
        Ok(())
    }
}

/// Parses a head from the first byte of its request line.
fn parse_head(bytes: &[u8], head: &mut Head, limits: &Limits) -> Result<Option<Facts>, Error> {
    match fill(bytes, head, limits) {
        Err(Error::Version) => match minor_version_digit(bytes)? {
            None => Ok(None),
            Some(digit) => {
                // RFC 9110 2.5: a higher minor version is the highest we know. Nobody sends one, so a copy will do.
                let mut copy = bytes.to_vec();
                copy[digit] = b'1';
                fill(&copy, head, limits)
            }
        },
        other => other,
    }
}

fn fill(bytes: &[u8], head: &mut Head, limits: &Limits) -> Result<Option<Facts>, Error> {
    let mut storage = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let parsed =
        request.parse_with_uninit_headers(bytes, &mut storage[..limits.fields.min(MAX_FIELDS)]);
    let len = match parsed {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(map_error(error)),
    };
    let (Some(method), Some(path), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(Error::RequestLine);
    };
    let base = bytes.as_ptr() as usize;
    let span = |part: &[u8]| {
        let start = part.as_ptr() as usize - base;
        Span::new(start, start + part.len())
    };

    head.clear();
    let method_span = span(method.as_bytes());
    // An LF that httparse took for a line end stands before a field's name or at the end; each must have its CR.
    if method_span.start != 0 || !bytes[..len].ends_with(b"\r\n\r\n") {
        return Err(Error::LineEnd);
    }
    if method.len() > MAX_METHOD {
        return Err(Error::Method);
    }
    head.version = if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    head.method = Method::parse(bytes, method_span);
    head.len = len as u32;

    let mut collector = Collector::default();
    head.fields.reserve(request.headers.len());
    let mut line_end = len - 4;
    for (index, header) in request.headers.iter().enumerate() {
        let name = span(header.name.as_bytes());
        // httparse gives an empty value without saying where it is.
        let value = if header.value.is_empty() {
            Span::new(0, 0)
        } else {
            span(header.value)
        };
        let start = name.start as usize;
        if bytes[start - 2] != b'\r' {
            return Err(Error::LineEnd);
        }
        if index == 0 {
            line_end = start - 2;
        }
        head.fields.push(Field { name, value });
        collector.field(header.name.as_bytes(), header.value, value)?;
    }
    if line_end > limits.request_line {
        return Err(Error::RequestLineTooLong);
    }
    head.target =
        Target::parse(head.method, bytes, span(path.as_bytes())).map_err(|error| match error {
            TargetError::Malformed => Error::Target,
            TargetError::Connect => Error::Connect,
        })?;
    collector.finish(bytes, head, limits).map(Some)
}

fn map_error(error: httparse::Error) -> Error {
    match error {
        httparse::Error::HeaderName => Error::FieldName,
        httparse::Error::HeaderValue => Error::FieldValue,
        httparse::Error::NewLine => Error::LineEnd,
        httparse::Error::TooManyHeaders => Error::TooManyFields,
        httparse::Error::Version => Error::Version,
        httparse::Error::Token | httparse::Error::Status => Error::RequestLine,
    }
}

/// Judges a version that httparse refused: the place of a minor digit that we read as 1, `None` when more bytes are
/// needed to tell, 505 for another major version, 400 for what is no version.
fn minor_version_digit(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let mut spaces = memchr::memchr_iter(b' ', bytes);
    let (Some(_), Some(second)) = (spaces.next(), spaces.next()) else {
        return Err(Error::RequestLine);
    };
    let version = &bytes[second + 1..];
    for (index, &byte) in version.iter().take(8).enumerate() {
        let fits = match index {
            5 | 7 => byte.is_ascii_digit(),
            6 => byte == b'.',
            _ => byte == b"HTTP/"[index],
        };
        if !fits {
            return Err(Error::RequestLine);
        }
    }
    match version {
        [_, _, _, _, _, b'1', _, b'2'..=b'9', ..] => Ok(Some(second + 8)),
        [_, _, _, _, _, _, _, _, ..] => Err(Error::Version),
        _ => Ok(None),
    }
}
