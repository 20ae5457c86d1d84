//! Requests without a socket: through the engine, the router and the plans, on the caller's thread and in its context.
//!
//! A request goes in as the bytes that a client would send. Its answer comes out as the service would give it to the
//! connection: what a connection adds (`Date`, `Connection`, the framing) is between a server and its peer. There is no
//! pool and no loop here: every view runs where the caller is, a coroutine through the dialect's pipeline. What nothing
//! handles is raised to the caller and not logged.

use super::invoke::{self, Failed};
use super::plan::{Mode, Paces, Plan, Steps};
use super::planner::Planner;
use super::reply::{Reply, Rest};
use super::stream;
use crate::buf::{Arena, Budget, Outbox};
use crate::config::Config;
use crate::conn::{Conn, Parts, PeerAddr, Phase, Request, Shared};
use crate::h1::ReplyLength;
use crate::http::forwarded::Origin;
use crate::http::{Method, reason_phrase};
use crate::py::face::application::App;
use crate::py::face::environ::latin1;
use crate::py::face::generation::Generation;
use crate::py::face::internal;
use crate::py::face::state::RequestState;
use crate::py::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An application's requests without a socket.
#[pyclass(frozen, module = "bustapi._core")]
pub struct Loopback {
    app: Py<PyAny>,
    current: Py<PyAny>,
    config: Arc<Config>,
    /// Lent to one request while its plan is looked for; another one that comes meanwhile makes its own.
    planner: Mutex<Option<Planner>>,
}

#[pymethods]
impl Loopback {
    #[new]
    fn new(app: &Bound<'_, PyAny>) -> PyResult<Self> {
        let current = app
            .py()
            .import("bustapi.kernel.context")?
            .getattr("current")?;
        Ok(Self {
            app: app.clone().unbind(),
            current: current.unbind(),
            config: Arc::new(Config {
                // The application's own limits are what a test is about, and the bytes are in memory already.
                max_body: u64::MAX,
                max_body_in_memory: usize::MAX,
                ..Config::default()
            }),
            planner: Mutex::new(None),
        })
    }

    /// Runs one request, in the current context, which keeps it as the value of the context variable.
    ///
    /// Args: head and body as a client sends them; environ: the request's WSGI environment for who asks for one;
    /// client, server: the two ends; is_secure: the scheme is `https`; finish: called with the request's state at its end.
    ///
    /// Returns: status, reason phrase, header fields, body, and an iterator over what follows it or None. None: the
    /// engine refuses the request, which the application never saw.
    #[expect(clippy::too_many_arguments)]
    fn exchange<'py>(
        &self,
        py: Python<'py>,
        head: &[u8],
        body: &[u8],
        environ: Bound<'py, PyDict>,
        client: Option<IpAddr>,
        server: (String, u16),
        is_secure: bool,
        finish: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (name, port) = server;
        let peer = Arc::new(PeerAddr::Named { client, name, port });
        let Some(mut request) = self.receive(&peer, head, body) else {
            return Ok(None);
        };
        if is_secure {
            request.origin = Some(Box::new(Origin {
                scheme: Some("https"),
                ..Origin::default()
            }));
        }
        let is_head = request.head.method == Method::Head;
        let mut planner = match self.lock().take() {
            Some(planner) => planner,
            None => self.new_planner(py)?,
        };
        planner.look(py);
        let app = planner.refresh(py)?;
        let pinned = Budget::new(usize::MAX);
        let state = Bound::new(
            py,
            RequestState::new(request, peer, pinned, Arc::clone(&app)),
        )?;
        RequestState::make_local(&state, environ)?;
        ffi::set_context_var(self.current.bind(py), state.as_any())?;
        let planned = planner.plan(py, &state);
        *self.lock() = Some(planner);
        let mut reply = Reply::default();
        match planned {
            Ok(plan) => run(py, &app, &plan, &state, &mut reply),
            Err(error) => {
                let failed = Failed::InView(error);
                let unhandled = invoke::answer(py, &app, &state, failed, &mut reply);
                invoke::end(py, &app, &state, unhandled, &mut reply);
            }
        }
        if let Some(finish) = finish {
            finish.call1((&state,))?;
        }
        match RequestState::take_failure(&state)? {
            Some(error) => {
                if let Rest::Stream(iterator, _) = &reply.rest {
                    stream::close(iterator.bind(py), None);
                }
                Err(error)
            }
            None => answer(py, reply, is_head).map(Some),
        }
    }
}

