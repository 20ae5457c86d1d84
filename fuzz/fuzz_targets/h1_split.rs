//! A stream of requests means the same in one piece and cut where its first two bytes say.
#![no_main]

use bustapi_core::h1::{Engine, Event, Limits, Next};
use bustapi_core::http::Head;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    request_line: 256,
    head: 1024,
    fields: 16,
    chunk_line: 64,
    trailers: 256,
    body: 4096,
};

fuzz_target!(|input: &[u8]| {
    let [first, second, stream @ ..] = input else {
        return;
    };
    let cut = usize::from(u16::from_be_bytes([*first, *second])) % (stream.len() + 1);
    let (whole, refused) = read(&[stream]);
    let (pieces, refused_cut) = read(&[&stream[..cut], &stream[cut..]]);
    assert_eq!(whole, pieces);
    // A fault in a head that is not complete is seen at the next doubling of what came, so not always in both.
    assert!(refused || !refused_cut);
});

/// The messages, each as its head's length and payload, and whether the stream was refused.
fn read(pieces: &[&[u8]]) -> (Vec<(u32, Vec<u8>, bool)>, bool) {
    let (mut engine, mut head) = (Engine::new(LIMITS), Head::default());
    let (mut inbox, mut messages) = (Vec::new(), Vec::<(u32, Vec<u8>, bool)>::new());
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            let step = engine.handle(&inbox, &mut head);
            let complete = match step.event {
                Event::Head { complete, .. } => {
                    messages.push((head.len, Vec::new(), false));
                    complete
                }
                Event::Data { start, end } => {
                    messages
                        .last_mut()
                        .expect("a head came")
                        .1
                        .extend_from_slice(&inbox[start..end]);
                    false
                }
                Event::End => true,
                Event::Reject(_) => return (messages, true),
                Event::Incomplete => {
                    inbox.drain(..step.consumed);
                    break;
                }
            };
            inbox.drain(..step.consumed);
            if complete {
                messages.last_mut().expect("a head came").2 = true;
                if engine.finish() == Next::Close {
                    return (messages, false);
                }
            }
        }
    }
    (messages, false)
}
