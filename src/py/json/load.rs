//! JSON text to Python values, with the meaning of `json.loads`.
//!
//! The parser builds Python objects as it reads and knows only the plain majority of JSON. Whatever it does not
//! know (NaN, huge integers, lone surrogates, invalid UTF-8, other encodings, great depth, every error) makes it
//! give up, and the standard library's answer to the same input, value or exception, is the answer.

use std::cell::Cell;
use std::sync::MutexGuard;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use smallvec::SmallVec;

use super::depth::check_depth;
use super::keys::KeyCache;
use crate::json::number::{Number, scan_number};
use crate::json::unescape::{Literal, Scratch, scan_string};
use crate::py::ffi::json::{ascii_str, points_str, utf8_str};

/// Deeper documents go to the standard library, which counts depth against the recursion limit.
/// Each level is some 300 bytes of native stack here.
const MAX_DEPTH: usize = 32;

/// The scratch of a longer document is not kept for the next one.
const KEPT_DOCUMENT: usize = 32 * 1024;

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// The Python value of a JSON document, as `json.loads(bytes)` gives it.
///
/// # Errors
/// What `json.loads` raises on the same bytes: JSONDecodeError, UnicodeDecodeError, RecursionError, ValueError for
/// an integer with too many digits.
pub fn load(py: Python<'_>, bytes: &[u8]) -> PyResult<Py<PyAny>> {
    match parse(py, bytes) {
        Some(value) => Ok(value.unbind()),
        None => load_slowly(PyBytes::new(py, bytes).as_any()).map(Bound::unbind),
    }
}

/// The standard library's answer.
pub(super) fn load_slowly<'py>(document: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    check_depth(document)?;
    LOADS
        .import(document.py(), "json", "loads")?
        .call1((document,))
}

/// The value of a document in plain UTF-8; None for one that this parser does not take.
pub(super) fn parse<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    let mut parser = Parser {
        py,
        bytes,
        at: 0,
        keys: KeyCache::lend(),
        scratch: SCRATCH.take(),
        values: SmallVec::new(),
    };
    let root = parser.value(0);
    let end = parser.peek().is_none() && parser.at == bytes.len();
    if bytes.len() <= KEPT_DOCUMENT {
        SCRATCH.set(parser.scratch);
    }
    root.filter(|_| end)
}

struct Parser<'a, 'py> {
    py: Python<'py>,
    bytes: &'a [u8],
    at: usize,
    keys: Option<MutexGuard<'static, KeyCache>>,
    /// Text of the literal being unescaped.
    scratch: Scratch,
    /// Items of all open lists, innermost last.
    values: SmallVec<[Bound<'py, PyAny>; 16]>,
}

impl<'py> Parser<'_, 'py> {
    #[inline]
    fn value(&mut self, depth: usize) -> Option<Bound<'py, PyAny>> {
        let py = self.py;
        Some(match self.peek()? {
            b'"' => {
                self.at += 1;
                self.string()?.into_any()
            }
            b'{' => self.object(depth)?,
            b'[' => self.array(depth)?,
            b't' => self.word(b"true", PyBool::new(py, true).to_owned().into_any())?,
            b'f' => self.word(b"false", PyBool::new(py, false).to_owned().into_any())?,
            b'n' => self.word(b"null", py.None().into_bound(py))?,
            _ => {
                let (number, len) = scan_number(&self.bytes[self.at..])?;
                self.at += len;
                match number {
                    Number::Signed(int) => PyInt::new(py, int).into_any(),
                    Number::Unsigned(int) => PyInt::new(py, int).into_any(),
                    Number::Float(float) => PyFloat::new(py, float).into_any(),
                }
            }
        })
    }

    fn object(&mut self, depth: usize) -> Option<Bound<'py, PyAny>> {
        if depth >= MAX_DEPTH {
            return None;
        }
        self.at += 1;
        let dict = PyDict::new(self.py);
        let mut byte = self.peek()?;
        if byte == b'}' {
            self.at += 1;
            return Some(dict.into_any());
        }
        loop {
            if byte != b'"' {
                return None;
            }
            self.at += 1;
            let key = self.key()?;
            let value = self.value(depth + 1)?;
            dict.set_item(key, value).ok()?;
            byte = self.peek()?;
            self.at += 1;
            match byte {
                b',' => byte = self.peek()?,
                b'}' => return Some(dict.into_any()),
                _ => return None,
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Bound<'py, PyAny>> {
        if depth >= MAX_DEPTH {
            return None;
        }
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(PyList::empty(self.py).into_any());
        }
        let base = self.values.len();
        loop {
            let value = self.value(depth + 1)?;
            self.values.push(value);
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b',' => {}
                b']' => {
                    let list = PyList::new(self.py, self.values.drain(base..)).ok()?;
                    return Some(list.into_any());
                }
                _ => return None,
            }
        }
    }

    /// The next byte after white space, which it skips.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn word(&mut self, word: &[u8], value: Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        self.bytes[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    /// A key behind its opening quote, and the colon behind it.
    #[inline]
    fn key(&mut self) -> Option<Bound<'py, PyString>> {
        let (literal, len) = scan_string(&self.bytes[self.at..], &mut self.scratch)?;
        self.at += len;
        let key = match (literal, &mut self.keys) {
            (Literal::Ascii(text), Some(keys)) => keys.get(self.py, text).ok()?,
            (Literal::Ascii(text), None) => ascii_str(self.py, text).ok()?,
            (Literal::Utf8(text), _) => utf8_str(self.py, text)?,
            (Literal::Points(points), _) => points_str(self.py, points)?,
        };
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        Some(key)
    }

    /// A string behind its opening quote.
    #[inline]
    fn string(&mut self) -> Option<Bound<'py, PyString>> {
        let (literal, len) = scan_string(&self.bytes[self.at..], &mut self.scratch)?;
        self.at += len;
        match literal {
            Literal::Ascii(text) => ascii_str(self.py, text).ok(),
            Literal::Utf8(text) => utf8_str(self.py, text),
            Literal::Points(points) => points_str(self.py, points),
        }
    }
}
