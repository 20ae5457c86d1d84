//! JSON numbers. An integer stays an integer; a fraction or an exponent makes a float, read to the nearest double
//! as Python reads it.

use super::block::ahead;
use super::decimal::to_double;

/// A number as Python will hold it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

/// The number at the start of `text` and its length; None for what is none, or an integer beyond 64 bits.
#[inline(always)]
pub fn scan_number(text: &[u8]) -> Option<(Number, usize)> {
    if text.first() == Some(&b'-') {
        return scan_negative(text);
    }
    scan_signed::<false>(text)
}

#[inline(never)]
fn scan_negative(text: &[u8]) -> Option<(Number, usize)> {
    scan_signed::<true>(text)
}

#[inline(always)]
fn scan_signed<const NEGATIVE: bool>(text: &[u8]) -> Option<(Number, usize)> {
    let start = usize::from(NEGATIVE);
    // Up to seven digits and the byte behind them, in one word.
    if let Some(eight) = text.get(start..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*eight);
        let byte = |at: usize| (word >> (8 * at)) as u8;
        let digit = |at: usize| u64::from(byte(at).wrapping_sub(b'0'));
        let (mantissa, count) = if digit(0) > 9 {
            return None;
        } else if digit(1) > 9 {
            (digit(0), 1)
        } else if digit(0) == 0 {
            return None;
        } else if digit(2) > 9 {
            (10 * digit(0) + digit(1), 2)
        } else if digit(3) > 9 {
            // Branches up to here: a length that is predicted lets the next value begin early.
            (100 * digit(0) + 10 * digit(1) + digit(2), 3)
        } else {
            let (values, others) = digit_values(word);
            let count = ahead(others);
            (eight_digits(values << ((64 - 8 * count) & 63)), count)
        };
        if count < 8 {
            let next = byte(count);
            let at = start + count;
            // One test for nearly every integer: what ends it comes before the point.
            if next == b',' || !matches!(next, b'.' | b'e' | b'E') {
                let int = mantissa as i64;
                return Some((Number::Signed(if NEGATIVE { -int } else { int }), at));
            }
            if next == b'.' {
                return scan_fraction(text, NEGATIVE, mantissa, count, at);
            }
        }
    }
    scan_long(text, NEGATIVE)
}

/// Goes on at the point behind `whole` digits: what most floats are is read here, without a loop.
#[inline]
fn scan_fraction(
    text: &[u8],
    negative: bool,
    mantissa: u64,
    whole: usize,
    point: usize,
) -> Option<(Number, usize)> {
    if let Some(eight) = text.get(point + 1..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*eight);
        let (values, others) = digit_values(word);
        let count = ahead(others);
        if count > 0 && others != 0 && (word >> (8 * count)) as u8 | 0x20 != b'e' {
            let fraction = eight_digits(values << (64 - 8 * count));
            // At most 14 digits.
            let digits = mantissa * SCALE[count & 7] + fraction;
            let size = digits as f64 / POWERS[count & 7];
            let float = if negative { -size } else { size };
            return Some((Number::Float(float), point + 1 + count));
        }
    }
    scan_rest(text, negative, mantissa, whole, point)
}

/// Any number, from its start.
#[inline(never)]
fn scan_long(text: &[u8], negative: bool) -> Option<(Number, usize)> {
    let start = usize::from(negative);
    let mut mantissa: u64 = 0;
    let at = digits_from(text, start, &mut mantissa);
    let whole = at - start;
    if whole == 0 || (whole > 1 && text[start] == b'0') {
        return None;
    }
    if !matches!(text.get(at), Some(b'.' | b'e' | b'E')) {
        let number = if whole <= 18 {
            // Below 10^18 both signs fit.
            let int = mantissa as i64;
            Number::Signed(if negative { -int } else { int })
        } else {
            parse_long(&text[..at])?
        };
        return Some((number, at));
    }
    scan_rest(text, negative, mantissa, whole, at)
}

/// A fraction or an exponent, or both, at `at`, behind `digits` digits.
#[inline(never)]
fn scan_rest(
    text: &[u8],
    negative: bool,
    mut mantissa: u64,
    mut digits: usize,
    mut at: usize,
) -> Option<(Number, usize)> {
    let mut power: i64 = 0;
    if text.get(at) == Some(&b'.') {
        at += 1;
        let from = at;
        at = digits_from(text, at, &mut mantissa);
        if at == from {
            return None;
        }
        digits += at - from;
        power -= (at - from) as i64;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        let minus = text.get(at) == Some(&b'-');
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        let from = at;
        let mut exponent: i64 = 0;
        while let Some(digit) = digit(text, at) {
            // Saturates far beyond any power that is read the fast way.
            exponent = (exponent * 10 + digit as i64).min(100_000);
            at += 1;
        }
        if at == from {
            return None;
        }
        power += if minus { -exponent } else { exponent };
    }
    // Nineteen digits, zeros in front included, have not wrapped.
    let size = if digits <= 19 {
        to_double(mantissa, power)
    } else {
        None
    };
    let float = match size {
        Some(size) if negative => -size,
        Some(size) => size,
        None => std::str::from_utf8(&text[..at]).ok()?.parse().ok()?,
    };
    Some((Number::Float(float), at))
}

const SCALE: [u64; 8] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Of two numbers that a double holds exactly, the quotient is the nearest double.
const POWERS: [f64; 8] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];

fn parse_long(text: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(int) = text.parse() {
        return Some(Number::Signed(int));
    }
    text.parse().ok().map(Number::Unsigned)
}

/// Appends the run of digits at `at` to a number, modulo 2^64; where the run ends.
#[inline]
fn digits_from(text: &[u8], mut at: usize, number: &mut u64) -> usize {
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let (values, others) = digit_values(u64::from_le_bytes(*eight));
        if others == 0 {
            *number = number
                .wrapping_mul(100_000_000)
                .wrapping_add(eight_digits(values));
            at += 8;
            continue;
        }
        let count = ahead(others);
        if count > 0 {
            // Zeros in front, which is below, in place of what follows.
            let values = values << (64 - 8 * count);
            *number = number
                .wrapping_mul(SCALE[count & 7])
                .wrapping_add(eight_digits(values));
        }
        return at + count;
    }
    while let Some(digit) = digit(text, at) {
        *number = number.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    at
}

/// The value of each byte that is a digit, and a mark on every other byte.
#[inline(always)]
const fn digit_values(word: u64) -> (u64, u64) {
    let values = word ^ 0x3030_3030_3030_3030;
    let others = (((values & 0x7f7f_7f7f_7f7f_7f7f) + 0x7676_7676_7676_7676) | values)
        & 0x8080_8080_8080_8080;
    (values, others)
}

/// The number of eight digits, given as values, the first one lowest.
#[inline]
const fn eight_digits(values: u64) -> u64 {
    // Neighbours join to numbers of two, four and eight digits, all at once.
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

#[inline]
fn digit(text: &[u8], at: usize) -> Option<u64> {
    let digit = text.get(at)?.wrapping_sub(b'0');
    (digit < 10).then_some(u64::from(digit))
}
