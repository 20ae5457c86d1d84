//! One dynamic part of a rule, matched as Python's `re` matches the regular expression Werkzeug writes for it.
//!
//! A pattern is literals and captures in sequence, then the end. Captures try their ends in the order of the
//! regular expression (greedy ones longest first, `path` shortest first), so the first success is also Python's.
//! Only the shapes below are known here; any other expression is left to Python.

use memchr::{memchr, memrchr};
use smallvec::{SmallVec, smallvec};

use super::digits::decimal;

/// The texts captured so far, domain first.
pub type Texts<'p> = SmallVec<[&'p str; 8]>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    elements: Box<[Element]>,
    end: End,
    captures: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    Literal(Box<str>),
    Capture(Shape),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exact,
    /// `(?<!/)(/?)` before the end: a branch rule whose last converter takes slashes.
    Slash,
}

/// The regular expressions of the stock converters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// `[^/]{min,max}`
    Text {
        min: usize,
        max: usize,
    },
    /// `\d+`, `-?\d+`
    Int {
        signed: bool,
    },
    /// `\d+\.\d+`, `-?\d+\.\d+`
    Float {
        signed: bool,
    },
    Uuid,
    /// `[^/].*?`: lazy, and no newline after the first character.
    Path,
    /// `(?:a|b)`: the first that leads to a match.
    OneOf(Box<[Box<str>]>),
}

impl Pattern {
    #[must_use]
    pub fn new(elements: Vec<Element>, end: End) -> Self {
        // INVARIANT of `Attempt::capture`: no literal is empty.
        let mut elements = elements;
        elements.retain(|element| !matches!(element, Element::Literal(text) if text.is_empty()));
        let captures = elements
            .iter()
            .filter(|element| matches!(element, Element::Capture(_)))
            .count();
        Self {
            elements: elements.into(),
            end,
            captures,
        }
    }

    /// `Some(true)` if the text matches and ends with the optional slash. Captures are appended only on success.
    pub fn matches<'p>(&self, text: &'p str, out: &mut Texts<'p>) -> Option<bool> {
        if let ([Element::Capture(shape)], End::Exact) = (&*self.elements, self.end) {
            return shape.is_whole(text).then(|| {
                out.push(text);
                false
            });
        }
        let refused = if self.captures > 1 {
            smallvec![NOTHING; self.elements.len()]
        } else {
            SmallVec::new()
        };
        Attempt {
            pattern: self,
            text,
            out,
            refused,
        }
        .from(0, 0)
    }
}

struct Attempt<'a, 'p> {
    pattern: &'a Pattern,
    text: &'p str,
    out: &'a mut Texts<'p>,
    /// For each capture a range, both ends included, in which it cannot end: what follows fails wherever the
    /// capture began. Without it a text made for that costs a power of its length; with it each element looks at
    /// each place about once.
    refused: SmallVec<[(usize, usize); 6]>,
}

const NOTHING: (usize, usize) = (1, 0);

impl Attempt<'_, '_> {
    /// Matches elements from `index` on at byte `at`; as deep as the rule has elements, whatever the input.
    fn from(&mut self, index: usize, at: usize) -> Option<bool> {
        let pattern = self.pattern;
        match pattern.elements.get(index) {
            None => pattern.end.accepts(self.text, at),
            Some(Element::Literal(literal)) => {
                let rest = &self.text.as_bytes()[at..];
                if rest.starts_with(literal.as_bytes()) {
                    self.from(index + 1, at + literal.len())
                } else {
                    None
                }
            }
            Some(Element::Capture(Shape::OneOf(words))) => {
                let text = self.text;
                words
                    .iter()
                    .filter(|word| text.as_bytes()[at..].starts_with(word.as_bytes()))
                    .find_map(|word| self.take(index, at, at + word.len()))
            }
            Some(Element::Capture(shape)) => {
                let (low, high) = shape.ends(self.text, at)?;
                let lazy = *shape == Shape::Path;
                let Some(&(first, last)) =
                    self.refused.get(index).filter(|known| **known != NOTHING)
                else {
                    return self.capture(lazy, index, at, low, high);
                };
                // What is left of the range on either side of the refused one.
                let before = (low, high.min(first.saturating_sub(1)));
                let behind = (low.max(last + 1), high);
                let order = if lazy {
                    [before, behind]
                } else {
                    [behind, before]
                };
                let found = order
                    .into_iter()
                    .filter(|(low, high)| low <= high && (*high < first || *low > last))
                    .find_map(|(low, high)| self.capture(lazy, index, at, low, high));
                if found.is_none() {
                    let joined = low <= last + 1 && first <= high + 1;
                    self.refused[index] = if joined {
                        (low.min(first), high.max(last))
                    } else {
                        (low, high)
                    };
                }
                found
            }
        }
    }

