//! Targets and their decoding: no byte that could end a line gets through, and decoding never fails.
#![no_main]

use bustapi_core::http::{
    Method, Span, Target, is_host, percent_decode_path, percent_decode_query, query_pairs,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for method in [Method::Get, Method::Options, Method::Connect] {
        if Target::parse(method, input, Span::new(0, input.len())).is_ok() {
            assert!(input.iter().all(u8::is_ascii_graphic) && !input.contains(&b'#'));
        }
    }
    let _ = is_host(input);
    assert!(percent_decode_path(input).len() <= input.len() * 3);
    for (name, value) in query_pairs(input) {
        let _ = (percent_decode_query(name), percent_decode_query(value));
    }
});
