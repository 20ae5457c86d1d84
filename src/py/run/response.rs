//! Response objects into replies: by their attributes where the class is the application's own stock one, else by
//! what the dialect reads from them.

use super::file::FileBody;
use super::reply::{Reply, Rest};
use crate::http::{is_field_name, is_field_value, reason_phrase};
use crate::py::face::application::App;
use crate::py::face::state::RequestState;
use crate::py::{ffi, json};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};
use std::time::Duration;

/// Makes the response object of a plain value, as the response class's constructor would: a third of the time that
/// takes. None: the application's own method has to.
pub fn make<'py>(
    py: Python<'py>,
    app: &App,
    value: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (Some(class), Some(headers_class)) = (&app.response_class, &app.headers_class) else {
        return Ok(None);
    };
    let html = intern!(py, "text/html; charset=utf-8");
    let (data, content_type) = if let Ok(text) = value.cast_exact::<PyString>() {
        (PyBytes::new(py, text.to_str()?.as_bytes()), html)
    } else if let Ok(bytes) = value.cast_exact::<PyBytes>() {
        (bytes.clone(), html)
    } else if value.is_exact_instance_of::<PyDict>() || value.is_exact_instance_of::<PyList>() {
        let Some(options) = &app.json else {
            return Ok(None);
        };
        let mut text = Vec::with_capacity(256);
        json::dump(py, value, options, &mut text)?;
        text.push(b'\n');
        (PyBytes::new(py, &text), intern!(py, "application/json"))
    } else {
        return Ok(None);
    };
    let length = PyString::new(py, itoa::Buffer::new().format(data.as_bytes().len()));
    let fields = PyList::new(
        py,
        [
            (intern!(py, "Content-Type"), content_type),
            (intern!(py, "Content-Length"), &length),
        ],
    )?;
    let headers = ffi::new_object(headers_class.bind(py))?;
    headers.setattr(intern!(py, "_list"), fields)?;
    let response = ffi::new_object(class.bind(py))?;
    response.setattr(intern!(py, "headers"), headers)?;
    response.setattr(intern!(py, "_status"), intern!(py, "200 OK"))?;
    response.setattr(intern!(py, "_status_code"), 200)?;
    response.setattr(intern!(py, "direct_passthrough"), false)?;
    response.setattr(intern!(py, "_on_close"), PyList::empty(py))?;
    response.setattr(intern!(py, "response"), PyList::new(py, [data])?)?;
    Ok(Some(response))
}

/// Reads a response into `reply`.
pub fn read(
    py: Python<'_>,
    app: &App,
    state: &Bound<'_, RequestState>,
    response: &Bound<'_, PyAny>,
    reply: &mut Reply,
) -> PyResult<()> {
    if let Some(class) = &app.response_class {
        if response.get_type().is(class) && read_stock(py, response, reply)? {
            return Ok(());
        }
        reply.clear();
    }
    let rendered = app.call(intern!(py, "render"), (&app.object, state, response))?;
    from_rendered(&rendered, reply)
}

