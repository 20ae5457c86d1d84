//! `multipart/form-data` (RFC 7578, RFC 2046 5.1), sans-IO.
//!
//! ```text
//! Preamble -> Head -> Start -> Data -> (Head | Epilogue)
//! ```
//!
//! The caller keeps the input: it shows what has not been consumed, and drops what a step consumed. What an event says
//! does not depend on how the input was cut: bytes that may belong to a delimiter wait until that is known. No byte is
//! looked at more than a fixed number of times beside those, which are never more than a delimiter, its padding (1 KiB)
//! and two line breaks; a part's head and the preamble wait whole, so the caller bounds what it keeps.

use memchr::memmem::Finder;

/// Padding behind a boundary that is waited for; a longer one is seen only if it is there at once.
const MAX_PADDING: usize = 1024;

/// Decodes one body.
#[derive(Debug)]
pub struct Decoder {
    /// `--` and the boundary.
    line: Finder<'static>,
    state: State,
    /// How many bytes of the input were searched in vain.
    searched: usize,
    parts: usize,
    max_parts: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    Head,
    /// Before the line break that ends a head; it may be the one that begins a delimiter.
    Start,
    Data,
    Epilogue,
}

/// What a step found, and how much of the input it is done with.
#[derive(Debug, PartialEq, Eq)]
pub struct Step<'a> {
    pub consumed: usize,
    pub event: Event<'a>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// More input is needed.
    Incomplete,
    /// A part begins.
    Part(Head),
    /// A piece of its content, which may be empty when it is the last one.
    Data { bytes: &'a [u8], last: bool },
    /// The last delimiter was seen. What follows has no meaning; each later step takes all of it.
    End,
}

/// The field lines of a part, unfolded and without the blanks around names and values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The first value of a field; `name` in lower case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A field line of a part is not UTF-8.
    NotUtf8(Vec<u8>),
    /// A part has no Content-Disposition.
    NoDisposition,
    /// There are more parts than allowed.
    TooManyParts,
}

enum Tail {
    /// A line break: a part follows. With the number of bytes.
    Next(usize),
    /// `--`: no part follows.
    Last(usize),
    /// It cannot be told yet.
    Partial,
    Other,
}

impl Decoder {
    /// Decodes a body with this boundary and at most so many parts.
    #[must_use]
    pub fn new(boundary: &[u8], max_parts: Option<usize>) -> Self {
        Self {
            line: Finder::new(&[b"--", boundary].concat()).into_owned(),
            state: State::Preamble,
            searched: 0,
            parts: 0,
            max_parts,
        }
    }

    /// Looks at the input that is not consumed yet. To be called until it says `Incomplete` or `End`.
    ///
    /// # Errors
    /// The body is malformed, or has too many parts. The decoder is not to be used any more.
    pub fn handle<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>, Error> {
        match self.state {
            State::Preamble => self.preamble(input),
            State::Head => self.head(input, 0),
            State::Start => Ok(self.start(input)),
            State::Data => Ok(self.data(input, 0)),
            State::Epilogue => Ok(Step::new(input.len(), Event::End)),
        }
    }

