//! One request through its view: calls, and what results and exceptions mean.

use super::plan::{Plan, Steps, Table};
use super::reply::{Reply, Rest};
use crate::http::{is_field_name, is_field_value};
use crate::py::face::state::{RequestState, kernel};
use crate::py::ffi;
use crate::py::json;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};
use std::sync::Arc;

const HTML: &[u8] = b"text/html; charset=utf-8";
const JSON: &[u8] = b"application/json";

/// The parts of a table that running a request needs; cheap to clone for another thread.
pub struct App {
    pub object: Py<PyAny>,
    pub json: Option<Arc<json::DumpOptions>>,
}

impl App {
    pub fn of(py: Python<'_>, table: &Table) -> Self {
        Self {
            object: table.app.clone_ref(py),
            json: table.json.clone(),
        }
    }
}

/// Runs a sync plan in the entered context, and fills `reply`. Every exception becomes an answer.
pub fn run(
    py: Python<'_>,
    app: &App,
    plan: &Plan,
    state: &Bound<'_, RequestState>,
    reply: &mut Reply,
) {
    let result =
        match &plan.steps {
            Steps::Bare => call_view(py, plan, state)
                .and_then(|value| bare_result(py, app, state, &value, reply)),
            Steps::Hooks {
                before,
                after,
                teardown,
            } => run_hooks(py, app, plan, state, (before, after, teardown), reply),
            Steps::Full => full(py, app, state)
                .and_then(|response| response_to_reply(py, state, &response, reply)),
        };
    if let Err(error) = result {
        fail(py, app, state, error, reply);
    }
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
    let concerned = state.try_borrow()?.concerns_response();
    if !concerned && plain_result(py, app, value, reply)? {
        return Ok(());
    }
    let mut response = app
        .object
        .bind(py)
        .call_method1(intern!(py, "make_response"), (value,))?;
    if concerned {
        response = kernel(py)?.call_method1(
            intern!(py, "process_response"),
            (&app.object, state, response),
        )?;
    }
    response_to_reply(py, state, &response, reply)
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
        reply.content_type = Some(JSON);
        return Ok(true);
    }
    if let Ok(text) = value.cast_exact::<PyString>() {
        reply.body.extend_from_slice(text.to_str()?.as_bytes());
        reply.content_type = Some(HTML);
        return Ok(true);
    }
    if let Ok(bytes) = value.cast_exact::<PyBytes>() {
        reply.set_bytes(bytes);
        reply.content_type = Some(HTML);
        return Ok(true);
    }
    if let Ok(pair) = value.cast_exact::<PyTuple>() {
        if pair.len() == 2 {
            let (body, status) = (pair.get_item(0)?, pair.get_item(1)?);
            if status.is_exact_instance_of::<PyInt>() && !body.is_instance_of::<PyTuple>() {
                if let Ok(status @ 200..=599) = status.extract::<u16>() {
                    if plain_result(py, app, &body, reply)? {
                        reply.status = status;
                        return Ok(true);
                    }
                }
            }
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
) -> PyResult<()> {
    let result = hooked_response(py, app, plan, state, before, after);
    let (response, raised) = match result {
        Ok(response) => (Ok(response), None),
        Err(error) => {
            let raised = error.value(py).clone().into_any();
            (handle_error(py, app, state, error), Some(raised))
        }
    };
    // The response is read before the functions of teardown run, as the server would have it by then.
    let sent = response.and_then(|response| response_to_reply(py, state, &response, reply));
    for function in teardown {
        if let Err(error) = function.bind(py).call1((&raised,)) {
            log(py, app, state, error);
        }
    }
    sent
}

fn hooked_response<'py>(
    py: Python<'py>,
    app: &App,
    plan: &Plan,
    state: &Bound<'py, RequestState>,
    before: &[Py<PyAny>],
    after: &[Py<PyAny>],
) -> PyResult<Bound<'py, PyAny>> {
    let mut value = None;
    for function in before {
        let result = function.bind(py).call0()?;
        if !result.is_none() {
            value = Some(result);
            break;
        }
    }
    let value = match value {
        Some(value) => value,
        None => call_view(py, plan, state)?,
    };
    let mut response = app
        .object
        .bind(py)
        .call_method1(intern!(py, "make_response"), (value,))?;
    if state.try_borrow()?.concerns_response() {
        return kernel(py)?.call_method1(
            intern!(py, "process_response"),
            (&app.object, state, response),
        );
    }
    for function in after {
        response = function.bind(py).call1((response,))?;
    }
    if state.try_borrow()?.concerns_response() {
        // An after_request function touched the session.
        response = kernel(py)?.call_method1(intern!(py, "finish_session"), (state, response))?;
    }
    Ok(response)
}

