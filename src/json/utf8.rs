//! UTF-8 as code points of one width, checked as it is read (RFC 3629): one pass measures the text, the second one
//! writes it.

const HIGH: u64 = 0x8080_8080_8080_8080;

/// What a text in UTF-8 needs as code points, if it is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// Characters.
    pub len: usize,
    /// The end of the range that the highest one is in: 0x7f, 0xff, 0xffff or 0x10ffff.
    pub limit: u32,
}

/// Measures a text that need not be valid.
#[inline]
#[must_use]
pub fn measure(utf8: &[u8]) -> Measure {
    // A character has one byte that is no continuation; the highest of these tells the width of the text.
    let (mut len, mut lead) = (0, 0);
    let (blocks, rest) = utf8.as_chunks::<32>();
    for block in blocks {
        let mut begun = 0;
        for &byte in block {
            begun += u8::from(is_begin(byte));
            lead = lead.max(byte);
        }
        len += usize::from(begun);
    }
    for &byte in rest {
        len += usize::from(is_begin(byte));
        lead = lead.max(byte);
    }
    let limit = match lead {
        0..0x80 => 0x7f,
        0x80..0xc4 => 0xff,
        0xc4..0xf0 => 0xffff,
        _ => 0x10_ffff,
    };
    Measure { len, limit }
}

#[inline(always)]
const fn is_begin(byte: u8) -> bool {
    byte as i8 >= -0x40
}

/// A code point in the width of a text.
pub trait Unit: Copy {
    /// The highest code point of this width.
    const LIMIT: u32;

    /// Of a code point up to the limit.
    fn of(point: u32) -> Self;
}

impl Unit for u8 {
    const LIMIT: u32 = 0xff;

    #[inline(always)]
    fn of(point: u32) -> Self {
        point as Self
    }
}

impl Unit for u16 {
    const LIMIT: u32 = 0xffff;

    #[inline(always)]
    fn of(point: u32) -> Self {
        point as Self
    }
}

impl Unit for u32 {
    const LIMIT: u32 = 0x10_ffff;

    #[inline(always)]
    fn of(point: u32) -> Self {
        point
    }
}

/// Writes the characters of a text, all of `room`; `false` if it is not valid, has other than so many characters, or
/// has one beyond the width.
#[must_use]
pub fn decode<T: Unit>(mut utf8: &[u8], mut room: &mut [T]) -> bool {
    loop {
        // Texts go on as they begin, for a while.
        let (bytes, characters) = match utf8.first() {
            None => return room.is_empty(),
            Some(0..0x80) => ascii(utf8, room),
            Some(0..0xe0) => run(utf8, room, |&[a, b]| two(a, b)),
            Some(0..0xf0) if T::LIMIT > 0xff => run(utf8, room, |&[a, b, c]| three(a, b, c)),
            Some(_) if T::LIMIT > 0xffff => run(utf8, room, |&[a, b, c, d]| four(a, b, c, d)),
            Some(_) => return false,
        };
        if characters == 0 {
            return false;
        }
        utf8 = &utf8[bytes..];
        room = &mut std::mem::take(&mut room)[characters..];
    }
}

/// Writes characters of `N` bytes each as long as there are some; how many bytes and characters these were.
#[inline(always)]
fn run<T: Unit, const N: usize>(
    utf8: &[u8],
    room: &mut [T],
    point: impl Fn(&[u8; N]) -> Option<u32>,
) -> (usize, usize) {
    let mut characters = 0;
    for (sequence, slot) in utf8.as_chunks::<N>().0.iter().zip(room) {
        match point(sequence) {
            Some(point) if point <= T::LIMIT => *slot = T::of(point),
            _ => break,
        }
        characters += 1;
    }
    (N * characters, characters)
}

/// Writes what is ASCII at the start of a text that begins with it, all of it or some; how much that was, twice.
#[inline(always)]
fn ascii<T: Unit>(utf8: &[u8], room: &mut [T]) -> (usize, usize) {
    let mut len = 0;
    for (block, slots) in utf8
        .as_chunks::<8>()
        .0
        .iter()
        .zip(room.as_chunks_mut::<8>().0)
    {
        let high = u64::from_le_bytes(*block) & HIGH;
        for (slot, &byte) in slots.iter_mut().zip(block) {
            // What is not ASCII is written over.
            *slot = T::of(u32::from(byte));
        }
        if high != 0 {
            len += high.trailing_zeros() as usize / 8;
            return (len, len);
        }
        len += 8;
    }
    for (slot, &byte) in room.iter_mut().zip(utf8).skip(len) {
        if byte >= 0x80 {
            break;
        }
        *slot = T::of(u32::from(byte));
        len += 1;
    }
    (len, len)
}

#[inline(always)]
fn two(a: u8, b: u8) -> Option<u32> {
    let point = (u32::from(a & 0x1f) << 6) | continuation(b);
    // Neither a continuation that stands alone, nor what one byte could say.
    ((0xc2..0xe0).contains(&a) && continues(b)).then_some(point)
}

#[inline(always)]
fn three(a: u8, b: u8, c: u8) -> Option<u32> {
    let point = (u32::from(a & 0x0f) << 12) | (continuation(b) << 6) | continuation(c);
    let is_valid = point >= 0x800 && point & 0xf800 != 0xd800;
    (a & 0xf0 == 0xe0 && continues(b) && continues(c) && is_valid).then_some(point)
}

#[inline(always)]
fn four(a: u8, b: u8, c: u8, d: u8) -> Option<u32> {
    let high = (u32::from(a & 0x07) << 18) | (continuation(b) << 12);
    let point = high | (continuation(c) << 6) | continuation(d);
    let is_valid = (0x1_0000..0x11_0000).contains(&point);
    (a & 0xf8 == 0xf0 && continues(b) && continues(c) && continues(d) && is_valid).then_some(point)
}

#[inline(always)]
const fn continues(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

#[inline(always)]
fn continuation(byte: u8) -> u32 {
    u32::from(byte & 0x3f)
}
