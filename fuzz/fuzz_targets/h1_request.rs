//! One request head in one piece: it is read, refused or incomplete, and every span lies within it; and the same head
//! again on its connection means the same.
#![no_main]

use bustapi_core::h1::{Engine, Event, Limits, Next};
use bustapi_core::http::Head;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    request_line: 1024,
    head: 4096,
    fields: 64,
    chunk_line: 256,
    trailers: 1024,
    body: 1 << 20,
};

fuzz_target!(|input: &[u8]| {
    let mut head = Head::default();
    let step = Engine::new(LIMITS).handle(input, &mut head);
    assert!(step.consumed <= input.len());
    if matches!(step.event, Event::Head { .. }) {
        let bytes = &input[step.consumed - head.len as usize..step.consumed];
        assert!(bytes.len() <= LIMITS.head && bytes.ends_with(b"\r\n\r\n"));
        assert_eq!(
            count(bytes, b"\n"),
            count(bytes, b"\r\n"),
            "an LF without its CR"
        );
        let _ = (
            head.path(bytes),
            head.query(bytes),
            head.method.as_str(bytes),
            head.host.map(|host| host.of(bytes)),
        );
        for field in &head.fields {
            assert!(bustapi_core::http::is_field_name(field.name.of(bytes)));
            assert!(bustapi_core::http::is_field_value(field.value.of(bytes)));
        }
        again(bytes, &head);
    }
});

/// A connection that remembers the fields of a head reads it as one that does not.
fn again(bytes: &[u8], first: &Head) {
    let mut engine = Engine::new(LIMITS);
    let mut head = Head::default();
    for _ in 0..4 {
        let step = engine.handle(bytes, &mut head);
        assert_eq!(step.consumed, bytes.len());
        assert_eq!(
            (head.method, head.target, head.version, head.host, head.len),
            (
                first.method,
                first.target,
                first.version,
                first.host,
                first.len
            )
        );
        assert_eq!(head.fields, first.fields);
        let Event::Head { complete: true, .. } = step.event else {
            return;
        };
        if engine.finish() == Next::Close {
            return;
        }
    }
}

fn count(bytes: &[u8], pattern: &[u8]) -> usize {
    bytes
        .windows(pattern.len())
        .filter(|window| *window == pattern)
        .count()
}
