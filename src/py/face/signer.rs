//! Signed session cookies, written and checked without Python.

use crate::http::{Signer, base64url};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Signs and checks the values of cookies as itsdangerous' `URLSafeTimedSerializer` does, between its JSON and its
/// text.
#[pyclass(frozen, module = "bustapi._core")]
pub struct CookieSigner {
    signer: Signer,
}

impl CookieSigner {
    /// The content of a value. `None`: the reference has to say what is wrong with it, if anything.
    pub fn content<'py>(
        &self,
        py: Python<'py>,
        text: &[u8],
        now: i64,
        max_age: i64,
    ) -> Option<Bound<'py, PyBytes>> {
        let content = self.octets(text, now, max_age)?;
        Some(PyBytes::new(py, &content))
    }

    /// The same, not yet for Python.
    pub fn octets(&self, text: &[u8], now: i64, max_age: i64) -> Option<Vec<u8>> {
        let payload = self.signer.verify(text, now, max_age)?;
        let (mark, encoded) = match payload.strip_prefix(b".") {
            Some(rest) => (&b"."[..], rest),
            None => (&b""[..], payload),
        };
        let mut content = mark.to_vec();
        base64url::decode(encoded, &mut content)?;
        Some(content)
    }
}

#[pymethods]
impl CookieSigner {
    /// Keys are oldest first; the last one signs.
    #[new]
    fn new(keys: Vec<Vec<u8>>, salt: &[u8]) -> PyResult<Self> {
        Signer::new(keys.iter().map(Vec::as_slice), salt)
            .map(|signer| Self { signer })
            .ok_or_else(|| PyValueError::new_err("a signer needs a key"))
    }

    /// The value of a cookie with this content; one that begins with a dot is compressed.
    fn sign(&self, content: &[u8], now: u64) -> String {
        let (mark, content) = match content.strip_prefix(b".") {
            Some(rest) => (&b"."[..], rest),
            None => (&b""[..], content),
        };
        let mut payload = mark.to_vec();
        base64url::encode(content, &mut payload);
        // All of it is ASCII.
        String::from_utf8_lossy(&self.signer.sign(&payload, now)).into_owned()
    }

    /// The content of a cookie's value that is valid and in its usual spelling; None for any other.
    fn verify<'py>(
        &self,
        py: Python<'py>,
        text: &str,
        now: i64,
        max_age: i64,
    ) -> Option<Bound<'py, PyBytes>> {
        self.content(py, text.as_bytes(), now, max_age)
    }
}
