//! Reads a whole body, for the tests here and for the fuzz target, which includes this file.

use super::{Decoder, Error, Event};

/// Each part's fields and content, and whether its end was seen.
pub type Parts = Vec<(Vec<(String, String)>, Vec<u8>, bool)>;

/// Reads a body that arrives in pieces: its parts, and where in it the decoder stands at the end.
pub fn read(boundary: &[u8], pieces: &[&[u8]]) -> Result<(Parts, Option<&'static str>), Error> {
    let mut decoder = Decoder::new(boundary, Some(50));
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
                    assert!(!part.2, "data behind the last of a part");
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
