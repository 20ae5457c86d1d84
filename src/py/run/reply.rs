//! An answer on its way from a view's return value to a connection, in any of the ways a view can run.

use super::pool::Pushing;
use crate::buf::Payload;
use crate::conn::{BY_REFERENCE, Conn, Parts, Shared};
use crate::h1::ReplyLength;
use crate::py::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use smallvec::SmallVec;
use std::time::Duration;

/// Status, fields and body. One per reactor is reused for every inline answer, so nothing is allocated for it.
pub struct Reply {
    pub status: u16,
    /// A reason phrase other than the status's own.
    pub reason: Option<Vec<u8>>,
    /// Complete field lines known to be valid; they precede the fields.
    pub lines: &'static [u8],
    text: Vec<u8>,
    /// Ends of each name and value in `text`.
    ends: SmallVec<[(u32, u32); 8]>,
    /// The response said its body's length before so many of the fields. The engine says it where it always does.
    pub length_at: Option<u32>,
    pub body: Vec<u8>,
    pub rest: Rest,
    /// Of a stream of events: how long it may be silent.
    pub silence: Option<Duration>,
}

/// What comes behind `Reply::body`.
pub enum Rest {
    Nothing,
    /// The body is this object's bytes (and `Reply::body` is empty).
    Bytes(Py<PyBytes>),
    /// The body is what this iterator yields; its length if the application declared it.
    Stream(Py<PyAny>, Option<u64>),
    /// The body is pushed by a pool thread.
    Pushed(Pushing, Option<u64>),
    /// The body is a file's.
    File(Box<Parts>),
}

/// A streamed answer whose head was sent.
pub enum Begun {
    Pull(Py<PyAny>),
    Pushed(Pushing),
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            status: 200,
            reason: None,
            lines: b"",
            text: Vec::new(),
            ends: SmallVec::new(),
            length_at: None,
            body: Vec::new(),
            rest: Rest::Nothing,
            silence: None,
        }
    }
}

impl Reply {
    /// Ready for the next answer; memory is kept unless a large body left much of it.
    pub fn clear(&mut self) {
        self.status = 200;
        self.reason = None;
        self.lines = b"";
        self.text.clear();
        self.ends.clear();
        self.length_at = None;
        if self.body.capacity() > 1024 * 1024 {
            self.body = Vec::new();
        } else {
            self.body.clear();
        }
        self.rest = Rest::Nothing;
    }

    /// Adds a field; the caller has validated both parts.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        self.text.extend_from_slice(name);
        let middle = self.text.len() as u32;
        self.text.extend_from_slice(value);
        self.ends.push((middle, self.text.len() as u32));
    }

    /// Notes that the body's length stands behind the fields so far.
    pub fn note_length(&mut self) {
        self.length_at = Some(self.ends.len() as u32);
    }

    /// Sets the body to a `bytes` object: copied when small, sent by reference when large.
    pub fn set_bytes(&mut self, bytes: &Bound<'_, PyBytes>) {
        let data = bytes.as_bytes();
        if data.len() < BY_REFERENCE {
            self.body.extend_from_slice(data);
        } else {
            self.rest = Rest::Bytes(bytes.clone().unbind());
        }
    }

    /// The fields that were added, behind `lines`.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        fields(&self.text, &self.ends)
    }

    /// Sends it as a whole, or the head of a stream, which is given back: the connection is then `Streaming`.
    pub fn send(&mut self, conn: &mut Conn, shared: &mut Shared) -> Option<Begun> {
        let lines = self.lines;
        let fields = fields(&self.text, &self.ends);
        let reason = self.reason.as_deref();
        match std::mem::replace(&mut self.rest, Rest::Nothing) {
            Rest::Nothing if self.body.len() >= BY_REFERENCE => {
                let body = Box::new(Owned(std::mem::take(&mut self.body)));
                conn.reply_payload(shared, self.status, reason, lines, fields, body);
            }
            Rest::Nothing => conn.reply(shared, self.status, reason, lines, fields, &self.body),
            Rest::Bytes(bytes) => {
                let body = Box::new(ffi::BytesPayload::new(bytes));
                conn.reply_payload(shared, self.status, reason, lines, fields, body);
            }
            Rest::Stream(iterator, length) => {
                let length = length.map_or(ReplyLength::Unknown, ReplyLength::Known);
                let begun = conn.begin_stream(shared, self.status, reason, lines, fields, length);
                if begun {
                    begin_events(conn, shared, self.silence);
                    conn.stream(&self.body);
                    return Some(Begun::Pull(iterator));
                }
                shared.graveyard.push(Box::new(Kept(iterator)));
            }
            Rest::Pushed(flow, length) => {
                let length = length.map_or(ReplyLength::Unknown, ReplyLength::Known);
                if conn.begin_stream(shared, self.status, reason, lines, fields, length) {
                    begin_events(conn, shared, self.silence);
                    return Some(Begun::Pushed(flow));
                }
                drop(flow);
            }
            Rest::File(body) => {
                conn.reply_parts(shared, self.status, reason, lines, fields, *body);
            }
        }
        None
    }
}

/// Names and values by where each ends.
fn fields<'a>(
    text: &'a [u8],
    ends: &'a [(u32, u32)],
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let mut start = 0;
    ends.iter().map(move |&(middle, end)| {
        let name = &text[start..middle as usize];
        start = end as usize;
        (name, &text[middle as usize..end as usize])
    })
}

fn begin_events(conn: &mut Conn, shared: &Shared, silence: Option<Duration>) {
    if let Some(silence) = silence {
        conn.begin_events(shared, silence);
    }
}

/// A body built here, sent from where it is.
struct Owned(Vec<u8>);

impl Payload for Owned {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An iterator that is not needed: closed and dropped where the interpreter is attached.
struct Kept(Py<PyAny>);

impl Payload for Kept {
    fn bytes(&self) -> &[u8] {
        &[]
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        Python::attach(|py| super::stream::close(self.0.bind(py), None));
    }
}
