//! Masking (RFC 6455 5.3), eight bytes at a time.

/// Appends `input`, masked or unmasked; `offset` is where in the frame's payload it stands.
pub fn append(out: &mut Vec<u8>, input: &[u8], mask: [u8; 4], offset: usize) {
    let start = out.len();
    out.extend_from_slice(input);
    apply(&mut out[start..], mask, offset);
}

/// Masks or unmasks in place.
pub fn apply(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let turned: [u8; 4] = std::array::from_fn(|i| mask[(offset + i) % 4]);
    let [a, b, c, d] = turned;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (eights, rest) = bytes.as_chunks_mut::<8>();
    for eight in eights {
        *eight = (u64::from_ne_bytes(*eight) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}
