//! A request body that is read while it arrives: filled by its connection, emptied by whoever reads it, on any thread.
//!
//! It holds a window's worth. Full, its connection is not read; emptied by half, the reader tells the reactor to go
//! on. Nothing here knows of sockets or of Python.

use crate::buf::{Charge, View};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that wait for their reader; past it the connection is not read. One read more can come on top.
pub const WINDOW: usize = 1024 * 1024;

/// A part at least this long is kept where it was received; a shorter one is copied, because it pins as large a block.
const IN_PLACE: usize = 32 * 1024;

/// Copied bytes that are kept in one piece.
const PIECE: usize = 64 * 1024;

/// Why a body has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client went, or its request was answered before it was whole.
    Disconnected,
    /// The client was too slow.
    TimedOut,
    /// What was received is no body, or too long a one: the status that says so.
    Refused(u16),
}

/// The end of a body: whole, or cut short.
pub type End = Result<(), Fault>;

#[derive(Debug)]
pub struct Feed {
    state: Mutex<State>,
    changed: Condvar,
    /// The window, in the process's budget for bodies.
    _charge: Charge,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Piece>,
    len: usize,
    end: Option<End>,
    /// Somebody has begun to read.
    asked: bool,
    /// The connection is not read for want of room.
    full: bool,
    /// A task waits: whoever brings news tells the service.
    awaited: bool,
    /// Threads that wait: a wake-up is a system call.
    waiting: usize,
}

/// Received bytes. Never empty.
#[derive(Debug)]
pub enum Piece {
    Held(View),
    Own { bytes: Vec<u8>, start: usize },
}

/// What a reader got.
#[derive(Debug, Default)]
pub struct Taken {
    pub pieces: SmallVec<[Piece; 4]>,
    pub len: usize,
    /// Nothing comes after it.
    pub end: Option<End>,
    /// The reactor is to be told that there is room.
    pub has_room: bool,
}

impl Feed {
    /// `charge` covers the window.
    pub(super) fn new(charge: Charge) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            _charge: charge,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // -- the connection's side -------------------------------------------------------------------------------------

    /// Adds received bytes. `true`: the service is to be told, here and below.
    pub(super) fn push(&self, view: View) -> bool {
        let mut state = self.lock();
        state.len += view.len();
        if view.len() >= IN_PLACE {
            state.pieces.push_back(Piece::Held(view));
        } else {
            match state.pieces.back_mut() {
                Some(Piece::Own { bytes, .. }) if bytes.len() + view.len() <= PIECE => {
                    bytes.extend_from_slice(&view);
                }
                _ if view.is_empty() => {}
                _ => state.pieces.push_back(Piece::Own {
                    bytes: view.to_vec(),
                    start: 0,
                }),
            }
        }
        self.tell(&mut state)
    }

    /// The same of bytes that have memory of their own.
    pub(super) fn push_own(&self, bytes: Vec<u8>) -> bool {
        let mut state = self.lock();
        if !bytes.is_empty() {
            state.len += bytes.len();
            state.pieces.push_back(Piece::Own { bytes, start: 0 });
        }
        self.tell(&mut state)
    }

    /// The body is whole, or will never be. Only the first end counts.
    pub(super) fn finish(&self, end: End) -> bool {
        let mut state = self.lock();
        if state.end.is_some() {
            return false;
        }
        state.end = Some(end);
        self.tell(&mut state)
    }

    /// Whether more may be received. `false`: the reader will tell when it may.
    pub(super) fn has_room(&self) -> bool {
        let mut state = self.lock();
        state.full = state.len >= WINDOW;
        !state.full
    }

    /// Whether somebody has begun to read.
    pub(super) fn is_asked(&self) -> bool {
        self.lock().asked
    }

    /// Wakes threads that wait, now that the turn has brought what it could: a wake-up for each read would cost more
    /// than the reading.
    pub(super) fn announce(&self) {
        let state = self.lock();
        if state.waiting > 0 && state.len > 0 {
            self.changed.notify_all();
        }
    }

    fn tell(&self, state: &mut State) -> bool {
        if state.waiting > 0 && (state.end.is_some() || state.len >= WINDOW / 2) {
            self.changed.notify_all();
        }
        std::mem::take(&mut state.awaited)
    }

    // -- the reader's side -----------------------------------------------------------------------------------------

    /// Takes what is there, at most `most` bytes of it.
    pub fn take(&self, most: usize) -> Taken {
        Self::take_part(&mut self.lock(), most)
    }

    /// Takes what is there up to the first `\n`, which is included, at most `most` bytes of it.
    pub fn take_line(&self, most: usize) -> Taken {
        let mut state = self.lock();
        let mut before = 0;
        for piece in &state.pieces {
            if let Some(at) = memchr::memchr(b'\n', piece) {
                before += at + 1;
                break;
            }
            before += piece.len();
        }
        Self::take_part(&mut state, most.min(before))
    }

    fn take_part(state: &mut State, most: usize) -> Taken {
        let mut taken = Taken::default();
        while taken.len < most {
            let Some(mut piece) = state.pieces.pop_front() else {
                break;
            };
            if piece.len() > most - taken.len {
                let part = piece.split(most - taken.len);
                state.pieces.push_front(piece);
                piece = part;
            }
            taken.len += piece.len();
            taken.pieces.push(piece);
        }
        state.len -= taken.len;
        if state.len == 0 {
            taken.end = state.end;
        }
        // The first one that asks lets the client send what it holds back.
        let is_first = !std::mem::replace(&mut state.asked, true);
        if state.full && state.len <= WINDOW / 2 {
            state.full = false;
            taken.has_room = true;
        }
        taken.has_room |= is_first;
        taken
    }

    /// Waits on the calling thread until there is something to take.
    pub fn wait(&self) {
        let mut state = self.lock();
        while state.len == 0 && state.end.is_none() {
            state.waiting += 1;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Has the service told when there is something to take. `false`: there is.
    pub fn await_more(&self) -> bool {
        let mut state = self.lock();
        state.awaited = state.len == 0 && state.end.is_none();
        state.awaited
    }

    /// Whether a reader would not have to wait.
    pub fn is_ready(&self) -> bool {
        let state = self.lock();
        state.len > 0 || state.end.is_some()
    }
}

impl Piece {
    /// Cuts off the first `n` bytes.
    fn split(&mut self, n: usize) -> Self {
        match self {
            Self::Held(view) => {
                let part = view.slice(0, n);
                view.advance(n);
                Self::Held(part)
            }
            Self::Own { bytes, start } => {
                let part = bytes[*start..*start + n].to_vec();
                *start += n;
                Self::Own {
                    bytes: part,
                    start: 0,
                }
            }
        }
    }
}

impl std::ops::Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Held(view) => view,
            Self::Own { bytes, start } => &bytes[*start..],
        }
    }
}
