//! What the engine says about bytes, whatever pieces they come in.

mod frames;
mod handshake;
mod messages;

use super::*;

pub(super) const LIMITS: Limits = Limits {
    frame: 70_000,
    message: 100_000,
};

/// A client's frame.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
    out
}

/// What a decoder said, with the payload of control frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    Fail(u16),
}

pub(super) fn read_with(decoder: &mut Decoder, pieces: &[&[u8]]) -> Vec<Said> {
    let mut said = Vec::new();
    let mut inbox = Vec::new();
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            let step = decoder.handle(&inbox);
            inbox.drain(..step.consumed);
            match step.event {
                Event::Incomplete => break,
                Event::Message(message) => said.push(match message.kind {
                    Kind::Text => Said::Text(String::from_utf8(message.data).unwrap()),
                    Kind::Binary => Said::Binary(message.data),
                }),
                Event::Ping => said.push(Said::Ping(decoder.control().to_vec())),
                Event::Pong => said.push(Said::Pong(decoder.control().to_vec())),
                Event::Close(close) => said.push(Said::Close(close.code, close.reason)),
                Event::Fail(error) => {
                    said.push(Said::Fail(error.close_code()));
                    return said;
                }
            }
        }
    }
    said
}

pub(super) fn read(pieces: &[&[u8]]) -> Vec<Said> {
    read_with(&mut Decoder::new(Role::Server, LIMITS, None), pieces)
}
