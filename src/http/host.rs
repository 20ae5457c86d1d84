//! `Host` and the authority of a target (RFC 9110 7.2, RFC 3986 3.2.2): `uri-host [ ":" port ]`, no userinfo.

use std::net::Ipv6Addr;

const REG_NAME: u8 = 1;

/// RFC 3986 `unreserved / sub-delims`; percent and colon have their own rules.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
            )
        {
            table[byte] = REG_NAME;
        }
        byte += 1;
    }
    table
};

/// Whether a byte stands for itself in a name (RFC 3986 2.2 and 2.3: unreserved, or a sub-delimiter).
pub(crate) const fn is_plain_byte(byte: u8) -> bool {
    CLASS[byte as usize] == REG_NAME
}

/// Whether `value` is a host with an optional port. Empty is valid: RFC 9110 7.2 has clients send it.
#[must_use]
pub fn is_host(value: &[u8]) -> bool {
    split_port(value).is_some()
}

/// The host without its port. It must be valid.
#[must_use]
pub fn host_name(host: &[u8]) -> &[u8] {
    match split_port(host) {
        Some(Some(port)) => &host[..host.len() - port.len() - 1],
        _ => host,
    }
}

/// The port's digits (`None` without a colon), or `None` in all when the value is no host.
pub(crate) fn split_port(value: &[u8]) -> Option<Option<&[u8]>> {
    let end = match value {
        [b'[', rest @ ..] => {
            let close = memchr::memchr(b']', rest)?;
            let literal = std::str::from_utf8(&rest[..close]).ok()?;
            literal.parse::<Ipv6Addr>().ok()?;
            close + 2
        }
        _ => reg_name_end(value)?,
    };
    match &value[end..] {
        [] => Some(None),
        [b':', port @ ..] if is_port(port) => Some(Some(port)),
        _ => None,
    }
}

fn reg_name_end(value: &[u8]) -> Option<usize> {
    // Nearly every name is done with this.
    let plain = |byte: &u8| CLASS[*byte as usize] == REG_NAME;
    let mut at = value.iter().take_while(|byte| plain(byte)).count();
    while let Some(&byte) = value.get(at) {
        match byte {
            b':' => break,
            b'%' => {
                let digits = value.get(at + 1..at + 3)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                at += 3;
            }
            _ if CLASS[byte as usize] == REG_NAME => at += 1,
            _ => return None,
        }
    }
    Some(at)
}

/// RFC 3986 `port = *DIGIT`, and one that a socket can have.
fn is_port(port: &[u8]) -> bool {
    let mut number = 0_u32;
    for &digit in port {
        if !digit.is_ascii_digit() {
            return false;
        }
        number = number * 10 + u32::from(digit - b'0');
        if number > 65_535 {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_addresses_and_ports() {
        for host in [
            "",
            "a",
            "localhost:8000",
            "a.example",
            "under_score",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:80",
            "a:",
            "a%2db",
            "a,b",
            "00000:00080",
        ] {
            assert!(is_host(host.as_bytes()), "{host:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_host() {
        for host in [
            &b"a b"[..],
            b"a/b",
            b"u@a",
            b"a:port",
            b"[::1",
            b"[::1]x",
            b"[a]",
            b"[]",
            b"a\\b",
            b"a?b",
            b"a#b",
            b"\"a\"",
            b"a\xe9",
            b"a:1:2",
            b"a:65536",
            b"a:99999999999999999999",
            b"a%2",
            b"a%zz",
            b"[fe80::1%25eth0]",
        ] {
            assert!(!is_host(host), "{host:?}");
        }
    }
}
