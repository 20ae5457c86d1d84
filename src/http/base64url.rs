//! Base64 with the URL-safe alphabet and without padding (RFC 4648 5, 3.2), canonical only: text that is not exactly
//! what `encode` writes is refused, so that bytes have one spelling.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// No letter of the alphabet.
const NONE: u8 = 0xff;
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut index = 0;
    while index < 64 {
        values[ALPHABET[index] as usize] = index as u8;
        index += 1;
    }
    values
}

/// Appends the text of `bytes` to `text`.
pub fn encode(bytes: &[u8], text: &mut Vec<u8>) {
    text.reserve(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().enumerate().fold(0u32, |group, (at, byte)| {
            group | u32::from(*byte) << (16 - 8 * at)
        });
        for at in 0..=chunk.len() {
            text.push(ALPHABET[(group >> (18 - 6 * at) & 63) as usize]);
        }
    }
}

/// Appends the bytes of `text` to `bytes`. `None`: it is no canonical text; `bytes` may have grown.
#[must_use]
pub fn decode(text: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    bytes.reserve(text.len() / 4 * 3 + 2);
    let (groups, rest) = text.as_chunks::<4>();
    for group in groups {
        bytes.extend_from_slice(&octets(*group)?);
    }
    if rest.is_empty() {
        return Some(());
    }
    // `A` is the letter of nothing.
    let mut last = [b'A'; 4];
    last[..rest.len()].copy_from_slice(rest);
    let octets = octets(last)?;
    let length = rest.len() - 1;
    // Bits that stand for nothing are zero.
    if length == 0 || octets[length..].iter().any(|octet| *octet != 0) {
        return None;
    }
    bytes.extend_from_slice(&octets[..length]);
    Some(())
}

#[inline]
fn octets(letters: [u8; 4]) -> Option<[u8; 3]> {
    let [a, b, c, d] = letters.map(|letter| VALUES[usize::from(letter)]);
    if (a | b | c | d) & 0x80 != 0 {
        return None;
    }
    let group = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
    let [_, octets @ ..] = group.to_be_bytes();
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(text: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        decode(text, &mut bytes).map(|()| bytes)
    }

    fn encoded(bytes: &[u8]) -> String {
        let mut text = Vec::new();
        encode(bytes, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn encodes_the_vectors_of_the_rfc_without_padding() {
        // RFC 4648 10
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encoded(bytes.as_bytes()), text);
        }
        assert_eq!(encoded(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn refuses_what_is_no_canonical_text() {
        for text in [
            "A", "Zg==", "Zh", "Zm9=", "Zm9+", "Zm9/", "Zm 9v", "AAAAA", "Zm8\n",
        ] {
            assert_eq!(decoded(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(bytes: Vec<u8>) {
            prop_assert_eq!(decoded(encoded(&bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn writes_what_it_reads(text in "[A-Za-z0-9_=. -]{0,12}") {
            if let Some(bytes) = decoded(text.as_bytes()) {
                prop_assert_eq!(encoded(&bytes), text);
            }
        }
    }
}
