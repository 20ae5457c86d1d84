//! What a fixed number of proxies appended, whoever the peer is: the rule of Werkzeug's `ProxyFix`, which an
//! application may be wrapped in. Answered here only where its result can be said as an [`Origin`]; for the rest the
//! application's own wrapper is called.

use super::{Client, Origin, checked_host, checked_prefix, parse_port, port_of, trim_whitespace};
use std::net::IpAddr;

/// How many proxies append to each field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub x_for: usize,
    pub x_proto: usize,
    pub x_host: usize,
    pub x_port: usize,
    pub x_prefix: usize,
}

impl Counts {
    /// Reads the fields of a request whose connection has these ports; `None` for what an [`Origin`] cannot say.
    pub fn resolve<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        peer_port: Option<u16>,
        local_port: Option<u16>,
    ) -> Option<Origin> {
        let mut lists: [Vec<&'a [u8]>; 5] = Default::default();
        for (name, value) in fields {
            let Some(place) = place(name) else { continue };
            // Quotes join what commas part, and Python's white space is wider than ours.
            if !value.is_ascii() || value.iter().any(|b| matches!(b, b'"' | b'\\')) {
                return None;
            }
            if !value.is_empty() {
                lists[place].extend(value.split(|b| *b == b',').map(trim_whitespace));
            }
        }
        if lists.iter().flatten().any(|entry| entry.is_empty()) {
            return None;
        }
        let [x_for, x_proto, x_host, x_port, x_prefix] = &lists;
        let mut origin = Origin {
            applied: true,
            ..Origin::default()
        };
        if let Some(text) = pick(x_for, self.x_for) {
            let text = std::str::from_utf8(text).ok()?;
            let address: IpAddr = text.parse().ok()?;
            if address.to_string() != text {
                return None;
            }
            origin.client = Client::Address(address, peer_port);
        }
        origin.scheme = match pick(x_proto, self.x_proto) {
            None => None,
            Some(b"http") => Some("http"),
            Some(b"https") => Some("https"),
            Some(_) => return None,
        };
        let own_port = match pick(x_port, self.x_port) {
            None => None,
            Some(digits) if digits[0] != b'0' => Some(parse_port(digits)?),
            Some(_) => return None,
        };
        match pick(x_host, self.x_host) {
            Some(host) => {
                if host[0] == b'[' || checked_host(host).is_err() {
                    return None;
                }
                let named = if host.contains(&b':') {
                    Some(
                        port_of(host)
                            .filter(|port| host.ends_with(format!(":{port}").as_bytes()))?,
                    )
                } else {
                    None
                };
                origin.port = own_port.or(named).or(local_port);
                origin.host = Some(match own_port {
                    None => host.into(),
                    Some(port) => {
                        let name = host.split(|b| *b == b':').next().unwrap_or_default();
                        [name, b":", port.to_string().as_bytes()].concat().into()
                    }
                });
            }
            // The host's port would change and the server's name would not.
            None if own_port.is_some() => return None,
            None => {}
        }
        if let Some(prefix) = pick(x_prefix, self.x_prefix) {
            if checked_prefix(prefix) != Ok(prefix) {
                return None;
            }
            origin.prefix = Some(prefix.into());
        }
        Some(origin)
    }
}

/// Which of the five fields it is.
fn place(name: &[u8]) -> Option<usize> {
    const NAMES: [&[u8]; 5] = [b"for", b"proto", b"host", b"port", b"prefix"];
    if name.len() < 15 || !name[..12].eq_ignore_ascii_case(b"x-forwarded-") {
        return None;
    }
    NAMES
        .iter()
        .position(|known| known.eq_ignore_ascii_case(&name[12..]))
}

/// The value that the outermost of so many proxies appended; `None` if there are fewer values.
fn pick<'a>(values: &[&'a [u8]], count: usize) -> Option<&'a [u8]> {
    if count == 0 {
        return None;
    }
    values.len().checked_sub(count).map(|at| values[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Counts = Counts {
        x_for: 1,
        x_proto: 1,
        x_host: 1,
        x_port: 1,
        x_prefix: 1,
    };

    fn resolve(counts: Counts, fields: &[(&str, &str)]) -> Option<Origin> {
        let fields = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        counts.resolve(fields, Some(4711), Some(5000))
    }

    #[test]
    fn takes_the_value_of_the_outermost_proxy() {
        let two = Counts { x_for: 2, ..ALL };
        let lines = [
            ("X-Forwarded-For", "6.6.6.6, 1.2.3.4"),
            ("x-forwarded-for", "10.0.0.1"),
        ];
        let origin = resolve(two, &lines).unwrap();
        assert_eq!(
            origin.client,
            Client::Address("1.2.3.4".parse().unwrap(), Some(4711))
        );
        let four = Counts { x_for: 4, ..ALL };
        assert_eq!(resolve(four, &lines).unwrap().client, Client::Peer);
        let none = Counts { x_for: 0, ..ALL };
        assert_eq!(resolve(none, &lines).unwrap().client, Client::Peer);
    }

    #[test]
    fn keeps_the_servers_port_unless_one_is_given() {
        let host = ("X-Forwarded-Host", "example.org");
        assert_eq!(resolve(ALL, &[host]).unwrap().port, Some(5000));
        let origin = resolve(ALL, &[host, ("X-Forwarded-Port", "80")]).unwrap();
        assert_eq!(origin.host.as_deref(), Some(&b"example.org:80"[..]));
        assert_eq!(origin.port, Some(80));
        let origin = resolve(ALL, &[("X-Forwarded-Host", "example.org:81")]).unwrap();
        assert_eq!(origin.host.as_deref(), Some(&b"example.org:81"[..]));
        assert_eq!(origin.port, Some(81));
    }

    #[test]
    fn leaves_to_the_wrapper_what_it_cannot_say() {
        for field in [
            ("X-Forwarded-For", "unknown"),
            ("X-Forwarded-For", "::0001"),
            ("X-Forwarded-For", "\"1.2.3.4\""),
            ("X-Forwarded-For", "1.2.3.4,,5.6.7.8"),
            ("X-Forwarded-For", "1.2.3.4\u{a0}"),
            ("X-Forwarded-Proto", "HTTPS"),
            ("X-Forwarded-Host", "[::1]:80"),
            ("X-Forwarded-Host", "a b"),
            ("X-Forwarded-Host", "a:080"),
            ("X-Forwarded-Port", "8080"),
            ("X-Forwarded-Prefix", "/a/"),
            ("X-Forwarded-Prefix", "a"),
        ] {
            assert_eq!(resolve(ALL, &[field]), None, "{field:?}");
        }
    }
}
