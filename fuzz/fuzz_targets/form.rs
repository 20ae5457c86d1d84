//! A multipart body means the same in one piece and cut where its first bytes say, and a URL-encoded one is decoded or
//! refused.
#![no_main]

use bustapi_core::form::{Decoder, Error, Event, pairs};
use libfuzzer_sys::fuzz_target;

#[path = "../../src/form/tests/reading.rs"]
mod reading;

use reading::read;

fuzz_target!(|input: &[u8]| {
    let [first, second, body @ ..] = input else {
        return;
    };
    let cut = usize::from(u16::from_be_bytes([*first, *second])) % (body.len() + 1);
    assert_eq!(
        read(b"b", &[body]),
        read(b"b", &[&body[..cut], &body[cut..]])
    );
    for (name, value) in pairs(body).into_iter().flatten() {
        assert!(name.len() + value.len() <= body.len() * 3);
    }
});
