//! A multipart body means the same in one piece and cut where its first bytes say, and a URL-encoded one is decoded or
//! refused.
#![no_main]

use bustapi_core::form::{Decoder, Error, Event, pairs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [first, second, body @ ..] = input else {
        return;
    };
    let cut = usize::from(u16::from_be_bytes([*first, *second])) % (body.len() + 1);
    assert_eq!(read(&[body]), read(&[&body[..cut], &body[cut..]]));
    for (name, value) in pairs(body).into_iter().flatten() {
        assert!(name.len() + value.len() <= body.len() * 3);
    }
});

/// Each part's fields and content, whether it was ended, and where the body stopped.
type Parts = Vec<(Vec<(String, String)>, Vec<u8>, bool)>;

fn read(pieces: &[&[u8]]) -> Result<(Parts, Option<&'static str>), Error> {
    let mut decoder = Decoder::new(b"b", Some(20));
    let (mut inbox, mut parts) = (Vec::new(), Parts::new());
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            let step = decoder.handle(&inbox)?;
            let is_done = matches!(step.event, Event::Incomplete | Event::End);
            match step.event {
                Event::Part(head) => parts.push((head.fields, Vec::new(), false)),
                Event::Data { bytes, last } => {
                    let part = parts.last_mut().expect("a head comes before its data");
                    part.1.extend_from_slice(bytes);
                    part.2 = last;
                }
                Event::Incomplete | Event::End => {}
            }
            let consumed = step.consumed;
            inbox.drain(..consumed);
            if is_done {
                break;
            }
        }
    }
    Ok((parts, decoder.waits_in()))
}
