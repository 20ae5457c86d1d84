//! The WSGI environment of a native request, for code that asks for `request.environ`.

use super::state::RequestState;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// A new environment; made only when something asks for it.
pub fn build<'py>(state: &Bound<'py, RequestState>) -> PyResult<Bound<'py, PyDict>> {
    let py = state.py();
    let environ = PyDict::new(py);
    environ.set_item("wsgi.version", (1, 0))?;
    environ.set_item("wsgi.errors", py.import("sys")?.getattr("stderr")?)?;
    environ.set_item("wsgi.multithread", true)?;
    environ.set_item("wsgi.multiprocess", false)?;
    environ.set_item("wsgi.run_once", false)?;
    state.try_borrow()?.environ_parts(&environ)?;
    Ok(environ)
}

/// `wsgi.input` over the received body.
pub fn input<'py>(py: Python<'py>, body: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    py.import("io")?
        .getattr("BytesIO")?
        .call1((PyBytes::new(py, body),))
}
