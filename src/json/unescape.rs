//! JSON string literals read back. Control characters, unknown escapes and lone surrogates are refused here; the
//! standard library decides on them.

use super::block::{ahead, any_end, beyond_ascii, ends, ends_of_16};

/// A literal's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal<'a> {
    /// All of it is below 0x80.
    Ascii(&'a [u8]),
    /// With bytes beyond, that are yet to be proved UTF-8.
    Utf8(&'a [u8]),
    /// As code points.
    Points(&'a [u32]),
}

/// Where texts with escapes are put together. What is beyond a text means nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    bytes: Vec<u8>,
    points: Vec<u32>,
}

/// Reads a literal from behind its opening quote; with it, the length up to behind the closing quote.
#[inline(always)]
pub fn scan_string<'a>(text: &'a [u8], scratch: &'a mut Scratch) -> Option<(Literal<'a>, usize)> {
    if let Some(block) = text.first_chunk() {
        let (ends, beyond) = ends_of_16(block);
        if ends != 0 {
            let len = ends.trailing_zeros() as usize;
            if block[len & 15] == b'"' {
                // The bytes beyond ASCII that come before the end: below its bit.
                let ascii = beyond & (ends ^ (ends - 1)) == 0;
                return Some((literal(&text[..len], ascii), len + 1));
            }
        }
    }
    scan_long(text, scratch)
}

#[inline(never)]
fn scan_long<'a>(text: &'a [u8], scratch: &'a mut Scratch) -> Option<(Literal<'a>, usize)> {
    let mut at = 0;
    let mut beyond = 0;
    while let Some(block) = text[at..].first_chunk() {
        let (ends, high) = ends_of_16(block);
        if ends != 0 {
            beyond |= high & (ends ^ (ends - 1));
            return end(
                text,
                at + ends.trailing_zeros() as usize,
                beyond == 0,
                scratch,
            );
        }
        beyond |= high;
        at += 16;
        if at == 64 {
            // A longer text: in larger steps.
            at += plain_blocks(&text[at..]);
            beyond |= u32::from(!text[64..at].is_ascii());
        }
    }
    while let Some(&byte) = text.get(at) {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        beyond |= u32::from(byte & 0x80);
        at += 1;
    }
    end(text, at, beyond == 0, scratch)
}

/// Length of the blocks before the one in which a plain run ends.
#[inline]
fn plain_blocks(text: &[u8]) -> usize {
    let blocks = text.as_chunks::<64>().0;
    let plain = blocks.iter().take_while(|block| !any_end(block));
    64 * plain.count()
}

/// What follows from the byte that ends the first plain run.
#[inline]
fn end<'a>(
    text: &'a [u8],
    at: usize,
    ascii: bool,
    scratch: &'a mut Scratch,
) -> Option<(Literal<'a>, usize)> {
    match *text.get(at)? {
        b'"' => Some((literal(&text[..at], ascii), at + 1)),
        b'\\' => scratch.unescape(text, at, ascii),
        _ => None,
    }
}

#[inline]
fn literal(text: &[u8], ascii: bool) -> Literal<'_> {
    if ascii {
        Literal::Ascii(text)
    } else {
        Literal::Utf8(text)
    }
}

/// How far a text was put together as bytes.
enum Bytes {
    /// All of it; the literal ends before `at`.
    End { len: usize, ascii: bool, at: usize },
    /// It is ASCII up to the escape at `at`, which is not.
    Wide { len: usize, at: usize },
}

impl Scratch {
    /// Reads on from the first backslash, which is at `at`.
    #[inline(never)]
    fn unescape(&mut self, text: &[u8], at: usize, ascii: bool) -> Option<(Literal<'_>, usize)> {
        match self.unescape_bytes(text, at, ascii)? {
            Bytes::End { len, ascii, at } => Some((literal(&self.bytes[..len], ascii), at)),
            Bytes::Wide { len, at } => self.unescape_wide(text, at, len),
        }
    }

    #[inline]
    fn unescape_bytes(&mut self, text: &[u8], mut at: usize, mut ascii: bool) -> Option<Bytes> {
        // A literal is no longer than the document; so this happens once for a document.
        if self.bytes.len() < text.len() + 16 {
            self.bytes.resize(text.len() + 16, 0);
        }
        let bytes = &mut self.bytes[..];
        let mut len = at;
        bytes[..at].copy_from_slice(&text[..at]);
        loop {
            // The backslash is at `at`.
            let letter = *text.get(at + 1)?;
            let byte = SHORT[usize::from(letter)];
            if byte != 0 {
                bytes[len] = byte;
                len += 1;
                at += 2;
            } else if letter == b'u' {
                let (character, end) = unicode(text, at + 2)?;
                if !character.is_ascii() {
                    ascii = ascii && bytes[..len].is_ascii();
                    if ascii {
                        // What is all ASCII in the document mostly stays so: no detour over UTF-8.
                        return Some(Bytes::Wide { len, at });
                    }
                }
                len += character.encode_utf8(&mut bytes[len..]).len();
                at = end;
            } else {
                return None;
            }
            match copy_plain(bytes, &mut len, text, &mut at)? {
                b'\\' => {}
                b'"' => {
                    let ascii = ascii && bytes[..len].is_ascii();
                    return Some(Bytes::End {
                        len,
                        ascii,
                        at: at + 1,
                    });
                }
                _ => return None,
            }
        }
    }

