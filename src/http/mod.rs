//! HTTP vocabulary shared by every layer: methods, versions, fields, targets, dates. No state, no I/O.

#![forbid(unsafe_code)]

pub mod base64url;
pub mod conditional;
mod date;
mod fields;
pub mod forwarded;
mod head;
mod host;
mod method;
mod signed;
mod status;
mod target;
mod trusted;

pub use date::imf_fixdate;
pub use fields::{is_field_name, is_field_value, list_has_token};
pub(crate) use fields::{is_token_byte, trim_whitespace};
pub use head::{Field, Head, Method, Span, Target, Version};
pub(crate) use host::is_plain_byte;
pub use host::{host_name, is_host};
pub use signed::Signer;
pub use status::{reason_phrase, status_line};
pub use target::{QueryPairs, TargetError, percent_decode_path, percent_decode_query, query_pairs};
pub use trusted::TrustedHosts;
