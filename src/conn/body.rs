//! A request body on its way in, and whole.

use crate::buf::{Budget, Charge, Held, Inbox};
use crate::h1::BodyLength;
use std::sync::Arc;

/// A complete request body, transfer coding removed.
#[derive(Debug)]
pub enum Body {
    Empty,
    /// Where the read put it.
    Held(Held),
    /// In memory of its own.
    Own {
        bytes: Vec<u8>,
        charge: Charge,
    },
}

impl Body {
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Held(held) => held,
            Self::Own { bytes, .. } => bytes,
        }
    }
}

/// Growth of a body's own space, at the least.
const STEP: usize = 16 * 1024;

/// A body while it arrives. A declared length is not believed with memory: space grows with what was received.
#[derive(Debug)]
pub(super) struct Incoming {
    declared: Option<u64>,
    body: Body,
}

impl Incoming {
    pub(super) fn new(length: BodyLength) -> Self {
        let declared = match length {
            BodyLength::Fixed(n) => Some(n),
            BodyLength::None | BodyLength::Chunked => None,
        };
        Self {
            declared,
            body: Body::Empty,
        }
    }

    /// Adds `inbox[start..end]`; `false` if the process's budget for bodies is spent.
    pub(super) fn push(
        &mut self,
        inbox: &Inbox,
        start: usize,
        end: usize,
        budget: &Arc<Budget>,
    ) -> bool {
        if matches!(self.body, Body::Empty) && self.declared == Some((end - start) as u64) {
            self.body = Body::Held(inbox.share(start, end));
            return true;
        }
        let data = &inbox.bytes()[start..end];
        if matches!(self.body, Body::Empty) {
            self.body = Body::Own {
                bytes: Vec::new(),
                charge: Charge::new(budget),
            };
        }
        let Body::Own { bytes, charge } = &mut self.body else {
            return false;
        };
        let need = bytes.len() + data.len();
        if need > bytes.capacity() {
            let wanted = need.max(bytes.capacity() * 2).max(STEP);
            let bounded = match self.declared {
                Some(declared) => wanted
                    .min(usize::try_from(declared).unwrap_or(wanted))
                    .max(need),
                None => wanted,
            };
            if !charge.raise_to(bounded) || bytes.try_reserve_exact(bounded - bytes.len()).is_err()
            {
                return false;
            }
        }
        bytes.extend_from_slice(data);
        true
    }

    pub(super) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// Bytes received so far.
    pub(super) fn len(&self) -> usize {
        self.body.bytes().len()
    }

    pub(super) fn finish(self) -> Body {
        self.body
    }
}
