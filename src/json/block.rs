//! Which bytes of a literal are special: questions to many bytes at once. The folds over arrays are written so that
//! they compile to vector code without a branch; where something was found, words tell where.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// True if a literal in ASCII does not take one of the bytes as it is: all but 0x20 to 0x7e, and `"` and `\`.
#[inline(always)]
#[must_use]
pub fn any_escape<const N: usize>(block: &[u8; N]) -> bool {
    let found = block.iter().fold(0, |found, &byte| {
        let quotes = u8::from(byte == b'"') | u8::from(byte == b'\\');
        found | quotes | byte.wrapping_sub(0x20).saturating_sub(0x5e)
    });
    found != 0
}

/// True if one of the bytes ends the plain run of a literal: `"`, `\` or a control character.
#[inline(always)]
#[must_use]
pub fn any_end<const N: usize>(block: &[u8; N]) -> bool {
    let found = block.iter().fold(0, |found, &byte| {
        let quotes = u8::from(byte == b'"') | u8::from(byte == b'\\');
        found | quotes | 0x20_u8.saturating_sub(byte)
    });
    found != 0
}

/// The high bit of each byte that ends a plain run; the first byte is the lowest. Sums of seven bits never carry
/// into the next byte, so every byte's answer is exact.
#[inline(always)]
#[must_use]
pub const fn ends(word: u64) -> u64 {
    let low = word & !HIGH;
    let printable = low + 0x60 * ONES;
    let not_quote = (low ^ (0x22 * ONES)) + 0x7f * ONES;
    let not_backslash = (low ^ (0x5c * ONES)) + 0x7f * ONES;
    !(printable & not_quote & not_backslash) & !word & HIGH
}

/// The high bit of each byte that needs an escape.
#[inline(always)]
#[must_use]
pub const fn escapes(word: u64) -> u64 {
    let low = word & !HIGH;
    let delete = low + ONES;
    let printable = low + 0x60 * ONES;
    let not_quote = (low ^ (0x22 * ONES)) + 0x7f * ONES;
    let not_backslash = (low ^ (0x5c * ONES)) + 0x7f * ONES;
    (word | delete | !(printable & not_quote & not_backslash)) & HIGH
}

/// The high bit of each byte beyond ASCII.
#[inline(always)]
#[must_use]
pub const fn beyond_ascii(word: u64) -> u64 {
    word & HIGH
}

/// A bit for each of 16 bytes that ends a plain run, the first byte the lowest; and one for each beyond ASCII.
#[inline(always)]
#[must_use]
pub fn ends_of_16(block: &[u8; 16]) -> (u32, u32) {
    wide::ends(block)
}

/// A bit for each of 16 bytes that needs an escape.
#[inline(always)]
#[must_use]
pub fn escapes_of_16(block: &[u8; 16]) -> u32 {
    wide::escapes(block)
}

/// A mask costs a third of that made of words.
#[cfg(target_arch = "x86_64")]
mod wide {
    use safe_arch::{
        cmp_eq_mask_i8_m128i, cmp_lt_mask_i8_m128i, m128i, min_u8_m128i, move_mask_i8_m128i,
        set_splat_i8_m128i,
    };

    #[inline(always)]
    fn quotes(bytes: m128i) -> m128i {
        cmp_eq_mask_i8_m128i(bytes, set_splat_i8_m128i(b'"' as i8))
            | cmp_eq_mask_i8_m128i(bytes, set_splat_i8_m128i(b'\\' as i8))
    }

    #[inline(always)]
    pub fn ends(block: &[u8; 16]) -> (u32, u32) {
        let bytes = m128i::from(*block);
        let control = cmp_eq_mask_i8_m128i(min_u8_m128i(bytes, set_splat_i8_m128i(0x1f)), bytes);
        let ends = move_mask_i8_m128i(quotes(bytes) | control);
        (ends as u32, move_mask_i8_m128i(bytes) as u32)
    }

    #[inline(always)]
    pub fn escapes(block: &[u8; 16]) -> u32 {
        let bytes = m128i::from(*block);
        // As signed numbers, what is beyond ASCII is below the space too.
        let outside = cmp_lt_mask_i8_m128i(bytes, set_splat_i8_m128i(0x20))
            | cmp_eq_mask_i8_m128i(bytes, set_splat_i8_m128i(0x7f));
        move_mask_i8_m128i(quotes(bytes) | outside) as u32
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod wide {
    /// The high bits of a word's bytes, side by side.
    #[inline(always)]
    const fn gather(mask: u64) -> u32 {
        ((mask >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
    }

    #[inline(always)]
    fn both(block: &[u8; 16], mask: impl Fn(u64) -> u64) -> u32 {
        let whole = u128::from_le_bytes(*block);
        gather(mask(whole as u64)) | gather(mask((whole >> 64) as u64)) << 8
    }

    #[inline(always)]
    pub fn ends(block: &[u8; 16]) -> (u32, u32) {
        (both(block, super::ends), both(block, super::beyond_ascii))
    }

    #[inline(always)]
    pub fn escapes(block: &[u8; 16]) -> u32 {
        both(block, super::escapes)
    }
}

/// The number of bytes before the first one that is marked in a mask which is not empty.
#[inline(always)]
#[must_use]
pub const fn ahead(mask: u64) -> usize {
    mask.trailing_zeros() as usize / 8
}
