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
    /// What the preamble said, where the peer's address does not say it.
    client: Client,
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
            client: Client::Peer,
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
        if self.tls || self.client != Client::Peer {
            let origin = origin.get_or_insert_default();
            if origin.client == Client::Peer {
                origin.client = self.client;
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
        let plain = self.hops == 0
            && !self.tls
            && self.client == Client::Peer
            && config.trusted_hosts.is_none();
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
                self.identity.client = Client::Unknown;
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
