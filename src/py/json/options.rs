//! How JSON is written: what Flask's provider passes to `json.dumps`, resolved to bytes.

use std::borrow::Cow;

use pyo3::prelude::*;

/// The arguments of `json.dumps` that the bridge knows; `skipkeys` is off and NaN is allowed, as in Flask.
#[derive(Debug)]
pub struct DumpOptions {
    /// Sort the items of every dict as `sorted(d.items())` does.
    pub sort_keys: bool,
    /// Escape every character outside ASCII; otherwise the text is UTF-8.
    pub ensure_ascii: bool,
    /// One level of indentation; None writes everything on one line.
    pub indent: Option<Vec<u8>>,
    /// Between two items.
    pub item_separator: Cow<'static, [u8]>,
    /// Between a key and its value.
    pub key_separator: Cow<'static, [u8]>,
    /// Called with what JSON does not know; None converts what Flask's provider converts.
    pub default: Option<Py<PyAny>>,
}

impl DumpOptions {
    /// What `app.json.response` writes outside of debug mode.
    #[must_use]
    pub const fn compact() -> Self {
        Self {
            sort_keys: true,
            ensure_ascii: true,
            indent: None,
            item_separator: Cow::Borrowed(b","),
            key_separator: Cow::Borrowed(b":"),
            default: None,
        }
    }

    /// What `app.json.response` writes in debug mode.
    #[must_use]
    pub fn debug() -> Self {
        Self {
            indent: Some(b"  ".to_vec()),
            key_separator: Cow::Borrowed(b": "),
            ..Self::compact()
        }
    }

    /// True where the two separators are one byte each and nothing is indented: the layout of a response.
    pub(super) fn is_compact(&self) -> bool {
        self.indent.is_none() && &*self.item_separator == b"," && &*self.key_separator == b":"
    }

    /// True where plain values may be written the fast way.
    pub(super) fn is_plain(&self) -> bool {
        self.ensure_ascii && self.is_compact()
    }
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self::compact()
    }
}
