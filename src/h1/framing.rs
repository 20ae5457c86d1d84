//! What the fields of a head say about the message itself: Host, body length, persistence, expectation
//! (RFC 9112 3.2, 6.3, 9.3; RFC 9110 10.1.1).

use super::{BodyLength, Error, Limits};
use crate::http::{Head, Method, Span, Target, Version, is_host, trim_whitespace};

/// What the engine keeps of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) body: BodyLength,
    pub(super) version: Version,
    pub(super) is_head: bool,
    /// The client lets the connection persist.
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
}

/// Collects the fields that frame the message, one field at a time.
#[derive(Debug, Default)]
pub(super) struct Collector {
    host: Option<Span>,
    content_length: Option<u64>,
    codings: Codings,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    unknown_expectation: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Codings {
    #[default]
    None,
    /// One field, and it says exactly `chunked`.
    Chunked,
    /// Anything else: the list is walked to tell 400 from 501.
    Other,
}

impl Collector {
    /// Length first: most fields leave after one comparison of a number.
    #[inline]
    pub(super) fn field(&mut self, name: &[u8], value: &[u8], span: Span) -> Result<(), Error> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                // RFC 9112 3.2: more than one, or an invalid one, is a 400 in any version.
                if self.host.is_some() || !is_host(value) {
                    return Err(Error::Host);
                }
                self.host = Some(span);
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                if value.eq_ignore_ascii_case(b"100-continue") {
                    self.expects_continue = true;
                } else {
                    self.unknown_expectation = true;
                }
            }
            10 if name.eq_ignore_ascii_case(b"connection") => self.connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                // RFC 9112 6.3 (5) allows equal repetitions; we refuse every list, as smuggling needs one.
                if self.content_length.is_some() {
                    return Err(Error::ContentLength);
                }
                self.content_length = Some(parse_length(value)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.codings = match self.codings {
                    Codings::None if value.eq_ignore_ascii_case(b"chunked") => Codings::Chunked,
                    _ => Codings::Other,
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|&b| b == b',') {
            let option = trim_whitespace(option);
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            }
        }
    }

    /// Judges what was collected; `head` has its fields, method, target and version by now.
    pub(super) fn finish(
        self,
        bytes: &[u8],
        head: &mut Head,
        limits: &Limits,
    ) -> Result<Facts, Error> {
        let version = head.version;
        let body = self.body_length(bytes, head)?;
        if version == Version::Http11 {
            if self.host.is_none() {
                return Err(Error::Host);
            }
            if self.unknown_expectation {
                return Err(Error::Expectation);
            }
        }
        if matches!(body, BodyLength::Fixed(length) if length > limits.body) {
            return Err(Error::BodyTooLarge);
        }
        head.host = match head.target {
            Target::Absolute { authority, .. } => Some(authority),
            _ => self.host,
        };
        Ok(Facts {
            body,
            version,
            is_head: head.method == Method::Head,
            keep_alive: !self.close && (version == Version::Http11 || self.keep_alive),
            // RFC 9110 10.1.1: an expectation in a 1.0 request is ignored.
            expects_continue: self.expects_continue && version == Version::Http11,
        })
    }

    /// RFC 9112 6.3, in its order.
    fn body_length(&self, bytes: &[u8], head: &Head) -> Result<BodyLength, Error> {
        if self.codings != Codings::None {
            // 6.1: both together, or a coding in 1.0, are faulty framing; repairing them is how smuggling works.
            if self.content_length.is_some() {
                return Err(Error::FramingConflict);
            }
            if head.version == Version::Http10 {
                return Err(Error::TransferEncoding);
            }
            if self.codings == Codings::Other {
                return Err(judge_codings(bytes, head));
            }
            return Ok(BodyLength::Chunked);
        }
        Ok(match self.content_length {
            None | Some(0) => BodyLength::None,
            Some(length) => BodyLength::Fixed(length),
        })
    }
}

/// RFC 9110 8.6: digits and nothing else. No sign, no list, no overflow.
fn parse_length(value: &[u8]) -> Result<u64, Error> {
    if value.is_empty() {
        return Err(Error::ContentLength);
    }
    let mut length = 0_u64;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return Err(Error::ContentLength);
        }
        length = length
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
            .ok_or(Error::ContentLength)?;
    }
    Ok(length)
}

/// Names the fault of a coding list that is not the one word `chunked`: a coding we do not decode is 501
/// (RFC 9112 6.1), a list whose end cannot be trusted is 400 (6.3).
fn judge_codings(bytes: &[u8], head: &Head) -> Error {
    let mut chunked_at = None;
    let mut count = 0_usize;
    let fields = head.fields.iter();
    let values = fields
        .filter(|field| {
            field
                .name
                .of(bytes)
                .eq_ignore_ascii_case(b"transfer-encoding")
        })
        .map(|field| field.value.of(bytes));
    for coding in values.flat_map(|value| value.split(|&b| b == b',')) {
        let coding = trim_whitespace(coding);
        let name = coding.split(|&b| b == b';').next().unwrap_or_default();
        let is_chunked = trim_whitespace(name).eq_ignore_ascii_case(b"chunked");
        let is_malformed = name.is_empty() || (is_chunked && name.len() != coding.len());
        if is_malformed || (is_chunked && chunked_at.is_some()) {
            return Error::TransferEncoding;
        }
        if is_chunked {
            chunked_at = Some(count);
        }
        count += 1;
    }
    match chunked_at {
        Some(index) if index + 1 < count => Error::TransferEncoding,
        _ => Error::UnknownCoding,
    }
}
