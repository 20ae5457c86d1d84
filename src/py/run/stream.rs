//! Bodies that come in pieces from a Python iterator.

use crate::py::ffi::Context;
use pyo3::exceptions::{PyStopIteration, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

/// One step of an iterator.
pub enum Piece {
    Data(Vec<u8>),
    End,
}

/// The next piece, made in `context`; `str` is sent as UTF-8.
pub fn next(iterator: &Bound<'_, PyAny>, context: Option<&Context>) -> PyResult<Piece> {
    let py = iterator.py();
    let _entered = context.map(|context| context.enter(py)).transpose()?;
    let item = match iterator.call_method0(intern!(py, "__next__")) {
        Ok(item) => item,
        Err(error) if error.is_instance_of::<PyStopIteration>(py) => return Ok(Piece::End),
        Err(error) => return Err(error),
    };
    if let Ok(bytes) = item.cast::<PyBytes>() {
        return Ok(Piece::Data(bytes.as_bytes().to_vec()));
    }
    if let Ok(text) = item.cast::<PyString>() {
        return Ok(Piece::Data(text.to_str()?.as_bytes().to_vec()));
    }
    // Anything with a buffer: it can change, so it is copied. Not `bytes(item)`, which makes zeros of a number.
    let view = PyMemoryView::from(&item).map_err(|_| wrong_piece(&item))?;
    let bytes = py.get_type::<PyBytes>().call1((view,))?;
    Ok(Piece::Data(bytes.cast::<PyBytes>()?.as_bytes().to_vec()))
}

/// Logs what ended a body before its end.
pub fn tell_failed(py: Python<'_>, context: Option<&Context>, error: PyErr) {
    let _entered = context.and_then(|context| context.enter(py).ok());
    let told = py
        .import(intern!(py, "bustapi.kernel.pieces"))
        .and_then(|module| {
            module.call_method1(
                intern!(py, "tell_failed"),
                (error.clone_ref(py).into_value(py),),
            )
        });
    if told.is_err() {
        error.write_unraisable(py, None);
    }
}

fn wrong_piece(item: &Bound<'_, PyAny>) -> PyErr {
    let name = item
        .get_type()
        .name()
        .map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!(
        "a streamed body yields str or bytes-like objects, not {name}"
    ))
}

/// Calls the iterator's `close`, if it has one. Always called, also when the client has gone.
pub fn close(iterator: &Bound<'_, PyAny>, context: Option<&Context>) {
    let py = iterator.py();
    // A context that is entered already is the caller's.
    let _entered = context.and_then(|context| context.enter(py).ok());
    if let Ok(close) = iterator.getattr(intern!(py, "close"))
        && let Err(error) = close.call0()
    {
        error.write_unraisable(py, Some(iterator));
    }
}
