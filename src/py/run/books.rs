//! asyncio's book of running tasks, for the steps that are taken outside of a task: which one each loop is in.
//!
//! It is kept here as asyncio's own functions keep it, where it is open to us and nobody has put others in their place;
//! through the functions that asyncio has for this ("Extending") where it is not.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

pub(super) struct Books {
    event_loop: Py<PyAny>,
    /// The task that runs in each loop.
    running: Option<Py<PyDict>>,
    enter: Py<PyAny>,
    leave: Py<PyAny>,
    current: Py<PyAny>,
}

impl Books {
    pub(super) fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = event_loop.py();
        // In this order: asyncio makes do without the native module if that comes first.
        let tasks = py.import("asyncio.tasks")?;
        let mut running = None;
        if !cfg!(Py_GIL_DISABLED)
            && let Ok(native) = py.import("_asyncio")
        {
            let is_native = |name: &str| match (tasks.getattr(name), native.getattr(name)) {
                (Ok(used), Ok(native)) => used.is(&native),
                _ => false,
            };
            if ["_enter_task", "_leave_task", "_current_tasks"]
                .into_iter()
                .all(is_native)
            {
                running = native.getattr("_current_tasks")?.cast_into_exact().ok();
            }
        }
        Ok(Self {
            event_loop: event_loop.clone().unbind(),
            running: running.map(Bound::unbind),
            enter: tasks.getattr("_enter_task")?.unbind(),
            leave: tasks.getattr("_leave_task")?.unbind(),
            current: tasks.getattr("current_task")?.unbind(),
        })
    }

    /// Whether entering and leaving calls nobody.
    pub(super) fn are_open(&self) -> bool {
        self.running.is_some()
    }

    /// Makes a task the one that runs. `false`: another does.
    pub(super) fn enter(&self, task: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = task.py();
        let Some(running) = &self.running else {
            return match self.enter.bind(py).call1((&self.event_loop, task)) {
                Ok(_) => Ok(true),
                Err(error) if error.is_instance_of::<PyRuntimeError>(py) => Ok(false),
                Err(error) => Err(error),
            };
        };
        let (running, event_loop) = (running.bind(py), self.event_loop.bind(py));
        if !running.is_empty() && running.contains(event_loop)? {
            return Ok(false);
        }
        running.set_item(event_loop, task)?;
        Ok(true)
    }

    pub(super) fn leave(&self, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = task.py();
        let Some(running) = &self.running else {
            let left = self.leave.bind(py).call1((&self.event_loop, task));
            return left.map(drop);
        };
        let (running, event_loop) = (running.bind(py), self.event_loop.bind(py));
        match running.get_item(event_loop)? {
            Some(found) if found.is(task) => running.del_item(event_loop),
            _ => Err(PyRuntimeError::new_err(
                "another task is the one that runs, after a step of this one",
            )),
        }
    }

    /// The task that runs in the loop, on its thread.
    pub(super) fn current<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match &self.running {
            Some(running) => running.bind(py).get_item(&self.event_loop),
            None => {
                let task = self.current.bind(py).call1((&self.event_loop,))?;
                Ok((!task.is_none()).then_some(task))
            }
        }
    }
}
