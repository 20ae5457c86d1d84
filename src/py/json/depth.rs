//! A guard before the standard library's parser, which goes down the native stack level by level.
//!
//! Until 3.11 it counts levels against the recursion limit, and since 3.14 it looks at the stack that is left. In
//! between it counts to a limit that only a main thread's stack can hold: on a thread of less than 2 MiB a document
//! of ten thousand brackets ends the process. There, and only there, depth is counted first.

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

use crate::json::Text;
use crate::py::ffi::json::text;

/// As deep as the recursion limit lets other versions go; some 200 KiB of stack.
const LIMIT: usize = 1000;

/// Passes a document (`str`, `bytes` or `bytearray`) that the standard library can parse on any thread.
///
/// # Errors
/// RecursionError for deeper ones, in the standard library's words.
pub(super) fn check_depth(document: &Bound<'_, PyAny>) -> PyResult<()> {
    if !cfg!(all(Py_3_12, not(Py_3_14))) {
        return Ok(());
    }
    let decoded;
    let string = if let Ok(bytes) = document.cast::<PyBytes>() {
        if brackets(bytes.as_bytes()) <= LIMIT {
            return Ok(());
        }
        decoded = decode(document);
        &decoded
    } else if let Ok(array) = document.cast::<PyByteArray>() {
        if brackets(&array.to_vec()) <= LIMIT {
            return Ok(());
        }
        decoded = decode(document);
        &decoded
    } else {
        &Some(document.clone())
    };
    // What does not decode is refused before it is parsed.
    let bracket = string.as_ref().and_then(text).and_then(|text| match text {
        Text::One(units) => too_deep(units.iter().map(|&unit| unit.into())),
        Text::Two(units) => too_deep(units.iter().map(|&unit| unit.into())),
        Text::Four(points) => too_deep(points.iter().copied()),
    });
    match bracket {
        None => Ok(()),
        Some(bracket) => {
            let kind = if bracket == '{' { "object" } else { "array" };
            Err(PyRecursionError::new_err(format!(
                "maximum recursion depth exceeded while decoding a JSON {kind} from a unicode string"
            )))
        }
    }
}

/// At least the depth of a document in any encoding.
fn brackets(bytes: &[u8]) -> usize {
    memchr::memchr2_iter(b'[', b'{', bytes).count()
}

/// The text that `json.loads` makes of bytes.
fn decode<'py>(document: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let json = document.py().import("json").ok()?;
    let encoding = json.call_method1("detect_encoding", (document,)).ok()?;
    document
        .call_method1("decode", (encoding, "surrogatepass"))
        .ok()
}

/// The bracket that opens a level too many.
fn too_deep(points: impl Iterator<Item = u32>) -> Option<char> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for character in points.filter_map(char::from_u32) {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            '"' => in_string = true,
            '[' | '{' => {
                depth += 1;
                if depth > LIMIT {
                    return Some(character);
                }
            }
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}
