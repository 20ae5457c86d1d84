//! JSON text to Python values, with the meaning of `json.loads`.
//!
//! The parser builds Python objects as it reads and knows only the plain majority of JSON. Whatever it does not
//! know (NaN, huge integers, lone surrogates, invalid UTF-8, other encodings, great depth, every error) makes it
//! give up, and the standard library's answer to the same input, value or exception, is the answer.

use std::cell::Cell;
use std::sync::MutexGuard;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList};

use super::depth::check_depth;
use super::keys::{KeyCache, new_str, scan_rare};
use crate::json::number::{Number, scan_number};
use crate::json::unescape::{Scratch, scan_string};
use crate::py::ffi::json::{new_int, new_list};

/// Deeper documents go to the standard library, which counts depth against the recursion limit.
/// Each level is some 300 bytes of native stack here.
const MAX_DEPTH: usize = 32;

/// The scratch of a longer document is not kept for the next one.
const KEPT_DOCUMENT: usize = 32 * 1024;

thread_local! {
    static KEPT: Cell<Kept> = Cell::default();
}

/// What one document leaves to the next one of the thread.
#[derive(Default)]
struct Kept {
    /// Text of the literal being unescaped.
    scratch: Scratch,
    /// Items of all open lists, innermost last; none between documents.
    values: Vec<Py<PyAny>>,
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
        keys: KeyCache::lend(),
        kept: KEPT.take(),
    };
    let parsed = parser.value(bytes, 0);
    let mut kept = parser.kept;
    if bytes.len() <= KEPT_DOCUMENT {
        kept.values.clear();
        KEPT.set(kept);
    }
    let (root, rest) = parsed?;
    let end = rest.iter().all(|&byte| is_space(byte));
    end.then_some(root)
}

/// What its methods read stands at the start of `rest`, and they give back what follows it.
struct Parser<'py> {
    py: Python<'py>,
    keys: Option<MutexGuard<'static, KeyCache>>,
    kept: Kept,
}

type Parsed<'a, T> = Option<(T, &'a [u8])>;

impl<'py> Parser<'py> {
    #[inline(always)]
    fn value<'a>(&mut self, rest: &'a [u8], depth: usize) -> Parsed<'a, Bound<'py, PyAny>> {
        let py = self.py;
        let text = from_next(rest)?;
        let (&byte, behind) = text.split_first()?;
        Some(match byte {
            b'"' => {
                let (literal, len) = scan_string(behind, &mut self.kept.scratch)?;
                (new_str(py, literal)?.into_any(), behind.get(len..)?)
            }
            b'{' => self.object(behind, depth)?,
            b'[' => self.array(behind, depth)?,
            b't' => {
                let behind = behind.strip_prefix(b"rue")?;
                (PyBool::new(py, true).to_owned().into_any(), behind)
            }
            b'f' => {
                let behind = behind.strip_prefix(b"alse")?;
                (PyBool::new(py, false).to_owned().into_any(), behind)
            }
            b'n' => (py.None().into_bound(py), behind.strip_prefix(b"ull")?),
            _ => {
                let (number, len) = scan_number(text)?;
                let number = match number {
                    Number::Signed(int) => new_int(py, int)?,
                    Number::Unsigned(int) => PyInt::new(py, int).into_any(),
                    Number::Float(float) => PyFloat::new(py, float).into_any(),
                };
                (number, text.get(len..)?)
            }
        })
    }

    /// From behind its brace.
    #[inline(never)]
    fn object<'a>(&mut self, rest: &'a [u8], depth: usize) -> Parsed<'a, Bound<'py, PyAny>> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let dict = PyDict::new(self.py);
        let (mut byte, mut rest) = next(rest)?;
        if byte == b'}' {
            return Some((dict.into_any(), rest));
        }
        loop {
            if byte != b'"' {
                return None;
            }
            let cached = match &mut self.keys {
                Some(keys) => keys.scan(self.py, rest),
                None => None,
            };
            let (key, len) = match cached {
                Some(cached) => cached,
                None => scan_rare(self.py, rest, &mut self.kept.scratch)?,
            };
            (byte, rest) = next(rest.get(len..)?)?;
            if byte != b':' {
                return None;
            }
            let value;
            (value, rest) = self.value(rest, depth + 1)?;
            dict.set_item(key, value).ok()?;
            (byte, rest) = next(rest)?;
            match byte {
                b',' => (byte, rest) = next(rest)?,
                b'}' => return Some((dict.into_any(), rest)),
                _ => return None,
            }
        }
    }

    /// From behind its bracket.
    #[inline(never)]
    fn array<'a>(&mut self, mut rest: &'a [u8], depth: usize) -> Parsed<'a, Bound<'py, PyAny>> {
        if depth >= MAX_DEPTH {
            return None;
        }
        if let (b']', rest) = next(rest)? {
            return Some((PyList::empty(self.py).into_any(), rest));
        }
        let base = self.kept.values.len();
        loop {
            let (value, byte);
            (value, rest) = self.value(rest, depth + 1)?;
            self.kept.values.push(value.unbind());
            (byte, rest) = next(rest)?;
            match byte {
                b',' => {}
                b']' => return Some((new_list(self.py, &mut self.kept.values, base)?, rest)),
                _ => return None,
            }
        }
    }
}

/// The next byte that is no white space, and what is behind it.
#[inline(always)]
fn next(rest: &[u8]) -> Parsed<'_, u8> {
    let (&byte, behind) = from_next(rest)?.split_first()?;
    Some((byte, behind))
}

/// From the next byte that is no white space, which is there.
#[inline(always)]
fn from_next(rest: &[u8]) -> Option<&[u8]> {
    if *rest.first()? > b' ' {
        return Some(rest);
    }
    beyond_space(rest)
}

#[inline(never)]
fn beyond_space(rest: &[u8]) -> Option<&[u8]> {
    let at = rest.iter().position(|&byte| !is_space(byte))?;
    rest.get(at..)
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
