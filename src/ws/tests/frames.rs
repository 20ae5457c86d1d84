//! Frames, one after the other, and what is refused.

use super::*;
use proptest::prelude::*;

#[test]
fn reads_the_examples_of_rfc_6455() {
    let hello = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(read(&[&hello]), [Said::Text("Hello".into())]);
    let mut client = Decoder::new(Role::Client, LIMITS, None);
    let fragments = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(
        read_with(&mut client, &[&fragments]),
        [Said::Text("Hello".into())]
    );
}

#[test]
fn control_frames_may_stand_between_fragments() {
    let mut bytes = frame(0x01, b"one ");
    bytes.extend(frame(0x89, b"ping"));
    bytes.extend(frame(0x00, b"two "));
    bytes.extend(frame(0x8a, b""));
    bytes.extend(frame(0x80, b"three"));
    let said = [
        Said::Ping(b"ping".to_vec()),
        Said::Pong(vec![]),
        Said::Text("one two three".into()),
    ];
    assert_eq!(read(&[&bytes]), said);
}

#[test]
fn refuses_what_breaks_the_protocol() {
    let long_ping = frame(0x89, &[0; 126]);
    let cases: &[(&str, Vec<u8>)] = &[
        ("no mask", vec![0x81, 0x00]),
        ("RSV1 without an extension", frame(0xc1, b"")),
        ("RSV2", frame(0xa1, b"")),
        ("RSV3", frame(0x91, b"")),
        ("opcode 3", frame(0x83, b"")),
        ("opcode 11", frame(0x8b, b"")),
        ("a fragmented ping", frame(0x09, b"")),
        ("a long ping", long_ping),
        ("nothing to continue", frame(0x80, b"")),
        (
            "a message within a message",
            [frame(0x01, b"a"), frame(0x81, b"b")].concat(),
        ),
        ("a short length in two bytes", vec![0x82, 0xfe, 0x00, 0x7d]),
        (
            "a short length in eight bytes",
            vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        ),
        (
            "a length with the highest bit",
            vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ),
        ("half a close code", frame(0x88, &[3])),
    ];
    for (what, bytes) in cases {
        assert_eq!(read(&[bytes]), [Said::Fail(1002)], "{what}");
    }
}

#[test]
fn a_fault_is_final() {
    let mut decoder = Decoder::new(Role::Server, LIMITS, None);
    let bad = frame(0x83, b"");
    assert_eq!(decoder.handle(&bad).event, Event::Fail(Error::Protocol));
    let good = frame(0x81, b"x");
    assert_eq!(decoder.handle(&good).event, Event::Fail(Error::Protocol));
    assert!(decoder.is_over());
}

#[test]
fn nothing_is_read_after_a_close_frame() {
    let bytes = [frame(0x88, b"\x03\xe8bye"), frame(0x81, b"x"), vec![0xff]].concat();
    assert_eq!(read(&[&bytes]), [Said::Close(1000, "bye".into())]);
}

#[test]
fn close_codes_are_those_of_the_registry_and_of_applications() {
    for code in 0..=5000u16 {
        let good = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let said = read(&[&frame(0x88, &code.to_be_bytes())]);
        let expected = if good {
            Said::Close(code, String::new())
        } else {
            Said::Fail(1002)
        };
        assert_eq!(said, [expected], "{code}");
    }
    assert_eq!(
        read(&[&frame(0x88, b"")]),
        [Said::Close(NO_STATUS, String::new())]
    );
    assert_eq!(read(&[&frame(0x88, b"\x03\xe8\xff")]), [Said::Fail(1007)]);
}

#[test]
fn a_text_fails_with_its_first_bad_byte() {
    // U+D800 in the middle of a frame whose end has not come.
    let whole = frame(0x81, b"abc\xed\xa0\x80 and more");
    assert_eq!(read(&[&whole[..6 + 5]]), [Said::Fail(1007)]);
    // A character cut off at the end of the message.
    assert_eq!(read(&[&frame(0x81, b"\xe2\x82")]), [Said::Fail(1007)]);
    // Cut by a frame, and whole in the message.
    let cut = [frame(0x01, b"\xe2\x82"), frame(0x80, b"\xac")].concat();
    assert_eq!(read(&[&cut]), [Said::Text("€".into())]);
    // Beyond U+10FFFF: the second byte tells.
    assert_eq!(read(&[&frame(0x01, b"\xf4\x90")]), [Said::Fail(1007)]);
}

#[test]
fn limits_are_seen_in_the_header() {
    let header = |length: u64| {
        let mut bytes = vec![0x82, 0xff];
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes
    };
    assert_eq!(read(&[&header(70_000)]), []);
    assert_eq!(read(&[&header(70_001)]), [Said::Fail(1009)]);
    assert_eq!(read(&[&header(1 << 62)]), [Said::Fail(1009)]);
    let fragments = [frame(0x02, &[0; 60_000]), frame(0x80, &[0; 40_000])].concat();
    assert_eq!(read(&[&fragments]), [Said::Binary(vec![0; 100_000])]);
    let fragments = [frame(0x02, &[0; 60_000]), frame(0x80, &[0; 40_001])].concat();
    assert_eq!(read(&[&fragments]), [Said::Fail(1009)]);
}

#[test]
fn a_declared_length_is_not_believed_with_memory() {
    let limits = Limits {
        frame: usize::MAX,
        message: usize::MAX,
    };
    let mut decoder = Decoder::new(Role::Server, limits, None);
    let mut bytes = vec![0x82, 0xff];
    bytes.extend_from_slice(&(1u64 << 40).to_be_bytes());
    bytes.extend_from_slice(&[0; 5]);
    assert_eq!(decoder.handle(&bytes).event, Event::Incomplete);
}

#[test]
fn masking_is_its_own_inverse_at_every_offset() {
    let text: Vec<u8> = (0..100).collect();
    for offset in 0..9 {
        let mut masked = Vec::new();
        super::super::mask::append(&mut masked, &text, [1, 2, 3, 4], offset);
        for (i, byte) in masked.iter().enumerate() {
            assert_eq!(*byte, text[i] ^ [1, 2, 3, 4][(i + offset) % 4]);
        }
        super::super::mask::apply(&mut masked, [1, 2, 3, 4], offset);
        assert_eq!(masked, text);
    }
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "\\PC{0,60}".prop_map(String::into_bytes),
        (100usize..300, any::<u8>()).prop_map(|(n, byte)| vec![byte % 128; n]),
    ];
    let first = prop_oneof![
        8 => proptest::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => any::<u8>(),
        1 => Just(0x88),
    ];
    (first, payload).prop_map(|(first, payload)| {
        let most = if first & 8 == 0 {
            payload.len()
        } else {
            payload.len().min(125)
        };
        frame(first, &payload[..most])
    })
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(
        frames in proptest::collection::vec(any_frame(), 0..12),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..10),
    ) {
        let bytes = frames.concat();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let whole = read(&[&bytes]);
        prop_assert_eq!(&read(&pieces), &whole);
        prop_assert_eq!(&read(&single), &whole);
    }

    #[test]
    fn arbitrary_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let halves = bytes.split_at(bytes.len() / 2);
        prop_assert_eq!(read(&[&bytes]), read(&[halves.0, halves.1]));
    }
}
