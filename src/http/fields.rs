//! Field syntax (RFC 9110 5.1, 5.5, 5.6): what may stand on the wire, and list values.

use memchr::memchr3;

/// RFC 9110 5.6.2 `tchar`.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

/// Whether an application may send a field of this name: a token (RFC 9110 5.1).
#[must_use]
pub fn is_field_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&b| TOKEN[b as usize])
}

/// Whether an application may send this value: nothing in it can end the line (RFC 9110 5.5).
///
/// Other control bytes are allowed here as Werkzeug allows them; they cannot split a response.
#[must_use]
pub fn is_field_value(value: &[u8]) -> bool {
    memchr3(b'\r', b'\n', 0, value).is_none()
}

/// Whether a comma-separated list (RFC 9110 5.6.1) holds `token`, in any case of letters.
#[must_use]
pub fn list_has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|&b| b == b',')
        .any(|item| trim_whitespace(item).eq_ignore_ascii_case(token))
}

/// Without leading and trailing OWS (RFC 9110 5.6.3).
#[must_use]
pub(crate) fn trim_whitespace(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_name_is_a_token() {
        for name in [&b"Content-Type"[..], b"x_y", b"!#$%&'*+-.^_`|~09azAZ"] {
            assert!(is_field_name(name), "{name:?}");
        }
        for name in [
            &b""[..],
            b"a b",
            b"a:",
            b"a\r",
            b"a\0",
            b"caf\xc3\xa9",
            b"(",
            b"\"a\"",
            b"a\x7f",
        ] {
            assert!(!is_field_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_field_value_cannot_end_its_line() {
        for value in [&b""[..], b"text/html; charset=utf-8", b"caf\xe9", b"a\tb"] {
            assert!(is_field_value(value), "{value:?}");
        }
        for value in [&b"a\r\nb"[..], b"a\n", b"\rb", b"a\0b"] {
            assert!(!is_field_value(value), "{value:?}");
        }
    }

    #[test]
    fn finds_a_list_token_in_any_case_and_place() {
        for list in [&b"close"[..], b"keep-alive, Close", b" ,\tCLOSE\t,x"] {
            assert!(list_has_token(list, b"close"), "{list:?}");
        }
        for list in [&b""[..], b"closed", b"close x", b"\"close\""] {
            assert!(!list_has_token(list, b"close"), "{list:?}");
        }
    }
}
