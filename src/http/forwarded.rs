//! Who sent a request that came through proxies: `Forwarded` (RFC 7239) and the `X-Forwarded-*` fields.
//!
//! Anybody can send these fields, so they say nothing unless the peer is a proxy that we were told to trust. Each
//! proxy appends what it saw to the right, so lists are read from the right: an entry is believed when whoever wrote
//! it is trusted. The first address that is not trusted is the client's, and nothing left of it is looked at.
//!
//! The two families say the same things, and a proxy that writes one passes the other on as the client sent it. A
//! request with both is refused unless the settings say which one the proxies write.

mod counted;
mod element;
mod network;
#[cfg(test)]
mod tests;

pub use counted::Counts;
pub use network::{Network, Proxies};

use super::host::{is_host, split_port};
use super::trim_whitespace;
use element::{Element, Node};
use std::net::IpAddr;

/// The fields that trusted proxies write; others of these names are what a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // A set: each is on or off by itself.
pub struct Believed {
    pub forwarded: bool,
    pub x_for: bool,
    pub x_proto: bool,
    pub x_host: bool,
    pub x_port: bool,
    pub x_prefix: bool,
}

impl Believed {
    pub const ALL: Self = Self {
        forwarded: true,
        x_for: true,
        x_proto: true,
        x_host: true,
        x_port: true,
        x_prefix: true,
    };
    const NONE: Self = Self {
        forwarded: false,
        x_for: false,
        x_proto: false,
        x_host: false,
        x_port: false,
        x_prefix: false,
    };

    /// Reads a list of field names.
    ///
    /// # Errors
    /// The name that is none of the six.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut believed = Self::NONE;
        for name in text
            .split([',', ' '])
            .map(str::trim)
            .filter(|n| !n.is_empty())
        {
            let flag = match name.to_ascii_lowercase().as_str() {
                "forwarded" => &mut believed.forwarded,
                "x-forwarded-for" => &mut believed.x_for,
                "x-forwarded-proto" => &mut believed.x_proto,
                "x-forwarded-host" => &mut believed.x_host,
                "x-forwarded-port" => &mut believed.x_port,
                "x-forwarded-prefix" => &mut believed.x_prefix,
                _ => return Err(name.to_owned()),
            };
            *flag = true;
        }
        Ok(believed)
    }
}

/// What proxies said of a request, each part only where they said something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    pub client: Client,
    /// `http` or `https`.
    pub scheme: Option<&'static str>,
    /// What the client asked for: a valid host with or without a port.
    pub host: Option<Box<[u8]>>,
    /// The port that the client connected to.
    pub port: Option<u16>,
    /// The part of the path that proxies took off: empty, or it begins with one slash and does not end with one.
    pub prefix: Option<Box<[u8]>>,
    /// Found by the application's own rule ([`Counts`]), and nothing was known before.
    pub applied: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Client {
    /// The other end of the connection.
    #[default]
    Peer,
    /// Hidden by the proxies: not the peer, but nobody says who.
    Unknown,
    Address(IpAddr, Option<u16>),
}

/// The fields are ambiguous, or what a trusted proxy wrote is none of what may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// Reads what `proxies` say, of which at most `hops` are left; the nearest of them is the peer, which the caller found
/// to be trusted. `host` is the request's own.
///
/// # Errors
/// [`Refused`]: answer with 400.
pub fn resolve<'a>(
    proxies: &Proxies,
    hops: u32,
    host: Option<&[u8]>,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Option<Origin>, Refused> {
    let seen = Seen::collect(&proxies.believed, fields);
    match (seen.forwarded.is_empty(), seen.has_x()) {
        (true, false) => Ok(None),
        (true, true) => seen.read_x(proxies, hops, host).map(Some),
        (false, false) => seen.read_forwarded(proxies, hops).map(Some),
        (false, true) => Err(Refused),
    }
}

/// The believed fields of a request, as lists in the order of their lines.
#[derive(Default)]
struct Seen<'a> {
    forwarded: Vec<&'a [u8]>,
    x_for: Vec<&'a [u8]>,
    x_proto: Vec<&'a [u8]>,
    x_host: Vec<&'a [u8]>,
    x_port: Vec<&'a [u8]>,
    x_prefix: Vec<&'a [u8]>,
}

impl<'a> Seen<'a> {
    fn collect(believed: &Believed, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut seen = Self::default();
        for (name, value) in fields {
            if believed.forwarded && name.eq_ignore_ascii_case(b"forwarded") {
                seen.forwarded.push(value);
                continue;
            }
            if name.len() < 15 || !name[..12].eq_ignore_ascii_case(b"x-forwarded-") {
                continue;
            }
            let list = match name[12..].to_ascii_lowercase().as_slice() {
                b"for" if believed.x_for => &mut seen.x_for,
                b"proto" if believed.x_proto => &mut seen.x_proto,
                b"host" if believed.x_host => &mut seen.x_host,
                b"port" if believed.x_port => &mut seen.x_port,
                b"prefix" if believed.x_prefix => &mut seen.x_prefix,
                _ => continue,
            };
            list.extend(
                value
                    .split(|b| *b == b',')
                    .map(trim_whitespace)
                    .filter(|entry| !entry.is_empty()),
            );
        }
        seen
    }

