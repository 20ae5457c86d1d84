//! A chunked body of any bytes: the payload never exceeds the input, and the end is found once.
#![no_main]

use bustapi_core::h1::{Engine, Event, Limits};
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
    let mut engine = Engine::new(LIMITS);
    let mut head = Head::default();
    let _ = engine.handle(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        &mut head,
    );
    let mut rest = input;
    loop {
        let step = engine.handle(rest, &mut head);
        rest = &rest[step.consumed..];
        match step.event {
            Event::Data { start, end } => assert!(start < end && end == step.consumed),
            Event::End => return assert!(engine.is_waiting_for_reply()),
            Event::Incomplete => return assert!(rest.is_empty() && engine.is_reading_body()),
            Event::Reject(error) => return assert!(matches!(error.status_hint(), 400 | 413 | 431)),
            Event::Head { .. } => panic!("a head within a body"),
        }
    }
});
