//! A connection without its socket: parse, answer, encode, for one request and for sixteen in one read.

use bustapi_core::buf::{Arena, Budget};
use bustapi_core::config::Config;
use bustapi_core::conn::{Conn, PeerAddr, Progress, Shared};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

const REQUEST: &[u8] = b"GET /json HTTP/1.1\r\nHost: 127.0.0.1:5000\r\n\r\n";
const BODY: &[u8] = b"{\"message\":\"Hello, World!\"}\n";

fn turn(conn: &mut Conn, shared: &mut Shared, arena: &mut Arena, bytes: &[u8], sink: &mut Vec<u8>) {
    arena.spare()[..bytes.len()].copy_from_slice(bytes);
    let view = arena.commit(bytes.len());
    let mut progress = conn.handle_bytes(view, shared);
    while progress == Progress::Ready {
        black_box(conn.take_request());
        let fields = [(&b"Content-Type"[..], &b"application/json"[..])];
        conn.reply(shared, 200, None, b"", fields.into_iter(), BODY);
        progress = conn.advance(shared);
    }
    sink.clear();
    conn.flush(sink, shared, usize::MAX)
        .expect("a Vec takes everything");
    conn.settle();
    arena.rewind();
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("conn");
    for depth in [1usize, 16] {
        let config = Arc::new(Config::default());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let peer = Arc::new(PeerAddr::Inet {
            peer: address,
            local: address,
        });
        let mut conn = Conn::new(config.h1_limits(), peer, 1);
        let mut shared = Shared::new(Arc::clone(&config), Budget::new(1 << 20));
        let mut arena = Arena::new();
        let mut sink = Vec::new();
        let bytes = REQUEST.repeat(depth);
        group.throughput(Throughput::Elements(depth as u64));
        group.bench_function(format!("pipeline_{depth}"), |b| {
            b.iter(|| {
                turn(
                    &mut conn,
                    &mut shared,
                    &mut arena,
                    black_box(&bytes),
                    &mut sink,
                )
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