    fn has_x(&self) -> bool {
        [
            &self.x_for,
            &self.x_proto,
            &self.x_host,
            &self.x_port,
            &self.x_prefix,
        ]
        .iter()
        .any(|list| !list.is_empty())
    }

    fn read_x(
        &self,
        proxies: &Proxies,
        hops: u32,
        own_host: Option<&[u8]>,
    ) -> Result<Origin, Refused> {
        let nodes = self.x_for.iter().rev().map(|entry| Node::parse(entry));
        let (client, trusted) = walk(proxies, hops, nodes);
        let scheme = pick(&self.x_proto, trusted).map(scheme).transpose()?;
        let mut host = pick(&self.x_host, trusted).map(checked_host).transpose()?;
        let mut port = host.and_then(port_of);
        if let Some(digits) = pick(&self.x_port, trusted) {
            port = Some(parse_port(digits).ok_or(Refused)?);
            host = host.or(own_host);
        }
        let prefix = pick(&self.x_prefix, trusted)
            .map(checked_prefix)
            .transpose()?;
        Ok(Origin {
            client,
            scheme,
            host: host.map(|host| with_port(host, port, scheme.unwrap_or("http"))),
            port,
            prefix: prefix.map(Into::into),
            applied: false,
        })
    }

    fn read_forwarded(&self, proxies: &Proxies, hops: u32) -> Result<Origin, Refused> {
        let mut elements = Vec::new();
        for line in &self.forwarded {
            Element::parse_list(line, &mut elements).map_err(|_| Refused)?;
        }
        let nodes = elements
            .iter()
            .rev()
            .map(|element| element.node.as_deref().map_or(Node::Hidden, Node::parse));
        let (client, trusted) = walk(proxies, hops, nodes);
        // The outermost trusted proxy saw what the client asked for; one further in says it where that one does not.
        let believed = &elements[elements.len() - trusted.min(elements.len())..];
        let scheme = believed
            .iter()
            .find_map(|element| element.proto.as_deref())
            .map(scheme)
            .transpose()?;
        let host = believed
            .iter()
            .find_map(|element| element.host.as_deref())
            .map(checked_host)
            .transpose()?;
        let port = host.and_then(port_of);
        Ok(Origin {
            client,
            scheme,
            host: host.map(Into::into),
            port,
            prefix: None,
            applied: false,
        })
    }
}

/// Goes from the peer outwards. `nodes` are what the proxies saw, the nearest one's first. Returns the client, and how
/// many proxies are believed: at least the peer.
fn walk(proxies: &Proxies, hops: u32, nodes: impl Iterator<Item = Node>) -> (Client, usize) {
    let mut client = Client::Peer;
    let mut trusted = 0;
    for node in nodes {
        trusted += 1;
        client = match node {
            Node::Address(address, port) => Client::Address(address, port),
            Node::Hidden => return (Client::Unknown, trusted),
        };
        if trusted >= hops as usize {
            break;
        }
        if let Node::Address(address, _) = node
            && !proxies.trusts(address)
        {
            break;
        }
    }
    (client, trusted.max(1))
}

/// The value that the outermost of `trusted` proxies left: each either appended its own or replaced the list.
fn pick<'a>(values: &[&'a [u8]], trusted: usize) -> Option<&'a [u8]> {
    values.get(values.len().saturating_sub(trusted)).copied()
}

fn scheme(value: &[u8]) -> Result<&'static str, Refused> {
    // A websocket's handshake is a request of http.
    if value.eq_ignore_ascii_case(b"https") || value.eq_ignore_ascii_case(b"wss") {
        Ok("https")
    } else if value.eq_ignore_ascii_case(b"http") || value.eq_ignore_ascii_case(b"ws") {
        Ok("http")
    } else {
        Err(Refused)
    }
}

fn checked_host(value: &[u8]) -> Result<&[u8], Refused> {
    if !value.is_empty() && value[0] != b':' && is_host(value) {
        Ok(value)
    } else {
        Err(Refused)
    }
}

/// A prefix that makes a path of our own origin: `//` would begin another authority, and so would `\` to browsers.
fn checked_prefix(value: &[u8]) -> Result<&[u8], Refused> {
    let end = value
        .iter()
        .rposition(|b| *b != b'/')
        .map_or(0, |at| at + 1);
    let value = &value[..end];
    let plain =
        |b: &u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'?' | b'#' | b'"' | b'<' | b'>');
    match value {
        [] => Ok(value),
        [b'/', rest @ ..] if rest[0] != b'/' && rest.iter().all(plain) => Ok(value),
        _ => Err(Refused),
    }
}

fn port_of(host: &[u8]) -> Option<u16> {
    parse_port(split_port(host)??)
}

fn parse_port(digits: &[u8]) -> Option<u16> {
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits)
        .ok()?
        .parse()
        .ok()
        .filter(|port| *port > 0)
}

/// The host with this port in place of its own, and without the scheme's default.
fn with_port(host: &[u8], port: Option<u16>, scheme: &str) -> Box<[u8]> {
    let Some(port) = port else {
        return host.into();
    };
    let name = match split_port(host) {
        Some(Some(digits)) => &host[..host.len() - digits.len() - 1],
        _ => host,
    };
    let default = if scheme == "https" { 443 } else { 80 };
    if port == default {
        return name.into();
    }
    let mut written = name.to_vec();
    written.extend_from_slice(format!(":{port}").as_bytes());
    written.into()
}
