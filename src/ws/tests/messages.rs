//! Messages there and back, plain and compressed.

use super::*;
use proptest::prelude::*;

fn agreed(offer: &str, compression: Compression) -> Option<Agreed> {
    Agreed::negotiate([offer.as_bytes()].into_iter(), compression)
}

/// A server's frames as a client reads them.
fn there_and_back(agreed: Option<&Agreed>, messages: &[Vec<u8>]) -> Vec<Said> {
    let mut encoder = Encoder::new(agreed);
    let mut out = Vec::new();
    for message in messages {
        encoder.encode(&mut out, Kind::Binary, message);
    }
    let mut client = Decoder::new(Role::Client, LIMITS, agreed);
    read_with(&mut client, &[&out])
}

/// A server's compressed frame as the client would send it.
fn masked(frames: &[u8], payload: usize) -> Vec<u8> {
    frame(frames[0], &frames[frames.len() - payload..])
}

#[test]
fn frames_of_every_length_form_are_read_back() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        let message = vec![b'x'; length];
        let back = there_and_back(None, std::slice::from_ref(&message));
        assert_eq!(back, [Said::Binary(message)]);
    }
}

#[test]
fn compressed_messages_are_smaller_and_come_back() {
    let json = br#"{"id": 12345, "name": "a room", "members": ["one", "two", "three"]}"#.repeat(40);
    for (offer, compression) in [
        ("permessage-deflate", Compression::Shared),
        ("permessage-deflate", Compression::Dedicated),
        (
            "permessage-deflate; server_max_window_bits=9",
            Compression::Dedicated,
        ),
        (
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
            Compression::Dedicated,
        ),
    ] {
        let agreed = agreed(offer, compression).unwrap();
        let mut encoder = Encoder::new(Some(&agreed));
        let mut client = Decoder::new(Role::Client, LIMITS, Some(&agreed));
        let mut sizes = Vec::new();
        for _ in 0..5 {
            let mut out = Vec::new();
            encoder.encode(&mut out, Kind::Text, &json);
            assert!(out.len() < json.len() / 4, "{offer}: {}", out.len());
            sizes.push(out.len());
            let said = read_with(&mut client, &[&out]);
            assert_eq!(said, [Said::Text(String::from_utf8(json.clone()).unwrap())]);
        }
        assert_eq!(
            agreed.server_alone,
            sizes[1] == sizes[0],
            "{offer}: {sizes:?}"
        );
    }
}

