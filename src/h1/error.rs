//! Why a message was refused.

/// One reason a request cannot be trusted or served. Small and `Copy`; `status_hint` is the answer's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    RequestLine,
}

impl Error {
    #[must_use]
    pub fn status_hint(self) -> u16 {
        400
    }
}