    /// Where in a body it stands, in the words of Werkzeug's decoder; `None` once it has seen the body's end.
    #[must_use]
    pub fn waits_in(&self) -> Option<&'static str> {
        match self.state {
            State::Preamble => Some("PREAMBLE"),
            State::Head => Some("PART"),
            State::Start | State::Data => Some("DATA"),
            State::Epilogue => None,
        }
    }

    fn preamble<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>, Error> {
        let length = self.line.needle().len();
        let mut from = self.searched;
        // The line break before the first boundary is often left out.
        while let Some(at) = self.find(input, from) {
            match tail(&input[at + length..]) {
                Tail::Next(size) => {
                    self.enter(State::Head);
                    return self.head(input, at + length + size);
                }
                Tail::Last(_) => {
                    self.enter(State::Epilogue);
                    return Ok(Step::new(input.len(), Event::End));
                }
                Tail::Partial => {
                    self.searched = at;
                    return Ok(Step::new(0, Event::Incomplete));
                }
                Tail::Other => from = at + 1,
            }
        }
        self.searched = from.max((input.len() + 1).saturating_sub(length));
        Ok(Step::new(0, Event::Incomplete))
    }

    /// The head of a part, which begins at `from`.
    fn head<'a>(&mut self, input: &'a [u8], from: usize) -> Result<Step<'a>, Error> {
        let text = &input[from..];
        let blank_line = memchr::memchr2_iter(b'\r', b'\n', &text[self.searched..])
            .map(|at| at + self.searched)
            .find_map(|at| match &text[at..] {
                [b'\r', b'\n', b'\r', b'\n', ..] => Some((at, 2)),
                [b'\r', b'\r', ..] | [b'\n', b'\n', ..] => Some((at, 1)),
                _ => None,
            });
        let Some((end, line_break)) = blank_line else {
            self.searched = text.len().saturating_sub(3);
            return Ok(Step::new(from, Event::Incomplete));
        };
        let head = Head {
            fields: fields(&text[..end])?,
        };
        if head.field("content-disposition").is_none() {
            return Err(Error::NoDisposition);
        }
        self.parts += 1;
        if self.max_parts.is_some_and(|most| self.parts > most) {
            return Err(Error::TooManyParts);
        }
        self.enter(State::Start);
        // The second line break stays: a delimiter right behind an empty part needs it.
        Ok(Step::new(from + end + line_break, Event::Part(head)))
    }

    fn start<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        match line_break(input) {
            // CR, and LF may follow.
            None if input.len() < 2 => Step::new(0, Event::Incomplete),
            size => self.data(input, size.unwrap_or(0)),
        }
    }

    /// Content, which begins at `from`; what is before that is the line break that ended the head.
    fn data<'a>(&mut self, input: &'a [u8], from: usize) -> Step<'a> {
        let length = self.line.needle().len();
        let mut end = None;
        let mut search = 0;
        while let Some(at) = self.find(input, search) {
            search = at + 1;
            let Some(begin) = line_break_before(input, at) else {
                continue;
            };
            match tail(&input[at + length..]) {
                Tail::Other => continue,
                Tail::Partial => end = Some(begin),
                Tail::Next(size) => {
                    self.enter(State::Head);
                    return Step::content(input, from, begin, at + length + size);
                }
                Tail::Last(size) => {
                    self.enter(State::Epilogue);
                    return Step::content(input, from, begin, at + length + size);
                }
            }
            break;
        }
        let end = end.unwrap_or_else(|| self.partial(input));
        if end < from {
            // What ended the head may begin a delimiter.
            return Step::new(0, Event::Incomplete);
        }
        self.state = State::Data;
        let event = match &input[from..end] {
            [] => Event::Incomplete,
            bytes => Event::Data { bytes, last: false },
        };
        Step::new(end, event)
    }

    /// Where a delimiter may begin whose boundary has not fully arrived: a line break at the end, with nothing behind
    /// it but the beginning of one.
    fn partial(&self, input: &[u8]) -> usize {
        let line = self.line.needle();
        let earliest = input.len().saturating_sub(line.len() + 1);
        (earliest..input.len())
            .find(|&at| {
                let size = match &input[at..] {
                    [b'\r', b'\n', ..] => 2,
                    [b'\r' | b'\n', ..] => 1,
                    _ => return false,
                };
                line.starts_with(&input[at + size..])
            })
            .unwrap_or(input.len())
    }

    fn find(&self, input: &[u8], from: usize) -> Option<usize> {
        Some(from + self.line.find(input.get(from..)?)?)
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.searched = 0;
    }
}

impl<'a> Step<'a> {
    fn new(consumed: usize, event: Event<'a>) -> Self {
        Self { consumed, event }
    }

    /// The last of a part; its delimiter may begin with the line break that ended the head, before `from`.
    fn content(input: &'a [u8], from: usize, end: usize, consumed: usize) -> Self {
        let bytes = input.get(from..end).unwrap_or_default();
        Self::new(consumed, Event::Data { bytes, last: true })
    }
}

/// What follows a boundary: `--`, or blanks and a line break (RFC 2046 5.1.1).
fn tail(after: &[u8]) -> Tail {
    if after.starts_with(b"--") {
        return Tail::Last(2);
    }
    let padding = after
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | 0x0b | 0x0c))
        .unwrap_or(after.len());
    match &after[padding..] {
        [] | [b'\r'] if padding <= MAX_PADDING => Tail::Partial,
        [b'-'] if padding == 0 => Tail::Partial,
        rest => match line_break(rest) {
            Some(size) => Tail::Next(padding + size),
            None => Tail::Other,
        },
    }
}

/// The length of the line break that the input begins with; `None` also for a CR at its end.
fn line_break(input: &[u8]) -> Option<usize> {
    match input {
        [b'\r', b'\n', ..] => Some(2),
        [b'\n', ..] | [b'\r', _, ..] => Some(1),
        _ => None,
    }
}

/// Where the line break begins that ends at `at`.
fn line_break_before(input: &[u8], at: usize) -> Option<usize> {
    match &input[..at] {
        [before @ .., b'\r', b'\n'] | [before @ .., b'\n' | b'\r'] => Some(before.len()),
        _ => None,
    }
}

fn fields(text: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let unfolded = unfold(text);
    let mut fields = Vec::new();
    for line in unfolded.split(|byte| matches!(byte, b'\r' | b'\n')) {
        let start = line.iter().position(|b| !is_blank(b)).unwrap_or(line.len());
        let end = line
            .iter()
            .rposition(|b| !is_blank(b))
            .map_or(start, |at| at + 1);
        let line = &line[start..end];
        if line.is_empty() {
            continue;
        }
        let text = std::str::from_utf8(line).map_err(|_| Error::NotUtf8(line.to_vec()))?;
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let trimmed = |text: &str| text.trim_matches([' ', '\t']).to_owned();
        fields.push((trimmed(name), trimmed(value)));
    }
    Ok(fields)
}

/// Joins lines that are continued on the next one, which then begins with a blank.
fn unfold(text: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let is_folded = |pair: &[u8]| matches!(pair, [b'\r' | b'\n', b' ' | b'\t']);
    if !text.windows(2).any(is_folded) {
        return text.into();
    }
    let mut joined = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [b'\r', b'\n', b' ' | b'\t', after @ ..]
            | [b'\r' | b'\n', b' ' | b'\t', after @ ..] => {
                joined.push(b' ');
                after
            }
            [byte, after @ ..] => {
                joined.push(*byte);
                after
            }
            [] => return joined.into(),
        };
    }
}
