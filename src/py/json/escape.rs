//! JSON string literals: eight bytes at a time where nothing needs an escape, which is nearly always.

use pyo3::prelude::*;

use crate::py::ffi::json::{Text, text};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// How each character below 0x100 stands in a literal of ASCII, and its length there.
pub(super) static ESCAPES: [([u8; 8], u8); 256] = escapes();

const fn escapes() -> [([u8; 8], u8); 256] {
    let mut table = [([0; 8], 6); 256];
    let mut byte = 0;
    while byte < 256 {
        let (high, low) = (HEX[byte >> 4], HEX[byte & 0xf]);
        let short = match byte as u8 {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => 0,
        };
        table[byte] = if short != 0 {
            ([b'\\', short, 0, 0, 0, 0, 0, 0], 2)
        } else if is_special(byte as u8) {
            ([b'\\', b'u', b'0', b'0', high, low, 0, 0], 6)
        } else {
            ([byte as u8, 0, 0, 0, 0, 0, 0, 0], 1)
        };
        byte += 1;
    }
    table
}

/// Appends `value`, a `str`, as a JSON string.
///
/// # Errors
/// UnicodeEncodeError for a lone surrogate when not `ensure_ascii`, as encoding the text to UTF-8 gives.
#[inline]
pub(super) fn write_str(
    out: &mut Vec<u8>,
    value: &Bound<'_, PyAny>,
    ensure_ascii: bool,
) -> PyResult<()> {
    match text(value) {
        Some(Text::One(bytes)) => write_latin1(out, bytes, ensure_ascii),
        Some(Text::Two(units)) => write_wide(
            out,
            units.iter().map(|&u| u32::from(u)),
            ensure_ascii,
            value,
        )?,
        Some(Text::Four(points)) => write_wide(out, points.iter().copied(), ensure_ascii, value)?,
        None => {
            return Err(pyo3::exceptions::PyMemoryError::new_err(
                "cannot read the string",
            ));
        }
    }
    Ok(())
}

/// Appends a one-byte-per-character text (ASCII, or Latin-1) as a JSON string.
#[inline]
fn write_latin1(out: &mut Vec<u8>, bytes: &[u8], ensure_ascii: bool) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    write_rest(out, bytes, ensure_ascii);
    out.push(b'"');
}

/// The same without the quotes.
#[inline]
fn write_rest(out: &mut Vec<u8>, bytes: &[u8], ensure_ascii: bool) {
    let mut rest = bytes;
    loop {
        let clean = plain_prefix(rest);
        append(out, &rest[..clean]);
        rest = &rest[clean..];
        let Some((&byte, tail)) = rest.split_first() else {
            break;
        };
        write_special(out, u32::from(byte), ensure_ascii);
        rest = tail;
    }
}

#[inline(never)]
fn write_wide(
    out: &mut Vec<u8>,
    points: impl Iterator<Item = u32>,
    ensure_ascii: bool,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    out.push(b'"');
    if ensure_ascii {
        write_points(out, points);
    } else {
        for point in points {
            if is_plain(point) {
                out.push(point as u8);
            } else if (0xd800..0xe000).contains(&point) {
                // The interpreter's own exception names the string, the position and the reason.
                value.call_method1("encode", ("utf-8",))?;
            } else {
                write_special(out, point, false);
            }
        }
    }
    out.push(b'"');
    Ok(())
}

/// Appends code points, all in ASCII.
#[inline]
fn write_points(out: &mut Vec<u8>, points: impl Iterator<Item = u32>) {
    for point in points {
        if is_plain(point) {
            out.push(point as u8);
        } else {
            write_special(out, point, true);
        }
    }
}

const fn is_plain(point: u32) -> bool {
    matches!(point, 0x20..0x7f) && point != 0x22 && point != 0x5c
}

/// Appends a character that is not plain ASCII: its short escape, `\uXXXX` (a pair above the BMP), or UTF-8.
fn write_special(out: &mut Vec<u8>, point: u32, ensure_ascii: bool) {
    let short = match point {
        0x22 => b'"',
        0x5c => b'\\',
        0x08 => b'b',
        0x0c => b'f',
        0x0a => b'n',
        0x0d => b'r',
        0x09 => b't',
        0x20.. if !ensure_ascii => {
            let mut buffer = [0; 4];
            let character = char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            return;
        }
        0x1_0000.. => {
            let offset = point - 0x1_0000;
            write_unit(out, 0xd800 | (offset >> 10) & 0x3ff);
            write_unit(out, 0xdc00 | offset & 0x3ff);
            return;
        }
        _ => {
            write_unit(out, point);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn write_unit(out: &mut Vec<u8>, unit: u32) {
    let digit = |shift: u32| HEX[(unit >> shift & 0xf) as usize];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// Length of the prefix that needs no escape: 0x20 to 0x7e without `"` and `\`.
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    let mut at = 0;
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let special = special_mask(u64::from_le_bytes(*word));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    if tail.is_empty() {
        return at;
    }
    if words.is_empty() {
        return tail
            .iter()
            .position(|&byte| is_special(byte))
            .unwrap_or(tail.len());
    }
    // The last word once more, shifted: bytes that were already seen are plain.
    let from = bytes.len() - 8;
    let mut last = [0; 8];
    last.copy_from_slice(&bytes[from..]);
    match special_mask(u64::from_le_bytes(last)) {
        0 => bytes.len(),
        special => from + special.trailing_zeros() as usize / 8,
    }
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte >= 0x7f || byte == b'"' || byte == b'\\'
}

/// The high bit of each byte of the result tells that this byte of `word` needs an escape. Seven-bit sums never
/// carry into the next byte, so every byte's answer is exact.
#[inline]
pub(super) const fn special_mask(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let low = word & !HIGH;
    let delete = low + ONES;
    let printable = low + 0x60 * ONES;
    let not_quote = (low ^ (0x22 * ONES)) + 0x7f * ONES;
    let not_backslash = (low ^ (0x5c * ONES)) + 0x7f * ONES;
    (word | delete | !(printable & not_quote & not_backslash)) & HIGH
}

/// `extend_from_slice` for short runs: two overlapping moves of a fixed size instead of a call to memcpy.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = bytes.len();
    if let (Some(head), Some(tail)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        if len <= 16 {
            let end = out.len() + len;
            out.extend_from_slice(head);
            out.truncate(end - 8);
            out.extend_from_slice(tail);
        } else {
            out.extend_from_slice(bytes);
        }
    } else if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let end = out.len() + len;
        out.extend_from_slice(head);
        out.truncate(end - 4);
        out.extend_from_slice(tail);
    } else {
        for &byte in bytes {
            out.push(byte);
        }
    }
}
