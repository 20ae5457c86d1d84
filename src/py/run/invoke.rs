//! One request through its view: calls, and what results and exceptions mean.

use super::folder::Folder;
use super::plan::{Plan, Steps};
use super::reply::Reply;
use super::response;
use super::socket::Socket;
use crate::py::face::application::App;
use crate::py::face::state::RequestState;
use crate::py::ffi;
use crate::py::json;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};

const HTML: &[u8] = b"Content-Type: text/html; charset=utf-8\r\n";
const JSON: &[u8] = b"Content-Type: application/json\r\n";

/// What a request ended with instead of a response, by where it came from: that decides who is asked about it.
pub enum Failed {
    /// The view, or a function before it: error handlers are asked.
    InView(PyErr),
    /// The making of the response, or a function after the view: only the handler of 500 is asked.
    After(PyErr),
    /// The whole pipeline, which has asked everybody.
    Unanswered(PyErr),
}

/// Runs a sync plan in the entered context, and fills `reply`. Every exception becomes an answer.
pub fn run(
    py: Python<'_>,
    app: &App,
    plan: &Plan,
    state: &Bound<'_, RequestState>,
    reply: &mut Reply,
) {
    match &plan.steps {
        Steps::Files(folder) => send_file(py, app, plan, state, folder, reply),
        Steps::Bare => run_bare(py, app, plan, state, reply),
        Steps::Hooks {
            before,
            after,
            teardown,
        } => run_hooks(py, app, plan, state, (before, after, teardown), reply),
        Steps::Full | Steps::Socket => run_full(py, app, state, reply),
    }
}

/// Nothing but the view.
pub fn run_bare(
    py: Python<'_>,
    app: &App,
    plan: &Plan,
    state: &Bound<'_, RequestState>,
    reply: &mut Reply,
) {
    let result = call_view(py, plan, state)
        .map_err(Failed::InView)
        .and_then(|value| bare_result(py, app, state, &value, reply).map_err(Failed::After));
    let unhandled = match result {
        Ok(()) => None,
        Err(failed) => answer(py, app, state, failed, reply),
    };
    end(py, app, state, unhandled, reply);
}

/// A static file, from the folder or through the view.
#[cold]
#[inline(never)]
fn send_file(
    py: Python<'_>,
    app: &App,
    plan: &Plan,
    state: &Bound<'_, RequestState>,
    folder: &Folder,
    reply: &mut Reply,
) {
    match folder.answer(py, state, reply) {
        Ok(true) => return,
        Ok(false) => {}
        // The view meets with the same, and its error goes through the application's handlers.
        Err(error) => drop(error),
    }
    reply.clear();
    run_bare(py, app, plan, state, reply);
}

/// `view(**view_args)`.
pub fn call_view<'py>(
    py: Python<'py>,
    plan: &Plan,
    state: &Bound<'py, RequestState>,
) -> PyResult<Bound<'py, PyAny>> {
    let view = plan.view.bind(py);
    let arguments = state.try_borrow()?.view_arguments(py);
    match arguments {
        Some(arguments) if !arguments.is_empty() => ffi::call_with_kwargs(view, &arguments),
        _ => view.call0(),
    }
}

/// What a bare view returned, as an answer; through a response object only where one is needed.
pub fn bare_result(
    py: Python<'_>,
    app: &App,
    state: &Bound<'_, RequestState>,
    value: &Bound<'_, PyAny>,
    reply: &mut Reply,
) -> PyResult<()> {
    let effect = session_effect(py, app, state)?;
    if effect != Effect::Whole && plain_result(py, app, value, reply)? {
        if effect == Effect::Vary {
            reply.field(b"Vary", b"Cookie");
        }
        return Ok(());
    }
    let response = finished_response(py, app, state, value, &[])?;
    response::read(py, app, state, &response, reply)
}

/// What the request's session does to its response.
#[derive(PartialEq, Eq)]
enum Effect {
    Nothing,
    /// It was read: one field says so.
    Vary,
    /// It has to be saved, or functions wait for the response.
    Whole,
}

