use super::{Decoder, Disposition, Error, Event, pairs};
use proptest::prelude::*;

mod reading;

/// The parts of a body, and whether its end was seen.
fn read(boundary: &[u8], pieces: &[&[u8]]) -> Result<(reading::Parts, bool), Error> {
    reading::read(boundary, pieces).map(|(parts, state)| (parts, state.is_none()))
}

fn contents(body: &[u8]) -> Vec<Vec<u8>> {
    let (parts, ended) = read(b"b", &[body]).expect("a body");
    assert!(ended);
    parts.into_iter().map(|(_, content, _)| content).collect()
}

const HEAD: &str = "Content-Disposition: form-data; name=\"a\"\r\n\r\n";

#[test]
fn reads_fields_and_their_heads() {
    let body = format!("--b\r\n{HEAD}1\r\n--b\r\nX : y\r\n{HEAD}\r\n--b--\r\nepilogue");
    let (parts, ended) = read(b"b", &[body.as_bytes()]).expect("a body");
    let disposition = (
        "Content-Disposition".to_owned(),
        "form-data; name=\"a\"".to_owned(),
    );
    let other = ("X".to_owned(), "y".to_owned());
    assert_eq!(
        parts,
        [
            (vec![disposition.clone()], b"1".to_vec(), true),
            (vec![other, disposition], b"".to_vec(), true)
        ]
    );
    assert!(ended);
}

#[test]
fn takes_lines_that_end_with_one_character() {
    for line_break in ["\r\n", "\n", "\r"] {
        let body = format!("preamble\r\n--b\r\n{HEAD}1\r\n2\r\n--b  \r\n{HEAD}3\r\n--b--");
        let body = body.replace("\r\n", line_break);
        let first = format!("1{line_break}2").into_bytes();
        assert_eq!(contents(body.as_bytes()), [first, b"3".to_vec()]);
    }
}

#[test]
fn a_delimiter_needs_its_line() {
    for inside in [
        "x--b",
        "\r\n--bb\r\n",
        "\r\n--b x\r\n",
        "x--b--",
        "\r\n-b",
        "\r\n--b-\r\n",
    ] {
        let body = format!("--b\r\n{HEAD}{inside} \r\n--b--");
        assert_eq!(
            contents(body.as_bytes()),
            [format!("{inside} ").into_bytes()]
        );
    }
}

#[test]
fn finds_a_first_boundary_behind_what_overlaps_it() {
    let (parts, ended) =
        read(b"-", &[format!("----\r\n{HEAD}1\r\n-----").as_bytes()]).expect("a body");
    assert_eq!((parts.len(), ended), (1, true));
}

#[test]
fn continues_folded_lines() {
    let body = "--b\r\nContent-Disposition:\r\n form-data;\r\n\tname=\"a\"\r\n\r\n1\r\n--b--";
    let (parts, _) = read(b"b", &[body.as_bytes()]).expect("a body");
    assert_eq!(parts[0].0[0].1, "form-data; name=\"a\"");
}

#[test]
fn refuses_what_is_no_part() {
    let no_disposition = read(b"b", &[b"--b\r\nX: y\r\n\r\n1\r\n--b--"]);
    assert_eq!(no_disposition, Err(Error::NoDisposition));
    let not_utf8 = read(b"b", &[b"--b\r\nX: \xff\r\n\r\n1\r\n--b--"]);
    assert_eq!(not_utf8, Err(Error::NotUtf8(b"X: \xff".to_vec())));
    let many = format!("--b\r\n{HEAD}1\r\n").repeat(51);
    assert_eq!(read(b"b", &[many.as_bytes()]), Err(Error::TooManyParts));
}

#[test]
fn says_where_a_body_was_cut_off() {
    let body = format!("--b\r\n{HEAD}1");
    for (end, waits) in [
        (0, "PREAMBLE"),
        (4, "PREAMBLE"),
        (5, "PART"),
        (9, "PART"),
        (body.len(), "DATA"),
    ] {
        let mut decoder = Decoder::new(b"b", None);
        let mut at = 0;
        while let Ok(step) = decoder.handle(&body.as_bytes()[at..end]) {
            at += step.consumed;
            if step.event == Event::Incomplete {
                break;
            }
        }
        assert_eq!(decoder.waits_in(), Some(waits), "cut at {end}");
    }
}

#[test]
fn padding_without_an_end_is_passed_on() {
    let mut decoder = Decoder::new(b"b", None);
    let body = format!("--b\r\n{HEAD}\r\n--b{}", " ".repeat(2000));
    let mut at = 0;
    loop {
        let step = decoder.handle(&body.as_bytes()[at..]).expect("a body");
        at += step.consumed;
        if step.event == Event::Incomplete {
            break;
        }
    }
    assert_eq!(at, body.len());
}

#[test]
fn reads_the_dispositions_that_browsers_send() {
    let both = |name, filename| Some(Disposition { name, filename });
    for (value, found) in [
        ("form-data; name=\"a b\"", both(Some("a b"), None)),
        (
            "form-data;name=\"\";  filename=\"é.txt\";",
            both(Some(""), Some("é.txt")),
        ),
        ("form-data; name=\"a\"; name=\"b\"", both(Some("b"), None)),
        ("form-data", both(None, None)),
        ("form-data;", both(None, None)),
        ("; name=\"a\"", both(None, None)),
        ("form-data; name=a", None),
        ("form-data; Name=\"a\"", None),
        ("form-data; name=\"a\\\"\"", None),
        ("form-data; name=\"%22\"", None),
        ("form-data; name=\"a", None),
        ("form-data; filename*=UTF-8''a", None),
        ("form-data; x=\"y\"", None),
        ("form-data; name=\"a\" ; filename=\"b\"", None),
    ] {
        assert_eq!(Disposition::read(value), found, "{value}");
    }
}

#[test]
fn decodes_pairs() {
    let found: Vec<_> = pairs(b"a=1&&b+c=%C3%A9%2b&d&=e&%ff%c3=%&f=g=h")
        .expect("text")
        .collect();
    let expected = [
        ("a", "1"),
        ("b c", "é+"),
        ("d", ""),
        ("", "e"),
        ("%FF%C3", "%"),
        ("f", "g=h"),
    ];
    assert_eq!(
        found,
        expected.map(|(name, value)| (name.into(), value.into()))
    );
    assert!(pairs(b"a=\xff").is_none());
}

const PIECES: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"--b",
    b"-",
    b"b",
    b" ",
    b"\xff",
    b"\r\n--b",
    b"\r\n--b--",
    b"Content-Disposition:x\n\n",
    b"\r\n--b\r\nContent-Disposition: form-data\r\n\r\n",
];

proptest! {
    /// However a body is cut, it holds the same.
    #[test]
    fn any_split_reads_the_same(
        body in proptest::collection::vec(
            proptest::sample::select(PIECES),
            0..24,
        ),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let body = body.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]).collect();
        prop_assert_eq!(read(b"b", &[&body]), read(b"b", &pieces));
        let bytes: Vec<_> = body.chunks(1).collect();
        prop_assert_eq!(read(b"b", &[&body]), read(b"b", &bytes));
    }

    #[test]
    fn pairs_of_any_text(text in ".{0,60}") {
        for (name, value) in pairs(text.as_bytes()).expect("text") {
            prop_assert!(name.len() + value.len() <= text.len() * 3);
        }
    }
}
