//! Python values to JSON text, with the bytes, the order of calls and the exceptions of `json.dumps`.
//!
//! The walk keeps its own stack of open containers, so depth costs heap and never native stack; each level is
//! still counted against the interpreter's recursion limit, as the standard library's encoder does. Every open
//! container and every item being written is held by a reference of its own: a `default` callback may change or
//! drop whatever it likes.

use std::collections::HashSet;

use pyo3::exceptions::{PyMemoryError, PyRecursionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use smallvec::SmallVec;

use super::convert::convert;
use super::entries::{Entries, push_dict, push_subclass};
use super::options::DumpOptions;
use super::plain::with_plain;
use crate::json::escape::write_text;
use crate::json::float::write_float;
use crate::py::ffi::json::{self as ffi, Kind, kind};

/// Nesting beyond this is refused where the interpreter has no limit of its own for it (3.14 looks at the native
/// stack, which we do not use): a `default` that wraps its argument for ever must end.
const MAX_DEPTH: usize = 100_000;

/// Ancestors up to this depth are compared one by one to find a cycle; deeper ones are kept in a set.
const SCANNED_DEPTH: usize = 64;

/// Appends `value` as JSON text to `out`; on error `out` is as long as before.
///
/// # Errors
/// What `json.dumps` raises: TypeError for unknown types, keys and mixed key types, ValueError for a cycle,
/// RecursionError for depth, and whatever a `default` callback raises.
pub fn dump(
    py: Python<'_>,
    value: &Bound<'_, PyAny>,
    options: &DumpOptions,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    if options.is_plain() {
        let written = with_plain(value, options.sort_keys, |text| out.extend_from_slice(text));
        if written.is_some() {
            return Ok(());
        }
    }
    dump_any(py, value, options, out)
}

/// The same without a try of the fast way.
pub(super) fn dump_any(
    py: Python<'_>,
    value: &Bound<'_, PyAny>,
    options: &DumpOptions,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let start = out.len();
    let result = if options.is_compact() {
        Encoder::<true>::new(py, options, out).run(value)
    } else {
        Encoder::<false>::new(py, options, out).run(value)
    };
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// What one level of nesting iterates over.
enum Frame<'py> {
    /// An exact list or tuple, read live by index as the standard library does.
    Sequence {
        items: Bound<'py, PyAny>,
        next: usize,
    },
    /// `entries[base..]`, of which those below `next` are written.
    Dict { base: usize, next: usize },
    /// The result of `default` is being written; nothing follows it.
    Converted,
}

struct Level<'py> {
    frame: Frame<'py>,
    /// The object itself: kept alive, so that its address tells a cycle.
    owner: Bound<'py, PyAny>,
}

struct Encoder<'a, 'py, const COMPACT: bool> {
    py: Python<'py>,
    options: &'a DumpOptions,
    out: &'a mut Vec<u8>,
    levels: SmallVec<[Level<'py>; 8]>,
    entries: Entries<'py>,
    /// Addresses of the owners beyond SCANNED_DEPTH.
    deep: HashSet<usize>,
    /// Open lists and dicts: levels without those of `default`.
    indentation: usize,
}

impl<'a, 'py, const COMPACT: bool> Encoder<'a, 'py, COMPACT> {
    fn new(py: Python<'py>, options: &'a DumpOptions, out: &'a mut Vec<u8>) -> Self {
        Self {
            py,
            options,
            out,
            levels: SmallVec::new(),
            entries: Entries::new(),
            deep: HashSet::new(),
            indentation: 0,
        }
    }

    fn run(&mut self, root: &Bound<'py, PyAny>) -> PyResult<()> {
        if write_leaf(self.out, root, self.options)? {
            return Ok(());
        }
        self.open(root)?;
        while let Some(value) = self.advance()? {
            self.open(&value)?;
        }
        Ok(())
    }

