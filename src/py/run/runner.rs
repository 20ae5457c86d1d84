//! What stands in the place of a task's coroutine, so that a step of it can be taken without the task.
//!
//! A step through the task has asyncio ask the future for its result and for its loop, and leave it a new callback: two
//! fifths of what an echoed message of a WebSocket costs. Rules:
//! - While a step is taken here, the task is the one that runs, in its context, as if it had taken it.
//! - Only steps after which the task would wait for what it waits for already stay between us. All others are passed on:
//!   the task is woken, takes its step, and gets from the runner what the coroutine did.
//! - A wish to cancel the task that comes during such a step is the task's to fulfil: it is woken.

use super::waiter::Waiter;
use crate::py::ffi::{self, Sent};
use pyo3::exceptions::{PyAttributeError, PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

#[pyclass(module = "bustapi._core")]
#[derive(Default)]
pub(super) struct Runner {
    state: State,
}

#[derive(Default)]
enum State {
    /// There is no coroutine yet.
    #[default]
    Idle,
    /// The coroutine has taken a step that its task does not know of, and waits for this.
    Yielded(Py<PyAny>, Py<PyAny>),
    Running(Py<PyAny>),
    /// The coroutine has ended, or there was none.
    Ended(PyResult<Py<PyAny>>),
}

impl Runner {
    /// For a coroutine that has not begun.
    pub(super) fn of(coroutine: Bound<'_, PyAny>) -> Self {
        Self {
            state: State::Running(coroutine.unbind()),
        }
    }

    /// The coroutine has taken a step that its task does not know of.
    pub(super) fn stepped(&mut self, coroutine: &Bound<'_, PyAny>, sent: Sent<'_>) {
        self.state = match sent {
            Sent::Yielded(value) => State::Yielded(coroutine.clone().unbind(), value.unbind()),
            Sent::Returned(value) => State::Ended(Ok(value.unbind())),
            Sent::Raised(error) => State::Ended(Err(error)),
        };
    }

    /// The coroutine has ended.
    pub(super) fn end(&mut self, result: PyResult<Bound<'_, PyAny>>) {
        self.state = State::Ended(result.map(Bound::unbind));
    }

    /// The coroutine, if there is one.
    pub(super) fn coroutine<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let this = slf.try_borrow()?;
        Ok(match &this.state {
            State::Yielded(coroutine, _) | State::Running(coroutine) => {
                Some(coroutine.bind(slf.py()).clone())
            }
            State::Idle | State::Ended(_) => None,
        })
    }

    /// What it waits for, which the task gets to know only now.
    fn take_yielded<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut this = slf.try_borrow_mut()?;
        match std::mem::replace(&mut this.state, State::Idle) {
            State::Yielded(coroutine, value) => {
                this.state = State::Running(coroutine);
                Ok(Some(value.into_bound(slf.py())))
            }
            other => {
                this.state = other;
                Ok(None)
            }
        }
    }

    /// What it ended with, once.
    fn take_end(slf: &Bound<'_, Self>) -> PyResult<PyErr> {
        let py = slf.py();
        let mut this = slf.try_borrow_mut()?;
        match std::mem::replace(&mut this.state, State::Ended(Ok(py.None()))) {
            State::Ended(Ok(value)) => Ok(PyStopIteration::new_err((value,))),
            State::Ended(Err(error)) => Ok(error),
            other => {
                this.state = other;
                Err(PyRuntimeError::new_err("no request has this task"))
            }
        }
    }
}

#[pymethods]
impl Runner {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(value) = Self::take_yielded(slf)? {
            Waiter::offer(&value, slf)?;
            return Ok(value);
        }
        let Some(coroutine) = Self::coroutine(slf)? else {
            return Err(Self::take_end(slf)?);
        };
        match ffi::send(&coroutine) {
            Sent::Yielded(value) => {
                Waiter::offer(&value, slf)?;
                Ok(value)
            }
            Sent::Returned(value) => Err(PyStopIteration::new_err((value.unbind(),))),
            Sent::Raised(error) => Err(error),
        }
    }

    fn send<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match Self::coroutine(slf)? {
            Some(coroutine) if !value.is_none() => {
                coroutine.call_method1(intern!(slf.py(), "send"), (value,))
            }
            _ => Self::__next__(slf),
        }
    }

    #[pyo3(signature = (*error))]
    fn throw<'py>(
        slf: &Bound<'py, Self>,
        error: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(value) = Self::take_yielded(slf)? {
            // The task was cancelled in a step that it does not know of: a task then cancels what the step waits for, and
            // raises in the coroutine where that is nothing or over.
            let cancel = intern!(py, "cancel");
            if value.hasattr(cancel)? {
                let message = error.get_item(0)?.getattr(intern!(py, "args"))?;
                if value
                    .call_method1(cancel, message.cast_into::<PyTuple>()?)?
                    .is_truthy()?
                {
                    return Ok(value);
                }
            }
        }
        match Self::coroutine(slf)? {
            Some(coroutine) => coroutine.call_method1(intern!(py, "throw"), error),
            None => Err(PyErr::from_value(error.get_item(0)?)),
        }
    }

    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        match Self::coroutine(slf)? {
            Some(coroutine) => coroutine.call_method0(intern!(slf.py(), "close")).map(drop),
            None => Ok(()),
        }
    }

    /// Everything else is the coroutine's: its name, its frame, what it awaits.
    fn __getattr__<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        match Self::coroutine(slf)? {
            Some(coroutine) => coroutine.getattr(name),
            None => Err(PyAttributeError::new_err(name.to_owned())),
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        match Self::coroutine(slf)? {
            Some(coroutine) => Ok(coroutine.repr()?.to_string()),
            None => Ok("<the coroutine of no request>".to_owned()),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.state {
            State::Yielded(coroutine, value) => {
                visit.call(coroutine)?;
                visit.call(value)
            }
            State::Running(coroutine) => visit.call(coroutine),
            State::Ended(Ok(value)) => visit.call(value),
            State::Idle | State::Ended(Err(_)) => Ok(()),
        }
    }

    fn __clear__(&mut self) {
        self.state = State::Idle;
    }
}
