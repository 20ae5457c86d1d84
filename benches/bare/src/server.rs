//! The loop: poll, read what is there, answer every complete request in it, write once.
//!
//! A connection owns memory only while a request or an answer is incomplete; else all share one read buffer and one
//! write buffer, so an idle connection is a socket and two empty vectors.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};

use crate::answer::Answers;

const LISTENER: Token = Token(usize::MAX);
const READ_BUFFER: usize = 64 * 1024;
/// A head and its body together; past it the request is refused.
const MAX_REQUEST: usize = 1024 * 1024;
const MAX_FIELDS: usize = 64;

pub struct Server {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    /// Set when accept failed for want of descriptors: no new edge will tell us to try again.
    accept_again: bool,
    connections: Slab<Connection>,
    work: Workspace,
}

struct Connection {
    stream: TcpStream,
    /// The start of a request whose rest has not come.
    partial: Vec<u8>,
    /// What the socket did not take; nothing is read while it is not empty.
    unsent: Vec<u8>,
    closing: bool,
}

/// What all connections share.
struct Workspace {
    read: Box<[u8]>,
    out: Vec<u8>,
    body: Vec<u8>,
    answers: Answers,
}

#[derive(PartialEq, Eq)]
enum Fate {
    Open,
    Closed,
}

impl Server {
    /// # Errors
    /// When the address cannot be bound or the poll cannot be made.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        let mut listener = TcpListener::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            listener,
            accept_again: false,
            connections: Slab::new(),
            work: Workspace {
                read: vec![0; READ_BUFFER].into_boxed_slice(),
                out: Vec::with_capacity(READ_BUFFER),
                body: Vec::with_capacity(READ_BUFFER),
                answers: Answers::new(),
            },
        })
    }

    /// # Errors
    /// When the socket has no local address any more.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// When polling fails.
    pub fn run(&mut self) -> io::Result<()> {
        loop {
            if let Err(error) = self.poll.poll(&mut self.events, None) {
                if error.kind() == ErrorKind::Interrupted {
                    continue;
                }
                return Err(error);
            }
            self.work.answers.tick();
            let mut accept = false;
            for event in &self.events {
                if event.token() == LISTENER {
                    accept = true;
                    continue;
                }
                let index = event.token().0;
                // A connection closed earlier in this batch leaves its later events without a target.
                let Some(connection) = self.connections.get_mut(index) else {
                    continue;
                };
                if connection.handle(event, self.poll.registry(), &mut self.work) == Fate::Closed {
                    self.connections.remove(index);
                    accept |= self.accept_again;
                }
            }
            // After the events: a new connection must not take the slot of one that still has an event in the batch.
            if accept {
                self.accept();
            }
        }
    }

    fn accept(&mut self) {
        self.accept_again = false;
        loop {
            match self.listener.accept() {
                Ok((mut stream, _)) => {
                    let entry = self.connections.vacant_entry();
                    let token = Token(entry.key());
                    if stream.set_nodelay(true).is_ok()
                        && self
                            .poll
                            .registry()
                            .register(&mut stream, token, Interest::READABLE)
                            .is_ok()
                    {
                        entry.insert(Connection {
                            stream,
                            partial: Vec::new(),
                            unsent: Vec::new(),
                            closing: false,
                        });
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    ErrorKind::WouldBlock => return,
                    _ => {
                        self.accept_again = true;
                        return;
                    }
                },
            }
        }
    }
}

impl Connection {
    fn handle(&mut self, event: &Event, registry: &mio::Registry, work: &mut Workspace) -> Fate {
        let token = event.token();
        if !self.unsent.is_empty() {
            match self.flush() {
                Ok(true) if self.closing => return Fate::Closed,
                Ok(true) => {
                    // Back to reading: registering anew reports at once what came in the meantime.
                    return fate(registry.reregister(&mut self.stream, token, Interest::READABLE));
                }
                Ok(false) => return Fate::Open,
                Err(_) => return Fate::Closed,
            }
        }
        match self.exchange(event.is_read_closed(), work) {
            Ok(Fate::Open) if !self.unsent.is_empty() => {
                fate(registry.reregister(&mut self.stream, token, Interest::WRITABLE))
            }
            Ok(fate) => fate,
            Err(_) => Fate::Closed,
        }
    }