    /// Begins a value that is no leaf: writes it if it is empty, else adds a level.
    fn open(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        match kind(value) {
            Kind::Dict => {
                // The kind is exact, so the cast cannot fail.
                let dict = value.cast::<PyDict>()?;
                if dict.is_empty() {
                    self.out.extend_from_slice(b"{}");
                    return Ok(());
                }
                self.check_cycle(value)?;
                let base = self.entries.len();
                push_dict(&mut self.entries, dict, self.options.sort_keys)?;
                self.push(Frame::Dict { base, next: base }, value, b'{')
            }
            Kind::DictSubclass => {
                if value.cast::<PyDict>()?.is_empty() {
                    self.out.extend_from_slice(b"{}");
                    return Ok(());
                }
                self.check_cycle(value)?;
                let base = self.entries.len();
                push_subclass(&mut self.entries, value, self.options.sort_keys)?;
                self.push(Frame::Dict { base, next: base }, value, b'{')
            }
            Kind::List | Kind::Tuple => self.open_sequence(value.clone(), value),
            Kind::SequenceSubclass => self.open_sequence(ffi::sequence_list(value)?, value),
            _ => self.open_converted(value),
        }
    }

    fn open_sequence(
        &mut self,
        items: Bound<'py, PyAny>,
        owner: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        if ffi::item(&items, 0).is_none() {
            self.out.extend_from_slice(b"[]");
            return Ok(());
        }
        self.check_cycle(owner)?;
        self.push(Frame::Sequence { items, next: 0 }, owner, b'[')
    }

    /// Gives a value that JSON does not know to `default` and begins the result.
    fn open_converted(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        self.check_cycle(value)?;
        let converted = match &self.options.default {
            Some(default) => default.bind(self.py).call1((value,))?,
            None => convert(value)?,
        };
        if write_leaf(self.out, &converted, self.options)? {
            return Ok(());
        }
        // A chain of results that are themselves unknown adds a level each: bounded like any nesting.
        self.push_level(Frame::Converted, value)?;
        self.open(&converted)
    }

    /// Writes leaves, separators and closings up to the next value that is to be opened; None at the end.
    fn advance(&mut self) -> PyResult<Option<Bound<'py, PyAny>>> {
        while let Some(level) = self.levels.last_mut() {
            match &mut level.frame {
                Frame::Dict { base, next } => {
                    let (base, at) = (*base, *next);
                    let Some(entry) = self.entries.get(at) else {
                        self.entries.truncate(base);
                        self.close(b'}');
                        continue;
                    };
                    *next = at + 1;
                    if at > base {
                        separate::<COMPACT>(self.out, self.options);
                    }
                    if !COMPACT {
                        newline(self.out, self.options, self.indentation);
                    }
                    write_key(self.out, &entry.key, self.options)?;
                    if COMPACT {
                        self.out.push(b':');
                    } else {
                        self.out.extend_from_slice(&self.options.key_separator);
                    }
                    if !write_leaf(self.out, &entry.value, self.options)? {
                        return Ok(Some(entry.value.clone()));
                    }
                }
                Frame::Sequence { items, next } => {
                    let at = *next;
                    let Some(value) = ffi::item(items, at) else {
                        self.close(b']');
                        continue;
                    };
                    *next = at + 1;
                    if at > 0 {
                        separate::<COMPACT>(self.out, self.options);
                    }
                    if !COMPACT {
                        newline(self.out, self.options, self.indentation);
                    }
                    if !write_leaf(self.out, &value, self.options)? {
                        return Ok(Some(value));
                    }
                }
                Frame::Converted => self.pop(),
            }
        }
        Ok(None)
    }

    fn push(&mut self, frame: Frame<'py>, owner: &Bound<'py, PyAny>, bracket: u8) -> PyResult<()> {
        self.push_level(frame, owner)?;
        self.indentation += 1;
        self.out.push(bracket);
        Ok(())
    }

    fn push_level(&mut self, frame: Frame<'py>, owner: &Bound<'py, PyAny>) -> PyResult<()> {
        if self.levels.len() >= MAX_DEPTH {
            let message = "maximum recursion depth exceeded while encoding a JSON object";
            return Err(PyRecursionError::new_err(message));
        }
        ffi::enter_recursion(self.py)?;
        if self.levels.len() >= SCANNED_DEPTH {
            self.deep.insert(owner.as_ptr() as usize);
        }
        self.levels.push(Level {
            frame,
            owner: owner.clone(),
        });
        Ok(())
    }

