//! Whom a connection's requests come from: the peer, or who a trusted proxy says.
//!
//! Decided once a connection as far as it can be: most have no proxy in front, and their requests pay one test.

use super::preamble::{Preamble, Said};
use super::{Conn, PeerAddr, Shared};
use crate::buf::Held;
use crate::config::Config;
use crate::http::Head;
use crate::http::forwarded::{self, Client, Origin};
use std::sync::Arc;

/// Answer with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused;

#[derive(Debug)]
pub(super) struct Identity {
    state: State,
    /// Proxies in a row that may still be believed, beginning with the peer.
    hops: u32,
    /// The preamble said that there is a client, and not which.
    unnamed: bool,
    /// The preamble said that the client used TLS.
    tls: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The peer speaks for itself, to any host.
    Plain,
    /// The PROXY protocol's preamble is to come.
    Preamble,
    /// Each head is looked at.
    Checked,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            state: State::Plain,
            hops: 0,
            unnamed: false,
            tls: false,
        }
    }
}

impl Identity {
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.state == State::Plain
    }

    #[inline]
    pub(super) fn awaits_preamble(&self) -> bool {
        self.state == State::Preamble
    }

    /// Who sent the request with this head, and whether its host is one of ours.
    pub(super) fn of(
        &self,
        bytes: &Held,
        head: &Head,
        shared: &Shared,
    ) -> Result<Option<Box<Origin>>, Refused> {
        let own_host = head.host.map(|span| span.of(bytes));
        let mut origin = None;
        if self.hops > 0
            && let Some(proxies) = &shared.config.proxies
        {
            let fields = head
                .fields
                .iter()
                .map(|field| (field.name.of(bytes), field.value.of(bytes)));
            origin = forwarded::resolve(proxies, self.hops, own_host, fields)
                .map_err(|forwarded::Refused| Refused)?;
        }
        if self.tls || self.unnamed {
            let origin = origin.get_or_insert_default();
            if self.unnamed {
                origin.client = Client::Unknown;
            }
            if self.tls {
                origin.scheme = origin.scheme.or(Some("https"));
            }
        }
        if let Some(hosts) = &shared.config.trusted_hosts {
            let host = origin.as_ref().and_then(|origin| origin.host.as_deref());
            if !hosts.contains(host.or(own_host).unwrap_or_default()) {
                return Err(Refused);
            }
        }
        Ok(origin.map(Box::new))
    }

    fn settle(&mut self, config: &Config) {
        let plain = self.hops == 0 && !self.tls && !self.unnamed && config.trusted_hosts.is_none();
        self.state = if plain { State::Plain } else { State::Checked };
    }
}

impl Conn {
    /// Called once, before any bytes: finds out whether the peer is a trusted proxy.
    pub fn meet(&mut self, config: &Config) {
        self.identity.hops = config
            .proxies
            .as_ref()
            .filter(|proxies| match &*self.peer {
                PeerAddr::Inet { peer, .. } => proxies.trusts(peer.ip()),
                PeerAddr::Unix { .. } => proxies.trusts_unix(),
                PeerAddr::Named { .. } => false,
            })
            .map_or(0, forwarded::Proxies::hops);
        if config.proxy_protocol && self.identity.hops > 0 {
            self.identity.state = State::Preamble;
        } else {
            self.identity.settle(config);
        }
    }

