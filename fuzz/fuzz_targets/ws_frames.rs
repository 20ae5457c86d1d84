//! A stream of frames means the same in one piece and cut where its second and third byte say; the first says what
//! was agreed on.
#![no_main]

use bustapi_core::ws::{Agreed, Compression, Decoder, Event, Limits, Role};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    frame: 4096,
    message: 8192,
};

fuzz_target!(|input: &[u8]| {
    let [how, first, second, stream @ ..] = input else {
        return;
    };
    let compression = match how % 3 {
        0 => Compression::Off,
        1 => Compression::Shared,
        _ => Compression::Dedicated,
    };
    let offer = [&b"permessage-deflate; client_max_window_bits"[..]];
    let agreed = Agreed::negotiate(offer.into_iter(), compression);
    let cut = usize::from(u16::from_be_bytes([*first, *second])) % (stream.len() + 1);
    let whole = read(agreed.as_ref(), &[stream]);
    let pieces = read(agreed.as_ref(), &[&stream[..cut], &stream[cut..]]);
    assert_eq!(whole, pieces);
});

/// What was said, with the payload of control frames.
fn read(agreed: Option<&Agreed>, pieces: &[&[u8]]) -> Vec<(Event, Vec<u8>)> {
    let mut decoder = Decoder::new(Role::Server, LIMITS, agreed);
    let (mut inbox, mut said) = (Vec::new(), Vec::new());
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            let step = decoder.handle(&inbox);
            inbox.drain(..step.consumed);
            if step.event == Event::Incomplete {
                break;
            }
            let failed = matches!(step.event, Event::Fail(_));
            if let Event::Message(message) = &step.event {
                assert!(message.data.len() <= LIMITS.message);
            }
            said.push((step.event, decoder.control().to_vec()));
            if failed {
                return said;
            }
        }
    }
    said
}
