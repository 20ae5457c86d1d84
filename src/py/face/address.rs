//! Who talks to whom, and about what: the connection's two ends, or what a trusted proxy says of them, and the target.

use super::state::RequestState;
use crate::conn::PeerAddr;
use crate::http::Target;
use crate::http::forwarded::Client;

impl RequestState {
    pub(super) fn local_address(&self) -> (String, Option<u16>) {
        if let Some(origin) = self.origin()
            && let Some(host) = &origin.host
        {
            let default = if self.scheme() == "https" { 443 } else { 80 };
            let name = crate::http::host_name(host);
            return (
                String::from_utf8_lossy(name).into_owned(),
                Some(origin.port.unwrap_or(default)),
            );
        }
        match &*self.peer {
            PeerAddr::Inet { local, .. } => (local.ip().to_string(), Some(local.port())),
            PeerAddr::Unix { local } => (local.clone(), None),
            PeerAddr::Named { name, port, .. } => (name.clone(), Some(*port)),
        }
    }

    pub(super) fn client_address(&self) -> Option<String> {
        match self.origin().map(|origin| origin.client) {
            Some(Client::Address(address, _)) => return Some(address.to_string()),
            Some(Client::Unknown) => return None,
            Some(Client::Peer) | None => {}
        }
        match &*self.peer {
            PeerAddr::Inet { peer, .. } => Some(peer.ip().to_canonical().to_string()),
            PeerAddr::Unix { .. } => None,
            PeerAddr::Named { client, .. } => client.map(|client| client.to_string()),
        }
    }

    pub(super) fn client_port(&self) -> Option<u16> {
        match self.origin().map(|origin| origin.client) {
            Some(Client::Address(_, port)) => return port,
            Some(Client::Unknown) => return None,
            Some(Client::Peer) | None => {}
        }
        match &*self.peer {
            PeerAddr::Inet { peer, .. } => Some(peer.port()),
            PeerAddr::Unix { .. } | PeerAddr::Named { .. } => None,
        }
    }

    pub fn path_and_query(&self) -> (&[u8], &[u8]) {
        let (path, query) = match self.request.head.target {
            Target::Origin { path, query } | Target::Absolute { path, query, .. } => {
                (self.request.text(path), query)
            }
            Target::Asterisk => (&b"*"[..], None),
            Target::Authority(span) => (self.request.text(span), None),
        };
        // RFC 9110 4.2.3: an absolute target without a path means `/`.
        let path = if path.is_empty() { &b"/"[..] } else { path };
        (path, query.map_or(&[][..], |span| self.request.text(span)))
    }
}
