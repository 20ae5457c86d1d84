//! Frames into messages.

use super::close::CloseReason;
use super::deflate::Inflater;
use super::frame::{self, Header, MAX_CONTROL};
use super::mask;
use super::{Agreed, Error, Kind, Limits, Message, Opcode, Role};

/// Space made for a message at once, whatever length its frame declares; more comes with the bytes.
const TRUSTED: usize = 64 * 1024;

/// What one call of [`Decoder::handle`] took and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Bytes of `input` that are done with; the caller drops them before the next call.
    pub consumed: usize,
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing more can be said until more bytes come.
    Incomplete,
    Message(Message),
    /// Its payload is [`Decoder::control`].
    Ping,
    Pong,
    /// The peer's close frame. Nothing that follows it is read.
    Close(CloseReason),
    /// Tell the peer `error.close_code()` and close.
    Fail(Error),
}

/// The receiving side of one connection.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    limits: Limits,
    inflater: Option<Inflater>,
    phase: Phase,
    /// The message under way, between its first frame and its last.
    open: Option<Open>,
    data: Vec<u8>,
    control: [u8; MAX_CONTROL],
    control_len: u8,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Header,
    Payload {
        header: Header,
        done: u64,
    },
    /// Neither more bytes nor another call change what was said.
    Failed(Error),
    Closed,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    kind: Kind,
    compressed: bool,
    /// Bytes of a text that are whole characters and were checked.
    checked: usize,
}

impl Decoder {
    #[must_use]
    pub fn new(role: Role, limits: Limits, agreed: Option<&Agreed>) -> Self {
        Self {
            role,
            limits,
            inflater: agreed.map(|agreed| Inflater::new(agreed, role)),
            phase: Phase::Header,
            open: None,
            data: Vec::new(),
            control: [0; MAX_CONTROL],
            control_len: 0,
        }
    }

    /// Takes unread bytes and says one thing about them. Bytes past `consumed` are to be given again; call until
    /// `Incomplete`.
    pub fn handle(&mut self, input: &[u8]) -> Step {
        let mut consumed = 0;
        loop {
            match self.phase {
                Phase::Header => match self.begin_frame(&input[consumed..]) {
                    Ok(Some(header)) => {
                        consumed += header.size;
                        self.phase = Phase::Payload { header, done: 0 };
                    }
                    Ok(None) => return Step::new(consumed, Event::Incomplete),
                    Err(error) => return self.fail(consumed, error),
                },
                Phase::Payload { header, done } => {
                    let rest = &input[consumed..];
                    let left = header.length - done;
                    let taken = usize::try_from(left).map_or(rest.len(), |n| n.min(rest.len()));
                    if taken == 0 && left > 0 {
                        return Step::new(consumed, Event::Incomplete);
                    }
                    if let Err(error) = self.take(&header, done, &rest[..taken]) {
                        return self.fail(consumed, error);
                    }
                    consumed += taken;
                    if (taken as u64) < left {
                        let done = done + taken as u64;
                        self.phase = Phase::Payload { header, done };
                        return Step::new(consumed, Event::Incomplete);
                    }
                    self.phase = Phase::Header;
                    match self.end_frame(&header) {
                        Ok(Some(event)) => return Step::new(consumed, event),
                        Ok(None) => {}
                        Err(error) => return self.fail(consumed, error),
                    }
                }
                Phase::Failed(error) => return Step::new(consumed, Event::Fail(error)),
                Phase::Closed => return Step::new(input.len(), Event::Incomplete),
            }
        }
    }

    /// The payload of the control frame that was last told of.
    #[must_use]
    pub fn control(&self) -> &[u8] {
        &self.control[..usize::from(self.control_len)]
    }

