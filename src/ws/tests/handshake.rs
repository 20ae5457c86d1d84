//! The opening handshake.

use super::*;
use crate::http::{Field, Head, Method, Span, Version};

/// A request with these fields; `None` as a value leaves one of the usual ones out.
fn handshake(changes: &[(&str, Option<&str>)]) -> Result<Handshake, Refusal> {
    handshake_with(changes, |_| {})
}

fn handshake_with(
    changes: &[(&str, Option<&str>)],
    change: impl FnOnce(&mut Head),
) -> Result<Handshake, Refusal> {
    let usual = [
        ("Upgrade", "websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let kept = usual
        .into_iter()
        .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let added = changes
        .iter()
        .filter_map(|(name, value)| value.map(|value| (*name, value)));
    let mut bytes = Vec::new();
    let mut head = Head {
        method: Method::Get,
        version: Version::Http11,
        ..Head::default()
    };
    for (name, value) in kept.chain(added) {
        let start = bytes.len();
        bytes.extend_from_slice(name.as_bytes());
        let middle = bytes.len();
        bytes.extend_from_slice(value.as_bytes());
        head.fields.push(Field {
            name: Span::new(start, middle),
            value: Span::new(middle, bytes.len()),
        });
    }
    change(&mut head);
    Handshake::read(&head, &bytes, Compression::Dedicated)
}

#[test]
fn answers_the_example_of_rfc_6455() {
    let read = handshake(&[("Sec-WebSocket-Protocol", Some("chat, superchat"))]).unwrap();
    assert_eq!(&read.accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(read.protocols, ["chat", "superchat"]);
    assert_eq!(read.agreed, None);
}

#[test]
fn refuses_what_is_no_handshake() {
    for changes in [
        &[("Upgrade", None)][..],
        &[("Upgrade", Some("h2c"))],
        &[("Connection", None)],
        &[("Connection", Some("keep-alive"))],
        &[("Sec-WebSocket-Key", None)],
        &[("Sec-WebSocket-Key", Some(""))],
        &[("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ="))],
        &[("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZR=="))],
        &[("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25j!Q=="))],
        &[("Sec-WebSocket-Protocol", Some("a b"))],
    ] {
        assert_eq!(handshake(changes), Err(Refusal::Malformed), "{changes:?}");
    }
    for changes in [
        &[("Sec-WebSocket-Version", None)][..],
        &[("Sec-WebSocket-Version", Some("8"))],
        &[("Sec-WebSocket-Version", Some("13, 8"))],
    ] {
        assert_eq!(handshake(changes), Err(Refusal::Version), "{changes:?}");
    }
    let post = handshake_with(&[], |head| head.method = Method::Post);
    assert_eq!(post, Err(Refusal::Malformed));
    let old = handshake_with(&[], |head| head.version = Version::Http10);
    assert_eq!(old, Err(Refusal::Malformed));
}

#[test]
fn takes_the_first_offer_that_can_be_met() {
    let cases: &[(&str, Option<&str>)] = &[
        ("permessage-deflate", Some("permessage-deflate")),
        (
            "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits",
            Some("permessage-deflate"),
        ),
        (
            "permessage-deflate; client_max_window_bits=10; server_no_context_takeover",
            Some("permessage-deflate; server_no_context_takeover"),
        ),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            Some("permessage-deflate"),
        ),
        (
            "permessage-deflate; server_max_window_bits=\"12\"",
            Some("permessage-deflate; server_max_window_bits=12"),
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            Some("permessage-deflate; client_no_context_takeover"),
        ),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=09", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        (
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            None,
        ),
        ("permessage-deflate; unknown", None),
        ("permessage-bzip2", None),
        ("", None),
    ];
    for (offer, answer) in cases {
        let read = handshake(&[("Sec-WebSocket-Extensions", Some(offer))]).unwrap();
        let field = read.agreed.map(|agreed| agreed.to_field());
        assert_eq!(field.as_deref(), *answer, "{offer}");
    }
}

#[test]
fn a_shared_compressor_asks_for_messages_that_stand_for_themselves() {
    let offer = [&b"permessage-deflate"[..]];
    let agreed = Agreed::negotiate(offer.into_iter(), Compression::Shared).unwrap();
    assert_eq!(
        agreed.to_field(),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    );
    assert_eq!(Agreed::negotiate(offer.into_iter(), Compression::Off), None);
}
