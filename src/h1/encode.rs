//! Replies (RFC 9112 4 to 7): status line, the application's fields, length, date, persistence; then the body.
//!
//! Content-Length, Transfer-Encoding and Connection are the engine's: an application that sets them cannot desynchronise
//! the connection. No allocation but the output's own growth, no formatting machinery.

use super::engine::{Engine, Expectation};
use super::{ReplyBody, ReplyLength};
use crate::http::{Version, is_field_name, is_field_value, list_has_token, status_line};

/// How far the reply to the current request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Awaited,
    /// No body, or a body that is complete.
    Done,
    /// `left` of the announced length; `None` until the connection closes.
    Raw {
        left: Option<u64>,
    },
    Chunked,
}

impl Engine {
    /// Writes the head of the reply: status line, `lines`, `fields`, Content-Length or Transfer-Encoding, Date,
    /// Connection.
    ///
    /// `lines` are complete field lines that need no look: valid, and none of those the engine writes. `fields` may hold Date (it replaces ours) and `Connection: close` (it is honoured); their Content-Length,
    /// Transfer-Encoding and other Connection options are dropped, except Connection in a 101. A field that could
    /// break the framing (no token for a name; CR, LF or NUL in the value) is dropped: validate before. A 1xx other
    /// than 101 is an interim answer and leaves the final one due. A status outside 100 to 999 is sent as 500.
    #[allow(clippy::too_many_arguments)] // One call a reply; a struct of borrowed parts would only rename them.
    pub fn encode_head<'a>(
        &mut self,
        out: &mut Vec<u8>,
        status: u16,
        reason: Option<&[u8]>,
        lines: &[u8],
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        length: ReplyLength,
        keep_alive: bool,
        date: &[u8; 29],
    ) -> ReplyBody {
        let status = if (100..1000).contains(&status) {
            status
        } else {
            500
        };
        if status < 200 && status != 101 {
            self.encode_interim(out, status, reason, fields);
            return ReplyBody::None;
        }
        let is_upgrade = status == 101;
        let mut has_date = false;
        let mut close = false;
        // Most heads fit: one growth at the most.
        out.reserve(256);
        encode_status(out, status, reason);
        out.extend_from_slice(lines);
        for (name, value) in fields {
            match name.len() {
                4 if name.eq_ignore_ascii_case(b"date") => has_date = true,
                10 if !is_upgrade && name.eq_ignore_ascii_case(b"connection") => {
                    close |= list_has_token(value, b"close");
                    continue;
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => continue,
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => continue,
                _ => {}
            }
            encode_field(out, name, value);
        }
        let body = self.encode_length(out, status, length);
        // RFC 9112 9.6: said as soon as it is known. A body that is not read by now is not waited for.
        if close
            || !keep_alive
            || !self.is_request_read()
            || self.exchange.expectation == Expectation::Pending
        {
            self.exchange.keep_alive = false;
        }
        if has_date {
            out.extend_from_slice(b"\r\n");
        } else {
            // With the empty line, in one copy of known size.
            let mut end = *b"Date: -----------------------------\r\n\r\n";
            end[6..35].copy_from_slice(date);
            out.extend_from_slice(&end);
        }
        let option: &[u8] = match (self.exchange.keep_alive, self.exchange.version) {
            _ if is_upgrade => b"",
            (false, _) => b"Connection: close\r\n\r\n",
            (true, Version::Http10) => b"Connection: keep-alive\r\n\r\n",
            (true, Version::Http11) => b"",
        };
        if !option.is_empty() {
            out.truncate(out.len() - 2);
            out.extend_from_slice(option);
        }
        body
    }

    /// Writes a piece of the body: framed when chunked, cut at the announced length, dropped where no body may be.
    /// An empty piece writes nothing.
    pub fn encode_data(&mut self, out: &mut Vec<u8>, data: &[u8]) {
        match &mut self.exchange.reply {
            Reply::Chunked if !data.is_empty() => {
                encode_hex(out, data.len());
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(data);
                out.extend_from_slice(b"\r\n");
            }
            Reply::Raw { left: Some(left) } => {
                let taken = (*left).min(data.len() as u64);
                *left -= taken;
                out.extend_from_slice(&data[..taken as usize]);
            }
            Reply::Raw { left: None } => out.extend_from_slice(data),
            Reply::Chunked | Reply::Awaited | Reply::Done => {}
        }
    }

    /// What precedes a piece of the body that the caller sends itself, `length` bytes of it and not none.
    pub fn encode_data_head(&mut self, out: &mut Vec<u8>, length: usize) {
        match &mut self.exchange.reply {
            Reply::Chunked => {
                encode_hex(out, length);
                out.extend_from_slice(b"\r\n");
            }
            Reply::Raw { left: Some(left) } => *left = left.saturating_sub(length as u64),
            Reply::Raw { left: None } | Reply::Awaited | Reply::Done => {}
        }
    }

    /// What follows such a piece.
    pub fn encode_data_end(&mut self, out: &mut Vec<u8>) {
        if self.exchange.reply == Reply::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Ends a body that was written by [`Engine::encode_data`]. One that is shorter than announced closes the
    /// connection: the client can tell by nothing else.
    pub fn encode_end(&mut self, out: &mut Vec<u8>) {
        match self.exchange.reply {
            Reply::Chunked => out.extend_from_slice(b"0\r\n\r\n"),
            Reply::Raw { left: Some(left) } if left > 0 => self.exchange.keep_alive = false,
            Reply::Raw { .. } | Reply::Awaited | Reply::Done => {}
        }
        self.exchange.reply = Reply::Done;
    }

    /// RFC 9110 15.2: a 1.0 client does not know interim answers.
    fn encode_interim<'a>(
        &mut self,
        out: &mut Vec<u8>,
        status: u16,
        reason: Option<&[u8]>,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) {
        if self.exchange.version == Version::Http10 || self.exchange.reply != Reply::Awaited {
            return;
        }
        encode_status(out, status, reason);
        for (name, value) in fields {
            let is_ours = name.eq_ignore_ascii_case(b"content-length")
                || name.eq_ignore_ascii_case(b"transfer-encoding")
                || name.eq_ignore_ascii_case(b"connection");
            if !is_ours {
                encode_field(out, name, value);
            }
        }
        out.extend_from_slice(b"\r\n");
        if status == 100 {
            self.continue_sent();
        }
    }

    /// RFC 9112 6.3 for replies: writes how long the body is, and remembers how it will be sent.
    fn encode_length(&mut self, out: &mut Vec<u8>, status: u16, length: ReplyLength) -> ReplyBody {
        let exchange = &mut self.exchange;
        let (reply, body) = match (status, length) {
            // RFC 9110 8.6: no Content-Length in 1xx and 204.
            (101 | 204, _) => (Reply::Done, ReplyBody::None),
            // RFC 9110 15.3.6: a 205 has no content, and says so.
            (205, _) => {
                encode_content_length(out, 0);
                (Reply::Done, ReplyBody::None)
            }
            // In a 304 it would be the length of the 200's body, which an empty body says nothing about.
            (304, ReplyLength::Known(0) | ReplyLength::Unknown) => (Reply::Done, ReplyBody::None),
            (_, ReplyLength::Known(length)) => {
                encode_content_length(out, length);
                if exchange.is_head || status == 304 || length == 0 {
                    (Reply::Done, ReplyBody::None)
                } else {
                    (Reply::Raw { left: Some(length) }, ReplyBody::Raw)
                }
            }
            (_, ReplyLength::Unknown) if exchange.is_head => (Reply::Done, ReplyBody::None),
            (_, ReplyLength::Unknown) if exchange.version == Version::Http11 => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                (Reply::Chunked, ReplyBody::Chunked)
            }
            (_, ReplyLength::Unknown) => {
                exchange.keep_alive = false;
                (Reply::Raw { left: None }, ReplyBody::Raw)
            }
        };
        exchange.reply = reply;
        body
    }
}