/// The dialect's whole pipeline.
fn full<'py>(
    py: Python<'py>,
    app: &App,
    state: &Bound<'py, RequestState>,
) -> PyResult<Bound<'py, PyAny>> {
    kernel(py)?.call_method1(intern!(py, "full_dispatch"), (&app.object, state))
}

/// Error handlers of the application, then what is left of the pipeline; returns a response or raises.
fn handle_error<'py>(
    py: Python<'py>,
    app: &App,
    state: &Bound<'py, RequestState>,
    error: PyErr,
) -> PyResult<Bound<'py, PyAny>> {
    kernel(py)?.call_method1(
        intern!(py, "handle_error"),
        (&app.object, state, error.value(py)),
    )
}

/// An exception that left the view or the pipeline becomes the application's answer, or a plain 500.
pub fn fail(
    py: Python<'_>,
    app: &App,
    state: &Bound<'_, RequestState>,
    error: PyErr,
    reply: &mut Reply,
) {
    reply.clear();
    let answered = handle_error(py, app, state, error)
        .and_then(|response| response_to_reply(py, state, &response, reply));
    if let Err(error) = answered {
        log(py, app, state, error);
        internal_error(reply);
    }
}

/// The answer of last resort: no internals.
pub fn internal_error(reply: &mut Reply) {
    reply.clear();
    reply.status = 500;
    reply.content_type = Some(HTML);
    reply.body.extend_from_slice(
        b"<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n\
          <h1>Internal Server Error</h1>\n<p>The server could not complete this request.</p>\n",
    );
}

/// Tells the application's log; what cannot be logged goes to `sys.unraisablehook`.
pub fn log(py: Python<'_>, app: &App, state: &Bound<'_, RequestState>, error: PyErr) {
    let logged = kernel(py).and_then(|kernel| {
        kernel.call_method1(
            intern!(py, "log_failure"),
            (&app.object, state, error.value(py)),
        )
    });
    if logged.is_err() {
        error.write_unraisable(py, None);
    }
}

/// Reads a response object into `reply`: its own fields where it is the stock class, else what it says as a
/// WSGI application.
pub fn response_to_reply(
    py: Python<'_>,
    state: &Bound<'_, RequestState>,
    response: &Bound<'_, PyAny>,
    reply: &mut Reply,
) -> PyResult<()> {
    let parts = kernel(py)?.call_method1(intern!(py, "render"), (response, state))?;
    let parts = parts.cast::<PyTuple>()?;
    let (status, reason, fields, body) = (
        parts.get_item(0)?,
        parts.get_item(1)?,
        parts.get_item(2)?,
        parts.get_item(3)?,
    );
    reply.status = status.extract()?;
    if !(200..=999).contains(&reply.status) {
        return Err(PyValueError::new_err(format!(
            "{} is not the status of a final response",
            reply.status
        )));
    }
    if let Ok(reason) = reason.cast::<PyString>() {
        let reason = encode_latin1(reason)?;
        if !is_field_value(&reason) {
            return Err(PyValueError::new_err(
                "a reason phrase must not contain control characters",
            ));
        }
        reply.reason = Some(reason);
    }
    let mut length = None;
    for pair in fields.cast::<PyList>()?.iter() {
        let pair = pair.cast_into::<PyTuple>()?;
        let (name, value) = (pair.get_item(0)?, pair.get_item(1)?);
        let (name, value) = (encode_latin1(name.cast()?)?, encode_latin1(value.cast()?)?);
        if !is_field_name(&name) || !is_field_value(&value) {
            return Err(PyValueError::new_err(format!(
                "the response header {:?} has a name or value that cannot be sent",
                String::from_utf8_lossy(&name)
            )));
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            length = std::str::from_utf8(&value)
                .ok()
                .and_then(|v| v.parse::<u64>().ok());
            continue;
        }
        reply.field(&name, &value);
    }
    if let Ok(bytes) = body.cast::<PyBytes>() {
        reply.set_bytes(bytes);
    } else {
        reply.rest = Rest::Stream(body.unbind(), length);
    }
    Ok(())
}

fn encode_latin1(text: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    let text = text.to_str()?;
    if text.is_ascii() {
        return Ok(text.as_bytes().to_vec());
    }
    text.chars()
        .map(|c| u8::try_from(u32::from(c)))
        .collect::<Result<_, _>>()
        .map_err(|_| {
            PyValueError::new_err(format!("the response header value {text:?} is not latin-1"))
        })
}
