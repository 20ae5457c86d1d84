//! The native half of a context proxy: reading an attribute of `request`, `g` and the like.
//!
//! A class that forwards with `__getattr__` first fails at the ordinary lookup, which formats an AttributeError that
//! nobody sees (before 3.12) and costs ten times what the forwarded lookup does. This base class forwards at once
//! what the proxy's own class does not define.

use crate::py::ffi;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};

/// Base of `bustapi.werkzeug.local.LocalProxy`.
#[pyclass(subclass, frozen, module = "bustapi._core")]
pub struct ProxyBase {
    bound: PyOnceLock<Source>,
}

/// What the proxy stands for: an attribute of the value of a context variable.
struct Source {
    variable: Py<PyAny>,
    part: Py<PyString>,
    message: String,
}

#[pymethods]
impl ProxyBase {
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(_arguments: &Bound<'_, PyTuple>, _keywords: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            bound: PyOnceLock::new(),
        }
    }

    /// Stands for the attribute `part` of what `variable` holds; `message` is the RuntimeError's while it holds
    /// nothing. Without this call the object comes from `_get_current_object`.
    fn _bind(&self, py: Python<'_>, variable: Py<PyAny>, part: &str, message: String) {
        let part = PyString::intern(py, part).unbind();
        self.bound.get_or_init(py, || Source {
            variable,
            part,
            message,
        });
    }

    fn __getattribute__<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if ffi::class_defines(&slf.get_type(), name) {
            return ffi::generic_attribute(slf.as_any(), name);
        }
        let target = match slf.get().bound.get(py) {
            Some(bound) => match ffi::context_var_value(bound.variable.bind(py))? {
                Some(value) => value.getattr(bound.part.bind(py))?,
                None => return Err(PyRuntimeError::new_err(bound.message.clone())),
            },
            None => {
                ffi::generic_attribute(slf.as_any(), intern!(py, "_get_current_object"))?.call0()?
            }
        };
        target.getattr(name)
    }
}
