//! Any sequence of reads, answers, flushes, FINs and timeouts on one connection.
#![no_main]

use bustapi_core::buf::{Arena, Budget};
use bustapi_core::config::Config;
use bustapi_core::conn::{Conn, PeerAddr, Phase, Shared};
use bustapi_core::h1::ReplyLength;
use libfuzzer_sys::fuzz_target;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Takes a bounded number of bytes at a time, then none until the next flush.
struct Sink(usize);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.0.min(bytes.len());
        self.0 -= n;
        if n == 0 {
            Err(std::io::ErrorKind::WouldBlock.into())
        } else {
            Ok(n)
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl bustapi_core::buf::Sink for Sink {}

fuzz_target!(|data: &[u8]| {
    let config = Arc::new(Config {
        max_body: 4096,
        max_outbox: 512,
        max_body_memory: 2048,
        ..Config::default()
    });
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let peer = Arc::new(PeerAddr::Inet {
        peer: address,
        local: address,
    });
    let mut conn = Conn::new(config.h1_limits(), peer, 1);
    let mut shared = Shared::new(Arc::clone(&config), Budget::new(config.max_body_memory));
    let mut arena = Arena::new();
    let mut rest = data;
    while let Some((&op, tail)) = rest.split_first() {
        rest = tail;
        match op % 8 {
            0..=2 => {
                let n = (usize::from(op) / 4 + 1).min(rest.len());
                if conn.wants_bytes(&shared) {
                    arena.spare()[..n].copy_from_slice(&rest[..n]);
                    let view = arena.commit(n);
                    let _ = conn.handle_bytes(view, &mut shared);
                }
                rest = &rest[n..];
            }
            3 => {
                if let Some(request) = conn.take_request() {
                    let body = request.body.bytes().to_vec();
                    conn.reply(&shared, 200, None, b"", std::iter::empty(), &body);
                    let _ = conn.advance(&mut shared);
                }
            }
            4 => {
                if conn.take_request().is_some()
                    && conn.begin_stream(
                        &shared,
                        200,
                        None,
                        b"",
                        std::iter::empty(),
                        ReplyLength::Unknown,
                    )
                {
                    conn.stream(b"piece");
                    conn.end_stream();
                    let _ = conn.advance(&mut shared);
                }
            }
            5 => {
                let _ = conn.flush(&mut Sink(usize::from(op)), &mut shared, 100);
                let _ = conn.advance(&mut shared);
                conn.settle();
                arena.rewind();
            }
            6 if !conn.is_read_closed() => conn.handle_eof(&mut shared),
            _ => {
                if conn.is_receiving() {
                    conn.time_out(&mut shared);
                }
            }
        }
        if conn.phase() == Phase::Closing {
            assert!(conn.take_request().is_none(), "a request behind the end");
        }
    }
    drop(conn);
    assert_eq!(
        shared.body_memory.used(),
        0,
        "body memory was not given back"
    );
});
