//! Reading requests: what the engine costs a keep-alive connection, by scenario.

use std::hint::black_box;

use bustapi_core::h1::{Engine, Event, Limits, Next};
use bustapi_core::http::Head;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const LIMITS: Limits = Limits {
    request_line: 8190,
    head: 65_536,
    fields: 100,
    chunk_line: 4096,
    trailers: 8192,
    body: 1 << 30,
};

const SMALL: &[u8] = b"GET /json HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";

const BROWSER: &[u8] = b"GET /api/items?page=2&sort=name HTTP/1.1\r\n\
Host: shop.example\r\n\
Connection: keep-alive\r\n\
sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
sec-ch-ua-mobile: ?0\r\n\
sec-ch-ua-platform: \"Linux\"\r\n\
Upgrade-Insecure-Requests: 1\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-Mode: navigate\r\n\
Referer: https://shop.example/api/items?page=1&sort=name\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en;q=0.9\r\n\
Cookie: session=eyJfcGVybWFuZW50Ijp0cnVlLCJ1c2VyX2lkIjo0Mn0.ZxYz0A.c2lnbmF0dXJl; theme=dark\r\n\
\r\n";

/// Reads one message to its end and makes the engine ready for the next.
fn read(engine: &mut Engine, head: &mut Head, mut input: &[u8]) {
    loop {
        let step = engine.handle(input, head);
        input = &input[step.consumed..];
        match step.event {
            Event::Head { complete: true, .. } | Event::End => break,
            Event::Head { .. } | Event::Data { .. } => {}
            Event::Incomplete | Event::Reject(_) => panic!("not one whole request"),
        }
    }
    assert_eq!(engine.finish(), Next::KeepAlive);
}

fn scenario(c: &mut Criterion, name: &str, message: &[u8]) {
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Bytes(message.len() as u64));
    let mut engine = Engine::new(LIMITS);
    let mut head = Head::default();
    group.bench_function(name, |b| {
        b.iter(|| read(&mut engine, &mut head, black_box(message)))
    });
    group.finish();
}

fn messages(c: &mut Criterion) {
    scenario(c, "small_get", SMALL);
    scenario(c, "browser_get_14_fields", BROWSER);

    let mut known = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n".to_vec();
    known.extend_from_slice(&[b'x'; 1024]);
    scenario(c, "post_known_1k", &known);

    let mut chunked =
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..16 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.extend_from_slice(&[b'x'; 1024]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    scenario(c, "post_chunked_16k", &chunked);
}

/// A head that comes a byte at a time: the cost must grow with its length, not with the square of it.
fn trickle(c: &mut Criterion) {
    let mut engine = Engine::new(LIMITS);
    let mut head = Head::default();
    c.bench_function("read/browser_get_bytewise", |b| {
        b.iter(|| {
            for end in 1..BROWSER.len() {
                let step = engine.handle(&BROWSER[..end], &mut head);
                assert_eq!(step.event, Event::Incomplete);
            }
            read(&mut engine, &mut head, black_box(BROWSER));
        });
    });
}

criterion_group!(benches, messages, trickle);
criterion_main!(benches);