/// Writes a complete answer of a few words in plain text that closes the connection: for a request that was rejected,
/// or that no other answer can be given to. Not after any part of another reply to the same request. A HEAD gets the
/// head of it (RFC 9110 9.3.2).
pub fn encode_error(out: &mut Vec<u8>, status: u16, is_head: bool, date: &[u8; 29]) {
    let status = if (100..1000).contains(&status) {
        status
    } else {
        500
    };
    let reason = crate::http::reason_phrase(status).unwrap_or("Error");
    encode_status(out, status, None);
    out.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n");
    if status == 503 {
        out.extend_from_slice(b"Retry-After: 1\r\n");
    }
    encode_content_length(out, reason.len() as u64 + 1);
    out.extend_from_slice(b"Date: ");
    out.extend_from_slice(date);
    out.extend_from_slice(b"\r\nConnection: close\r\n\r\n");
    if !is_head {
        out.extend_from_slice(reason.as_bytes());
        out.push(b'\n');
    }
}

#[inline]
fn encode_status(out: &mut Vec<u8>, status: u16, reason: Option<&[u8]>) {
    let custom = reason.filter(|reason| is_field_value(reason));
    if custom.is_none()
        && let Some(line) = status_line(status)
    {
        out.extend_from_slice(line);
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    // RFC 9112 4: the space stays when there is no phrase.
    out.push(b' ');
    out.extend_from_slice(custom.unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn encode_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if !is_field_name(name) || !is_field_value(value) {
        return;
    }
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn encode_content_length(out: &mut Vec<u8>, length: u64) {
    const NAME: &[u8; 16] = b"Content-Length: ";
    if length < 10_000 {
        // Nearly every length, in one copy.
        let mut line = *b"Content-Length: dddd\r\n";
        let digits =
            1 + usize::from(length > 9) + usize::from(length > 99) + usize::from(length > 999);
        let mut rest = length as u32;
        for place in (0..digits).rev() {
            line[NAME.len() + place] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let end = NAME.len() + digits;
        line[end] = b'\r';
        line[end + 1] = b'\n';
        out.extend_from_slice(&line[..end + 2]);
        return;
    }
    out.extend_from_slice(NAME);
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn encode_hex(out: &mut Vec<u8>, value: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - value.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(DIGITS[value >> (place * 4) & 15]);
    }
}