#[test]
fn reads_the_examples_of_rfc_7692() {
    let agreed = agreed("permessage-deflate", Compression::Dedicated).unwrap();
    let mut decoder = Decoder::new(Role::Server, LIMITS, Some(&agreed));
    let hello = Said::Text("Hello".into());
    // 7.2.3.1, and 7.2.3.2: the second refers to the first.
    let one = frame(0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    let two = frame(0xc1, &[0xf2, 0x00, 0x11, 0x00, 0x00]);
    // 7.2.3.3: not compressed; 7.2.3.4: a last block; 7.2.3.5: two blocks.
    let stored = [
        0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
    ];
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let blocks = [
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    let all = [
        one,
        two,
        frame(0xc1, &stored),
        frame(0xc1, &last),
        frame(0xc1, &blocks),
        frame(0xc1, &[0]),
    ]
    .concat();
    let mut expected = vec![hello; 5];
    expected.push(Said::Text(String::new()));
    assert_eq!(read_with(&mut decoder, &[&all]), expected);
}

#[test]
fn a_message_may_end_with_a_last_block_and_others_follow_it() {
    // RFC 7692 7.2.3.4: "Hello" in a block marked as the last one. The padding that follows it there is left out by some.
    let padded = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let bare = &padded[..7];
    // A stored one, which ends without a bit to spare.
    let stored = [0x01, 0x02, 0x00, 0xfd, 0xff, b'h', b'i'];
    let several = [bare, &stored, bare, &[0xf2, 0x48, 0x05, 0x00]].concat();
    for how in [Compression::Shared, Compression::Dedicated] {
        let agreed = agreed("permessage-deflate", how).unwrap();
        let mut decoder = Decoder::new(Role::Server, LIMITS, Some(&agreed));
        for _ in 0..2 {
            for (payload, text) in [
                (bare, "Hello"),
                (&padded, "Hello"),
                (&stored, "hi"),
                (&several, "HellohiHelloHe"),
                (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], "Hello"),
            ] {
                let said = read_with(&mut decoder, &[&frame(0xc1, payload)]);
                assert_eq!(said, [Said::Text(text.into())], "{how:?}: {payload:x?}");
            }
        }
    }
}

#[test]
fn last_blocks_do_not_lift_the_limit_of_a_message() {
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    let mut block = Vec::with_capacity(1000);
    compress
        .compress_vec(&[b'a'; 1000], &mut block, flate2::FlushCompress::Finish)
        .unwrap();
    for how in [Compression::Shared, Compression::Dedicated] {
        let agreed = agreed("permessage-deflate", how).unwrap();
        for (times, expected) in [
            (100, Said::Binary(vec![b'a'; 100_000])),
            (101, Said::Fail(1009)),
            (60_000 / block.len(), Said::Fail(1009)),
        ] {
            let bytes = frame(0xc2, &block.repeat(times));
            let mut decoder = Decoder::new(Role::Server, LIMITS, Some(&agreed));
            assert_eq!(read_with(&mut decoder, &[&bytes]), [expected]);
        }
    }
}

#[test]
fn a_compressed_message_may_be_fragmented_and_only_its_first_frame_says_so() {
    let agreed = agreed("permessage-deflate", Compression::Shared).unwrap();
    let parts = [
        frame(0x41, &[0xf2, 0x48, 0xcd]),
        frame(0x89, b"!"),
        frame(0x80, &[0xc9, 0xc9, 0x07, 0x00]),
    ]
    .concat();
    let mut decoder = Decoder::new(Role::Server, LIMITS, Some(&agreed));
    assert_eq!(
        read_with(&mut decoder, &[&parts]),
        [Said::Ping(b"!".to_vec()), Said::Text("Hello".into())]
    );
    let twice = [frame(0x41, &[0xf2]), frame(0xc0, &[0x48])].concat();
    let mut decoder = Decoder::new(Role::Server, LIMITS, Some(&agreed));
    assert_eq!(read_with(&mut decoder, &[&twice]), [Said::Fail(1002)]);
}

#[test]
fn what_cannot_be_decompressed_is_refused_and_a_bomb_is_cut_short() {
    let agreed = agreed("permessage-deflate", Compression::Shared).unwrap();
    let mut decoder = Decoder::new(Role::Server, LIMITS, Some(&agreed));
    assert_eq!(
        read_with(&mut decoder, &[&frame(0xc2, &[0xff; 20])]),
        [Said::Fail(1007)]
    );
    let mut bomb = Vec::new();
    Encoder::new(Some(&agreed)).encode(&mut bomb, Kind::Binary, &vec![0; 50_000_000]);
    assert!(bomb.len() < 1 << 20, "a hundredth of what it holds");
    let mut decoder = Decoder::new(
        Role::Server,
        Limits {
            frame: 1 << 20,
            message: 1 << 20,
        },
        Some(&agreed),
    );
    let header = if bomb[1] == 127 { 10 } else { 4 };
    assert_eq!(
        read_with(&mut decoder, &[&masked(&bomb, bomb.len() - header)]),
        [Said::Fail(1009)]
    );
}

#[test]
fn a_message_of_exactly_the_limit_is_taken() {
    let agreed = agreed("permessage-deflate", Compression::Shared).unwrap();
    for (length, taken) in [(100_000, true), (100_001, false)] {
        let message = vec![b'a'; length];
        let said = there_and_back(Some(&agreed), std::slice::from_ref(&message));
        let expected = if taken {
            Said::Binary(message)
        } else {
            Said::Fail(1009)
        };
        assert_eq!(said, [expected]);
    }
}

#[test]
fn close_frames_are_cut_between_characters() {
    let mut out = Vec::new();
    encode_close(&mut out, 1000, &"€".repeat(60));
    assert_eq!(out.len(), 2 + 2 + 123);
    let mut client = Decoder::new(Role::Client, LIMITS, None);
    assert_eq!(
        read_with(&mut client, &[&out]),
        [Said::Close(1000, "€".repeat(41))]
    );
    for code in [NO_STATUS, ABNORMAL, 0, 999] {
        out.clear();
        encode_close(&mut out, code, "x");
        assert_eq!(out, [0x88, 0]);
    }
}

proptest! {
    #[test]
    fn messages_come_back_whatever_was_agreed(
        messages in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..40), 0usize..100)
                .prop_map(|(pattern, times)| pattern.repeat(times)),
            1..6,
        ),
        shared in any::<bool>(),
        bits in 9u8..=15,
    ) {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        let how = if shared { Compression::Shared } else { Compression::Dedicated };
        let expected: Vec<Said> = messages.iter().cloned().map(Said::Binary).collect();
        prop_assert_eq!(there_and_back(agreed(&offer, how).as_ref(), &messages), expected);
    }

    #[test]
    fn arbitrary_compressed_payloads_are_survived(
        payload in proptest::collection::vec(any::<u8>(), 0..100),
        dedicated in any::<bool>(),
    ) {
        let how = if dedicated { Compression::Dedicated } else { Compression::Shared };
        let agreed = agreed("permessage-deflate", how);
        let bytes = frame(0xc2, &payload);
        let cut = bytes.len() / 2;
        let whole = read_with(&mut Decoder::new(Role::Server, LIMITS, agreed.as_ref()), &[&bytes]);
        let halves = [&bytes[..cut], &bytes[cut..]];
        let split = read_with(&mut Decoder::new(Role::Server, LIMITS, agreed.as_ref()), &halves);
        prop_assert_eq!(whole, split);
    }
}
