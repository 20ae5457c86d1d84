//! What stands behind the connections of a reactor, and what it gets to see once a turn.

use super::{Conn, Phase, Progress, ScratchHead, SocketEvent};
use crate::buf::{Budget, Payload};
use crate::config::Config;
use rustc_hash::FxBuildHasher;
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// Names a connection for as long as it lives; a stale key finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub index: u32,
    pub generation: u32,
}

/// Something for each of some connections. Keys are of our own making: nobody chooses them so that they collide.
pub type KeyMap<V> = HashMap<Key, V, FxBuildHasher>;

/// Answers requests. Called at most once a turn, with everything that is ready.
pub trait Service {
    /// What other threads send to the reactor's thread for it.
    type Message: Send;

    /// It reads bodies while they arrive: it is offered requests whose body is large or comes in chunks.
    const READS_BODIES: bool = false;

    /// Takes requests and messages until there are none or the turn's budget is spent. Must not unwind.
    fn serve(&mut self, batch: &mut Batch<'_, Self::Message>);
}

/// What the connections of one reactor share.
pub struct Shared {
    pub config: Arc<Config>,
    /// The current second as IMF-fixdate.
    pub date: [u8; 29],
    /// When this turn began.
    pub now: Instant,
    /// No new requests after the ones that are here; answers say `Connection: close`.
    pub draining: bool,
    pub body_memory: Arc<Budget>,
    /// Payloads that were sent; emptied by the service, which knows what their drop needs.
    pub graveyard: Vec<Box<dyn Payload>>,
    /// A connection went whose request was not answered in full; the service clears it when it has looked.
    pub orphans: bool,
    /// Connections that the service followed and that went, with what it had not taken.
    pub gone: Vec<(Key, VecDeque<SocketEvent>)>,
    /// Requests are offered to the service before their body is whole.
    pub offers_bodies: bool,
    pub(crate) head: ScratchHead,
    pub(crate) buffers: Vec<Vec<u8>>,
}

impl Shared {
    #[must_use]
    pub fn new(config: Arc<Config>, body_memory: Arc<Budget>) -> Self {
        Self {
            config,
            date: *b"Thu, 01 Jan 1970 00:00:00 GMT",
            now: Instant::now(),
            draining: false,
            body_memory,
            graveyard: Vec::new(),
            orphans: false,
            gone: Vec::new(),
            offers_bodies: false,
            head: ScratchHead::default(),
            buffers: Vec::new(),
        }
    }
}

/// One turn's work, lent to the service.
pub struct Batch<'a, M> {
    pub shared: &'a mut Shared,
    pub messages: &'a mut Vec<M>,
    pub(crate) conns: &'a mut Slab<Conn>,
    pub(crate) ready: &'a mut VecDeque<Key>,
    pub(crate) touched: &'a mut Vec<Key>,
    pub(crate) resumable: &'a mut Vec<Key>,
    pub(crate) budget: usize,
    /// What of the budget went to connections that are no requests.
    pub(crate) sockets: usize,
    /// Requests taken in a row from one connection.
    pub(crate) streak: (Option<Key>, usize),
}

/// Pipelined requests of one connection answered in a row before others get their turn.
const STREAK: usize = 32;

impl<M> Batch<'_, M> {
    /// The next connection with a complete request or with events, as long as the turn's budget lasts.
    pub fn next_ready(&mut self) -> Option<Key> {
        while self.budget > 0 {
            let key = self.ready.pop_front()?;
            if let Some(conn) = self.conns.get_mut(key.index as usize)
                && conn.generation == key.generation
            {
                conn.queued = false;
                if conn.phase() == Phase::Ready {
                    self.budget -= 1;
                    let row = if self.streak.0 == Some(key) {
                        self.streak.1 + 1
                    } else {
                        1
                    };
                    self.streak = (Some(key), row);
                    return Some(key);
                }
                if conn.has_events() {
                    self.budget -= 1;
                    self.sockets += 1;
                    return Some(key);
                }
            }
        }
        None
    }

    /// What `next_ready` named was a request after all: one whose body is read as it comes.
    pub fn count_request(&mut self) {
        self.sockets = self.sockets.saturating_sub(1);
    }

    /// The connections whose streamed answer may go on. One that got no piece is named again only after `conn`.
    pub fn take_resumable(&mut self) -> Vec<Key> {
        std::mem::take(self.resumable)
    }

    /// The connection and what all share; `None` when it is gone.
    pub fn conn(&mut self, key: Key) -> Option<(&mut Conn, &mut Shared)> {
        let conn = self.conns.get_mut(key.index as usize)?;
        if conn.generation != key.generation {
            return None;
        }
        if !conn.touched {
            conn.touched = true;
            self.touched.push(key);
        }
        // Whoever asks for the connection of a request is about to answer it.
        conn.outbox.acquire(&mut self.shared.buffers);
        Some((conn, self.shared))
    }

    /// Called when an answer was completed: the client's next pipelined request takes its place in the queue.
    pub fn advance(&mut self, key: Key) {
        let Some((conn, shared)) = self.conn(key) else {
            return;
        };
        if conn.advance(shared) != Progress::Ready || conn.queued {
            return;
        }
        conn.queued = true;
        // At the front: the requests of one read are answered in one write.
        if self.streak.0 == Some(key) && self.streak.1 < STREAK {
            self.ready.push_front(key);
        } else {
            self.ready.push_back(key);
        }
    }
}

impl<M> Batch<'_, M> {
    #[must_use]
    pub fn is_open(&self, key: Key) -> bool {
        self.conns
            .get(key.index as usize)
            .is_some_and(|conn| conn.generation == key.generation)
    }

    /// After a panic of the service: whoever waits for an answer in this turn gets a 500 and a closed connection.
    pub fn fail_serving(&mut self) {
        let touched: Vec<Key> = self.touched.clone();
        for key in touched {
            if let Some((conn, shared)) = self.conn(key) {
                conn.fail_serving(shared);
            }
        }
    }
}
