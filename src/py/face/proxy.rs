//! The native half of a context proxy: reading an attribute of `request`, `g` and the like.
//!
//! A class that forwards with `__getattr__` first fails at the ordinary lookup, which formats an AttributeError that
//! nobody sees (before 3.12) and costs ten times what the forwarded lookup does. `forward_attributes` has a class
//! forward at once what it does not define; its layout in memory stays as it is.

use crate::py::ffi;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// What a proxy stands for: an attribute of the value of a context variable. Called without arguments it returns it.
#[pyclass(frozen, module = "bustapi._core")]
pub struct Resolver {
    variable: Py<PyAny>,
    part: Py<PyString>,
    message: String,
}

#[pymethods]
impl Resolver {
    /// `message` is the RuntimeError's while the variable has no value.
    #[new]
    fn new(py: Python<'_>, variable: Py<PyAny>, part: &str, message: String) -> Self {
        Self {
            variable,
            part: PyString::intern(py, part).unbind(),
            message,
        }
    }

    fn __call__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match ffi::context_var_value(self.variable.bind(py))? {
            Some(value) => value.getattr(self.part.bind(py)),
            None => Err(PyRuntimeError::new_err(self.message.clone())),
        }
    }
}

/// Has instances of `cls` (not of classes derived from it) answer attributes that the class does not define with
/// those of what their `_get_current_object` returns.
#[pyfunction]
pub fn forward_attributes(cls: &Bound<'_, pyo3::types::PyType>) {
    ffi::set_attribute_forwarding(cls);
}