    /// Reads on as code points, from the escape at `at`, after `len` characters of ASCII.
    fn unescape_wide(
        &mut self,
        text: &[u8],
        mut at: usize,
        mut len: usize,
    ) -> Option<(Literal<'_>, usize)> {
        if self.points.len() < text.len() + 8 {
            self.points.resize(text.len() + 8, 0);
        }
        let points = &mut self.points[..];
        for (point, &byte) in points.iter_mut().zip(&self.bytes[..len]) {
            *point = u32::from(byte);
        }
        loop {
            if let Some(chunk) = text[at..].first_chunk::<8>() {
                let word = u64::from_le_bytes(*chunk);
                for (point, &byte) in points[len..len + 8].iter_mut().zip(chunk) {
                    *point = u32::from(byte);
                }
                let stops = ends(word) | beyond_ascii(word);
                if stops == 0 {
                    at += 8;
                    len += 8;
                    continue;
                }
                at += ahead(stops);
                len += ahead(stops);
            }
            let point = match *text.get(at)? {
                b'\\' => {
                    let letter = *text.get(at + 1)?;
                    let byte = SHORT[usize::from(letter)];
                    if byte != 0 {
                        at += 2;
                        u32::from(byte)
                    } else if letter == b'u' {
                        let (character, end) = unicode(text, at + 2)?;
                        at = end;
                        u32::from(character)
                    } else {
                        return None;
                    }
                }
                b'"' => return Some((Literal::Points(&points[..len]), at + 1)),
                byte if byte < 0x20 => return None,
                byte if byte < 0x80 => {
                    at += 1;
                    u32::from(byte)
                }
                // Escapes and UTF-8 in one text.
                _ => {
                    let (character, end) = decode(text, at)?;
                    at = end;
                    u32::from(character)
                }
            };
            points[len] = point;
            len += 1;
        }
    }
}

/// Copies the plain run at `at` to `to[len..]` and moves both on; the byte that ends it.
#[inline(always)]
fn copy_plain(to: &mut [u8], len: &mut usize, text: &[u8], at: &mut usize) -> Option<u8> {
    while let Some(block) = text.get(*at..)?.first_chunk::<16>() {
        *to.get_mut(*len..)?.first_chunk_mut()? = *block;
        let (ends, _) = ends_of_16(block);
        if ends != 0 {
            let plain = ends.trailing_zeros() as usize & 15;
            *at += plain;
            *len += plain;
            return Some(block[plain]);
        }
        *at += 16;
        *len += 16;
    }
    // Near the end of the document, byte by byte.
    loop {
        let byte = *text.get(*at)?;
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            return Some(byte);
        }
        *to.get_mut(*len)? = byte;
        *at += 1;
        *len += 1;
    }
}

/// The character whose UTF-8 begins at `at`, and the position behind it.
fn decode(text: &[u8], at: usize) -> Option<(char, usize)> {
    let len = match text.get(at)? {
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return None,
    };
    let bytes = text.get(at..at + len)?;
    let character = std::str::from_utf8(bytes).ok()?.chars().next()?;
    Some((character, at + len))
}

/// The character of each escape of two bytes; 0 for what is none.
static SHORT: [u8; 256] = {
    let mut table = [0; 256];
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'/' as usize] = b'/';
    table[b'b' as usize] = 0x08;
    table[b'f' as usize] = 0x0c;
    table[b'n' as usize] = b'\n';
    table[b'r' as usize] = b'\r';
    table[b't' as usize] = b'\t';
    table
};

/// The character whose hexadecimal digits begin at `at`, maybe a pair of surrogates, and the position behind it.
#[inline]
fn unicode(text: &[u8], at: usize) -> Option<(char, usize)> {
    let first = hex4(text, at)?;
    let end = at + 4;
    if first & 0xfc00 == 0xd800 && text.get(end..end + 2) == Some(b"\\u") {
        let second = hex4(text, end + 2)?;
        if second & 0xfc00 == 0xdc00 {
            let point = 0x1_0000 + ((first & 0x3ff) << 10 | second & 0x3ff);
            return Some((char::from_u32(point)?, end + 6));
        }
    }
    // A lone surrogate is no `char`.
    Some((char::from_u32(first)?, end))
}

/// The value of each hexadecimal digit; a bit above for what is none.
static HEX: [u16; 256] = {
    let mut table = [0x100; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value];
        table[digit as usize] = value as u16;
        table[digit.to_ascii_uppercase() as usize] = value as u16;
        value += 1;
    }
    table
};

#[inline]
fn hex4(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..)?.first_chunk::<4>()?;
    let [a, b, c, d] = digits.map(|digit| u32::from(HEX[usize::from(digit)]));
    ((a | b | c | d) < 0x100).then_some(a << 12 | b << 8 | c << 4 | d)
}
