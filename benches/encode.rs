//! Writing replies: what the engine costs a keep-alive connection, by scenario.

use std::hint::black_box;

use bustapi_core::h1::{Engine, Limits, Next, ReplyLength};
use bustapi_core::http::Head;
use criterion::{Criterion, criterion_group, criterion_main};

const LIMITS: Limits = Limits {
    request_line: 8190,
    head: 65_536,
    fields: 100,
    chunk_line: 4096,
    trailers: 8192,
    body: 1 << 30,
};

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
const GET: &[u8] = b"GET /json HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";
const JSON: &[u8] = br#"{"message":"Hello, World!"}"#;
const JSON_FIELDS: [(&[u8], &[u8]); 1] = [(b"Content-Type", b"application/json")];
const PAGE_FIELDS: [(&[u8], &[u8]); 6] = [
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Cache-Control", b"private, max-age=0, must-revalidate"),
    (b"Vary", b"Cookie, Accept-Encoding"),
    (b"ETag", b"\"5f3b-8a7c2d\""),
    (b"X-Frame-Options", b"DENY"),
    (
        b"Set-Cookie",
        b"session=eyJ1c2VyX2lkIjo0Mn0.ZxYz0A.c2ln; HttpOnly; Path=/; SameSite=Lax",
    ),
];

/// The head is read too, as only a request makes a reply due; `benches/parse.rs` has that part's cost alone.
fn scenario(c: &mut Criterion, name: &str, write: impl Fn(&mut Engine, &mut Vec<u8>)) {
    let mut engine = Engine::new(LIMITS);
    let mut head = Head::default();
    let mut out = Vec::with_capacity(64 * 1024);
    c.bench_function(name, |b| {
        b.iter(|| {
            out.clear();
            let _ = engine.handle(black_box(GET), &mut head);
            write(&mut engine, &mut out);
            assert_eq!(engine.finish(), Next::KeepAlive);
            black_box(out.len())
        });
    });
}

fn replies(c: &mut Criterion) {
    scenario(c, "reply/none", |_, _| {});
    scenario(c, "reply/json", |engine, out| {
        let length = ReplyLength::Known(JSON.len() as u64);
        engine.encode_head(
            out,
            200,
            None,
            b"",
            JSON_FIELDS.into_iter(),
            length,
            true,
            DATE,
        );
        out.extend_from_slice(JSON);
    });
    scenario(c, "reply/page_6_fields", |engine, out| {
        let length = ReplyLength::Known(1024);
        engine.encode_head(
            out,
            200,
            None,
            b"",
            PAGE_FIELDS.into_iter(),
            length,
            true,
            DATE,
        );
        out.extend_from_slice(&[b'x'; 1024]);
    });
    scenario(c, "reply/chunked_16k", |engine, out| {
        engine.encode_head(
            out,
            200,
            None,
            b"",
            JSON_FIELDS.into_iter(),
            ReplyLength::Unknown,
            true,
            DATE,
        );
        for _ in 0..16 {
            engine.encode_data(out, &[b'x'; 1024]);
        }
        engine.encode_end(out);
    });
}

criterion_group!(benches, replies);
criterion_main!(benches);
