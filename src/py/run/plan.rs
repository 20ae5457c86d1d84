//! What the server knows of an application: its rules as a router, and for each rule how its view is run.
//!
//! Built by the application's dialect for one value of the application's generation; a later value
//! makes the table stale, and it is built again before the next request is answered.

use super::folder::Folder;
use super::watch::Watch;
use crate::http::forwarded::Counts;
use crate::pace::Pace;
use crate::py::face::application::App;
use crate::py::face::session::SessionReader;
use crate::py::json::DumpOptions;
use crate::py::route::Router as PyRouter;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where a view runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On the reactor's thread, within the turn.
    Inline,
    /// On a thread of the pool.
    Pool,
    /// As a task of the event loop.
    Task,
    /// Inline or in the pool, as the route's pace says.
    Auto,
}

/// What runs beside the view.
pub enum Steps {
    /// Nothing.
    Bare,
    /// Nothing, and the view only sends files of a folder.
    Files(Folder),
    /// Plain hooks: the view's result becomes a response between them.
    Hooks {
        before: Vec<Py<PyAny>>,
        after: Vec<Py<PyAny>>,
        teardown: Vec<Py<PyAny>>,
    },
    /// Everything the dialect has, in Python.
    Full,
    /// The dialect's way through a WebSocket's handshake and life.
    Socket,
}

/// How one rule's requests are run.
pub struct Plan {
    pub rule: Py<PyAny>,
    pub view: Py<PyAny>,
    pub mode: Mode,
    pub steps: Steps,
    /// OPTIONS is answered for the view.
    pub automatic_options: bool,
    /// Of `Mode::Auto`; the same for all tables and reactors.
    pub pace: Arc<Pace>,
    /// How long the view may take.
    pub timeout: Option<Duration>,
    /// Whether the view is cancelled when its client has gone; None: if the method is GET or HEAD.
    pub cancels: Option<bool>,
    /// Whether the view reads a body while it arrives; None: a large one, on a thread of the pool or as `reads_stream`
    /// says.
    pub streams_body: Option<bool>,
    /// Of a task: its own code reads the body piece by piece.
    pub reads_stream: bool,
}

/// What is known of the routes of an application beyond the life of a table: how their views have behaved.
#[derive(Default)]
pub struct Paces(Mutex<HashMap<usize, Known>>);

struct Known {
    /// Keeps the address the rule's.
    _rule: Py<PyAny>,
    view: Py<PyAny>,
    pace: Arc<Pace>,
}

impl Paces {
    /// The record of a rule; a new one if its view was replaced.
    fn of(&self, py: Python<'_>, rule: &Py<PyAny>, view: &Py<PyAny>) -> Arc<Pace> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = rule.as_ptr() as usize;
        if let Some(known) = known.get(&at)
            && known.view.is(view)
        {
            return Arc::clone(&known.pace);
        }
        let pace = Arc::new(Pace::default());
        let replaced = known.insert(
            at,
            Known {
                _rule: rule.clone_ref(py),
                view: view.clone_ref(py),
                pace: Arc::clone(&pace),
            },
        );
        drop(known);
        // Outside of the lock: what a view's end runs is not ours.
        drop(replaced);
        pace
    }
}

/// One application at one generation.
pub struct Table {
    pub generation: u64,
    pub router: Py<PyRouter>,
    plans: Vec<Option<Arc<Plan>>>,
    rules: Py<PyList>,
    pub app: Arc<App>,
    /// How a request without a rule is run: 404, 405, redirects, automatic OPTIONS.
    pub unmatched: Arc<Plan>,
    pub watch: Watch,
    paces: Arc<Paces>,
    /// The application's rules need a host to match.
    pub host_matching: bool,
    /// The application believes so many proxies, and its rules are looked at after that (`host_matching` says so too).
    pub proxies: Option<Counts>,
    /// Some rules are for WebSockets.
    pub sockets: bool,
}

