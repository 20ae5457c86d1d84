//! A body for a reader that keeps nothing of it, without an object for Python.

use super::state::RequestState;
use crate::buf::{Held, View};
use crate::conn;
use crate::py::ffi::Body;
use pyo3::prelude::*;

/// A body that is lent.
pub(super) enum Lent {
    View(View),
    Object(Py<Body>),
}

impl Lent {
    pub(super) fn bytes<'a>(&'a self, py: Python<'a>) -> &'a [u8] {
        match self {
            Self::View(view) => view,
            Self::Object(body) => body.bind(py).get().bytes(),
        }
    }
}

impl RequestState {
    /// The body for a reader that keeps nothing of it. A handle of its own: reading may run Python code, and no borrow
    /// is held across that.
    pub(super) fn lend_body(slf: &Bound<'_, Self>) -> PyResult<Lent> {
        if let conn::Body::Held(Held::View(view)) = &slf.try_borrow()?.request.body {
            return Ok(Lent::View(view.clone()));
        }
        Self::body(slf).map(Lent::Object)
    }
}
