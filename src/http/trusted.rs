//! The hosts that a server answers for; a request for another is refused before anything sees it.

use super::host::split_port;

/// Names and addresses, compared without the port and in any case of letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedHosts {
    /// In lower case, without a leading dot.
    hosts: Vec<(Box<[u8]>, Subdomains)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subdomains {
    Without,
    /// `.example.com` is the name and everything below it.
    With,
}

impl TrustedHosts {
    /// Reads a list separated by commas or spaces.
    ///
    /// # Errors
    /// The entry that is no host, or has a port.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut hosts = Vec::new();
        for item in text
            .split([',', ' '])
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let (name, subdomains) = match item.strip_prefix('.') {
                Some(rest) => (rest, Subdomains::With),
                None => (item, Subdomains::Without),
            };
            if name.is_empty() || split_port(name.as_bytes()) != Some(None) {
                return Err(item.to_owned());
            }
            hosts.push((name.to_ascii_lowercase().into_bytes().into(), subdomains));
        }
        Ok(Self { hosts })
    }

    /// Whether a request for this host is ours. One that names none is not.
    #[must_use]
    pub fn contains(&self, host: &[u8]) -> bool {
        let name = match split_port(host) {
            None => return false,
            Some(None) => host,
            Some(Some(port)) => &host[..host.len() - port.len() - 1],
        };
        self.hosts.iter().any(|(own, subdomains)| {
            name.eq_ignore_ascii_case(own)
                || *subdomains == Subdomains::With
                    && name.len() > own.len() + 1
                    && name[name.len() - own.len() - 1] == b'.'
                    && name[name.len() - own.len()..].eq_ignore_ascii_case(own)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_port_and_case() {
        let hosts = TrustedHosts::parse("example.com, [::1] 127.0.0.1").unwrap();
        for host in [
            "example.com",
            "EXAMPLE.com:80",
            "example.com:",
            "[::1]:80",
            "127.0.0.1:1",
        ] {
            assert!(hosts.contains(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":80",
            "a.example.com",
            "xexample.com",
            "example.com.evil",
            "::1",
        ] {
            assert!(!hosts.contains(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_leading_dot_takes_subdomains_in() {
        let hosts = TrustedHosts::parse(".example.com").unwrap();
        for host in ["example.com", "a.example.com", "A.B.Example.Com:8000"] {
            assert!(hosts.contains(host.as_bytes()), "{host}");
        }
        for host in ["xexample.com", ".example.com", "example.com.evil", "com"] {
            assert!(!hosts.contains(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for list in ["a b/c", "a:80", ".", "exam ple@x", "[::1"] {
            assert!(TrustedHosts::parse(list).is_err(), "{list}");
        }
    }
}
