//! What the server knows of an application: its rules as a router, and for each rule how its view is run.
//!
//! Built from Python by `bustapi.kernel.serving` for one value of the application's generation; a later value
//! makes the table stale, and it is built again before the next request is answered.

use super::watch::Watch;
use crate::py::json::DumpOptions;
use crate::py::route::Router as PyRouter;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple};
use std::sync::Arc;

/// Where a view runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On the reactor's thread, within the turn.
    Inline,
    /// On a thread of the pool.
    Pool,
    /// As a task of the event loop.
    Task,
}

/// What runs beside the view.
pub enum Steps {
    /// Nothing.
    Bare,
    /// Plain hooks: the view's result becomes a response between them.
    Hooks {
        before: Vec<Py<PyAny>>,
        after: Vec<Py<PyAny>>,
        teardown: Vec<Py<PyAny>>,
    },
    /// Everything the dialect has, in Python.
    Full,
}

/// How one rule's requests are run.
pub struct Plan {
    pub rule: Py<PyAny>,
    pub view: Py<PyAny>,
    pub mode: Mode,
    pub steps: Steps,
}

/// One application at one generation.
pub struct Table {
    pub generation: u64,
    pub router: Py<PyRouter>,
    plans: Vec<Option<Arc<Plan>>>,
    rules: Py<PyList>,
    pub app: Py<PyAny>,
    /// What dict and list results are written with; None when the application's provider must do it.
    pub json: Option<Arc<DumpOptions>>,
    /// How a request without a rule is run: 404, 405, redirects, automatic OPTIONS.
    pub unmatched: Arc<Plan>,
    pub watch: Watch,
    /// The application's rules need a host to match.
    pub host_matching: bool,
}

/// `bustapi.kernel.serving`.
fn planner(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static PLANNER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let module = PLANNER.get_or_try_init(py, || {
        py.import("bustapi.kernel.serving")
            .map(|m| m.into_any().unbind())
    })?;
    Ok(module.bind(py))
}

impl Table {
    /// Asks Python for the application as it is now.
    pub fn build(py: Python<'_>, app: &Py<PyAny>, generation: u64) -> PyResult<Self> {
        let table = planner(py)?.call_method1("table", (app,))?;
        let rules: Bound<'_, PyList> = table.getattr("rules")?.extract()?;
        let router: Py<PyRouter> = table.getattr("router")?.extract()?;
        let json = match table
            .getattr("json")?
            .extract::<Option<String>>()?
            .as_deref()
        {
            Some("compact") => Some(Arc::new(DumpOptions::compact())),
            Some("debug") => Some(Arc::new(DumpOptions::debug())),
            _ => None,
        };
        let unmatched = Plan {
            rule: py.None(),
            view: py.None(),
            mode: mode(&table.getattr("unmatched_mode")?)?,
            steps: Steps::Full,
        };
        Ok(Self {
            generation,
            router,
            plans: (0..rules.len()).map(|_| None).collect(),
            rules: rules.unbind(),
            app: app.clone_ref(py),
            json,
            unmatched: Arc::new(unmatched),
            watch: Watch::new(
                table.getattr("watch")?.cast()?,
                table.getattr("receivers")?.cast()?,
            )?,
            host_matching: table.getattr("host_matching")?.extract()?,
        })
    }

    /// The plan of rule number `rule`, compiled on its first request.
    pub fn plan(&mut self, py: Python<'_>, rule: usize) -> PyResult<Arc<Plan>> {
        if let Some(Some(plan)) = self.plans.get(rule) {
            return Ok(Arc::clone(plan));
        }
        let rule_object = self.rules.bind(py).get_item(rule)?;
        let spec = planner(py)?.call_method1("describe", (&self.app, &rule_object))?;
        let plan = Arc::new(Plan {
            rule: rule_object.unbind(),
            view: spec.getattr("view")?.unbind(),
            mode: mode(&spec.getattr("mode")?)?,
            steps: steps(&spec)?,
        });
        if let Some(slot) = self.plans.get_mut(rule) {
            *slot = Some(Arc::clone(&plan));
        }
        Ok(plan)
    }
}

fn mode(name: &Bound<'_, PyAny>) -> PyResult<Mode> {
    Ok(match name.extract::<&str>()? {
        "pool" => Mode::Pool,
        "task" => Mode::Task,
        _ => Mode::Inline,
    })
}

fn steps(spec: &Bound<'_, PyAny>) -> PyResult<Steps> {
    if spec.getattr("bare")?.is_truthy()? {
        return Ok(Steps::Bare);
    }
    if spec.getattr("hooks_only")?.is_truthy()? {
        return Ok(Steps::Hooks {
            before: functions(&spec.getattr("before")?)?,
            after: functions(&spec.getattr("after")?)?,
            teardown: functions(&spec.getattr("teardown")?)?,
        });
    }
    Ok(Steps::Full)
}

fn functions(tuple: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
    Ok(tuple.cast::<PyTuple>()?.iter().map(Bound::unbind).collect())
}
