//! Conditional and range requests for a file, the common forms of them (RFC 9110 13 and 14).
//!
//! Each function says yes, no, or that it cannot tell: a malformed or unusual field is for whoever knows what the
//! application wants done about it.

/// What a request says about the representation it wants.
#[derive(Debug, Default)]
pub struct Conditions<'a> {
    pub none_match: Option<&'a [u8]>,
    pub modified_since: Option<&'a [u8]>,
    pub range: Option<&'a [u8]>,
    pub if_range: Option<&'a [u8]>,
    pub accept_encoding: Option<&'a [u8]>,
    /// There is a condition of another kind, or one that was sent twice.
    pub unusual: bool,
}

impl<'a> Conditions<'a> {
    pub fn of(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut found = Self::default();
        for (name, value) in fields {
            let slot = match name.len() {
                5 if name.eq_ignore_ascii_case(b"range") => &mut found.range,
                8 if name.eq_ignore_ascii_case(b"if-range") => &mut found.if_range,
                13 if name.eq_ignore_ascii_case(b"if-none-match") => &mut found.none_match,
                15 if name.eq_ignore_ascii_case(b"accept-encoding") => &mut found.accept_encoding,
                17 if name.eq_ignore_ascii_case(b"if-modified-since") => &mut found.modified_since,
                8 if name.eq_ignore_ascii_case(b"if-match") => {
                    found.unusual = true;
                    continue;
                }
                19 if name.eq_ignore_ascii_case(b"if-unmodified-since") => {
                    found.unusual = true;
                    continue;
                }
                _ => continue,
            };
            found.unusual |= slot.replace(value).is_some();
        }
        found
    }
}

/// Whether If-None-Match names `tag`, an entity tag in quotes; weakly compared (RFC 9110 8.8.3.2).
#[must_use]
pub fn names_tag(value: &[u8], tag: &[u8]) -> Option<bool> {
    if value == b"*" {
        return Some(true);
    }
    let mut rest = value;
    let mut named = None;
    loop {
        rest = rest.trim_ascii_start();
        let Some(after) = rest.strip_prefix(b",") else {
            if rest.is_empty() {
                return named;
            }
            let quoted = rest.strip_prefix(b"W/").unwrap_or(rest);
            let end = 1 + quoted
                .strip_prefix(b"\"")?
                .iter()
                .position(|byte| *byte == b'"')?;
            let (one, after) = quoted.split_at(end + 1);
            named = Some(named == Some(true) || one == tag);
            rest = after.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return None;
            }
            continue;
        };
        rest = after;
    }
}

/// The time that a date names, in seconds since 1970, if it is in the preferred format.
#[must_use]
pub fn seconds_of(value: &[u8]) -> Option<u64> {
    if value.len() != 29 {
        return None;
    }
    let moment = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    let since = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

/// The one range that is asked for, as first byte and length, if it lies in a representation of `length` bytes.
#[must_use]
pub fn one_range(value: &[u8], length: u64) -> Option<(u64, u64)> {
    let spec = value.strip_prefix(b"bytes=")?;
    let dash = spec.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        let wanted = number(last)?;
        let fits = (1..=length).contains(&wanted);
        return fits.then(|| (length - wanted, wanted));
    }
    let first = number(first)?;
    let end = if last.is_empty() {
        length
    } else {
        number(last)?.checked_add(1)?.min(length)
    };
    (first < end).then(|| (first, end - first))
}

/// Whether Accept-Encoding allows a content coding (RFC 9110 12.5.3).
#[must_use]
pub fn accepts_coding(value: &[u8], coding: &[u8]) -> bool {
    let mut by_star = false;
    for item in value.split(|byte| *byte == b',') {
        let mut parts = item.split(|byte| *byte == b';');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let weight = parts
            .map(<[u8]>::trim_ascii)
            .find_map(|parameter| {
                parameter
                    .strip_prefix(b"q=")
                    .or_else(|| parameter.strip_prefix(b"Q="))
            })
            .map_or(Some(1.0), quality);
        // As if it were not there, where the weight is none.
        let Some(weight) = weight else { continue };
        let refused = weight == 0.0;
        if name.eq_ignore_ascii_case(coding) {
            return !refused;
        }
        by_star |= name == b"*" && !refused;
    }
    by_star
}

fn quality(weight: &[u8]) -> Option<f32> {
    let is_plain = weight.iter().all(|b| matches!(b, b'0'..=b'9' | b'.'));
    let weight = std::str::from_utf8(weight).ok().filter(|_| is_plain)?;
    weight.parse().ok().filter(|weight| *weight <= 1.0)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_tag_in_a_list_of_them() {
        let cases: [(&str, Option<bool>); 12] = [
            ("*", Some(true)),
            ("\"a\"", Some(true)),
            ("W/\"a\"", Some(true)),
            ("\"b\"", Some(false)),
            ("\"b\", W/\"a\"", Some(true)),
            ("\"b,\", \"c\"", Some(false)),
            (", \"a\" ,,", Some(true)),
            ("", None),
            ("a", None),
            ("\"a", None),
            ("\"a\" \"b\"", None),
            ("w/\"a\"", None),
        ];
        for (value, named) in cases {
            assert_eq!(names_tag(value.as_bytes(), b"\"a\""), named, "{value}");
        }
    }

    #[test]
    fn finds_the_one_range_within_a_length() {
        let cases = [
            ("bytes=0-0", Some((0, 1))),
            ("bytes=2-", Some((2, 8))),
            ("bytes=-3", Some((7, 3))),
            ("bytes=-10", Some((0, 10))),
            ("bytes=4-99", Some((4, 6))),
            ("bytes=9-18446744073709551614", Some((9, 1))),
            ("bytes=10-", None),
            ("bytes=-0", None),
            ("bytes=-11", None),
            ("bytes=3-2", None),
            ("bytes=0-18446744073709551615", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("bytes= 1-2", None),
            ("lines=1-2", None),
            ("bytes", None),
        ];
        for (value, range) in cases {
            assert_eq!(one_range(value.as_bytes(), 10), range, "{value}");
        }
        assert_eq!(one_range(b"bytes=0-", 0), None);
    }

    #[test]
    fn weighs_codings() {
        let cases = [
            ("gzip, br", true),
            ("BR;q=0.5", true),
            ("br;q=0", false),
            ("br; q=0.000", false),
            ("*", true),
            ("*;q=0", false),
            ("br;q=0, *", false),
            ("br;q=2", false),
            ("br;q=-1", false),
            ("br;q=abc, *;q=0.1", true),
            ("br;q=", false),
            ("gzip", false),
            ("", false),
            ("brx", false),
        ];
        for (value, accepted) in cases {
            assert_eq!(accepts_coding(value.as_bytes(), b"br"), accepted, "{value}");
        }
    }

    #[test]
    fn a_condition_sent_twice_is_unusual() {
        let twice = [(&b"Range"[..], &b"a"[..]), (b"range", b"b")];
        assert!(Conditions::of(twice.into_iter()).unusual);
        let once = [(&b"Range"[..], &b"a"[..]), (b"If-Range", b"b")];
        assert!(!Conditions::of(once.into_iter()).unusual);
        let matching = [(&b"If-Match"[..], &b"*"[..])];
        assert!(Conditions::of(matching.into_iter()).unusual);
    }

    #[test]
    fn reads_dates_in_the_preferred_format_only() {
        assert_eq!(
            seconds_of(b"Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(seconds_of(b"Sun Nov  6 08:49:37 1994"), None);
        assert_eq!(seconds_of(b"Sunday, 06-Nov-94 08:49:37 GMT"), None);
    }
}