/// The attributes of Werkzeug's response class. `false`: this one needs the long way (a body that is generated,
/// something to call when it was sent, a location to complete); `reply` is then half filled.
fn read_stock(py: Python<'_>, response: &Bound<'_, PyAny>, reply: &mut Reply) -> PyResult<bool> {
    let status = response.getattr(intern!(py, "_status_code"))?;
    let line = response.getattr(intern!(py, "_status"))?;
    if !status.is_exact_instance_of::<PyInt>() || !set_status(&status, &line, reply)? {
        return Ok(false);
    }
    let body = response.getattr(intern!(py, "response"))?;
    let (Ok(body), Ok(on_close)) = (
        body.cast_exact::<PyList>(),
        response
            .getattr(intern!(py, "_on_close"))?
            .cast_into::<PyList>(),
    ) else {
        return Ok(false);
    };
    if !on_close.is_empty() {
        return Ok(false);
    }
    let fields = response
        .getattr(intern!(py, "headers"))?
        .getattr(intern!(py, "_list"))?;
    let Ok(fields) = fields.cast_exact::<PyList>() else {
        return Ok(false);
    };
    for field in fields.iter() {
        let Ok(pair) = field.cast_exact::<PyTuple>() else {
            return Ok(false);
        };
        let (name, value) = (pair.get_item(0)?, pair.get_item(1)?);
        let (Ok(name), Ok(value)) = (name.cast::<PyString>(), value.cast::<PyString>()) else {
            return Ok(false);
        };
        let name = name.to_str()?;
        if name.len() >= 8 && name.as_bytes()[name.len() - 8..].eq_ignore_ascii_case(b"location") {
            return Ok(false);
        }
        if name.eq_ignore_ascii_case("content-length") {
            reply.note_length();
        } else {
            add_field(reply, name, value.to_str()?)?;
        }
    }
    if let (1, Ok(piece)) = (body.len(), body.get_item(0))
        && let Ok(bytes) = piece.cast_exact::<PyBytes>()
    {
        reply.set_bytes(bytes);
        return Ok(true);
    }
    for piece in body.iter() {
        if let Ok(bytes) = piece.cast_exact::<PyBytes>() {
            reply.body.extend_from_slice(bytes.as_bytes());
        } else if let Ok(text) = piece.cast_exact::<PyString>() {
            reply.body.extend_from_slice(text.to_str()?.as_bytes());
        } else {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `"404 NOT FOUND"` beside 404. `false`: not a final status that can be sent as it is.
fn set_status(
    code: &Bound<'_, PyAny>,
    line: &Bound<'_, PyAny>,
    reply: &mut Reply,
) -> PyResult<bool> {
    let (Ok(code @ 200..=999), Ok(line)) = (code.extract::<u16>(), line.cast::<PyString>()) else {
        return Ok(false);
    };
    if matches!(code, 204 | 304) {
        // These lose header fields.
        return Ok(false);
    }
    let line = line.to_str()?;
    reply.status = code;
    let reason = line.split_once(' ').map_or("", |(_, reason)| reason);
    if reason_phrase(code) != Some(reason) {
        reply.reason = Some(latin1(reason)?);
    }
    Ok(reply.reason.as_deref().is_none_or(is_field_value))
}

/// Reads `bustapi.kernel.plan.Rendered`: (status, reason, fields, body).
pub fn from_rendered(rendered: &Bound<'_, PyAny>, reply: &mut Reply) -> PyResult<()> {
    type Parts<'py> = (
        u16,
        Option<Bound<'py, PyString>>,
        Bound<'py, PyList>,
        Bound<'py, PyAny>,
    );
    reply.clear();
    let (status, reason, fields, body): Parts<'_> = rendered.extract()?;
    if !(200..=999).contains(&status) {
        return Err(PyValueError::new_err(format!(
            "{status} is not the status of a final response"
        )));
    }
    reply.status = status;
    if let Some(reason) = reason {
        let reason = reason.to_str()?;
        if reason_phrase(status) != Some(reason) {
            let reason = latin1(reason)?;
            if !is_field_value(&reason) {
                return Err(PyValueError::new_err(
                    "a reason phrase must not contain control characters",
                ));
            }
            reply.reason = Some(reason);
        }
    }
    let mut length = None;
    for pair in fields.iter() {
        let (name, value): (Bound<'_, PyString>, Bound<'_, PyString>) = pair.extract()?;
        let (name, value) = (name.to_str()?, value.to_str()?);
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<u64>().ok();
            reply.note_length();
        } else {
            add_field(reply, name, value)?;
        }
    }
    if let Ok(bytes) = body.cast::<PyBytes>() {
        reply.set_bytes(bytes);
    } else if let Ok(file) = body.cast::<FileBody>() {
        reply.rest = Rest::File(Box::new(file.get().take()?));
    } else {
        let silence: Option<f64> = match body.getattr_opt(intern!(body.py(), "silence"))? {
            Some(silence) => silence.extract()?,
            None => None,
        };
        reply.silence = silence.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        reply.rest = Rest::Stream(body.unbind(), length);
    }
    Ok(())
}

/// Adds a field after the last check before the wire: no name or value can end a line.
fn add_field(reply: &mut Reply, name: &str, value: &str) -> PyResult<()> {
    let encoded;
    let bytes = if value.is_ascii() {
        value.as_bytes()
    } else {
        encoded = latin1(value)?;
        &encoded
    };
    if !is_field_name(name.as_bytes()) || !is_field_value(bytes) {
        return Err(PyValueError::new_err(format!(
            "the response header {name:?} has a name or value that cannot be sent"
        )));
    }
    reply.field(name.as_bytes(), bytes);
    Ok(())
}

pub(super) fn latin1(text: &str) -> PyResult<Vec<u8>> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)))
        .collect::<Result<_, _>>()
        .map_err(|_| {
            PyValueError::new_err(format!("{text:?} is not latin-1, as headers have to be"))
        })
}
