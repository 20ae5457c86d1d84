//! Properties: a cut changes nothing, what is encoded decodes, and no bytes make the engine panic.

use proptest::prelude::*;

use super::{Client, DATE, LIMITS, Seen, request, see};
use crate::h1::{Engine, ReplyLength};
use crate::http::Head;

fn pipeline() -> Vec<u8> {
    [
        request(
            "POST /a?b HTTP/1.1",
            b"Transfer-Encoding: chunked\r\n",
            b"5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
        ),
        request("GET / HTTP/1.1", b"Accept: */*\r\nX-Empty:\r\n", b"\r\n"),
        request("POST / HTTP/1.1", b"content-length: 5\r\n", b"hello"),
        request("GET http://b.example/p HTTP/1.2", b"", b""),
        request("OPTIONS * HTTP/1.1", b"Connection: close\r\n", b""),
    ]
    .concat()
}

#[test]
fn a_cut_at_any_place_changes_nothing() {
    let input = pipeline();
    let whole = see(&input);
    assert_eq!(
        whole
            .iter()
            .filter(|seen| matches!(seen, Seen::Head { .. }))
            .count(),
        5
    );
    for cut in 0..=input.len() {
        let mut client = Client::new(LIMITS);
        client.feed(&input[..cut]);
        client.feed(&input[cut..]);
        assert_eq!(client.seen, whole, "cut at {cut}");
    }
}

/// Pieces of requests, good and bad, so that random input gets past the first byte.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        b"GET / HTTP/1.1\r\n",
        b"POST /x HTTP/1.1\r\n",
        b"HEAD / HTTP/1.0\r\n",
        b"GET / HTTP/1.3\r\n",
        b"Host: a\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"5\r\nhello\r\n",
        b"0\r\n",
        b"hello",
        b"X: y\r\n",
        b" ",
        b":",
    ];
    prop_oneof![
        8 => prop::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn cuts_at_many_places_change_nothing(cuts in prop::collection::vec(0_usize..300, 0..12)) {
        let input = pipeline();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
        cuts.sort_unstable();
        let mut client = Client::new(LIMITS);
        let mut from = 0;
        for cut in cuts {
            client.feed(&input[from..cut]);
            from = cut;
        }
        client.feed(&input[from..]);
        prop_assert_eq!(client.seen, see(&input));
    }

    #[test]
    fn input_of_any_shape_means_the_same_cut_in_two(
        fragments in prop::collection::vec(fragment(), 0..16),
        cut in any::<prop::sample::Index>(),
    ) {
        let input = fragments.concat();
        let whole = see(&input);
        let mut client = Client::new(LIMITS);
        let cut = cut.index(input.len() + 1);
        client.feed(&input[..cut]);
        client.feed(&input[cut..]);
        let mut pieces = client.seen;
        // Which fault is named may differ, and an incomplete head may be refused early in one piece only.
        let is_reject = |seen: Option<&Seen>| matches!(seen, Some(Seen::Reject(_)));
        let mut whole = whole;
        if is_reject(whole.last()) {
            whole.pop();
            if is_reject(pieces.last()) {
                pieces.pop();
            }
        } else {
            prop_assert!(!is_reject(pieces.last()), "refused only when cut: {:?}", pieces.last());
        }
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn no_bytes_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..16)) {
        let mut client = Client::new(LIMITS);
        for piece in pieces {
            client.feed(&piece);
        }
        let unread = client.unread();
        let _ = client.engine.handle_eof(unread);
    }

    #[test]
    fn what_is_chunked_decodes_to_itself(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..8)) {
        let mut engine = Engine::new(LIMITS);
        let _ = engine.handle(&request("GET / HTTP/1.1", b"", b""), &mut Head::default());
        let mut head = Vec::new();
        engine.encode_head(&mut head, 200, None, b"", std::iter::empty(), ReplyLength::Unknown, true, DATE);
        let mut body = Vec::new();
        for piece in &pieces {
            engine.encode_data(&mut body, piece);
        }
        engine.encode_end(&mut body);

        let seen = see(&request("POST / HTTP/1.1", b"Transfer-Encoding: chunked\r\n", &body));
        let payload = pieces.concat();
        let data = if payload.is_empty() { None } else { Some(Seen::Data(payload)) };
        prop_assert_eq!(&seen[1..], data.into_iter().chain([Seen::End]).collect::<Vec<_>>());
    }
}
