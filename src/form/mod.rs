//! Bodies of HTML forms: bytes in, fields and files out. No I/O, no Python; who reads the bytes decides where they go.
//!
//! [`Decoder`] reads `multipart/form-data` (RFC 7578), [`pairs`] reads `application/x-www-form-urlencoded` (WHATWG
//! URL 5.1). Both mean what Werkzeug 3.1 means, which is more lenient than the RFCs: lines may end with CR or LF
//! alone, and what cannot be decoded stays readable.

#![forbid(unsafe_code)]

mod disposition;
mod multipart;
mod urlencoded;

pub use disposition::Disposition;
pub use multipart::{Decoder, Error, Event, Head, Step};
pub use urlencoded::{Pairs, pairs};

#[cfg(test)]
mod tests;
