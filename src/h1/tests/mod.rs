//! Behaviour of the engine, by subject. `Client` plays the connection: it keeps unread bytes and answers requests.

mod body;
mod head;
mod limits;
mod persistence;
mod recall;
mod reply;
mod split;

use super::{BodyLength, Engine, Error, Event, Limits, Next};
use crate::http::Head;

pub(super) const LIMITS: Limits = Limits {
    request_line: 1024,
    head: 8192,
    fields: 64,
    chunk_line: 256,
    trailers: 1024,
    body: 1 << 20,
};

pub(super) const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// What a service would have seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Head {
        line: String,
        host: Option<String>,
        fields: Vec<(String, String)>,
        body: BodyLength,
    },
    /// Adjacent pieces are joined: how a body is cut is not part of what it says.
    Data(Vec<u8>),
    End,
    Reject(Error),
}

pub(super) struct Client {
    pub(super) engine: Engine,
    head: Head,
    inbox: Vec<u8>,
    pub(super) seen: Vec<Seen>,
}

impl Client {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            engine: Engine::new(limits),
            head: Head::default(),
            inbox: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Takes a piece of input; every complete request is answered at once.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.inbox.extend_from_slice(piece);
        loop {
            let step = self.engine.handle(&self.inbox, &mut self.head);
            assert!(
                step.consumed <= self.inbox.len(),
                "took more than there was"
            );
            let taken: Vec<u8> = self.inbox.drain(..step.consumed).collect();
            let is_complete = match step.event {
                Event::Incomplete => return,
                Event::Head { body, complete } => {
                    self.see_head(&taken[taken.len() - self.head.len as usize..], body);
                    complete
                }
                Event::Data { start, end } => {
                    self.see_data(&taken[start..end]);
                    false
                }
                Event::End => {
                    self.seen.push(Seen::End);
                    true
                }
                Event::Reject(error) => {
                    if self.seen.last() != Some(&Seen::Reject(error)) {
                        self.seen.push(Seen::Reject(error));
                    }
                    return;
                }
            };
            if is_complete && self.engine.finish() == Next::Close {
                return;
            }
        }
    }

    pub(super) fn unread(&self) -> usize {
        self.inbox.len()
    }

    fn see_head(&mut self, bytes: &[u8], body: BodyLength) {
        let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
        let head = &self.head;
        let query = head
            .query(bytes)
            .map_or(String::new(), |query| format!("?{}", text(query)));
        self.seen.push(Seen::Head {
            line: format!(
                "{} {}{query} {:?}",
                head.method.as_str(bytes),
                text(head.path(bytes)),
                head.version
            ),
            host: head.host.map(|host| text(host.of(bytes))),
            fields: head
                .fields
                .iter()
                .map(|field| (text(field.name.of(bytes)), text(field.value.of(bytes))))
                .collect(),
            body,
        });
    }

    fn see_data(&mut self, data: &[u8]) {
        assert!(
            !data.is_empty(),
            "an empty piece is no event worth a callback"
        );
        match self.seen.last_mut() {
            Some(Seen::Data(before)) => before.extend_from_slice(data),
            _ => self.seen.push(Seen::Data(data.to_vec())),
        }
    }
}

/// All that is seen of `input` in one piece.
pub(super) fn see(input: &[u8]) -> Vec<Seen> {
    let mut client = Client::new(LIMITS);
    client.feed(input);
    client.seen
}

/// All that is seen of `input` a byte at a time.
pub(super) fn see_bytewise(input: &[u8]) -> Vec<Seen> {
    let mut client = Client::new(LIMITS);
    for byte in input {
        client.feed(std::slice::from_ref(byte));
    }
    client.seen
}

/// The refusal that `input` ends in, in one piece and a byte at a time.
#[track_caller]
pub(super) fn assert_rejects(input: &[u8], error: Error) {
    let shown = String::from_utf8_lossy(&input[..input.len().min(120)]).into_owned();
    assert_eq!(
        see(input).last(),
        Some(&Seen::Reject(error)),
        "whole: {shown:?}"
    );
    // Which fault is found first may depend on the cut; that it is refused, and with which status, may not.
    let Some(Seen::Reject(found)) = see_bytewise(input).pop() else {
        panic!("bytewise accepted: {shown:?}");
    };
    assert_eq!(
        found.status_hint(),
        error.status_hint(),
        "bytewise: {shown:?}"
    );
}

/// The heads that were understood, when nothing was refused.
#[track_caller]
pub(super) fn heads(input: &[u8]) -> Vec<String> {
    let seen = see(input);
    assert_eq!(seen, see_bytewise(input), "a cut changed the meaning");
    seen.into_iter()
        .filter_map(|seen| match seen {
            Seen::Head { line, .. } => Some(line),
            Seen::Reject(error) => {
                panic!("{error} in {:?}", String::from_utf8_lossy(input))
            }
            Seen::Data(_) | Seen::End => None,
        })
        .collect()
}

/// A request of version 1.1 with a Host and `fields` (each with its CRLF).
pub(super) fn request(line: &str, fields: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = format!("{line}\r\nHost: a.example\r\n").into_bytes();
    out.extend_from_slice(fields);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}
