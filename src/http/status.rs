//! Status codes (RFC 9110 15 and the IANA registry): reason phrases, and status lines ready to send.
//!
//! A reason phrase means nothing to a client (RFC 9112 4); these are worded and capitalised as Werkzeug sends them.

macro_rules! statuses {
    ($($code:literal $reason:literal,)*) => {
        /// The registered phrase of a status code.
        #[must_use]
        pub fn reason_phrase(status: u16) -> Option<&'static str> {
            match status {
                $($code => Some($reason),)*
                _ => None,
            }
        }

        /// The whole status line with CRLF. One copy instead of four writes and a number to format.
        #[must_use]
        pub fn status_line(status: u16) -> Option<&'static [u8]> {
            match status {
                $($code => Some(concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n").as_bytes()),)*
                _ => None,
            }
        }
    };
}

statuses! {
    100 "CONTINUE",
    101 "SWITCHING PROTOCOLS",
    102 "PROCESSING",
    103 "EARLY HINTS",
    200 "OK",
    201 "CREATED",
    202 "ACCEPTED",
    203 "NON AUTHORITATIVE INFORMATION",
    204 "NO CONTENT",
    205 "RESET CONTENT",
    206 "PARTIAL CONTENT",
    207 "MULTI STATUS",
    208 "ALREADY REPORTED",
    226 "IM USED",
    300 "MULTIPLE CHOICES",
    301 "MOVED PERMANENTLY",
    302 "FOUND",
    303 "SEE OTHER",
    304 "NOT MODIFIED",
    305 "USE PROXY",
    306 "SWITCH PROXY",
    307 "TEMPORARY REDIRECT",
    308 "PERMANENT REDIRECT",
    400 "BAD REQUEST",
    401 "UNAUTHORIZED",
    402 "PAYMENT REQUIRED",
    403 "FORBIDDEN",
    404 "NOT FOUND",
    405 "METHOD NOT ALLOWED",
    406 "NOT ACCEPTABLE",
    407 "PROXY AUTHENTICATION REQUIRED",
    408 "REQUEST TIMEOUT",
    409 "CONFLICT",
    410 "GONE",
    411 "LENGTH REQUIRED",
    412 "PRECONDITION FAILED",
    413 "REQUEST ENTITY TOO LARGE",
    414 "REQUEST URI TOO LONG",
    415 "UNSUPPORTED MEDIA TYPE",
    416 "REQUESTED RANGE NOT SATISFIABLE",
    417 "EXPECTATION FAILED",
    418 "I'M A TEAPOT",
    421 "MISDIRECTED REQUEST",
    422 "UNPROCESSABLE ENTITY",
    423 "LOCKED",
    424 "FAILED DEPENDENCY",
    425 "TOO EARLY",
    426 "UPGRADE REQUIRED",
    428 "PRECONDITION REQUIRED",
    429 "TOO MANY REQUESTS",
    431 "REQUEST HEADER FIELDS TOO LARGE",
    449 "RETRY WITH",
    451 "UNAVAILABLE FOR LEGAL REASONS",
    500 "INTERNAL SERVER ERROR",
    501 "NOT IMPLEMENTED",
    502 "BAD GATEWAY",
    503 "SERVICE UNAVAILABLE",
    504 "GATEWAY TIMEOUT",
    505 "HTTP VERSION NOT SUPPORTED",
    506 "VARIANT ALSO NEGOTIATES",
    507 "INSUFFICIENT STORAGE",
    508 "LOOP DETECTED",
    510 "NOT EXTENDED",
    511 "NETWORK AUTHENTICATION FAILED",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_its_code_and_phrase() {
        assert_eq!(status_line(200), Some(&b"HTTP/1.1 200 OK\r\n"[..]));
        for code in 0..=u16::MAX {
            let line = reason_phrase(code)
                .map(|reason| format!("HTTP/1.1 {code} {reason}\r\n").into_bytes());
            assert_eq!(status_line(code).map(<[u8]>::to_vec), line);
        }
    }
}