    /// Tries the ends from `low` to `high`.
    fn capture(
        &mut self,
        lazy: bool,
        index: usize,
        at: usize,
        low: usize,
        high: usize,
    ) -> Option<bool> {
        let found = self.try_ends(lazy, index, at, low, high);
        if found.is_none()
            && let Some(refused) = self.refused.get_mut(index)
            && *refused == NOTHING
        {
            *refused = (low, high);
        }
        found
    }

    fn try_ends(
        &mut self,
        lazy: bool,
        index: usize,
        at: usize,
        low: usize,
        high: usize,
    ) -> Option<bool> {
        let length = self.text.len();
        match self.pattern.elements.get(index + 1) {
            // The end leaves one possible place, or two with its slash.
            None => {
                let near = match self.pattern.end {
                    End::Slash if self.text.ends_with('/') => length - 1,
                    _ => length,
                };
                let order = if lazy { [near, length] } else { [length, near] };
                order
                    .into_iter()
                    .filter(|end| (low..=high).contains(end))
                    .find_map(|end| self.take(index, at, end))
            }
            // A literal's first byte begins a character, so only those places need a look.
            Some(Element::Literal(literal)) => {
                let first = literal.as_bytes()[0];
                let bytes = self.text.as_bytes();
                let (mut low, mut high) = (low, (high + 1).min(length));
                while low < high {
                    let window = &bytes[low..high];
                    let end = if lazy {
                        let end = low + memchr(first, window)?;
                        low = end + 1;
                        end
                    } else {
                        let end = low + memrchr(first, window)?;
                        high = end;
                        end
                    };
                    if let Some(found) = self.take(index, at, end) {
                        return Some(found);
                    }
                }
                None
            }
            Some(Element::Capture(_)) => {
                let text = self.text;
                let mut ends = (low..=high).filter(|&end| text.is_char_boundary(end));
                if lazy {
                    ends.find_map(|end| self.take(index, at, end))
                } else {
                    ends.rev().find_map(|end| self.take(index, at, end))
                }
            }
        }
    }

    fn take(&mut self, index: usize, start: usize, end: usize) -> Option<bool> {
        self.out.push(&self.text[start..end]);
        let found = self.from(index + 1, end);
        if found.is_none() {
            self.out.pop();
        }
        found
    }
}

impl End {
    fn accepts(self, text: &str, at: usize) -> Option<bool> {
        let rest = &text.as_bytes()[at..];
        match self {
            Self::Exact => rest.is_empty().then_some(false),
            Self::Slash if at > 0 && text.as_bytes()[at - 1] == b'/' => None,
            Self::Slash if rest == b"/" => Some(true),
            Self::Slash => rest.is_empty().then_some(false),
        }
    }
}

impl Shape {
    /// Reads the regular expression of a converter; `None` leaves it to Python.
    #[must_use]
    pub fn from_regex(regex: &str) -> Option<Self> {
        let unbounded = |min| Self::Text {
            min,
            max: usize::MAX,
        };
        match regex {
            r"[^/]+" => Some(unbounded(1)),
            r"\d+" => Some(Self::Int { signed: false }),
            r"-?\d+" => Some(Self::Int { signed: true }),
            r"\d+\.\d+" => Some(Self::Float { signed: false }),
            r"-?\d+\.\d+" => Some(Self::Float { signed: true }),
            r"[^/].*?" => Some(Self::Path),
            UUID => Some(Self::Uuid),
            _ => {
                if let Some(bounds) = regex
                    .strip_prefix("[^/]{")
                    .and_then(|rest| rest.strip_suffix('}'))
                {
                    let (min, max) = match bounds.split_once(',') {
                        None => (count(bounds)?, count(bounds)?),
                        Some((min, "")) => return count(min).map(unbounded),
                        Some((min, max)) => (count(min)?, count(max)?),
                    };
                    return (min <= max).then_some(Self::Text { min, max });
                }
                let words = regex.strip_prefix("(?:")?.strip_suffix(')')?;
                alternatives(words).map(Self::OneOf)
            }
        }
    }

