//! What comes from outside of the turn: answers of the pool and of tasks, and bodies that are generated.

use super::open;
use super::pool::{Flow, Pushed, Pushing, Ticket, Work};
use super::reply::Rest;
use super::service::{Message, PyService, Stream};
use super::sink;
use super::stream::{self, Piece};
use crate::conn::{Batch, Key};
use crate::py::ffi::Context;
use pyo3::prelude::*;
use std::sync::Arc;

/// A streamed answer's pieces in one turn, so that one endless stream leaves time for others.
const PIECES: usize = 64;

impl PyService {
    pub(super) fn take_messages(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>) {
        for message in std::mem::take(batch.messages) {
            match message {
                Message::Reply {
                    key,
                    ticket,
                    mut reply,
                    context,
                } => {
                    if self.open.finish(key, ticket) || self.settle_socket(py, batch, key, ticket) {
                        self.reply = *reply;
                        match context {
                            Some(context) if self.is_generated() => {
                                // The task's own may still be entered, on the loop's thread.
                                let context = context.copy(py).unwrap_or(context);
                                self.begin_stream_of_task(py, batch, key, context);
                            }
                            context => drop(self.answer(py, batch, key, context)),
                        }
                    } else {
                        open::discard(py, &mut reply);
                    }
                }
                Message::Piece { key, ticket, data } => {
                    if self.stream_ticket(key) == Some(ticket)
                        && let Some((conn, _)) = batch.conn(key)
                    {
                        conn.stream(&data);
                        self.pull(py, batch, key);
                    }
                }
                Message::End {
                    key,
                    ticket,
                    complete,
                } => {
                    // Of a body that was refused there is no stream, and another request may be served by now.
                    if self.stream_ticket(key) == Some(ticket) {
                        self.streams.remove(&key);
                        self.end_stream(batch, key, complete);
                    }
                }
                Message::Socket { key } => self.attend(py, batch, key),
                Message::Due => {
                    let host = self.host.clone();
                    self.expire(py, batch, host.as_deref());
                }
            }
        }
    }

    /// The answer's body is generated.
    pub(super) fn is_generated(&self) -> bool {
        matches!(self.reply.rest, Rest::Stream(..))
    }

    /// Begins the answer of a coroutine whose body is generated. A plain generator may block, as a view may.
    pub(super) fn begin_stream_of_task(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        context: Context,
    ) {
        self.streams_from_pool = true;
        self.begin_stream(py, batch, key, context);
    }

    /// Begins the answer of an inline view whose body is generated: of an `auto` one in the pool, since what the
    /// generator will do is not known.
    pub(super) fn begin_stream(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
        context: Context,
    ) {
        let mut context = Some(context);
        let in_task = self.host.is_some()
            && matches!(&self.reply.rest, Rest::Stream(body, _) if sink::is_async(body.bind(py)));
        if std::mem::take(&mut self.streams_from_pool)
            && !in_task
            && let Some(pool) = &self.pool
            && let Some(own) = context.take()
            && let Rest::Stream(iterator, length) =
                std::mem::replace(&mut self.reply.rest, Rest::Nothing)
        {
            let flow = Flow::new(pool);
            let ticket = self.open.next_ticket();
            let body = Pushed {
                key,
                ticket,
                iterator,
                context: own,
                flow: Arc::clone(&flow),
            };
            match pool.submit(py, Work::Body(body), Arc::clone(&self.mailbox)) {
                Ok(()) => {
                    self.reply.rest = Rest::Pushed(Pushing::new(&flow, ticket), length);
                }
                Err(refused) => {
                    if let Work::Body(body) = *refused {
                        self.reply.rest = Rest::Stream(body.iterator, length);
                        context = Some(body.context);
                    }
                }
            }
        }
        self.answer(py, batch, key, context);
    }

