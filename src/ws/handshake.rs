//! The opening handshake, the server's side (RFC 6455 4.2).

use super::extension::{Agreed, Compression, split};
use crate::http::{Head, Method, Version, is_field_name, list_has_token};
use sha1::{Digest, Sha1};

/// RFC 6455 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that can be answered with 101.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: [u8; 28],
    /// The subprotocols that the client speaks, in the order of its preference.
    pub protocols: Vec<String>,
    pub agreed: Option<Agreed>,
}

/// Why a request is no handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("not a WebSocket handshake")]
    Malformed,
    /// RFC 6455 4.4: the answer names the version that is spoken.
    #[error("not version 13 of the WebSocket protocol")]
    Version,
}

impl Refusal {
    #[must_use]
    pub fn status_hint(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Version => 426,
        }
    }
}

impl Handshake {
    /// Reads a request; the spans of `head` are relative to `bytes`.
    ///
    /// # Errors
    /// What makes it no handshake.
    pub fn read(head: &Head, bytes: &[u8], compression: Compression) -> Result<Self, Refusal> {
        let values = |name: &'static [u8]| {
            head.fields
                .iter()
                .filter(move |field| field.name.of(bytes).eq_ignore_ascii_case(name))
                .map(move |field| field.value.of(bytes))
        };
        let has = |name, token: &[u8]| values(name).any(|value| list_has_token(value, token));
        if head.method != Method::Get
            || head.version != Version::Http11
            || !has(b"upgrade", b"websocket")
            || !has(b"connection", b"upgrade")
        {
            return Err(Refusal::Malformed);
        }
        if only(values(b"sec-websocket-version")) != Some(b"13") {
            return Err(Refusal::Version);
        }
        let key = only(values(b"sec-websocket-key")).filter(|key| is_key(key));
        let accept = accept(key.ok_or(Refusal::Malformed)?);
        let mut protocols = Vec::new();
        for protocol in values(b"sec-websocket-protocol").flat_map(|value| split(value, b',')) {
            if !is_field_name(protocol) {
                return Err(Refusal::Malformed);
            }
            protocols.push(String::from_utf8_lossy(protocol).into_owned());
        }
        Ok(Self {
            accept,
            protocols,
            agreed: Agreed::negotiate(values(b"sec-websocket-extensions"), compression),
        })
    }
}

fn only<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    values.next().filter(|_| values.next().is_none())
}

/// 16 bytes in base64: 22 digits, the last of which has two bits to give, and the padding.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22].iter().all(is_digit)
        && matches!(key[21], b'A' | b'Q' | b'g' | b'w')
}

fn accept(key: &[u8]) -> [u8; 28] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    let digest = hash.finalize();
    let mut text = [b'='; 28];
    for (i, three) in digest.chunks(3).enumerate() {
        let number = three
            .iter()
            .fold(0u32, |number, byte| number << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            text[4 * i + place] = DIGITS[(number >> (18 - 6 * place) & 63) as usize];
        }
    }
    text
}
