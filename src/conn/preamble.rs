//! The PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt, 2020-03-05): what a proxy sends ahead of a
//! connection's own bytes to say whose connection it is.
//!
//! Read only where the listener is set up for it and the peer is trusted, and then it must be there: whether a
//! connection has a preamble is never guessed from its bytes (section 2, "receivers must not").

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Section 2.1: the longest line of version 1, with its line end.
const LONGEST_LINE: usize = 107;
/// Section 2.2 allows 64 KiB; 4 KiB hold a certificate's names, and nobody is asked for more memory than that.
const LONGEST: usize = 4 * 1024;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Section 2.2.6: the client's connection to the proxy was over TLS.
const TYPE_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 0x01;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preamble {
    /// The beginning of one.
    Incomplete,
    /// None, or a wrong one: the connection is of no use.
    Invalid,
    Complete {
        /// Bytes of it.
        length: usize,
        said: Said,
    },
}

/// What a preamble says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// The proxy itself speaks: a health check, or version 1's UNKNOWN.
    Local,
    /// A client without an address: on a unix socket.
    Unnamed { tls: bool },
    Client {
        source: SocketAddr,
        destination: SocketAddr,
        tls: bool,
    },
}

impl Preamble {
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let compared = bytes.len().min(SIGNATURE.len());
        if bytes[..compared] == SIGNATURE[..compared] {
            return if compared == SIGNATURE.len() {
                binary(bytes)
            } else {
                Self::Incomplete
            };
        }
        text(bytes)
    }
}

fn text(bytes: &[u8]) -> Preamble {
    const START: &[u8] = b"PROXY ";
    let compared = bytes.len().min(START.len());
    if bytes[..compared] != START[..compared] {
        return Preamble::Invalid;
    }
    let searched = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = memchr::memchr(b'\n', searched) else {
        return if bytes.len() < LONGEST_LINE {
            Preamble::Incomplete
        } else {
            Preamble::Invalid
        };
    };
    let said = bytes[START.len().min(end)..end]
        .strip_suffix(b"\r")
        .and_then(|line| std::str::from_utf8(line).ok())
        .and_then(line);
    match said {
        Some(said) => Preamble::Complete {
            length: end + 1,
            said,
        },
        None => Preamble::Invalid,
    }
}

/// Version 1 behind its first word: `TCP4 192.0.2.1 192.0.2.2 4711 443`.
fn line(line: &str) -> Option<Said> {
    let mut words = line.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(Said::Local);
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let destination: IpAddr = words.next()?.parse().ok()?;
    let ports = (decimal_port(words.next()?)?, decimal_port(words.next()?)?);
    let right = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (right && words.next().is_none()).then(|| Said::Client {
        source: SocketAddr::new(source, ports.0),
        destination: SocketAddr::new(destination, ports.1),
        tls: false,
    })
}

/// Without a sign and without leading zeros.
fn decimal_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    (plain && (digits == "0" || !digits.starts_with('0')))
        .then(|| digits.parse().ok())
        .flatten()
}

fn binary(bytes: &[u8]) -> Preamble {
    let Some(&[version, family, high, low]) = bytes.get(12..16) else {
        return Preamble::Incomplete;
    };
    let length = 16 + usize::from(u16::from_be_bytes([high, low]));
    if version >> 4 != 2 || length > LONGEST {
        return Preamble::Invalid;
    }
    let Some(rest) = bytes.get(16..length) else {
        return Preamble::Incomplete;
    };
    let said = match version & 0xf {
        0 => Some(Said::Local),
        1 => client(family, rest),
        _ => None,
    };
    said.map_or(Preamble::Invalid, |said| Preamble::Complete {
        length,
        said,
    })
}

fn client(family: u8, rest: &[u8]) -> Option<Said> {
    // The low half is the transport: only streams come here. 0x00 is a protocol that the proxy does not name.
    match family {
        0x00 => Some(Said::Local),
        0x11 => {
            let (addresses, values) = rest.split_at_checked(12)?;
            let address = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 4] = addresses.get(at..at + 4)?.try_into().ok()?;
                Some(IpAddr::V4(Ipv4Addr::from(octets)))
            };
            Some(Said::Client {
                source: SocketAddr::new(address(0)?, port(addresses, 8)?),
                destination: SocketAddr::new(address(4)?, port(addresses, 10)?),
                tls: has_tls(values)?,
            })
        }
        0x21 => {
            let (addresses, values) = rest.split_at_checked(36)?;
            let address = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 16] = addresses.get(at..at + 16)?.try_into().ok()?;
                Some(IpAddr::V6(Ipv6Addr::from(octets)))
            };
            Some(Said::Client {
                source: SocketAddr::new(address(0)?, port(addresses, 32)?),
                destination: SocketAddr::new(address(16)?, port(addresses, 34)?),
                tls: has_tls(values)?,
            })
        }
        0x31 => {
            let (_, values) = rest.split_at_checked(216)?;
            Some(Said::Unnamed {
                tls: has_tls(values)?,
            })
        }
        _ => None,
    }
}