    /// A body that an async iterator makes is a task's business, if there is a loop for it.
    pub(super) fn begin_task(
        &mut self,
        py: Python<'_>,
        key: Key,
        iterator: &Py<PyAny>,
        context: Option<&Context>,
    ) -> bool {
        let pieces = iterator.bind(py);
        let Some(host) = &self.host else { return false };
        if !sink::is_async(pieces) {
            return false;
        }
        let ticket = self.open.next_ticket();
        match sink::start(py, host, key, ticket, &self.mailbox, pieces, context) {
            Ok(sink) => {
                self.streams.insert(key, Stream::Task(sink));
                true
            }
            Err(error) => {
                error.write_unraisable(py, None);
                false
            }
        }
    }

    pub(super) fn stream_ticket(&self, key: Key) -> Option<Ticket> {
        match self.streams.get(&key)? {
            Stream::Pool(flow) => Some(flow.ticket()),
            Stream::Task(sink) => Some(sink.get().ticket()),
            Stream::Inline(..) => None,
        }
    }

    /// Pulls pieces of an inline stream while the client takes them.
    pub(super) fn pull(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>, key: Key) {
        let (iterator, context) = match self.streams.get(&key) {
            Some(Stream::Inline(iterator, context)) => (
                iterator.clone_ref(py),
                context.as_ref().map(|context| context.clone_ref(py)),
            ),
            Some(Stream::Pool(flow)) => {
                if let Some((conn, shared)) = batch.conn(key) {
                    let has_room = conn.has_room(shared);
                    if !has_room {
                        conn.want_room();
                    }
                    flow.taken(has_room);
                }
                return;
            }
            Some(Stream::Task(sink)) => {
                if let (Some((conn, shared)), Some(host)) = (batch.conn(key), &self.host) {
                    if conn.has_room(shared) {
                        sink.get().taken(py, host);
                    } else {
                        conn.want_room();
                    }
                }
                return;
            }
            None => return self.attend(py, batch, key),
        };
        if self.hide_loop(py).is_err() {
            return;
        }
        for _ in 0..PIECES {
            let piece = stream::next(iterator.bind(py), context.as_ref());
            let Some((conn, shared)) = batch.conn(key) else {
                break;
            };
            match piece {
                Ok(Piece::Data(data)) => {
                    conn.stream(&data);
                    if !conn.has_room(shared) {
                        conn.want_room();
                        return;
                    }
                }
                Ok(Piece::End) => {
                    self.streams.remove(&key);
                    stream::close(iterator.bind(py), context.as_ref());
                    return self.end_stream(batch, key, true);
                }
                Err(error) => {
                    self.streams.remove(&key);
                    stream::tell_failed(py, context.as_ref(), error);
                    stream::close(iterator.bind(py), context.as_ref());
                    return self.end_stream(batch, key, false);
                }
            }
        }
        // The rest comes with the next turn.
        if let Some((conn, _)) = batch.conn(key) {
            conn.want_room();
        }
    }

    pub(super) fn end_stream(&mut self, batch: &mut Batch<'_, Message>, key: Key, complete: bool) {
        let Some((conn, shared)) = batch.conn(key) else {
            return;
        };
        if complete {
            conn.end_stream();
            batch.advance(key);
        } else {
            conn.cut_stream(shared);
        }
    }

    /// Streams whose connection is gone: closed, and pool threads told to stop.
    pub(super) fn drop_orphans(&mut self, py: Python<'_>, batch: &mut Batch<'_, Message>) {
        if !std::mem::take(&mut batch.shared.orphans) {
            return;
        }
        self.tell_readers(py);
        let host = self.host.clone();
        self.leave_gone(py, batch, host.as_deref());
        let gone: Vec<Key> = self
            .streams
            .keys()
            .copied()
            .filter(|key| !batch.is_open(*key))
            .collect();
        for key in gone {
            match (self.streams.remove(&key), &host) {
                (Some(Stream::Inline(iterator, context)), _) => {
                    stream::close(iterator.bind(py), context.as_ref());
                }
                (Some(Stream::Task(sink)), Some(host)) => sink.get().stop(py, host),
                // The end of its flow stops a thread of the pool.
                _ => {}
            }
        }
    }
}