    fn is_whole(&self, text: &str) -> bool {
        match self {
            Self::Text { min, max } => {
                let counted = *min > 1 || *max != usize::MAX;
                (!text.is_empty() || *min == 0)
                    && memchr(b'/', text.as_bytes()).is_none()
                    && (!counted || (*min..=*max).contains(&text.chars().count()))
            }
            Self::OneOf(words) => words.iter().any(|word| **word == *text),
            Self::Int { .. } if text.bytes().all(|byte| byte.is_ascii_digit()) => !text.is_empty(),
            _ => self
                .ends(text, 0)
                .is_some_and(|(low, high)| (low..=high).contains(&text.len())),
        }
    }

    /// The least and the greatest end of a capture that begins at `at`.
    fn ends(&self, text: &str, at: usize) -> Option<(usize, usize)> {
        let rest = &text[at..];
        let (low, high) = match self {
            Self::Text { min, max } => {
                let stop = memchr(b'/', rest.as_bytes()).unwrap_or(rest.len());
                let rest = &rest[..stop];
                let low = after(rest, *min)?;
                let high = after(rest, *max).unwrap_or(stop);
                (low, high)
            }
            Self::Int { signed } => {
                let start = sign(rest, *signed);
                let (low, high) = digits(&rest[start..])?;
                (start + low, start + high)
            }
            Self::Float { signed } => {
                let start = sign(rest, *signed);
                let point = start + digits(&rest[start..])?.1;
                let fraction = rest[point..].strip_prefix('.')?;
                let (low, high) = digits(fraction)?;
                (point + 1 + low, point + 1 + high)
            }
            Self::Uuid => {
                let head = rest.as_bytes().first_chunk::<36>()?;
                let mut groups = [
                    &head[..8],
                    &head[9..13],
                    &head[14..18],
                    &head[19..23],
                    &head[24..],
                ]
                .into_iter();
                let hyphens = [8, 13, 18, 23].iter().all(|&index| head[index] == b'-');
                let fits = hyphens && groups.all(|group| group.iter().all(u8::is_ascii_hexdigit));
                fits.then_some((36, 36))?
            }
            Self::Path => {
                let first = rest.chars().next().filter(|&c| c != '/')?;
                let low = first.len_utf8();
                let line = memchr(b'\n', &rest.as_bytes()[low..]);
                (low, line.map_or(rest.len(), |stop| low + stop))
            }
            Self::OneOf(_) => return None,
        };
        Some((at + low, at + high))
    }
}

pub(super) const UUID: &str =
    "[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}";

/// A repetition count; without a sign, which `re` would take literally.
fn count(digits: &str) -> Option<usize> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain
        .then(|| digits.parse::<u32>().ok())?
        .map(|n| n as usize)
}

/// The words of an alternation of escaped literals.
fn alternatives(regex: &str) -> Option<Box<[Box<str>]>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = regex.chars();
    while let Some(c) = chars.next() {
        match c {
            '|' => words.push(std::mem::take(&mut word).into()),
            '\\' => word.push(chars.next().filter(|c| !c.is_alphanumeric())?),
            '.' | '^' | '$' | '*' | '+' | '?' | '{' | '}' | '[' | ']' | '(' | ')' => return None,
            _ => word.push(c),
        }
    }
    words.push(word.into());
    Some(words.into())
}

/// The byte behind the first `characters` characters, if there are as many.
fn after(text: &str, characters: usize) -> Option<usize> {
    match characters {
        0 => Some(0),
        1 => text.chars().next().map(char::len_utf8),
        _ if characters > text.len() => None,
        _ => text
            .char_indices()
            .nth(characters - 1)
            .map(|(start, c)| start + c.len_utf8()),
    }
}

fn sign(text: &str, signed: bool) -> usize {
    usize::from(signed && text.starts_with('-'))
}

/// The ends of the first and of the last digit of a run.
fn digits(text: &str) -> Option<(usize, usize)> {
    let other = text.bytes().position(|byte| !byte.is_ascii_digit());
    let end = other.unwrap_or(text.len());
    if other.is_none_or(|at| text.as_bytes()[at].is_ascii()) {
        return (end > 0).then_some((1, end));
    }
    let mut ends = None;
    for (start, c) in text.char_indices() {
        if decimal(c).is_none() {
            break;
        }
        let end = start + c.len_utf8();
        ends = Some((ends.map_or(end, |(low, _)| low), end));
    }
    ends
}
