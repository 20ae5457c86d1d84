//! JSON string literals, written at the end of a vector: ASCII, or UTF-8.

use super::Text;
use super::block::{ahead, any_escape, escapes};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// How each character below 0x100 stands in a literal of ASCII, the first byte the lowest; its length in the highest.
pub static ESCAPES: [u64; 256] = escape_table();

const fn escape_table() -> [u64; 256] {
    let mut table = [0; 256];
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
        table[byte] = u64::from_le_bytes(if short != 0 {
            [b'\\', short, 0, 0, 0, 0, 0, 2]
        } else if is_special(byte as u8) {
            [b'\\', b'u', b'0', b'0', high, low, 0, 6]
        } else {
            [byte as u8, 0, 0, 0, 0, 0, 0, 1]
        });
        byte += 1;
    }
    table
}

/// A surrogate without its other half, which UTF-8 cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoneSurrogate;

/// Appends a text as a JSON string.
///
/// # Errors
/// `LoneSurrogate` when not `ensure_ascii`, with a part of the text appended.
#[inline]
pub fn write_text(
    out: &mut Vec<u8>,
    text: Text<'_>,
    ensure_ascii: bool,
) -> Result<(), LoneSurrogate> {
    out.push(b'"');
    match text {
        Text::One(bytes) => write_narrow(out, bytes, ensure_ascii),
        Text::Two(units) => write_wide(out, units.iter().map(|&unit| unit.into()), ensure_ascii)?,
        Text::Four(points) => write_wide(out, points.iter().copied(), ensure_ascii)?,
    }
    out.push(b'"');
    Ok(())
}

#[inline]
fn write_narrow(out: &mut Vec<u8>, bytes: &[u8], ensure_ascii: bool) {
    out.reserve(bytes.len() + 1);
    let mut rest = bytes;
    loop {
        let plain = plain_prefix(rest);
        append(out, &rest[..plain]);
        rest = &rest[plain..];
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
) -> Result<(), LoneSurrogate> {
    for point in points {
        if let Ok(byte) = u8::try_from(point)
            && !is_special(byte)
        {
            out.push(byte);
        } else if !ensure_ascii && matches!(point, 0xd800..0xe000) {
            return Err(LoneSurrogate);
        } else {
            write_special(out, point, ensure_ascii);
        }
    }
    Ok(())
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
    while let Some(block) = bytes[at..].first_chunk::<32>()
        && !any_escape(block)
    {
        at += 32;
    }
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let special = escapes(u64::from_le_bytes(*word));
        if special != 0 {
            return at + ahead(special);
        }
        at += 8;
    }
    let plain = bytes[at..].iter().position(|&byte| is_special(byte));
    plain.map_or(bytes.len(), |plain| at + plain)
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte >= 0x7f || byte == b'"' || byte == b'\\'
}

/// `extend_from_slice` for short runs: two overlapping moves of a fixed size instead of a call to memcpy.
#[inline]
fn append(out: &mut Vec<u8>, bytes: &[u8]) {
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