fn session_effect(py: Python<'_>, app: &App, state: &Bound<'_, RequestState>) -> PyResult<Effect> {
    {
        let state = state.try_borrow()?;
        if !state.concerns_response() {
            return Ok(Effect::Nothing);
        }
        if !state.has_session_only() {
            return Ok(Effect::Whole);
        }
    }
    if let Some(varies) = RequestState::session_varies(state)? {
        return Ok(if varies {
            Effect::Vary
        } else {
            Effect::Nothing
        });
    }
    let varies: Option<bool> = app
        .call(intern!(py, "session_varies"), (&app.object, state))?
        .extract()?;
    Ok(match varies {
        None => Effect::Whole,
        Some(true) => Effect::Vary,
        Some(false) => Effect::Nothing,
    })
}

/// str, bytes, dict, list, and these with a status: written as they are. `false`: something else.
fn plain_result(
    py: Python<'_>,
    app: &App,
    value: &Bound<'_, PyAny>,
    reply: &mut Reply,
) -> PyResult<bool> {
    if value.is_exact_instance_of::<PyDict>() || value.is_exact_instance_of::<PyList>() {
        let Some(options) = &app.json else {
            return Ok(false);
        };
        json::dump(py, value, options, &mut reply.body)?;
        reply.body.push(b'\n');
        reply.lines = JSON;
        return Ok(true);
    }
    if let Ok(text) = value.cast_exact::<PyString>() {
        reply.body.extend_from_slice(text.to_str()?.as_bytes());
        reply.lines = HTML;
        return Ok(true);
    }
    if let Ok(bytes) = value.cast_exact::<PyBytes>() {
        reply.set_bytes(bytes);
        reply.lines = HTML;
        return Ok(true);
    }
    if let Ok(pair) = value.cast_exact::<PyTuple>()
        && pair.len() == 2
    {
        let (body, status) = (pair.get_item(0)?, pair.get_item(1)?);
        if status.is_exact_instance_of::<PyInt>()
            && !body.is_instance_of::<PyTuple>()
            && let Ok(status @ 200..=599) = status.extract::<u16>()
            // These lose header fields.
            && !matches!(status, 204 | 304)
            && plain_result(py, app, &body, reply)?
        {
            reply.status = status;
            return Ok(true);
        }
    }
    Ok(false)
}

type HookLists<'a> = (&'a [Py<PyAny>], &'a [Py<PyAny>], &'a [Py<PyAny>]);

/// before_request functions, view, response, after_request functions, teardown: the order Flask has.
fn run_hooks(
    py: Python<'_>,
    app: &App,
    plan: &Plan,
    state: &Bound<'_, RequestState>,
    (before, after, teardown): HookLists<'_>,
    reply: &mut Reply,
) {
    let result = hooked_response(py, app, plan, state, before, after).and_then(|response| {
        // Read before the functions of teardown run, as a server has it by then.
        response::read(py, app, state, &response, reply).map_err(Failed::After)
    });
    let unhandled = match result {
        Ok(()) => None,
        Err(failed) => answer(py, app, state, failed, reply),
    };
    // A context that was made may be pushed longer than the request lasts: it knows when to run them.
    if state
        .try_borrow()
        .is_ok_and(|state| !state.has_request_context())
    {
        for function in teardown {
            if let Err(error) = function.bind(py).call1((&unhandled,)) {
                // The rest of them is not called, as the pipeline has it.
                answer_failed_end(py, app, state, error, reply);
                break;
            }
        }
        // One that was made since, by what they did or by the log, would run them again.
        RequestState::forget_request_context(state);
    }
    end(py, app, state, unhandled, reply);
}

fn hooked_response<'py>(
    py: Python<'py>,
    app: &App,
    plan: &Plan,
    state: &Bound<'py, RequestState>,
    before: &[Py<PyAny>],
    after: &[Py<PyAny>],
) -> Result<Bound<'py, PyAny>, Failed> {
    let mut value = None;
    for function in before {
        let result = function.bind(py).call0().map_err(Failed::InView)?;
        if !result.is_none() {
            value = Some(result);
            break;
        }
    }
    let value = match value {
        Some(value) => value,
        None => call_view(py, plan, state).map_err(Failed::InView)?,
    };
    finished_response(py, app, state, &value, after).map_err(Failed::After)
}

fn finished_response<'py>(
    py: Python<'py>,
    app: &App,
    state: &Bound<'py, RequestState>,
    value: &Bound<'py, PyAny>,
    after: &[Py<PyAny>],
) -> PyResult<Bound<'py, PyAny>> {
    let mut response = match response::make(py, app, value)? {
        Some(response) => response,
        None => app
            .object
            .bind(py)
            .call_method1(intern!(py, "make_response"), (value,))?,
    };
    if state.try_borrow()?.has_request_context() {
        // Functions may have been registered for this request: they come before the application's own.
        return app.call(
            intern!(py, "process_response"),
            (&app.object, state, response),
        );
    }
    for function in after {
        response = function.bind(py).call1((response,))?;
    }
    if state.try_borrow()?.concerns_response() {
        response = app.call(
            intern!(py, "finish_session"),
            (&app.object, state, response),
        )?;
    }
    Ok(response)
}