    fn close(&mut self, bracket: u8) {
        self.indentation -= 1;
        if !COMPACT {
            newline(self.out, self.options, self.indentation);
        }
        self.out.push(bracket);
        self.pop();
    }

    fn pop(&mut self) {
        if let Some(level) = self.levels.pop() {
            ffi::leave_recursion(self.py);
            if self.levels.len() >= SCANNED_DEPTH {
                self.deep.remove(&(level.owner.as_ptr() as usize));
            }
        }
    }

    fn check_cycle(&self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        let near = &self.levels[..self.levels.len().min(SCANNED_DEPTH)];
        let address = value.as_ptr() as usize;
        if near.iter().any(|level| level.owner.is(value))
            || (!self.deep.is_empty() && self.deep.contains(&address))
        {
            return Err(PyValueError::new_err("Circular reference detected"));
        }
        Ok(())
    }
}

impl<const COMPACT: bool> Drop for Encoder<'_, '_, COMPACT> {
    fn drop(&mut self) {
        for _ in 0..self.levels.len() {
            ffi::leave_recursion(self.py);
        }
    }
}

/// Writes a value that contains no others; false, with nothing written, for every other one.
#[inline]
fn write_leaf(
    out: &mut Vec<u8>,
    value: &Bound<'_, PyAny>,
    options: &DumpOptions,
) -> PyResult<bool> {
    match kind(value) {
        Kind::Str => write_str(out, value, options.ensure_ascii)?,
        Kind::Int => write_int(out, value)?,
        Kind::Float => write_float(out, ffi::float(value).unwrap_or(f64::NAN)),
        Kind::True => out.extend_from_slice(b"true"),
        Kind::False => out.extend_from_slice(b"false"),
        Kind::None => out.extend_from_slice(b"null"),
        _ => return Ok(false),
    }
    Ok(true)
}

#[inline]
fn write_str(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, ensure_ascii: bool) -> PyResult<()> {
    let Some(text) = ffi::text(value) else {
        return Err(PyMemoryError::new_err("cannot read the string"));
    };
    if write_text(out, text, ensure_ascii).is_err() {
        // The interpreter's own exception names the string, the position and the reason.
        value.call_method1("encode", ("utf-8",))?;
    }
    Ok(())
}

fn write_int(out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(number) = ffi::small_int(value) {
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    } else {
        out.extend_from_slice(ffi::int_repr(value)?.extract::<&str>()?.as_bytes());
    }
    Ok(())
}

/// Keys that are no strings are coerced; the order of the tests is that of the standard library.
#[inline]
fn write_key(out: &mut Vec<u8>, key: &Bound<'_, PyAny>, options: &DumpOptions) -> PyResult<()> {
    let kind = kind(key);
    if kind == Kind::Str {
        return write_str(out, key, options.ensure_ascii);
    }
    if matches!(
        kind,
        Kind::Float | Kind::True | Kind::False | Kind::None | Kind::Int
    ) {
        out.push(b'"');
        write_leaf(out, key, options)?;
        out.push(b'"');
        return Ok(());
    }
    Err(key_error(key, options.indent.is_some()))
}

/// The standard library's own complaint: how it names the class depends on its version and on the indentation.
#[cold]
fn key_error(key: &Bound<'_, PyAny>, indented: bool) -> PyErr {
    let complain = || {
        let items = PyDict::new(key.py());
        items.set_item(key, key.py().None())?;
        let arguments = PyDict::new(key.py());
        arguments.set_item("indent", indented.then_some(1))?;
        let json = key.py().import("json")?;
        json.call_method("dumps", (items,), Some(&arguments))
    };
    match complain() {
        Ok(_) => PyTypeError::new_err("keys must be str, int, float, bool or None"),
        Err(error) => error,
    }
}

#[inline]
fn separate<const COMPACT: bool>(out: &mut Vec<u8>, options: &DumpOptions) {
    if COMPACT {
        out.push(b',');
    } else {
        out.extend_from_slice(&options.item_separator);
    }
}

fn newline(out: &mut Vec<u8>, options: &DumpOptions, level: usize) {
    if let Some(indent) = &options.indent {
        out.push(b'\n');
        for _ in 0..level {
            out.extend_from_slice(indent);
        }
    }
}
