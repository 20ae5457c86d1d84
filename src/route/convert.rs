//! From the text a variable captured to its value, with the bounds of Werkzeug's number converters.

use super::digits::decimal;

/// What a variable's text becomes.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Convert {
    /// The text itself.
    #[default]
    Text,
    /// `fixed_digits` counts characters, the sign too; 0 is no such bound.
    Int {
        fixed_digits: u32,
        min: Option<i64>,
        max: Option<i64>,
    },
    Float {
        min: Option<f64>,
        max: Option<f64>,
    },
    Uuid,
    /// Only Python can tell: the caller gives the text to the converter object.
    Python,
}

/// A converted capture. Copies nothing: what stays text points into the path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'p> {
    Text(&'p str),
    Int(i64),
    /// Digits for Python's `int()`: too large for an `i64`, or so many that the interpreter may refuse them.
    BigInt(&'p str),
    Float(f64),
    /// 36 ASCII characters in the form 8-4-4-4-12.
    Uuid(&'p str),
    /// For the Python converter of this variable.
    Python(&'p str),
}

// CPython never limits texts up to this length, whatever sys.set_int_max_str_digits says.
const ALWAYS_PARSED: usize = 640;

impl Convert {
    /// `None` where Werkzeug's `to_python` raises `ValidationError`.
    pub(super) fn apply<'p>(&self, text: &'p str) -> Option<Value<'p>> {
        match *self {
            Self::Text => Some(Value::Text(text)),
            Self::Uuid => Some(Value::Uuid(text)),
            Self::Python => Some(Value::Python(text)),
            Self::Int {
                fixed_digits,
                min,
                max,
            } => {
                if fixed_digits != 0 && text.chars().count() != fixed_digits as usize {
                    return None;
                }
                if let Some(value) = small(text)
                    && min.is_none_or(|min| value >= min)
                    && max.is_none_or(|max| value <= max)
                {
                    return Some(Value::Int(value));
                }
                let number = integer(text);
                // Beyond i64 the sign decides against any i64 bound.
                let clamped = number.unwrap_or(if text.starts_with('-') {
                    i128::MIN
                } else {
                    i128::MAX
                });
                if min.is_some_and(|min| clamped < i128::from(min))
                    || max.is_some_and(|max| clamped > i128::from(max))
                {
                    return None;
                }
                match i64::try_from(clamped) {
                    Ok(value) if text.len() <= ALWAYS_PARSED => Some(Value::Int(value)),
                    _ => Some(Value::BigInt(text)),
                }
            }
            Self::Float { min, max } => {
                let value = float(text)?;
                if min.is_some_and(|min| value < min) || max.is_some_and(|max| value > max) {
                    return None;
                }
                Some(Value::Float(value))
            }
        }
    }
}

/// The value of up to 18 ASCII digits: the usual number, without the exact one's wide arithmetic.
fn small(text: &str) -> Option<i64> {
    if text.len() > 18 {
        return None;
    }
    text.bytes().try_fold(0, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| value * 10 + i64::from(digit))
    })
}

/// The exact value while it fits an `i64`'s range.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut value: i128 = 0;
    for c in digits.chars() {
        value = value * 10 + i128::from(decimal(c)?);
        if value > i128::from(u64::MAX) {
            return None;
        }
    }
    Some(if negative { -value } else { value })
}

fn float(text: &str) -> Option<f64> {
    if text.is_ascii() {
        return text.parse().ok();
    }
    let ascii: String = text
        .chars()
        .map(|c| decimal(c).map_or(c, |digit| char::from(b'0' + digit)))
        .collect();
    ascii.parse().ok()
}
