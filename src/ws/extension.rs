//! The negotiation of permessage-deflate (RFC 7692 7.1) with a client's offers (RFC 6455 9.1).

use crate::http::is_field_name;

/// What a server offers of compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Off,
    /// Each message by itself: connections share a thread's compressor and hold no memory for it.
    Shared,
    /// Messages build on earlier ones where the client lets them: smaller, for some 300 KB a connection.
    Dedicated,
}

/// What both ends agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// The server's messages stand for themselves.
    pub server_alone: bool,
    /// The client's messages stand for themselves.
    pub client_alone: bool,
    /// The window of the server's compressor, 9 to 15.
    pub server_bits: u8,
    /// The client asked for that window, and is told.
    server_bits_asked: bool,
}

impl Agreed {
    /// Takes the first offer that can be met; `fields` are the values of `Sec-WebSocket-Extensions`.
    pub fn negotiate<'a>(
        fields: impl Iterator<Item = &'a [u8]>,
        compression: Compression,
    ) -> Option<Self> {
        if compression == Compression::Off {
            return None;
        }
        fields
            .flat_map(|value| split(value, b','))
            .find_map(|offer| Self::accept(offer, compression))
    }

    fn accept(offer: &[u8], compression: Compression) -> Option<Self> {
        let mut parts = split(offer, b';');
        if !parts.next()?.eq_ignore_ascii_case(b"permessage-deflate") {
            return None;
        }
        let shared = compression == Compression::Shared;
        let mut agreed = Self {
            server_alone: shared,
            client_alone: shared,
            server_bits: 15,
            server_bits_asked: false,
        };
        // A parameter that is unknown, given twice or has a bad value makes the offer void (RFC 7692 7.1).
        let mut seen = [false; 4];
        for part in parts {
            let (name, value) = match memchr::memchr(b'=', part) {
                Some(at) => (
                    part[..at].trim_ascii(),
                    Some(unquoted(part[at + 1..].trim_ascii())?),
                ),
                None => (part, None),
            };
            let which = match name {
                b"server_no_context_takeover" if value.is_none() => {
                    agreed.server_alone = true;
                    0
                }
                b"client_no_context_takeover" if value.is_none() => {
                    agreed.client_alone = true;
                    1
                }
                b"server_max_window_bits" => {
                    // A window of 8 bits is one that zlib does not make.
                    agreed.server_bits = bits(value?).filter(|bits| *bits > 8)?;
                    agreed.server_bits_asked = true;
                    2
                }
                b"client_max_window_bits" => {
                    // Whatever the client's window is, ours for reading it is large enough.
                    if let Some(value) = value {
                        bits(value)?;
                    }
                    3
                }
                _ => return None,
            };
            if std::mem::replace(&mut seen[which], true) {
                return None;
            }
        }
        Some(agreed)
    }

    /// The value of the answer's `Sec-WebSocket-Extensions`.
    #[must_use]
    pub fn to_field(&self) -> String {
        let mut text = String::from("permessage-deflate");
        if self.server_alone {
            text.push_str("; server_no_context_takeover");
        }
        if self.client_alone {
            text.push_str("; client_no_context_takeover");
        }
        if self.server_bits_asked {
            text.push_str("; server_max_window_bits=");
            text.push_str(itoa::Buffer::new().format(self.server_bits));
        }
        text
    }
}

fn bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// A token, or the token within quotes (RFC 6455 9.1).
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    };
    is_field_name(value).then_some(value)
}

/// The parts between separators, which do not count within quotes.
pub fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    text.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == separator && !quoted
    })
    .map(<[u8]>::trim_ascii)
    .filter(|part| !part.is_empty())
}
