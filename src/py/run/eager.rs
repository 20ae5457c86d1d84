//! A task's first step within the turn that starts it, on Pythons whose tasks do not start eagerly (before 3.12).
//!
//! `Task.__init__` hands the first step to `loop.call_soon`; the loop would run it in its next round, and only the round
//! after that would see what came of it. So while a task is made the loop has a `call_soon` of ours, which keeps the
//! step; it is run at once, in the context that came with it. Rules: that `call_soon` is the loop's for as long as the
//! constructor runs and no longer; whatever else calls it in that time reaches the loop's own; and a loop that already
//! has one of somebody's on itself is left alone.

use super::books::Books;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

/// The class of the callable that is a task's step, which is not exported.
const STEP: &str = "TaskStepMethWrapper";

/// Makes tasks of one loop, and runs their first steps.
pub(super) struct FirstSteps {
    /// The loop's own attributes.
    attributes: Py<PyDict>,
    catcher: Py<Catcher>,
}

impl FirstSteps {
    /// None for a loop that cannot be given an attribute.
    pub(super) fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let py = event_loop.py();
        let Ok(attributes) = event_loop.getattr(intern!(py, "__dict__")) else {
            return Ok(None);
        };
        let Ok(attributes) = attributes.cast_into_exact::<PyDict>() else {
            return Ok(None);
        };
        let catcher = Catcher {
            event_loop: event_loop.clone().unbind(),
            step_class: None,
            caught: None,
        };
        Ok(Some(Self {
            attributes: attributes.unbind(),
            catcher: Py::new(py, catcher)?,
        }))
    }

    /// Calls `make`, the constructor of a task; with the task, its first step.
    pub(super) fn catch<'py>(
        &self,
        py: Python<'py>,
        make: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Option<Caught>)> {
        let name = intern!(py, "call_soon");
        let attributes = self.attributes.bind(py);
        if attributes.contains(name)? {
            return Ok((make()?, None));
        }
        attributes.set_item(name, &self.catcher)?;
        let task = make();
        attributes.del_item(name)?;
        let caught = self.catcher.borrow_mut(py).caught.take();
        Ok((task?, caught))
    }

    /// Runs a task's first step. What it raises is the task's, unless the step did not come to run: then it is the
    /// loop's after all.
    pub(super) fn run(&self, py: Python<'_>, books: &Books, caught: Caught) -> PyResult<()> {
        if caught.has_run(py) {
            return Ok(());
        }
        // Where a task is being run, this is called from within one, as nested loops do. It stands aside, as it does
        // for tasks that start eagerly from 3.12 on; the loop would not run the step either.
        if let Some(outer) = books.current(py)? {
            books.leave(&outer)?;
            let has_run = caught.has_run(py);
            books.enter(&outer)?;
            if has_run {
                return Ok(());
            }
        }
        let Caught { step, context } = caught;
        let options = PyDict::new(py);
        options.set_item(intern!(py, "context"), context)?;
        let event_loop = self.catcher.borrow(py).event_loop.clone_ref(py);
        event_loop.call_method(py, intern!(py, "call_soon"), (step,), Some(&options))?;
        Ok(())
    }
}

/// A first step that was kept from the loop.
pub(super) struct Caught {
    pub(super) step: Py<PyAny>,
    pub(super) context: Py<PyAny>,
}

impl Caught {
    /// Runs the step, unless another task is being run, or the context is entered.
    fn has_run(&self, py: Python<'_>) -> bool {
        let ran = self
            .context
            .call_method1(py, intern!(py, "run"), (&self.step,));
        !ran.is_err_and(|error| error.is_instance_of::<PyRuntimeError>(py))
    }
}

/// Stands for the loop's `call_soon` while a task is made.
#[pyclass(module = "bustapi._core")]
struct Catcher {
    event_loop: Py<PyAny>,
    /// Once it is known.
    step_class: Option<Py<PyType>>,
    caught: Option<Caught>,
}

impl Catcher {
    fn is_step(&mut self, callback: &Bound<'_, PyAny>) -> PyResult<bool> {
        let class = callback.get_type();
        if let Some(known) = &self.step_class {
            return Ok(class.is(known));
        }
        if class.name()? != STEP {
            return Ok(false);
        }
        self.step_class = Some(class.unbind());
        Ok(true)
    }
}

#[pymethods]
impl Catcher {
    #[pyo3(signature = (callback, *args, context = None))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        callback: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let event_loop = {
            let mut this = slf.try_borrow_mut()?;
            if this.caught.is_none()
                && let Some(context) = &context
                && this.is_step(callback)?
            {
                this.caught = Some(Caught {
                    step: callback.clone().unbind(),
                    context: context.clone().unbind(),
                });
                return Ok(py.None().into_bound(py));
            }
            this.event_loop.clone_ref(py)
        };
        // What the loop's class defines: the attribute of the loop itself is this.
        let event_loop = event_loop.bind(py);
        let own = event_loop
            .get_type()
            .getattr(intern!(py, "call_soon"))?
            .call_method1(intern!(py, "__get__"), (event_loop,))?;
        let options = PyDict::new(py);
        options.set_item(intern!(py, "context"), context)?;
        let arguments = PyTuple::new(
            py,
            std::iter::once(callback.clone())
                .chain(args.iter())
                .collect::<Vec<_>>(),
        )?;
        own.call(arguments, Some(&options))
    }
}