fn port(addresses: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(
        addresses.get(at..at + 2)?.try_into().ok()?,
    ))
}

/// Walks the type-length-values; `None` if they do not end where the preamble does.
fn has_tls(mut values: &[u8]) -> Option<bool> {
    let mut tls = false;
    while let [kind, high, low, rest @ ..] = values {
        let (value, after) =
            rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        if *kind == TYPE_SSL {
            // One byte of flags and four of the certificate's verification.
            tls = value.len() >= 5 && value[0] & CLIENT_SSL != 0;
        }
        values = after;
    }
    values.is_empty().then_some(tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Option<Said> {
        match Preamble::parse(bytes) {
            Preamble::Complete { said, .. } => Some(said),
            Preamble::Incomplete | Preamble::Invalid => None,
        }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn inet(tail: &[u8]) -> Vec<u8> {
        let mut rest = vec![203, 0, 113, 9, 192, 0, 2, 1, 0x12, 0x67, 0x01, 0xbb];
        rest.extend(tail);
        v2(0x21, 0x11, &rest)
    }

    fn named(tls: bool) -> Option<Said> {
        Some(Said::Client {
            source: "203.0.113.9:4711".parse().unwrap(),
            destination: "192.0.2.1:443".parse().unwrap(),
            tls,
        })
    }

    #[test]
    fn reads_both_versions() {
        assert_eq!(
            of(b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"),
            named(false)
        );
        assert_eq!(of(&inet(b"")), named(false));
        let said = of(b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n");
        assert!(matches!(said, Some(Said::Client { source, .. }) if source.is_ipv6()));
        let mut six = vec![0; 36];
        six[15] = 1;
        assert_eq!(
            of(&v2(0x21, 0x21, &six)),
            Some(Said::Client {
                source: "[::1]:0".parse().unwrap(),
                destination: "[::]:0".parse().unwrap(),
                tls: false
            })
        );
    }

    #[test]
    fn the_proxys_own_connections_have_no_client() {
        for bytes in [
            &b"PROXY UNKNOWN\r\n"[..],
            b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n",
            &v2(0x20, 0x11, b"anything"),
            &v2(0x21, 0x00, b"anything"),
        ] {
            assert_eq!(of(bytes), Some(Said::Local), "{bytes:?}");
        }
        assert_eq!(
            of(&v2(0x21, 0x31, &[0; 216])),
            Some(Said::Unnamed { tls: false })
        );
    }

    #[test]
    fn tells_whether_the_client_used_tls() {
        assert_eq!(of(&inet(b"\x20\0\x05\x01\0\0\0\0")), named(true));
        assert_eq!(of(&inet(b"\x04\0\x01x\x20\0\x05\x05\0\0\0\0")), named(true));
        assert_eq!(of(&inet(b"\x20\0\x05\x02\0\0\0\0")), named(false));
        assert_eq!(of(&inet(b"\x20\0\x01\x01")), named(false));
    }

    #[test]
    fn every_beginning_is_incomplete_and_the_rest_is_left_alone() {
        let mut texts = vec![b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n".to_vec()];
        texts.push(inet(b"\x04\0\x01x"));
        for whole in texts {
            for end in 0..whole.len() {
                assert_eq!(
                    Preamble::parse(&whole[..end]),
                    Preamble::Incomplete,
                    "{end}"
                );
            }
            let length = whole.len();
            let more = [&whole[..], b"GET / HTTP/1.1\r\n"].concat();
            assert!(
                matches!(Preamble::parse(&more), Preamble::Complete { length: l, .. } if l == length)
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXX",
            b"proxy TCP4",
            b"PROXY\r\n",
            b"PROXY \r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\n",
            b"PROXY TCP4  203.0.113.9 192.0.2.1 4711 443\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 4711\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443 1\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 +711 443\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 04711 443\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 65536\r\n",
            b"PROXY TCP4 ::1 ::1 4711 443\r\n",
            b"PROXY TCP6 203.0.113.9 192.0.2.1 4711 443\r\n",
            b"PROXY UDP4 203.0.113.9 192.0.2.1 4711 443\r\n",
            b"\r\n\r\n\0\r\nQUIX",
            &[b'P'; 200],
            &[&b"PROXY "[..], &[b'1'; 101]].concat(),
            &v2(0x11, 0x11, &[0; 12]),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x21, &[0; 35]),
            &v2(0x21, 0x12, &[0; 12]),
            &v2(0x21, 0x31, &[0; 215]),
            &v2(0x21, 0x11, &[0; LONGEST]),
            &inet(b"\x04\0\x02x"),
            &inet(b"\x04\0"),
        ] {
            assert_eq!(Preamble::parse(bytes), Preamble::Invalid, "{bytes:?}");
        }
    }
}
