//! Answers: in full, by reference, or in pieces.

use super::{Conn, Fault, Phase, Shared};
use crate::buf::{Inbox, Payload, Segment};
use crate::h1::{Next, ReplyBody, ReplyLength};

/// A body made of pieces, some of them files.
pub struct Parts {
    pub segments: Vec<Segment>,
    /// That of all of it (of a HEAD's body, which has no segments), or unknown to the client, who then sees the end by
    /// the framing.
    pub length: ReplyLength,
}

impl Conn {
    /// Answers the request in full. `lines` are field lines that need no look, as in [`Engine::encode_head`].
    pub fn reply<'a>(
        &mut self,
        shared: &Shared,
        status: u16,
        reason: Option<&[u8]>,
        lines: &[u8],
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        body: &[u8],
    ) {
        let keep_alive = self.may_keep_alive(shared);
        let engine = &mut self.engine;
        self.outbox.append(|out| {
            let length = ReplyLength::Known(body.len() as u64);
            let kind = engine.encode_head(
                out,
                status,
                reason,
                lines,
                fields,
                length,
                keep_alive,
                &shared.date,
            );
            if kind != ReplyBody::None {
                out.extend_from_slice(body);
            }
        });
        self.end_reply();
    }

    /// The head of an answer whose body follows by other means.
    fn begin_reply<'a>(
        &mut self,
        shared: &Shared,
        status: u16,
        reason: Option<&[u8]>,
        lines: &[u8],
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        length: ReplyLength,
    ) -> ReplyBody {
        let keep_alive = self.may_keep_alive(shared);
        let engine = &mut self.engine;
        self.outbox.append(|out| {
            engine.encode_head(
                out,
                status,
                reason,
                lines,
                fields,
                length,
                keep_alive,
                &shared.date,
            )
        })
    }

    /// Answers the request with a body that is sent from where it is.
    pub fn reply_payload<'a>(
        &mut self,
        shared: &mut Shared,
        status: u16,
        reason: Option<&[u8]>,
        lines: &[u8],
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        body: Box<dyn Payload>,
    ) {
        let length = ReplyLength::Known(body.bytes().len() as u64);
        let kind = self.begin_reply(shared, status, reason, lines, fields, length);
        if kind == ReplyBody::None {
            shared.graveyard.push(body);
        } else {
            self.outbox.push(Segment::Payload(body));
        }
        self.end_reply();
    }

    /// Answers the request with parts of files and what is between them.
    #[cold]
    #[inline(never)]
    pub fn reply_parts<'a>(
        &mut self,
        shared: &mut Shared,
        status: u16,
        reason: Option<&[u8]>,
        lines: &[u8],
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        body: Parts,
    ) {
        let Parts { segments, length } = body;
        let kind = self.begin_reply(shared, status, reason, lines, fields, length);
        let total = segments.iter().map(Segment::len).sum();
        if kind != ReplyBody::None {
            let engine = &mut self.engine;
            if total > 0 {
                self.outbox
                    .append(|out| engine.encode_data_head(out, total));
                for part in segments.into_iter().filter(|part| !part.is_empty()) {
                    self.outbox.push(part);
                }
                self.outbox.append(|out| engine.encode_data_end(out));
            }
            self.outbox.append(|out| engine.encode_end(out));
        }
        self.end_reply();
    }

    /// Begins an answer whose body comes in pieces. `false`: it has no body, and the answer is complete.
    pub fn begin_stream<'a>(
        &mut self,
        shared: &Shared,
        status: u16,
        reason: Option<&[u8]>,
        lines: &[u8],
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        length: ReplyLength,
    ) -> bool {
        let kind = self.begin_reply(shared, status, reason, lines, fields, length);
        if kind == ReplyBody::None {
            self.end_reply();
            return false;
        }
        self.phase = Phase::Streaming;
        self.streaming = true;
        // The first piece is asked for as any other is that waited.
        self.stalled = true;
        true
    }

    /// One piece of a streamed body. Empty pieces send nothing (an empty chunk would end the body).
    pub fn stream(&mut self, data: &[u8]) {
        if self.phase == Phase::Streaming && !data.is_empty() {
            self.note_event();
            let engine = &mut self.engine;
            self.outbox.append(|out| engine.encode_data(out, data));
        }
    }

    pub fn end_stream(&mut self) {
        if self.phase == Phase::Streaming {
            let engine = &mut self.engine;
            self.outbox.append(|out| engine.encode_end(out));
            self.streaming = false;
            self.beat = None;
            self.end_reply();
        }
    }

    /// The answer cannot be completed: the connection closes so that the client can tell.
    pub fn abort(&mut self, shared: &mut Shared) {
        self.reset = self.engine.ends_with_connection();
        self.outbox.clear(&mut shared.graveyard);
        self.close(shared);
    }

    /// A streamed answer ends here without being complete. What was sent of it still goes out.
    pub fn cut_stream(&mut self, shared: &mut Shared) {
        if self.engine.ends_with_connection() {
            return self.abort(shared);
        }
        self.close(shared);
    }

    /// Whether a streamed answer may go on, or waits for the client to take what is there.
    #[must_use]
    pub fn has_room(&self, shared: &Shared) -> bool {
        self.outbox.len() <= shared.config.max_outbox
    }

    fn may_keep_alive(&self, shared: &Shared) -> bool {
        !shared.draining
            && self.requests < shared.config.max_requests_per_connection
            && (!self.read_closed || !self.inbox.is_empty())
    }

    fn end_reply(&mut self) {
        match self.engine.finish() {
            Next::KeepAlive => self.phase = Phase::Reading,
            Next::Close => {
                self.phase = Phase::Closing;
                self.end_body(Err(Fault::Disconnected));
                self.inbox = Inbox::Empty;
            }
        }
    }
}