    /// Reads the preamble; `false` while it is not complete, and when the connection is of no use.
    pub(super) fn take_preamble(&mut self, shared: &mut Shared) -> bool {
        let (length, said) = match Preamble::parse(self.inbox.bytes()) {
            Preamble::Incomplete => {
                if self.read_closed {
                    self.close(shared);
                }
                return false;
            }
            Preamble::Invalid => {
                self.close(shared);
                return false;
            }
            Preamble::Complete { length, said } => (length, said),
        };
        self.inbox.consume(length);
        match said {
            Said::Local => {}
            Said::Unnamed { tls } => {
                self.identity.unnamed = true;
                self.identity.hops = 0;
                self.identity.tls = tls;
            }
            Said::Client {
                source,
                destination,
                tls,
            } => {
                // The peer was the first hop; the one that it names may be the next.
                let trusted = shared
                    .config
                    .proxies
                    .as_ref()
                    .is_some_and(|proxies| proxies.trusts(source.ip()));
                self.identity.hops = if trusted { self.identity.hops - 1 } else { 0 };
                self.identity.tls = tls;
                self.peer = Arc::new(PeerAddr::Inet {
                    peer: source,
                    local: destination,
                });
            }
        }
        self.identity.settle(&shared.config);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::{Arena, Budget};
    use crate::conn::{Phase, Progress};
    use crate::http::TrustedHosts;
    use crate::http::forwarded::{Believed, Proxies};
    use proptest::prelude::*;

    const PREAMBLE: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n";
    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";

    /// Feeds the parts as reads; returns the connection and whether a request came of them.
    fn fed(change: impl FnOnce(&mut Config), parts: &[&[u8]]) -> (Conn, bool) {
        let mut config = Config::default();
        change(&mut config);
        let local = "127.0.0.1:80".parse().unwrap();
        let peer = Arc::new(PeerAddr::Inet { peer: local, local });
        let mut conn = Conn::new(config.h1_limits(), peer, 1);
        conn.meet(&config);
        let budget = Budget::new(config.max_body_memory);
        let mut shared = Shared::new(Arc::new(config), budget);
        let mut arena = Arena::new();
        let mut progress = Progress::Waiting;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            arena.spare()[..part.len()].copy_from_slice(part);
            let view = arena.commit(part.len());
            progress = conn.handle_bytes(view, &mut shared);
            conn.settle();
        }
        (conn, progress == Progress::Ready)
    }

    fn trusting(config: &mut Config) {
        config.proxies = Some(Proxies::parse("127.0.0.1", Believed::ALL).unwrap());
    }

    fn preambled(config: &mut Config) {
        trusting(config);
        config.proxy_protocol = true;
    }

    proptest! {
        #[test]
        fn a_preamble_may_be_split_anywhere(at in 0..PREAMBLE.len() + HEAD.len(), then in 0..100_usize) {
            let whole = [PREAMBLE, HEAD].concat();
            let second = (at + then).min(whole.len());
            let parts = [&whole[..at], &whole[at..second], &whole[second..]];
            let (mut conn, ready) = fed(preambled, &parts);
            prop_assert!(ready);
            let source = match &**conn.peer() {
                PeerAddr::Inet { peer, .. } => peer.to_string(),
                PeerAddr::Unix { .. } | PeerAddr::Named { .. } => String::new(),
            };
            prop_assert_eq!(source, "203.0.113.9:4711");
            // The client is no proxy: its fields say nothing.
            prop_assert_eq!(conn.take_request().unwrap().origin, None);
        }
    }

    #[test]
    fn nothing_is_looked_at_without_a_trusted_peer() {
        for change in [(|_| {}) as fn(&mut Config), |config| {
            preambled(config);
            config.proxies = Some(Proxies::parse("10.0.0.0/8", Believed::ALL).unwrap());
        }] {
            let (mut conn, ready) = fed(change, &[HEAD]);
            assert!(ready && conn.identity.is_plain());
            assert_eq!(conn.take_request().unwrap().origin, None);
        }
    }

    #[test]
    fn a_trusted_peers_fields_are_read() {
        let (mut conn, _) = fed(trusting, &[HEAD]);
        let origin = conn.take_request().unwrap().origin.unwrap();
        assert_eq!(
            origin.client,
            Client::Address("6.6.6.6".parse().unwrap(), None)
        );
    }

    #[test]
    fn a_wrong_preamble_ends_the_connection_without_an_answer() {
        for bytes in [HEAD, b"PROXY TCP4 x\r\n"] {
            let (conn, ready) = fed(preambled, &[bytes]);
            assert!(!ready);
            assert_eq!(conn.phase(), Phase::Closing);
            assert!(conn.outbox.is_empty());
        }
    }

    #[test]
    fn another_host_is_refused_before_its_body() {
        let trusted = |config: &mut Config| {
            config.trusted_hosts = Some(TrustedHosts::parse("b").unwrap());
        };
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
        let (conn, ready) = fed(trusted, &[head]);
        assert!(!ready);
        assert_eq!(conn.phase(), Phase::Closing);
        assert!(!conn.outbox.is_empty());
    }
}
