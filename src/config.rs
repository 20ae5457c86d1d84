//! Every limit and timeout of the core in one place, with its default.
//!
//! The names are the option names of `run()`, the command line and the environment.

use std::time::Duration;

use crate::h1;
use crate::http::TrustedHosts;
use crate::http::forwarded::Proxies;
use crate::ws::Compression;

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Bytes of a request line; past it 414.
    pub max_request_line: usize,
    /// Bytes of a request head; past it 431.
    pub max_head: usize,
    /// Field lines of a request head; past it 431.
    pub max_fields: usize,
    /// Bytes of a chunk-size line with its extensions; past it 400.
    pub max_chunk_line: usize,
    /// Bytes of a trailer section; past it 431.
    pub max_trailers: usize,
    /// Bytes of a request body; past it 413, before any of it is read when its length is declared.
    pub max_body: u64,
    /// Bytes of a body up to which it is received in full before its view is called.
    pub max_body_in_memory: usize,
    /// Bytes of request bodies held by the process at one time; past it 503.
    pub max_body_memory: usize,
    /// Bytes of received data that Python objects may pin without a copy; past it they get a copy.
    pub max_pinned: usize,
    /// Unsent bytes of one connection past which it is neither read from nor served.
    pub max_outbox: usize,
    /// Bytes of pipelined requests that wait behind the one being answered; past it the socket is not read.
    pub max_pipeline: usize,
    /// Requests answered on one connection; the last one's answer says `Connection: close`.
    pub max_requests_per_connection: u32,
    /// Complete requests of one reactor that wait for the interpreter; past it 503, given without Python.
    pub max_waiting: usize,
    /// Connections of one reactor; past it new ones wait in the accept queue.
    pub max_connections: usize,
    /// Calls of Python views in one turn of a reactor.
    pub turn_budget: usize,
    /// How long a reactor that was woken quickly polls before it sleeps; zero: it sleeps at once.
    pub busy_poll: Duration,
    /// Who may say in whose name a request comes; `None`: nobody.
    pub proxies: Option<Proxies>,
    /// Whether connections of trusted peers begin with a preamble of the PROXY protocol.
    pub proxy_protocol: bool,
    /// The hosts that are answered for, past them 400; `None`: all.
    pub trusted_hosts: Option<TrustedHosts>,
    /// From the accept to the first byte.
    pub first_byte_timeout: Duration,
    /// From the first byte of a head to its last.
    pub head_timeout: Duration,
    /// Silence inside a body, and how far ahead of `min_body_rate` a body can be.
    pub body_timeout: Duration,
    /// Bytes a second below which a body is given up once `body_timeout` has passed; 0 bounds silence alone.
    pub min_body_rate: u32,
    /// An idle connection between two requests.
    pub keep_alive_timeout: Duration,
    /// A peer that takes nothing of an answer, and how far ahead of `min_write_rate` it can be.
    pub write_timeout: Duration,
    /// Bytes a second below which an answer is given up once `write_timeout` has passed; 0 bounds standstill alone.
    pub min_write_rate: u32,
    /// How long a closed connection is still read from, so that the peer sees the answer and not a reset.
    pub linger_timeout: Duration,
    /// Bytes of a WebSocket message, decompressed; past it close code 1009.
    pub websocket_max_message: usize,
    /// Payload bytes of a WebSocket frame; past it close code 1009.
    pub websocket_max_frame: usize,
    /// Messages of one WebSocket that wait for the application; past it the socket is not read.
    pub websocket_max_queue: usize,
    /// Whether messages are compressed for clients that offer it.
    pub websocket_compression: Compression,
    /// Silence of a WebSocket's client after which it is sent a ping; zero: never.
    pub websocket_ping_interval: Duration,
    /// How long the client has to answer a ping, with anything.
    pub websocket_ping_timeout: Duration,
    /// How long no message may go either way; zero: for ever.
    pub websocket_idle_timeout: Duration,
    /// How long the client has to answer a close frame.
    pub websocket_close_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_request_line: 8 * 1024,
            max_head: 64 * 1024,
            max_fields: 100,
            max_chunk_line: 4 * 1024,
            max_trailers: 8 * 1024,
            max_body: u64::MAX,
            max_body_in_memory: 1024 * 1024,
            max_body_memory: 1024 * 1024 * 1024,
            max_pinned: 32 * 1024 * 1024,
            max_outbox: 256 * 1024,
            max_pipeline: 64 * 1024,
            max_requests_per_connection: u32::MAX,
            max_waiting: 16_384,
            max_connections: 65_536,
            turn_budget: 256,
            busy_poll: Duration::ZERO,
            proxies: None,
            proxy_protocol: false,
            trusted_hosts: None,
            first_byte_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            min_body_rate: 240,
            keep_alive_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            min_write_rate: 240,
            linger_timeout: Duration::from_secs(2),
            websocket_max_message: 1024 * 1024,
            websocket_max_frame: usize::MAX,
            websocket_max_queue: 32,
            websocket_compression: Compression::Shared,
            websocket_ping_interval: Duration::from_secs(20),
            websocket_ping_timeout: Duration::from_secs(20),
            websocket_idle_timeout: Duration::from_secs(0),
            websocket_close_timeout: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// The part of it that the HTTP/1 engine enforces.
    #[must_use]
    pub fn h1_limits(&self) -> h1::Limits {
        h1::Limits {
            request_line: self.max_request_line,
            head: self.max_head,
            fields: self.max_fields,
            chunk_line: self.max_chunk_line,
            trailers: self.max_trailers,
            body: self.max_body,
        }
    }
}
