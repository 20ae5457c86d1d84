//! Close codes and reasons (RFC 6455 5.5.1 and 7.4).

use super::Error;

pub const NORMAL: u16 = 1000;
pub const GOING_AWAY: u16 = 1001;
/// Stands for a close frame without a code; never sent.
pub const NO_STATUS: u16 = 1005;
/// Stands for a connection that ended without a close frame; never sent.
pub const ABNORMAL: u16 = 1006;
pub const INTERNAL: u16 = 1011;

/// Bytes of a reason: a control frame's payload less the code.
pub const MAX_REASON: usize = 123;

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReason {
    pub code: u16,
    pub reason: String,
}

impl CloseReason {
    #[must_use]
    pub fn new(code: u16, reason: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
        }
    }

    /// Reads a close frame's payload.
    ///
    /// # Errors
    /// Half a code, a code that must not be sent, or a reason that is not UTF-8.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let (code, reason) = match payload {
            [] => return Ok(Self::new(NO_STATUS, "")),
            [_] => return Err(Error::Protocol),
            [a, b, reason @ ..] => (u16::from_be_bytes([*a, *b]), reason),
        };
        if !may_be_sent(code) {
            return Err(Error::Protocol);
        }
        let reason = std::str::from_utf8(reason).map_err(|_| Error::NotUtf8)?;
        Ok(Self::new(code, reason))
    }
}

/// Whether a close frame may carry the code: one that is registered and not reserved, or an application's own.
#[must_use]
pub fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
