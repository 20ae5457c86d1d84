//! HTTP vocabulary shared by every layer: methods, versions, fields, targets, dates. No state, no I/O.

mod head;

pub use head::{Field, Head, Method, Span, Target, Version};
