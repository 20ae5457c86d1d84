//! Decimal to double, correctly rounded, for numbers of up to 19 digits and moderate exponents: Lemire's
//! "Number Parsing at a Gigabyte per Second" (2021), with the powers whose 128-bit form is exact or nearly so.

/// The powers of ten kept here. Within them the product of 128 bits always decides the rounding.
const SMALLEST: i64 = -27;
const LARGEST: i64 = 55;

/// 5 to the power q for each q, as 128 bits with the highest one set; rounded up for a negative q.
static FIVES: [u128; (LARGEST - SMALLEST + 1) as usize] = fives();

const fn fives() -> [u128; (LARGEST - SMALLEST + 1) as usize] {
    let mut table = [0; (LARGEST - SMALLEST + 1) as usize];
    let mut power = 0;
    let mut five: u128 = 1;
    while power <= LARGEST {
        table[(power - SMALLEST) as usize] = five << five.leading_zeros();
        if power > 0 && power <= -SMALLEST {
            // 2^(bits + 127) / 5^power by long division in two steps of 64 bits; 5^27 is below 2^63.
            let bits = 128 - five.leading_zeros();
            let dividend = 1u128 << (bits + 63);
            let quotient = dividend / five;
            let rest = dividend % five;
            table[(-power - SMALLEST) as usize] = ((quotient << 64) | ((rest << 64) / five)) + 1;
        }
        if power < LARGEST {
            five *= 5;
        }
        power += 1;
    }
    table
}

/// The double nearest to `digits` times ten to the power `power`; None outside of the table.
#[inline]
#[must_use]
pub fn to_double(digits: u64, power: i64) -> Option<f64> {
    if digits == 0 {
        return Some(0.0);
    }
    if !(SMALLEST..=LARGEST).contains(&power) {
        return None;
    }
    let five = FIVES[(power - SMALLEST) as usize];
    let shift = digits.leading_zeros();
    let digits = digits << shift;
    let (mut low, mut high) = multiply(digits, (five >> 64) as u64);
    // The lower half of the power can only matter where all bits below the rounding are set.
    if high & 0x1ff == 0x1ff {
        let (_, carry) = multiply(digits, five as u64);
        let (sum, overflow) = low.overflowing_add(carry);
        low = sum;
        high += u64::from(overflow);
    }
    let upper = (high >> 63) as u32;
    let cut = upper + 9;
    let mut mantissa = high >> cut;
    // floor(power * log2(10)) + 63, then the exponent's bias.
    let mut exponent = ((power * 217_706) >> 16) + 63 + i64::from(upper) - i64::from(shift) + 1023;
    // Exactly between two doubles, which only small powers allow: to the even one.
    if low <= 1 && (-4..=23).contains(&power) && mantissa & 3 == 1 && mantissa << cut == high {
        mantissa &= !1;
    }
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if mantissa >= 1 << 53 {
        mantissa = 1 << 52;
        exponent += 1;
    }
    // Far from both ends of the range: at least 10^-27, at most 10^75.
    let exponent = exponent as u64;
    Some(f64::from_bits((mantissa & !(1 << 52)) | (exponent << 52)))
}

#[inline]
fn multiply(a: u64, b: u64) -> (u64, u64) {
    let product = u128::from(a) * u128::from(b);
    (product as u64, (product >> 64) as u64)
}
