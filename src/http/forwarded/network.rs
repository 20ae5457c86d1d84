//! Which addresses are proxies of ours.

use super::Believed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The proxies that are trusted, and what they write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxies {
    networks: Vec<Network>,
    /// Peers on a unix socket.
    unix: bool,
    /// Every address, for as many hops as are given.
    any: bool,
    hops: u32,
    pub believed: Believed,
}

impl Proxies {
    /// Reads the setting: addresses, networks (`10.0.0.0/8`), `unix`, and at most one number of hops, separated by
    /// commas or spaces. A number alone, or beside `*`, trusts that many proxies wherever they are.
    ///
    /// # Errors
    /// What is wrong, as a part of a sentence.
    pub fn parse(text: &str, believed: Believed) -> Result<Self, String> {
        let mut proxies = Self {
            networks: Vec::new(),
            unix: false,
            any: false,
            hops: 0,
            believed,
        };
        for item in text
            .split([',', ' '])
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            if item.bytes().all(|b| b.is_ascii_digit()) {
                let hops = item.parse().ok().filter(|hops| (1..=64).contains(hops));
                if proxies.hops != 0 {
                    return Err(String::from("one number of hops"));
                }
                proxies.hops = hops.ok_or_else(|| String::from("a number of hops from 1 to 64"))?;
            } else if item == "*" {
                proxies.any = true;
            } else if item.eq_ignore_ascii_case("unix") {
                proxies.unix = true;
            } else {
                let network = Network::parse(item)
                    .ok_or_else(|| String::from("addresses, networks and a number of hops"))?;
                proxies.networks.push(network);
            }
        }
        let named = !proxies.networks.is_empty() || proxies.unix;
        if !named {
            if proxies.hops == 0 {
                // Otherwise the leftmost entry would be believed, which is the client's own.
                return Err(String::from(
                    "addresses or networks, or a number of hops for proxies at any address",
                ));
            }
            proxies.any = true;
        } else if proxies.any {
            return Err(String::from("either * or addresses"));
        }
        if proxies.hops == 0 {
            proxies.hops = u32::MAX;
        }
        Ok(proxies)
    }

    /// How many proxies may stand in a row.
    #[must_use]
    pub fn hops(&self) -> u32 {
        self.hops
    }

    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.any
            || self
                .networks
                .iter()
                .any(|network| network.contains(address))
    }

    #[must_use]
    pub fn trusts_unix(&self) -> bool {
        self.any || self.unix
    }
}

/// An address with the bits of it that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    V4 { address: u32, mask: u32 },
    V6 { address: u128, mask: u128 },
}

impl Network {
    /// `10.0.0.0/8`, `::1`; bits behind the prefix must be zero, as they mean that something else was meant.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => {
                if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                (address, Some(length.parse::<u32>().ok()?))
            }
            None => (text, None),
        };
        let network = match address.parse::<IpAddr>().ok()? {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32_u32.checked_sub(length.unwrap_or(32))?);
                Self::V4 {
                    address: Ipv4Addr::to_bits(address),
                    mask: mask.unwrap_or(0),
                }
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128_u32.checked_sub(length.unwrap_or(128))?);
                Self::V6 {
                    address: Ipv6Addr::to_bits(address),
                    mask: mask.unwrap_or(0),
                }
            }
        };
        match network {
            Self::V4 { address, mask } if address & !mask != 0 => None,
            Self::V6 { address, mask } if address & !mask != 0 => None,
            network => Some(network),
        }
    }

    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { address, mask }, IpAddr::V4(other)) => other.to_bits() & mask == address,
            (Self::V6 { address, mask }, IpAddr::V6(other)) => other.to_bits() & mask == address,
            _ => false,
        }
    }
}