    /// Reads, answers, writes. `ended`: the client has sent its last byte, so the end must be read for.
    fn exchange(&mut self, ended: bool, work: &mut Workspace) -> io::Result<Fate> {
        loop {
            let read = match self.stream.read(&mut work.read) {
                Ok(0) => return Ok(Fate::Closed),
                Ok(read) => read,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => continue,
                    ErrorKind::WouldBlock => return Ok(Fate::Open),
                    _ => return Err(error),
                },
            };
            work.out.clear();
            if self.partial.is_empty() {
                let (taken, closing) = answer_all(
                    &work.read[..read],
                    &work.answers,
                    &mut work.body,
                    &mut work.out,
                );
                self.closing = closing;
                if taken < read {
                    self.partial.extend_from_slice(&work.read[taken..read]);
                }
            } else {
                self.partial.extend_from_slice(&work.read[..read]);
                let (taken, closing) =
                    answer_all(&self.partial, &work.answers, &mut work.body, &mut work.out);
                self.closing = closing;
                self.partial.drain(..taken);
            }
            if !work.out.is_empty() {
                let sent = self.send(&work.out)?;
                if sent < work.out.len() {
                    self.unsent.extend_from_slice(&work.out[sent..]);
                    return Ok(Fate::Open);
                }
            }
            if self.closing {
                return Ok(Fate::Closed);
            }
            // epoll(7): a short read from a stream socket means that it is drained, so no second recv is needed to
            // hear WouldBlock; only a FIN in the same edge must be fetched.
            if read < work.read.len() && !ended {
                return Ok(Fate::Open);
            }
        }
    }

    /// Sends what was left over; true when all of it is gone.
    fn flush(&mut self) -> io::Result<bool> {
        let unsent = std::mem::take(&mut self.unsent);
        let sent = self.send(&unsent)?;
        if sent < unsent.len() {
            self.unsent = unsent;
            self.unsent.drain(..sent);
        }
        Ok(self.unsent.is_empty())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }
}

fn fate(result: io::Result<()>) -> Fate {
    if result.is_ok() {
        Fate::Open
    } else {
        Fate::Closed
    }
}

/// Answers every complete request in `input`; returns the bytes taken, and whether the connection ends after them.
fn answer_all(
    input: &[u8],
    answers: &Answers,
    body_buffer: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> (usize, bool) {
    let mut taken = 0;
    while taken < input.len() {
        match answer_one(&input[taken..], answers, body_buffer, out) {
            Outcome::Answered { len, close } => {
                taken += len;
                if close {
                    return (input.len(), true);
                }
            }
            Outcome::Partial if input.len() - taken > MAX_REQUEST => {
                Answers::refusal("413 REQUEST ENTITY TOO LARGE", out);
                return (input.len(), true);
            }
            Outcome::Partial => break,
            Outcome::Refused(status) => {
                Answers::refusal(status, out);
                return (input.len(), true);
            }
        }
    }
    (taken, false)
}

enum Outcome {
    Answered { len: usize, close: bool },
    Partial,
    Refused(&'static str),
}

fn answer_one(
    input: &[u8],
    answers: &Answers,
    body_buffer: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Outcome {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let head = match request.parse_with_uninit_headers(input, &mut fields) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Outcome::Partial,
        Err(_) => return Outcome::Refused("400 BAD REQUEST"),
    };
    let mut body_len = 0;
    let mut close = request.version == Some(0);
    for field in request.headers.iter() {
        // By length first: two comparisons spare three on nearly every field.
        match field.name.len() {
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                let length = std::str::from_utf8(field.value)
                    .ok()
                    .and_then(|text| text.parse().ok());
                match length {
                    Some(length) if length <= MAX_REQUEST => body_len = length,
                    Some(_) => return Outcome::Refused("413 REQUEST ENTITY TOO LARGE"),
                    None => return Outcome::Refused("400 BAD REQUEST"),
                }
            }
            10 if field.name.eq_ignore_ascii_case("connection") => {
                close = field.value.eq_ignore_ascii_case(b"close");
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                return Outcome::Refused("501 NOT IMPLEMENTED");
            }
            _ => {}
        }
    }
    let len = head + body_len;
    let Some(body) = input.get(head..len) else {
        return Outcome::Partial;
    };
    let method = request.method.unwrap_or_default();
    let path = request.path.unwrap_or_default();
    if (method, path) == ("POST", "/echo-json") {
        // serde_json's map is ordered by key unless told otherwise, as Flask's provider is.
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
            return Outcome::Refused("400 BAD REQUEST");
        };
        body_buffer.clear();
        if serde_json::to_writer(&mut *body_buffer, &value).is_err() {
            return Outcome::Refused("500 INTERNAL SERVER ERROR");
        }
        body_buffer.push(b'\n');
        answers.json(body_buffer, out);
    } else {
        answers.fixed(method, path, out);
    }
    Outcome::Answered { len, close }
}
