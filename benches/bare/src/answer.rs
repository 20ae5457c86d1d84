//! Answers rendered in advance, with a Date that is rewritten in place once a second.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// RFC 9110 5.6.7: an IMF-fixdate always has this many bytes.
const DATE_LEN: usize = 29;

/// Every answer but the echo, complete.
pub struct Answers {
    second: u64,
    date: [u8; DATE_LEN],
    json: Fixed,
    user: Fixed,
    plaintext: Fixed,
    not_found: Fixed,
}

/// A complete answer, and where its Date stands in it.
struct Fixed {
    bytes: Vec<u8>,
    date_at: usize,
}

impl Answers {
    #[must_use]
    pub fn new() -> Self {
        let mut answers = Self {
            second: u64::MAX,
            date: [b' '; DATE_LEN],
            json: Fixed::new(
                "200 OK",
                "application/json",
                b"{\"message\":\"Hello, World!\"}\n",
            ),
            user: Fixed::new("200 OK", "application/json", b"{\"id\":42}\n"),
            plaintext: Fixed::new("200 OK", "text/html; charset=utf-8", b"Hello, World!"),
            not_found: Fixed::new("404 NOT FOUND", "text/plain", b""),
        };
        answers.tick();
        answers
    }

    /// Call once a turn: renders the Date anew if the second has changed. Allocates nothing.
    pub fn tick(&mut self) {
        let second = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_secs());
        if second == self.second {
            return;
        }
        self.second = second;
        let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
        write!(&mut self.date[..], "{date}").expect("an IMF-fixdate has 29 bytes");
        for fixed in [
            &mut self.json,
            &mut self.user,
            &mut self.plaintext,
            &mut self.not_found,
        ] {
            fixed.bytes[fixed.date_at..fixed.date_at + DATE_LEN].copy_from_slice(&self.date);
        }
    }

    /// Appends the answer to a request without a body.
    pub fn fixed(&self, method: &str, path: &str, out: &mut Vec<u8>) {
        let answer = match (method, path) {
            ("GET", "/json" | "/hooks" | "/async") => &self.json,
            ("GET", "/plaintext") => &self.plaintext,
            ("GET", "/users/42") => &self.user,
            _ => &self.not_found,
        };
        out.extend_from_slice(&answer.bytes);
    }

    /// Appends a JSON answer with `body`.
    pub fn json(&self, body: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ",
        );
        write!(out, "{}", body.len()).expect("a Vec takes every write");
        out.extend_from_slice(b"\r\nDate: ");
        out.extend_from_slice(&self.date);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
    }

    /// Appends an answer without content; the caller closes the connection after it.
    pub fn refusal(status: &str, out: &mut Vec<u8>) {
        for part in [
            "HTTP/1.1 ",
            status,
            "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixed {
    fn new(status: &str, content_type: &str, body: &[u8]) -> Self {
        let mut bytes = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nDate: ",
            body.len()
        )
        .into_bytes();
        let date_at = bytes.len();
        bytes.extend_from_slice(&[b' '; DATE_LEN]);
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(body);
        Self { bytes, date_at }
    }
}
