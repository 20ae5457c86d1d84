//! JSON string literals read back. Control characters, unknown escapes and lone surrogates are refused here; the
//! standard library decides on them.

/// A literal's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literal<'a> {
    /// The text itself, all of it below 0x80.
    Ascii(&'a [u8]),
    /// The text itself, with bytes that are yet to be proved UTF-8.
    Utf8(&'a [u8]),
    /// It had escapes: the text, as UTF-8 yet to be proved, is in the scratch buffer.
    Unescaped,
}

/// Reads a literal from behind its opening quote; with it, the length up to behind the closing quote.
#[inline]
pub(super) fn scan_string<'a>(
    text: &'a [u8],
    scratch: &mut Vec<u8>,
) -> Option<(Literal<'a>, usize)> {
    let (plain, ascii) = plain_run(text);
    let mut at = plain;
    match *text.get(at)? {
        b'"' => {
            let content = &text[..at];
            let literal = if ascii {
                Literal::Ascii(content)
            } else {
                Literal::Utf8(content)
            };
            return Some((literal, at + 1));
        }
        b'\\' => {}
        _ => return None,
    }
    scratch.clear();
    scratch.extend_from_slice(&text[..at]);
    loop {
        // `at` is at a backslash.
        at = unescape(text, at + 1, scratch)?;
        let (run, _) = plain_run(&text[at..]);
        scratch.extend_from_slice(&text[at..at + run]);
        at += run;
        match *text.get(at)? {
            b'"' => return Some((Literal::Unescaped, at + 1)),
            b'\\' => {}
            _ => return None,
        }
    }
}

/// Appends the character of the escape whose letter is at `at`; the position behind it.
fn unescape(text: &[u8], at: usize, scratch: &mut Vec<u8>) -> Option<usize> {
    let byte = match *text.get(at)? {
        byte @ (b'"' | b'\\' | b'/') => byte,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let first = hex4(text, at + 1)?;
            let mut end = at + 5;
            let mut point = first;
            if (0xd800..0xdc00).contains(&first) && text.get(end..end + 2) == Some(b"\\u") {
                let second = hex4(text, end + 2)?;
                if (0xdc00..0xe000).contains(&second) {
                    point = 0x1_0000 + ((first & 0x3ff) << 10 | second & 0x3ff);
                    end += 6;
                }
            }
            // A lone surrogate is no `char`.
            let mut buffer = [0; 4];
            let character = char::from_u32(point)?.encode_utf8(&mut buffer);
            scratch.extend_from_slice(character.as_bytes());
            return Some(end);
        }
        _ => return None,
    };
    scratch.push(byte);
    Some(at + 1)
}

fn hex4(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..at + 4)?.iter().try_fold(0, |value, &byte| {
        Some(value << 4 | char::from(byte).to_digit(16)?)
    })
}

/// Length of the run before the first quote, backslash or control character, and whether it is all ASCII.
#[inline]
fn plain_run(text: &[u8]) -> (usize, bool) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let mut at = 0;
    let mut seen = 0;
    for chunk in text.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*chunk);
        // Exact per byte: sums of seven bits never carry into the next byte.
        let low = word & !HIGH;
        let stops = !((low + 0x60 * ONES)
            & ((low ^ (0x22 * ONES)) + 0x7f * ONES)
            & ((low ^ (0x5c * ONES)) + 0x7f * ONES))
            & !word
            & HIGH;
        if stops != 0 {
            let ahead = stops.trailing_zeros() / 8;
            // The bytes of this word before the stop.
            seen |= word & ((1u64 << (8 * ahead)) - 1);
            return (at + ahead as usize, seen & HIGH == 0);
        }
        seen |= word;
        at += 8;
    }
    while let Some(&byte) = text.get(at) {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        seen |= u64::from(byte);
        at += 1;
    }
    (at, seen & HIGH == 0)
}