    /// Nothing that still comes is looked at.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Failed(_) | Phase::Closed)
    }

    fn begin_frame(&mut self, input: &[u8]) -> Result<Option<Header>, Error> {
        // RFC 6455 5.1: a server takes only masked frames, a client only plain ones. Seen in the second byte.
        if let Some(second) = input.get(1)
            && (second & 0x80 != 0) != (self.role == Role::Server)
        {
            return Err(Error::Protocol);
        }
        let Some(header) = frame::parse(input)? else {
            return Ok(None);
        };
        if header.opcode.is_control() {
            self.control_len = 0;
            return Ok(Some(header));
        }
        if header.length > self.limits.frame as u64 {
            return Err(Error::TooBig);
        }
        match (header.opcode, &self.open) {
            (Opcode::Continuation, Some(_)) if !header.compressed => {}
            (Opcode::Text | Opcode::Binary, None) => {
                if header.compressed && self.inflater.is_none() {
                    return Err(Error::Protocol);
                }
                self.open = Some(Open {
                    kind: if header.opcode == Opcode::Text {
                        Kind::Text
                    } else {
                        Kind::Binary
                    },
                    compressed: header.compressed,
                    checked: 0,
                });
            }
            _ => return Err(Error::Protocol),
        }
        if header.length > (self.limits.message - self.data.len()) as u64 {
            return Err(Error::TooBig);
        }
        // Within the limit, so it fits.
        self.data.reserve((header.length as usize).min(TRUSTED));
        Ok(Some(header))
    }

    fn take(&mut self, header: &Header, done: u64, bytes: &[u8]) -> Result<(), Error> {
        let mask = header.mask.unwrap_or_default();
        // Only the place within the mask counts.
        let offset = (done % 4) as usize;
        if header.opcode.is_control() {
            // INVARIANT of a parsed header: a control frame's payload fits.
            let start = usize::from(self.control_len);
            let end = start + bytes.len();
            self.control[start..end].copy_from_slice(bytes);
            mask::apply(&mut self.control[start..end], mask, offset);
            self.control_len = end as u8;
            return Ok(());
        }
        mask::append(&mut self.data, bytes, mask, offset);
        match &mut self.open {
            Some(open) if open.kind == Kind::Text && !open.compressed => {
                let last = header.fin && done + bytes.len() as u64 == header.length;
                open.check(&self.data, last)
            }
            _ => Ok(()),
        }
    }

    fn end_frame(&mut self, header: &Header) -> Result<Option<Event>, Error> {
        match header.opcode {
            Opcode::Ping => return Ok(Some(Event::Ping)),
            Opcode::Pong => return Ok(Some(Event::Pong)),
            Opcode::Close => {
                let reason = CloseReason::parse(self.control())?;
                self.phase = Phase::Closed;
                self.open = None;
                self.data = Vec::new();
                return Ok(Some(Event::Close(reason)));
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {}
        }
        if !header.fin {
            return Ok(None);
        }
        let Some(mut open) = self.open.take() else {
            return Err(Error::Protocol);
        };
        let mut data = std::mem::take(&mut self.data);
        if open.compressed {
            let inflater = self.inflater.as_mut().ok_or(Error::Protocol)?;
            data = inflater.inflate(&data, self.limits.message)?;
            if open.kind == Kind::Text {
                open.check(&data, true)?;
            }
        }
        Ok(Some(Event::Message(Message {
            kind: open.kind,
            data,
        })))
    }

    fn fail(&mut self, consumed: usize, error: Error) -> Step {
        self.phase = Phase::Failed(error);
        self.open = None;
        self.data = Vec::new();
        Step::new(consumed, Event::Fail(error))
    }
}

impl Open {
    /// Checks what came of a text since the last time; a character may be cut off at the end unless that is the last.
    fn check(&mut self, data: &[u8], is_whole: bool) -> Result<(), Error> {
        match std::str::from_utf8(&data[self.checked..]) {
            Ok(_) => self.checked = data.len(),
            Err(error) if error.error_len().is_none() && !is_whole => {
                self.checked += error.valid_up_to();
            }
            Err(_) => return Err(Error::NotUtf8),
        }
        Ok(())
    }
}

impl Step {
    fn new(consumed: usize, event: Event) -> Self {
        Self { consumed, event }
    }
}
