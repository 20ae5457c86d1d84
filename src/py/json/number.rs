//! JSON numbers. An integer stays an integer; a fraction or an exponent makes a float, read to the nearest double
//! as Python reads it.

/// A number as Python will hold it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// The number at the start of `text` and its length; None for what is none, or an integer beyond 64 bits.
#[inline]
pub(super) fn scan_number(text: &[u8]) -> Option<(Number, usize)> {
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
    let float =
        exact_float(mantissa, digits, power).map(|size| if negative { -size } else { size });
    let float = match float {
        Some(float) => float,
        None => std::str::from_utf8(&text[..at]).ok()?.parse().ok()?,
    };
    Some((Number::Float(float), at))
}

/// Clinger's fast path: both operands are exact doubles, so the one rounding is the right one.
#[inline]
fn exact_float(mantissa: u64, digits: usize, power: i64) -> Option<f64> {
    // x87 arithmetic would round twice.
    if cfg!(target_arch = "x86") || digits > 15 {
        return None;
    }
    let scale = *EXACT_POWERS.get(usize::try_from(power.unsigned_abs()).ok()?)?;
    let mantissa = mantissa as f64;
    Some(if power < 0 {
        mantissa / scale
    } else {
        mantissa * scale
    })
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