impl Table {
    /// Asks the dialect for the application as it is now.
    pub fn build(
        py: Python<'_>,
        app: &Py<PyAny>,
        generation: u64,
        paces: &Arc<Paces>,
    ) -> PyResult<Self> {
        let dialect = app.bind(py).getattr(intern!(py, "_dialect"))?;
        let table = dialect.call_method1(intern!(py, "table"), (app,))?;
        let rules: Bound<'_, PyList> = table.getattr("rules")?.extract()?;
        let cookie: Option<String> = table.getattr("session_cookie")?.extract()?;
        let unmatched = Plan {
            rule: py.None(),
            view: py.None(),
            mode: mode(&table.getattr("unmatched_mode")?)?,
            steps: Steps::Full,
            automatic_options: false,
            pace: paces.of(py, &py.None(), &py.None()),
            timeout: None,
            cancels: Some(false),
            streams_body: None,
            reads_stream: false,
        };
        Ok(Self {
            generation,
            router: table.getattr("router")?.extract()?,
            plans: (0..rules.len()).map(|_| None).collect(),
            rules: rules.unbind(),
            unmatched: Arc::new(unmatched),
            paces: Arc::clone(paces),
            watch: Watch::new(
                table.getattr("watch")?.cast()?,
                table.getattr("receivers")?.cast()?,
            )?,
            host_matching: table.getattr("host_matching")?.extract()?,
            proxies: counts(&table.getattr("proxies")?)?,
            sockets: table.getattr("sockets")?.extract()?,
            app: Arc::new(App {
                object: app.clone_ref(py),
                json: json_options(&table.getattr("json")?)?,
                session_cookie: cookie.map(String::into_bytes),
                session_is_json: table.getattr("session_is_json")?.extract()?,
                session_reader: SessionReader::extract(&table.getattr("session_reader")?)?,
                response_class: table.getattr("response_class")?.extract()?,
                request_class: table.getattr("request_class")?.extract()?,
                json_body_limit: table.getattr("json_body_limit")?.extract()?,
                json_provider: match app.bind(py).getattr_opt(intern!(py, "json"))? {
                    Some(provider) => provider.unbind(),
                    None => py.None(),
                },
                headers_class: table.getattr("headers_class")?.extract()?,
                plain_urls: table.getattr("plain_urls")?.extract()?,
                dialect: dialect.unbind(),
            }),
        })
    }

    /// The number of a rule.
    pub fn position(&self, py: Python<'_>, rule: &Bound<'_, PyAny>) -> Option<usize> {
        self.rules.bind(py).iter().position(|other| other.is(rule))
    }

    /// The plan of rule number `rule`, compiled on its first request.
    pub fn plan(&mut self, py: Python<'_>, rule: usize) -> PyResult<Arc<Plan>> {
        if let Some(Some(plan)) = self.plans.get(rule) {
            return Ok(Arc::clone(plan));
        }
        let rule_object = self.rules.bind(py).get_item(rule)?;
        let spec = self
            .app
            .call(intern!(py, "describe"), (&self.app.object, &rule_object))?;
        let rule_object = rule_object.unbind();
        let view = spec.getattr("view")?.unbind();
        let timeout: Option<f64> = spec.getattr("timeout")?.extract()?;
        let plan = Arc::new(Plan {
            pace: self.paces.of(py, &rule_object, &view),
            rule: rule_object,
            view,
            mode: mode(&spec.getattr("mode")?)?,
            steps: steps(&spec)?,
            automatic_options: spec.getattr("automatic_options")?.is_truthy()?,
            // What cannot be represented is longer than anything runs.
            timeout: timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            cancels: spec.getattr("cancels")?.extract()?,
            streams_body: spec.getattr("streams_body")?.extract()?,
            reads_stream: spec.getattr("reads_stream")?.is_truthy()?,
        });
        if let Some(slot) = self.plans.get_mut(rule) {
            *slot = Some(Arc::clone(&plan));
        }
        Ok(plan)
    }
}

/// `bustapi.kernel.plan.JsonStyle`.
fn json_options(style: &Bound<'_, PyAny>) -> PyResult<Option<DumpOptions>> {
    if style.is_none() {
        return Ok(None);
    }
    let layout = if style.getattr("indented")?.is_truthy()? {
        DumpOptions::debug()
    } else {
        DumpOptions::compact()
    };
    Ok(Some(DumpOptions {
        sort_keys: style.getattr("sort_keys")?.is_truthy()?,
        ensure_ascii: style.getattr("ensure_ascii")?.is_truthy()?,
        ..layout
    }))
}

/// The five numbers, in the order of `ProxyFix`'s arguments.
fn counts(numbers: &Bound<'_, PyAny>) -> PyResult<Option<Counts>> {
    if numbers.is_none() {
        return Ok(None);
    }
    let (x_for, x_proto, x_host, x_port, x_prefix) = numbers.extract()?;
    Ok(Some(Counts {
        x_for,
        x_proto,
        x_host,
        x_port,
        x_prefix,
    }))
}

fn mode(name: &Bound<'_, PyAny>) -> PyResult<Mode> {
    Ok(match name.extract::<&str>()? {
        "pool" => Mode::Pool,
        "task" => Mode::Task,
        "inline" => Mode::Inline,
        _ => Mode::Auto,
    })
}

fn steps(spec: &Bound<'_, PyAny>) -> PyResult<Steps> {
    if spec.getattr("socket")?.is_truthy()? {
        return Ok(Steps::Socket);
    }
    if spec.getattr("bare")?.is_truthy()? {
        let folder = Folder::extract(&spec.getattr("folder")?)?;
        return Ok(folder.map_or(Steps::Bare, Steps::Files));
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
