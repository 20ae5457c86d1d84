//! JSON text to Python values, with the meaning of `json.loads`.
//!
//! The parser builds Python objects as it reads and knows only the plain majority of JSON. Whatever it does not
//! know (NaN, huge integers, lone surrogates, invalid UTF-8, other encodings, great depth, every error) makes it
//! give up, and the standard library's answer to the same input, value or exception, is the answer.

use std::sync::MutexGuard;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use smallvec::SmallVec;

use super::keys::KeyCache;
use crate::json::number::{Number, scan_number};
use crate::json::unescape::{Literal, Scratch, scan_string};
use crate::py::ffi::json::{ascii_str, utf8_str};

/// Deeper documents go to the standard library, which counts depth against the recursion limit.
const MAX_DEPTH: usize = 128;

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
        scratch: Scratch::default(),
        values: SmallVec::new(),
        open: SmallVec::new(),
    };
    parser.document()
}

/// A container whose end has not been read.
enum Open<'py> {
    /// Its items so far are `values[base..]`.
    List { base: usize },
    /// `key` waits for its value.
    Dict {
        dict: Bound<'py, PyDict>,
        key: Bound<'py, PyString>,
    },
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
    open: SmallVec<[Open<'py>; 8]>,
}

impl<'py> Parser<'_, 'py> {
    fn document(&mut self) -> Option<Bound<'py, PyAny>> {
        loop {
            let Some(value) = self.value()? else {
                continue;
            };
            if let Some(root) = self.attach(value)? {
                return (self.peek().is_none() && self.at == self.bytes.len()).then_some(root);
            }
        }
    }

    /// Reads one value. Some(None): a container was opened and its first value is next.
    #[inline]
    fn value(&mut self) -> Option<Option<Bound<'py, PyAny>>> {
        let py = self.py;
        let value = match self.peek()? {
            b'"' => {
                self.at += 1;
                self.string()?.into_any()
            }
            b'{' => {
                self.at += 1;
                let dict = PyDict::new(py);
                if self.peek()? != b'}' {
                    let key = self.key()?;
                    return self.nest(Open::Dict { dict, key });
                }
                self.at += 1;
                dict.into_any()
            }
            b'[' => {
                self.at += 1;
                if self.peek()? != b']' {
                    return self.nest(Open::List {
                        base: self.values.len(),
                    });
                }
                self.at += 1;
                PyList::empty(py).into_any()
            }
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
        };
        Some(Some(value))
    }

    /// Puts a finished value where it belongs, closing the containers that end after it. Some(Some(_)): it is the
    /// whole document.
    #[inline]
    fn attach(&mut self, mut value: Bound<'py, PyAny>) -> Option<Option<Bound<'py, PyAny>>> {
        loop {
            match self.open.last() {
                None => return Some(Some(value)),
                Some(Open::Dict { dict, key }) => {
                    dict.set_item(key, value).ok()?;
                    match self.peek()? {
                        b',' => {
                            self.at += 1;
                            self.peek()?;
                            let next = self.key()?;
                            if let Some(Open::Dict { key, .. }) = self.open.last_mut() {
                                *key = next;
                            }
                            return Some(None);
                        }
                        b'}' => {
                            self.at += 1;
                            let Some(Open::Dict { dict, .. }) = self.open.pop() else {
                                return None;
                            };
                            value = dict.into_any();
                        }
                        _ => return None,
                    }
                }
                Some(&Open::List { base }) => {
                    self.values.push(value);
                    match self.peek()? {
                        b',' => {
                            self.at += 1;
                            return Some(None);
                        }
                        b']' => {
                            self.at += 1;
                            self.open.pop();
                            value = PyList::new(self.py, self.values.drain(base..))
                                .ok()?
                                .into_any();
                        }
                        _ => return None,
                    }
                }
            }
        }
    }

    fn nest(&mut self, open: Open<'py>) -> Option<Option<Bound<'py, PyAny>>> {
        if self.open.len() >= MAX_DEPTH {
            return None;
        }
        self.open.push(open);
        Some(None)
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

    /// A key and the colon behind it.
    #[inline]
    fn key(&mut self) -> Option<Bound<'py, PyString>> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        self.at += 1;
        let (literal, len) = scan_string(&self.bytes[self.at..], &mut self.scratch)?;
        self.at += len;
        let key = match (literal, &mut self.keys) {
            (Literal::Ascii(text), Some(keys)) => keys.get(self.py, text).ok()?,
            (Literal::Ascii(text), None) => ascii_str(self.py, text).ok()?,
            (Literal::Utf8(text), _) => utf8_str(self.py, text)?,
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
        }
    }
}
