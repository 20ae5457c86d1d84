//! What a request without a connection has besides: the environment that its caller gave it, and what nothing handled.

use super::state::RequestState;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyDict;

pub(super) struct Local {
    environ: Py<PyDict>,
    failure: Option<PyErr>,
}

impl Local {
    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.environ)
    }
}

impl RequestState {
    /// Says that the request has no connection; `environ` is its WSGI environment.
    pub fn make_local(slf: &Bound<'_, Self>, environ: Bound<'_, PyDict>) -> PyResult<()> {
        slf.try_borrow_mut()?.local = Some(Box::new(Local {
            environ: environ.unbind(),
            failure: None,
        }));
        Ok(())
    }

    /// The environment that the caller gave the request.
    pub(super) fn local_environ<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let this = slf.try_borrow()?;
        let local = this.local.as_ref();
        Ok(local.map(|local| local.environ.bind(slf.py()).clone()))
    }

    /// Keeps what nothing handled for the caller, the first of it. `false`: there is none, and it belongs in the log.
    pub fn keep_failure(slf: &Bound<'_, Self>, error: &PyErr) -> bool {
        let Ok(mut this) = slf.try_borrow_mut() else {
            return false;
        };
        let Some(local) = &mut this.local else {
            return false;
        };
        if local.failure.is_none() {
            local.failure = Some(error.clone_ref(slf.py()));
        }
        true
    }

    pub fn take_failure(slf: &Bound<'_, Self>) -> PyResult<Option<PyErr>> {
        let mut this = slf.try_borrow_mut()?;
        Ok(this.local.as_mut().and_then(|local| local.failure.take()))
    }
}