impl Loopback {
    fn lock(&self) -> MutexGuard<'_, Option<Planner>> {
        self.planner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_planner(&self, py: Python<'_>) -> PyResult<Planner> {
        let generation = self.app.bind(py).getattr(intern!(py, "_generation"))?;
        let generation: Py<Generation> = generation.extract()?;
        let paces = Arc::new(Paces::default());
        Ok(Planner::new(
            self.app.clone_ref(py),
            generation.get().shared(),
            paces,
        ))
    }

    /// The bytes as a request, if the engine takes them.
    fn receive(&self, peer: &Arc<PeerAddr>, head: &[u8], body: &[u8]) -> Option<Request> {
        let mut shared = Shared::new(Arc::clone(&self.config), Budget::new(usize::MAX));
        let mut conn = Conn::new(self.config.h1_limits(), Arc::clone(peer), 0);
        let mut arena = Arena::new();
        for part in [head, body] {
            let mut rest = part;
            while !rest.is_empty() && conn.phase() != Phase::Closing {
                let spare = arena.spare();
                let taken = rest.len().min(spare.len());
                spare[..taken].copy_from_slice(&rest[..taken]);
                let read = arena.commit(taken);
                conn.handle_bytes(read, &mut shared);
                rest = &rest[taken..];
            }
        }
        conn.take_request()
    }
}

fn run(py: Python<'_>, app: &App, plan: &Plan, state: &Bound<'_, RequestState>, reply: &mut Reply) {
    if plan.mode == Mode::Task {
        invoke::run_full(py, app, state, reply);
    } else if let Steps::Files(_) = plan.steps {
        // The fields that a view adds for a server that has none are a part of its response.
        invoke::run_bare(py, app, plan, state, reply);
    } else {
        invoke::run(py, app, plan, state, reply);
    }
}

/// The reply as Python takes it; without a body where the client gets none (RFC 9110 6.4.1).
fn answer(py: Python<'_>, mut reply: Reply, is_head: bool) -> PyResult<Bound<'_, PyAny>> {
    let status = reply.status;
    let rest = std::mem::replace(&mut reply.rest, Rest::Nothing);
    let mut body = std::mem::take(&mut reply.body);
    let mut iterator = None;
    let length = match rest {
        Rest::Nothing => Some(body.len() as u64),
        Rest::Bytes(bytes) => {
            body.extend_from_slice(bytes.as_bytes(py));
            Some(body.len() as u64)
        }
        Rest::Stream(pieces, length) => {
            iterator = Some(pieces.into_bound(py));
            length
        }
        Rest::File(parts) => read_file(*parts, &mut body)?,
        Rest::Pushed(..) => return Err(internal("nothing pushes a body here")),
    };
    let has_length = !matches!(status, 204 | 304);
    if is_head || !has_length {
        body.clear();
        if let Some(pieces) = iterator.take() {
            stream::close(&pieces, None);
        }
    }
    let fields = PyList::empty(py);
    let known = reply.lines.split(|b| *b == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r")?;
        let colon = line.iter().position(|b| *b == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii_start()))
    });
    for (name, value) in known.chain(reply.fields()) {
        fields.append((latin1(py, name), latin1(py, value)))?;
    }
    if let Some(length) = length.filter(|_| has_length) {
        // Behind the type that a plain value has, else where the response said it, else at the end.
        let at = match reply.length_at {
            None if !reply.lines.is_empty() => 1,
            None => fields.len(),
            Some(at) => at as usize,
        };
        fields.insert(at, ("Content-Length", length.to_string()))?;
    }
    let reason = match &reply.reason {
        Some(reason) => latin1(py, reason),
        None => PyString::new(py, reason_phrase(status).unwrap_or("UNKNOWN")),
    };
    let answer = (status, reason, fields, PyBytes::new(py, &body), iterator);
    Ok(answer.into_pyobject(py)?.into_any())
}

/// Appends what is sent of files, and returns the length that the client is told.
fn read_file(parts: Parts, body: &mut Vec<u8>) -> PyResult<Option<u64>> {
    let mut outbox = Outbox::default();
    for segment in parts.segments.into_iter().filter(|part| !part.is_empty()) {
        outbox.push(segment);
    }
    let mut sent = Vec::new();
    while !outbox.is_empty() {
        outbox.flush(body, &mut sent, usize::MAX)?;
    }
    Ok(match parts.length {
        ReplyLength::Known(length) => Some(length),
        ReplyLength::Unknown => None,
    })
}
