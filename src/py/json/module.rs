//! `_core.json_dumps` and `_core.json_loads`.

use std::borrow::Cow;
use std::cell::Cell;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString, PyTuple};

use super::dump::dump_any;
use super::load::{load_slowly, parse};
use super::options::DumpOptions;
use super::plain::with_plain;
use crate::json::Text;
use crate::py::ffi::json::text;

/// A buffer that grew beyond this is not kept for the next call.
const KEPT_CAPACITY: usize = 256 * 1024;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Adds the two functions to the module.
///
/// # Errors
/// What adding an attribute to a module raises.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(json_dumps, m)?)?;
    m.add_function(wrap_pyfunction!(json_loads, m)?)
}

/// JSON text of a value, as UTF-8: `json.dumps` with the options of Flask's provider.
///
/// Args:
///     value: What to write.
///     sort_keys: Write the items of each dict in the order of its keys.
///     ensure_ascii: Escape all characters outside ASCII.
///     indent: A string, or a number of spaces, for one level of indentation; None writes one line.
///     separators: The strings between items and after a key; None means `(", ", ": ")`, and `(",", ": ")` with
///         an indent.
///     default: Called with each value of a type that JSON does not know; None converts dates, `Decimal`, `UUID`,
///         dataclasses and objects with `__html__` as Flask does.
///     newline: End with a line feed.
///
/// Returns:
///     The text.
///
/// Raises:
///     TypeError: A value or key of a type that cannot be written, or keys that cannot be sorted.
///     ValueError: A container within itself.
///     RecursionError: Too deep a nesting.
#[pyfunction]
#[pyo3(signature = (value, *, separators=None, sort_keys=true, ensure_ascii=true, indent=None, default=None, newline=false))]
#[expect(clippy::too_many_arguments, reason = "the keywords of json.dumps")]
fn json_dumps<'py>(
    py: Python<'py>,
    value: &Bound<'py, PyAny>,
    separators: Option<&Bound<'py, PyAny>>,
    sort_keys: bool,
    ensure_ascii: bool,
    indent: Option<&Bound<'py, PyAny>>,
    default: Option<Py<PyAny>>,
    newline: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let indent = indent.map(indent_bytes).transpose()?;
    let (item_separator, key_separator) = match separators {
        Some(pair) => separator_pair(pair)?,
        None if indent.is_some() => (Cow::Borrowed(&b","[..]), Cow::Borrowed(&b": "[..])),
        None => (Cow::Borrowed(&b", "[..]), Cow::Borrowed(&b": "[..])),
    };
    let options = DumpOptions {
        sort_keys,
        ensure_ascii,
        indent,
        item_separator,
        key_separator,
        default,
    };
    if options.is_plain() {
        let written = with_plain(value, sort_keys, |text| {
            if !newline {
                return Ok(PyBytes::new(py, text));
            }
            PyBytes::new_with(py, text.len() + 1, |bytes| {
                if let Some((last, rest)) = bytes.split_last_mut() {
                    rest.copy_from_slice(text);
                    *last = b'\n';
                }
                Ok(())
            })
        });
        if let Some(bytes) = written {
            return bytes;
        }
    }
    // Taken out for the call: a `default` callback may come here again.
    let mut buffer = BUFFER.take();
    let result = dump_any(py, value, &options, &mut buffer).map(|()| {
        if newline {
            buffer.push(b'\n');
        }
        PyBytes::new(py, &buffer)
    });
    buffer.clear();
    if buffer.capacity() <= KEPT_CAPACITY {
        BUFFER.set(buffer);
    }
    result
}

/// The value of a JSON document, as `json.loads` gives it.
///
/// Args:
///     data: The document; bytes in UTF-8, UTF-16 or UTF-32.
///
/// Returns:
///     The value.
///
/// Raises:
///     json.JSONDecodeError: The document is malformed.
///     UnicodeDecodeError: The bytes are in none of these encodings.
///     TypeError: `data` is neither a string nor bytes.
///     RecursionError: Too deep a nesting.
#[pyfunction]
#[pyo3(signature = (data, /))]
fn json_loads<'py>(py: Python<'py>, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let parsed = if let Ok(bytes) = data.cast::<PyBytes>() {
        parse(py, bytes.as_bytes())
    } else if let Ok(string) = data.cast::<PyString>() {
        match text(data) {
            Some(Text::One(ascii)) if ascii.is_ascii() => parse(py, ascii),
            // Fails on a lone surrogate, which the standard library takes.
            _ => string
                .to_str()
                .ok()
                .and_then(|utf8| parse(py, utf8.as_bytes())),
        }
    } else if let Ok(array) = data.cast::<PyByteArray>() {
        // A copy: a finalizer, run by the collector in the middle of the parse, could change it.
        parse(py, &array.to_vec())
    } else if data.is_instance_of::<PyMemoryView>() {
        let bytes = data.call_method0("tobytes")?;
        return json_loads(py, &bytes);
    } else {
        let name = data.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "the JSON object must be str, bytes or bytearray, not {name}"
        )));
    };
    parsed.map_or_else(|| load_slowly(data), Ok)
}

type Separator = Cow<'static, [u8]>;

fn separator_pair(pair: &Bound<'_, PyAny>) -> PyResult<(Separator, Separator)> {
    // The pair that nearly every call gives, without a conversion.
    let is = |item: &Bound<'_, PyAny>, byte: u8| matches!(text(item), Some(Text::One(&[one])) if one == byte);
    if let Ok(pair) = pair.cast_exact::<PyTuple>()
        && let [item, key] = pair.as_slice()
        && is(item, b',')
        && is(key, b':')
    {
        return Ok((Cow::Borrowed(b","), Cow::Borrowed(b":")));
    }
    let (item, key): (Bound<'_, PyString>, Bound<'_, PyString>) = pair.extract()?;
    Ok((separator(&item)?, separator(&key)?))
}

fn separator(text: &Bound<'_, PyString>) -> PyResult<Cow<'static, [u8]>> {
    Ok(match text.to_str()? {
        "," => Cow::Borrowed(b","),
        ":" => Cow::Borrowed(b":"),
        other => Cow::Owned(other.as_bytes().to_vec()),
    })
}

/// A string as it is; a number of spaces by the rules of `" " * n`.
fn indent_bytes(indent: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let text = match indent.cast::<PyString>() {
        Ok(text) => text.clone(),
        Err(_) => PyString::new(indent.py(), " ")
            .mul(indent)?
            .cast_into::<PyString>()?,
    };
    Ok(text.to_str()?.as_bytes().to_vec())
}
