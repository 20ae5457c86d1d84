//! Why a message was refused.

/// One reason a request cannot be trusted or served. Small and `Copy`; `status_hint` is the answer's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("malformed request line")]
    RequestLine,
    #[error("method name too long")]
    Method,
    #[error("invalid request target")]
    Target,
    #[error("CONNECT is not served")]
    Connect,
    #[error("HTTP version not supported")]
    Version,
    #[error("request line too long")]
    RequestLineTooLong,
    #[error("request head too large")]
    HeadTooLarge,
    #[error("too many header fields")]
    TooManyFields,
    #[error("invalid header field name")]
    FieldName,
    #[error("invalid header field value")]
    FieldValue,
    #[error("line does not end in CRLF")]
    LineEnd,
    #[error("Host missing, repeated or invalid")]
    Host,
    #[error("invalid or repeated Content-Length")]
    ContentLength,
    #[error("invalid Transfer-Encoding")]
    TransferEncoding,
    #[error("transfer coding not supported")]
    UnknownCoding,
    #[error("Content-Length beside Transfer-Encoding")]
    FramingConflict,
    #[error("expectation not supported")]
    Expectation,
    #[error("request body too large")]
    BodyTooLarge,
    #[error("invalid chunk size")]
    ChunkSize,
    #[error("invalid or excessive chunk extension")]
    ChunkExtension,
    #[error("chunk does not end in CRLF")]
    ChunkEnd,
    #[error("malformed trailer field")]
    Trailer,
    #[error("trailer section too large")]
    TrailersTooLarge,
}

impl Error {
    #[must_use]
    pub fn status_hint(self) -> u16 {
        match self {
            Self::RequestLine
            | Self::Target
            | Self::FieldName
            | Self::FieldValue
            | Self::LineEnd
            | Self::Host
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::FramingConflict
            | Self::ChunkSize
            | Self::ChunkExtension
            | Self::ChunkEnd
            | Self::Trailer => 400,
            Self::BodyTooLarge => 413,
            Self::RequestLineTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::TooManyFields | Self::TrailersTooLarge => 431,
            // RFC 9110 15.6.2: a method that no resource here supports.
            Self::Method | Self::Connect | Self::UnknownCoding => 501,
            Self::Version => 505,
        }
    }
}
