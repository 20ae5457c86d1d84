use proptest::prelude::*;

use super::block::{
    ahead, any_end, any_escape, beyond_ascii, ends, ends_of_16, escapes, escapes_of_16,
};
use super::decimal::to_double;
use super::escape::write_text;
use super::float::write_float;
use super::number::{Number, scan_number};
use super::unescape::{Literal, Scratch, scan_string};
use super::utf8::{self, Unit};
use super::writer::Writer;
use super::{Short, Text, Word};

fn needs_escape(byte: u8) -> bool {
    !(0x20..0x7f).contains(&byte) || byte == b'"' || byte == b'\\'
}

fn is_end(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn written(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    // A buffer with bytes of an earlier text.
    let mut writer = Writer::new(vec![b'x'; 100]);
    fill(&mut writer);
    writer.written().to_vec()
}

fn read(document: &str) -> Option<(String, usize)> {
    let mut scratch = Scratch::default();
    let (literal, len) = scan_string(document.as_bytes(), &mut scratch)?;
    let text = match literal {
        Literal::Ascii(bytes) => {
            assert!(bytes.is_ascii());
            String::from_utf8(bytes.to_vec()).ok()?
        }
        Literal::Utf8(bytes) => String::from_utf8(bytes.to_vec()).ok()?,
        Literal::Points(points) => points
            .iter()
            .map(|&p| char::from_u32(p))
            .collect::<Option<_>>()?,
    };
    Some((text, len))
}

#[test]
fn every_byte_is_judged_alike_wherever_it_stands() {
    for byte in 0..=255_u8 {
        for at in 0..32 {
            let mut block = [b'a'; 32];
            block[at] = byte;
            assert_eq!(any_escape(&block), needs_escape(byte), "{byte:#x} at {at}");
            assert_eq!(any_end(&block), is_end(byte), "{byte:#x} at {at}");
        }
    }
}

#[test]
fn hello_world_is_written_on_one_line() {
    let text = written(|writer| {
        writer.open(b'{');
        writer.key(Short::new(b"message"));
        writer.short(Short::new(b"Hello, World!"));
        writer.key(Short::new(b"nothing"));
        writer.open(b'[');
        writer.close(b']');
        writer.key(Short::new(b""));
        writer.word(Word::Null);
        writer.key(Short::new(b"n"));
        writer.int(i64::MIN);
        writer.close(b'}');
    });
    let expected = r#"{"message":"Hello, World!","nothing":[],"":null,"n":-9223372036854775808}"#;
    assert_eq!(String::from_utf8_lossy(&text), expected);
}

#[test]
fn floats_are_laid_out_as_python_does() {
    let cases: &[(f64, &str)] = &[
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e-4, "0.0001"),
        (9.999e-5, "9.999e-05"),
        (1e-5, "1e-05"),
        (123_456_789.0, "123456789.0"),
        (9_007_199_254_740_993.0, "9007199254740992.0"),
        (9_999_999_999_999_998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (1.5e16, "1.5e+16"),
        (1e22, "1e+22"),
        (-1.25e-7, "-1.25e-07"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ];
    for &(number, expected) in cases {
        let mut text = Vec::new();
        write_float(&mut text, number);
        assert_eq!(String::from_utf8_lossy(&text), expected);
        assert_eq!(written(|writer| writer.float(number)), expected.as_bytes());
    }
}

#[test]
fn numbers_that_are_none_are_refused() {
    for text in [
        "",
        "-",
        "01",
        "-01",
        "1.",
        ".5",
        "1.e5",
        "1e",
        "1e+",
        "+1",
        "NaN",
        "-Infinity",
    ] {
        assert_eq!(scan_number(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn integers_beyond_64_bits_are_left_to_the_caller() {
    let cases = [
        ("9223372036854775807", Some(Number::Signed(i64::MAX))),
        ("-9223372036854775808", Some(Number::Signed(i64::MIN))),
        ("18446744073709551615", Some(Number::Unsigned(u64::MAX))),
        ("18446744073709551616", None),
        ("-9223372036854775809", None),
        ("99999999999999999999999", None),
        ("-0", Some(Number::Signed(0))),
    ];
    for (text, number) in cases {
        let expected = number.map(|number| (number, text.len()));
        assert_eq!(scan_number(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn a_number_ends_where_its_notation_ends() {
    for (text, len) in [
        ("1,2", 1),
        ("12345678]", 8),
        ("1.5e3}", 5),
        ("123456789 ", 9),
        ("0x", 1),
        ("2.5.5", 3),
    ] {
        assert_eq!(
            scan_number(text.as_bytes()).map(|(_, len)| len),
            Some(len),
            "{text}"
        );
    }
}

#[test]
fn malformed_literals_are_refused() {
    let long = "a".repeat(40);
    let cases = [
        "",
        "abc",
        "\\",
        "\\x\"",
        "\\u12\"",
        "\\u12g4\"",
        "\\ud83d\"",
        "\\ude00\"",
        "a\nb\"",
        "\\n\x1f\"",
        "\\ud83d\\u0041\"",
    ];
    for case in cases {
        assert_eq!(read(case), None, "{case:?}");
        let late = format!("{long}{case}");
        assert_eq!(read(&late), None, "{late:?}");
    }
}

#[test]
fn escapes_and_utf8_may_stand_in_one_literal() {
    let cases = [
        ("\\u00e9\"", "é"),
        ("é\\u00e9\"", "éé"),
        ("\\u00e9é\"", "éé"),
        ("\\ud83d\\ude00 and 😀 and \\n\"", "😀 and 😀 and \n"),
        (
            "\\u65e5本語 a longer text behind it\"",
            "日本語 a longer text behind it",
        ),
        ("\\/\\b\\f\\n\\r\\t\\\"\\\\\"", "/\u{8}\u{c}\n\r\t\"\\"),
    ];
    for (document, expected) in cases {
        assert_eq!(read(document), Some((expected.to_owned(), document.len())));
    }
}

proptest! {
    #[test]
    fn word_masks_mark_the_bytes_they_should(bytes: [u8; 8]) {
        let word = u64::from_le_bytes(bytes);
        let marks = |mask: u64| mask.to_le_bytes().map(|byte| byte != 0);
        prop_assert_eq!(marks(escapes(word)), bytes.map(needs_escape));
        prop_assert_eq!(marks(ends(word)), bytes.map(is_end));
        prop_assert_eq!(marks(beyond_ascii(word)), bytes.map(|byte| byte >= 0x80));
        let first = bytes.iter().position(|&byte| is_end(byte));
        prop_assert_eq!((ends(word) != 0).then(|| ahead(ends(word))), first);
    }

    #[test]
    fn masks_of_16_bytes_mark_the_same(bytes: [u8; 16]) {
        let marks = |mask: u32| std::array::from_fn(|at| mask >> at & 1 != 0);
        let (ends, beyond) = ends_of_16(&bytes);
        prop_assert_eq!((ends | beyond | escapes_of_16(&bytes)) >> 16, 0);
        prop_assert_eq!(marks(ends), bytes.map(is_end));
        prop_assert_eq!(marks(beyond), bytes.map(|byte| byte >= 0x80));
        prop_assert_eq!(marks(escapes_of_16(&bytes)), bytes.map(needs_escape));
    }

    #[test]
    fn a_short_text_knows_its_head(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut head = [0; 8];
        let len = bytes.len().min(8);
        head[..len].copy_from_slice(&bytes[..len]);
        prop_assert_eq!(Short::new(&bytes).head, u64::from_le_bytes(head));
    }

    #[test]
    fn escapes_among_plain_text_are_written_in_any_place(
        text in "[ -~]{0,20}[\"\\\\\n\u{1}]{0,3}[ -~]{0,40}[\"\\\\\t]{0,2}[a-z]{0,20}"
    ) {
        let mut expected = Vec::new();
        prop_assert_eq!(write_text(&mut expected, Text::One(text.as_bytes()), true), Ok(()));
        prop_assert_eq!(&written(|writer| writer.short(Short::new(text.as_bytes()))), &expected);
        let document = std::str::from_utf8(&expected[1..]).unwrap_or_default();
        prop_assert_eq!(read(document), Some((text.clone(), document.len())));
        let followed = format!("{document},\"a key\":[1,2,3]}}");
        prop_assert_eq!(read(&followed), Some((text, document.len())));
    }

    #[test]
    fn both_ways_to_write_a_text_agree(text in "\\PC{0,90}|[ -~]{0,200}|[\"\\\\a-z\u{0}-\u{20}\u{7f}-\u{ff}]{0,90}") {
        let mut expected = Vec::new();
        let points: Vec<u32> = text.chars().map(u32::from).collect();
        prop_assert_eq!(write_text(&mut expected, Text::Four(&points), true), Ok(()));
        prop_assert_eq!(&written(|writer| writer.text(Text::Four(&points))), &expected);
        if let Ok(bytes) = text.chars().map(u8::try_from).collect::<Result<Vec<_>, _>>() {
            let mut narrow = Vec::new();
            prop_assert_eq!(write_text(&mut narrow, Text::One(&bytes), true), Ok(()));
            prop_assert_eq!(&narrow, &expected);
            prop_assert_eq!(&written(|writer| writer.text(Text::One(&bytes))), &expected);
            prop_assert_eq!(&written(|writer| writer.short(Short::new(&bytes))), &expected);
        }
        // serde_json escapes less; but it reads the same text.
        prop_assert_eq!(serde_json::from_slice::<String>(&expected).ok(), Some(text.clone()));
        let document = std::str::from_utf8(&expected[1..]).unwrap_or_default();
        prop_assert_eq!(read(document), Some((text, document.len())));
    }

    #[test]
    fn a_literal_in_utf8_reads_back(text in "\\PC{0,60}", rest in "[ -~]{0,40}") {
        let json = serde_json::to_string(&text).unwrap_or_default();
        prop_assert_eq!(read(&format!("{}{rest}", &json[1..])), Some((text, json.len() - 1)));
    }

    #[test]
    fn decimals_are_read_to_the_nearest_double(digits: u64, power in -27_i64..=55) {
        let expected: f64 = format!("{digits}e{power}").parse().unwrap_or(f64::NAN);
        prop_assert_eq!(to_double(digits, power).map(f64::to_bits), Some(expected.to_bits()));
    }

    #[test]
    fn decimals_of_few_digits_are_read_to_the_nearest_double(digits in 0_u64..1 << 55, power in -27_i64..=55) {
        let expected: f64 = format!("{digits}e{power}").parse().unwrap_or(f64::NAN);
        prop_assert_eq!(to_double(digits, power).map(f64::to_bits), Some(expected.to_bits()));
    }

    #[test]
    fn halfway_cases_go_to_the_even_double(mantissa in 1_u64 << 52..1 << 53, shift in 1_u32..10) {
        // An odd multiple of half a unit in the last place.
        let digits = (2 * mantissa + 1) << shift;
        let expected: f64 = digits.to_string().parse().unwrap_or(f64::NAN);
        prop_assert_eq!(to_double(digits, 0).map(f64::to_bits), Some(expected.to_bits()));
    }

    #[test]
    fn what_floats_print_reads_back(bits: u64) {
        let number = f64::from_bits(bits);
        prop_assume!(number.is_finite());
        let mut text = Vec::new();
        write_float(&mut text, number);
        let len = text.len();
        prop_assert_eq!(scan_number(&text), Some((Number::Float(number), len)));
    }

    #[test]
    fn integers_read_back(number: i64, rest in "[]},: a-z]{0,9}") {
        let text = number.to_string();
        let document = format!("{text}{rest}");
        prop_assume!(!rest.starts_with('e'));
        prop_assert_eq!(scan_number(document.as_bytes()), Some((Number::Signed(number), text.len())));
    }

    #[test]
    fn integers_of_any_length_are_written(number: i64, shift in 0_u32..64) {
        let number = number >> shift;
        prop_assert_eq!(written(|writer| writer.int(number)), number.to_string().into_bytes());
    }

    #[test]
    fn numbers_mean_what_the_standard_library_reads(
        text in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,25})?([eE][-+]?[0-9]{1,3})?"
    ) {
        // Near the end of the document, and far from it.
        let document = format!("{text},\"name\":1");
        prop_assert_eq!(scan_number(text.as_bytes()), scan_number(document.as_bytes()));
        if let Some((number, len)) = scan_number(text.as_bytes()) {
            prop_assert_eq!(len, text.len());
            match number {
                Number::Float(float) => prop_assert_eq!(Some(float.to_bits()), text.parse().ok().map(f64::to_bits)),
                Number::Signed(int) => prop_assert_eq!(Some(int), text.parse().ok()),
                Number::Unsigned(int) => prop_assert_eq!(Some(int), text.parse().ok()),
            }
        } else {
            // Only integers beyond 64 bits are left out.
            prop_assert!(!text.contains(['.', 'e', 'E']) && text.len() > 18, "{}", text);
        }
    }
}

/// The text as it is decoded in the width that it is measured for; None if it is not valid.
fn decoded(bytes: &[u8]) -> Option<Vec<u32>> {
    fn units<T: Unit + Into<u32>>(bytes: &[u8], len: usize) -> Option<Vec<u32>> {
        let mut room = vec![T::of(0); len];
        utf8::decode(bytes, &mut room).then(|| room.into_iter().map(Into::into).collect())
    }
    let measure = utf8::measure(bytes);
    match measure.limit {
        0x7f | 0xff => units::<u8>(bytes, measure.len),
        0xffff => units::<u16>(bytes, measure.len),
        _ => units::<u32>(bytes, measure.len),
    }
}

fn expected(bytes: &[u8]) -> Option<Vec<u32>> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.chars().map(u32::from).collect())
}

#[test]
fn every_code_point_is_decoded_and_measured() {
    for point in (0..0x11_0000).filter_map(char::from_u32) {
        let text = point.to_string();
        let bytes = text.as_bytes();
        assert_eq!(decoded(bytes), Some(vec![u32::from(point)]));
        let measure = utf8::measure(bytes);
        assert_eq!(measure.len, 1);
        // As narrow as it can be: a `str` in another width would not be equal to itself.
        let limits = [0x7f, 0xff, 0xffff, 0x10_ffff];
        let narrowest = limits.into_iter().find(|&limit| u32::from(point) <= limit);
        assert_eq!(Some(measure.limit), narrowest);
    }
}

#[test]
fn every_sequence_of_up_to_three_bytes_is_valid_or_not() {
    let bytes = || [0x00, 0x41, 0x7f].into_iter().chain(0x80..=0xff);
    for first in bytes() {
        assert_eq!(decoded(&[first]), expected(&[first]));
        for second in bytes() {
            assert_eq!(decoded(&[first, second]), expected(&[first, second]));
            for third in bytes() {
                let sequence = [first, second, third];
                assert_eq!(decoded(&sequence), expected(&sequence), "{sequence:x?}");
            }
        }
    }
}

#[test]
fn room_for_more_or_fewer_characters_is_refused() {
    for text in ["", "a", "grün und blau", "plain text", "日本"] {
        let len = text.chars().count();
        let mut room = vec![0_u16; len + 1];
        assert!(!utf8::decode(text.as_bytes(), &mut room));
        if len > 0 {
            assert!(!utf8::decode(text.as_bytes(), &mut room[..len - 1]));
        }
        assert!(utf8::decode(text.as_bytes(), &mut room[..len]));
        // And a character that is too wide.
        assert!(!utf8::decode("日本".as_bytes(), &mut [0_u8; 2]));
    }
}

proptest! {
    #[test]
    fn texts_are_decoded_as_the_standard_library_does(
        text in prop_oneof![
            ".{0,80}",
            "[a-zé ]{0,200}",
            "[а-яё ,]{0,200}",
            "[日本語 a]{0,100}",
            "[a-z 😀🎉é]{0,100}",
        ],
    ) {
        prop_assert_eq!(decoded(text.as_bytes()), expected(text.as_bytes()));
    }

    #[test]
    fn bytes_are_text_exactly_where_the_standard_library_says_so(
        text in "[a-zé日😀]{0,40}",
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut in 0..4_usize,
    ) {
        let mut bytes = text.into_bytes();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
        }
        prop_assert_eq!(decoded(&bytes), expected(&bytes));
    }
}
