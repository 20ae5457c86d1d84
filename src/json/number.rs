//! JSON numbers. An integer stays an integer; a fraction or an exponent makes a float, read to the nearest double
//! as Python reads it.

use super::decimal::to_double;

/// A number as Python will hold it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

/// The number at the start of `text` and its length; None for what is none, or an integer beyond 64 bits.
#[inline]
pub fn scan_number(text: &[u8]) -> Option<(Number, usize)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let mut mantissa: u64 = 0;
    let mut at = start;
    while let Some(digit) = digit(text, at) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
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
    let mut digits = whole;
    let mut power: i64 = 0;
    if text[at] == b'.' {
        at += 1;
        let from = at;
        while let Some(digit) = digit(text, at) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
            at += 1;
        }
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

fn parse_long(text: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(int) = text.parse() {
        return Some(Number::Signed(int));
    }
    text.parse().ok().map(Number::Unsigned)
}

#[inline]
fn digit(text: &[u8], at: usize) -> Option<u64> {
    let digit = text.get(at)?.wrapping_sub(b'0');
    (digit < 10).then_some(u64::from(digit))
}
