//! Answers that are streams of events (WHATWG HTML, server-sent events): what the connection does for them by itself.

use super::{Conn, Phase, Shared};
use crate::buf::Inbox;
use std::time::Duration;

/// A comment, which clients drop.
const COMMENT: &[u8] = b":\n\n";

/// How a stream is kept alive.
#[derive(Debug)]
pub(super) struct Beat {
    every: Duration,
    /// Something was sent since the last beat.
    active: bool,
}

impl Conn {
    /// The stream that was begun is one of events, each of them one piece: silence for `silence` is broken by a comment.
    pub fn begin_events(&mut self, shared: &Shared, silence: Duration) {
        if self.phase == Phase::Streaming {
            // Half of it: the beat that ends a silence is the second one at the latest.
            let every = silence / 2;
            self.beat = Some(Box::new(Beat {
                every,
                active: true,
            }));
            if shared.draining {
                // A client that came back on a connection that was still open would hold the server up.
                self.end_events();
            }
        }
    }

    /// How long until the next look at a stream of events.
    pub(crate) fn event_beat(&self) -> Option<Duration> {
        let beat = self.beat.as_ref()?;
        (self.phase == Phase::Streaming && !beat.every.is_zero()).then_some(beat.every)
    }

    /// Sends a comment if nothing else was sent for long enough.
    pub(super) fn beat_events(&mut self) {
        let Some(beat) = &mut self.beat else { return };
        if !std::mem::take(&mut beat.active) {
            self.stream(COMMENT);
            if let Some(beat) = &mut self.beat {
                beat.active = false;
            }
        }
    }

    pub(super) fn note_event(&mut self) {
        if let Some(beat) = &mut self.beat {
            beat.active = true;
        }
    }

    /// The server stops: the stream is complete, and its client will come back to another one. What makes the events
    /// hears of it when the connection goes.
    pub(super) fn end_events(&mut self) {
        if self.phase == Phase::Streaming && self.beat.take().is_some() {
            let engine = &mut self.engine;
            self.outbox.append(|out| engine.encode_end(out));
            self.engine.force_close();
            self.phase = Phase::Closing;
            self.inbox = Inbox::Empty;
        }
    }
}
