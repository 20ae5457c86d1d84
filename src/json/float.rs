//! `float.__repr__`: the shortest digits that read back as the same number, laid out by Python's rules.

/// Appends what `json.dumps` writes for a float.
pub fn write_float(out: &mut Vec<u8>, number: f64) {
    if number.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if number.is_infinite() {
        out.extend_from_slice(if number > 0.0 {
            b"Infinity"
        } else {
            b"-Infinity"
        });
    } else {
        let mut buffer = zmij::Buffer::new();
        let shortest = buffer.format_finite(number).as_bytes();
        let size = number.abs();
        // Python turns to the exponent form below 1e-4 and from 1e16 on.
        let fixed = size == 0.0 || (1e-4..1e16).contains(&size);
        if fixed && !shortest.contains(&b'e') {
            out.extend_from_slice(shortest);
        } else {
            write_digits(out, shortest, fixed);
        }
    }
}

/// Lays the digits of any decimal notation out anew, as repr does with or without an exponent.
fn write_digits(out: &mut Vec<u8>, shortest: &[u8], fixed: bool) {
    let (negative, unsigned) = match shortest.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, shortest),
    };
    let split = unsigned
        .iter()
        .position(|&byte| byte == b'e')
        .unwrap_or(unsigned.len());
    let mantissa = &unsigned[..split];
    let exponent = parse_exponent(unsigned.get(split + 1..).unwrap_or_default());
    // Digits d1 d2 ... with the decimal point `point` places after the start.
    let dot = mantissa
        .iter()
        .position(|&byte| byte == b'.')
        .unwrap_or(mantissa.len());
    let mut digits: Vec<u8> = mantissa
        .iter()
        .copied()
        .filter(u8::is_ascii_digit)
        .collect();
    let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.drain(..leading);
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    let point = dot as i32 - leading as i32 + exponent;

    if negative {
        out.push(b'-');
    }
    if fixed {
        write_fixed(out, &digits, point);
        return;
    }
    let (first, rest) = digits
        .split_first()
        .map_or((b'0', &[][..]), |(&first, rest)| (first, rest));
    out.push(first);
    if !rest.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest);
    }
    let power = point - 1;
    out.extend_from_slice(if power < 0 { b"e-" } else { b"e+" });
    if power.abs() < 10 {
        out.push(b'0');
    }
    out.extend_from_slice(itoa::Buffer::new().format(power.unsigned_abs()).as_bytes());
}

fn write_fixed(out: &mut Vec<u8>, digits: &[u8], point: i32) {
    let zeros = |out: &mut Vec<u8>, count: i32| {
        out.extend(std::iter::repeat_n(b'0', count.max(0) as usize))
    };
    let len = digits.len() as i32;
    if point <= 0 {
        out.extend_from_slice(b"0.");
        zeros(out, -point);
        out.extend_from_slice(digits);
    } else if point >= len {
        out.extend_from_slice(digits);
        zeros(out, point - len);
        out.extend_from_slice(b".0");
    } else {
        let (whole, fraction) = digits.split_at(point as usize);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

fn parse_exponent(text: &[u8]) -> i32 {
    let value = text
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0, |value: i32, &digit| value * 10 + i32::from(digit - b'0'));
    if text.first() == Some(&b'-') {
        -value
    } else {
        value
    }
}