/// The dialect's whole pipeline, which also leaves the contexts.
pub fn run_full(py: Python<'_>, app: &App, state: &Bound<'_, RequestState>, reply: &mut Reply) {
    let result = app
        .call(intern!(py, "full_dispatch"), (&app.object, state))
        .and_then(|rendered| response::from_rendered(&rendered, reply));
    if let Err(error) = result {
        answer(py, app, state, Failed::Unanswered(error), reply);
    }
}

/// A WebSocket from its handshake to its end. What it fills is sent only if the handshake was not accepted.
pub fn run_socket(
    py: Python<'_>,
    app: &App,
    state: &Bound<'_, RequestState>,
    socket: &Py<Socket>,
    reply: &mut Reply,
) {
    let result = app
        .call(intern!(py, "socket_dispatch"), (&app.object, state, socket))
        .and_then(|rendered| response::from_rendered(&rendered, reply));
    if let Err(error) = result {
        answer(py, app, state, Failed::Unanswered(error), reply);
    }
}

/// What ended a request becomes the application's answer, or a plain 500. Returns what nothing handled.
pub fn answer(
    py: Python<'_>,
    app: &App,
    state: &Bound<'_, RequestState>,
    failed: Failed,
    reply: &mut Reply,
) -> Option<Py<PyAny>> {
    reply.clear();
    let (error, in_view) = match failed {
        Failed::InView(error) => (error, true),
        Failed::After(error) => (error, false),
        Failed::Unanswered(error) => {
            let unhandled = error.clone_ref(py).into_value(py).into_any();
            log(py, app, state, error);
            internal_error(reply);
            return Some(unhandled);
        }
    };
    // With its traceback, which an exception that was fetched has not got of itself before 3.12.
    let raised = error.into_value(py).into_any();
    let answered = app
        .call(
            intern!(py, "answer_error"),
            (&app.object, state, &raised, in_view),
        )
        .and_then(|answered| {
            let (response, unhandled): (Bound<'_, PyAny>, Option<Py<PyAny>>) =
                answered.extract()?;
            response::read(py, app, state, &response, reply)?;
            Ok(unhandled)
        });
    match answered {
        Ok(unhandled) => unhandled,
        Err(error) => {
            log(py, app, state, error);
            internal_error(reply);
            Some(raised)
        }
    }
}

/// The request is over for the application: leaves the contexts that were made. An error there is the answer.
pub fn end(
    py: Python<'_>,
    app: &App,
    state: &Bound<'_, RequestState>,
    unhandled: Option<Py<PyAny>>,
    reply: &mut Reply,
) {
    if state.try_borrow().is_ok_and(|state| !state.has_contexts()) {
        return;
    }
    let left = app.call(intern!(py, "end_request"), (&app.object, state, unhandled));
    if let Err(error) = left {
        answer_failed_end(py, app, state, error, reply);
    }
}

#[cold]
#[inline(never)]
fn answer_failed_end(
    py: Python<'_>,
    app: &App,
    state: &Bound<'_, RequestState>,
    error: PyErr,
    reply: &mut Reply,
) {
    log(py, app, state, error);
    super::open::discard(py, reply);
    internal_error(reply);
}

/// The answer of last resort: no internals.
pub fn internal_error(reply: &mut Reply) {
    reply.clear();
    reply.status = 500;
    reply.lines = HTML;
    reply.body.extend_from_slice(
        b"<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n\
          <h1>Internal Server Error</h1>\n<p>The server could not complete this request.</p>\n",
    );
}

/// Tells the caller of a request without a connection, else the application's log; what cannot be logged goes to
/// `sys.unraisablehook`.
pub fn log(py: Python<'_>, app: &App, state: &Bound<'_, RequestState>, error: PyErr) {
    if RequestState::keep_failure(state, &error) {
        return;
    }
    let logged = app.call(
        intern!(py, "log_failure"),
        (&app.object, state, error.clone_ref(py).into_value(py)),
    );
    if logged.is_err() {
        error.write_unraisable(py, None);
    }
}
