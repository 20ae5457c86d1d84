//! `_core.Socket`: a WebSocket as `bustapi.kernel.websocket` drives it.

use super::link::{Accept, Link, Sent, Side, Stage};
use super::response::latin1;
use super::waiter::Waiter;
use crate::http::{is_field_name, is_field_value};
use crate::ws::Kind;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::sync::Arc;
use std::time::Duration;

/// Fields of a 101 that the server writes itself.
const OURS: [&str; 6] = [
    "upgrade",
    "connection",
    "sec-websocket-accept",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "sec-websocket-version",
];

#[pyclass(frozen, module = "bustapi._core", weakref)]
pub struct Socket {
    pub link: Arc<Link>,
}

#[pymethods]
impl Socket {
    /// The subprotocols that the client offers, the preferred one first.
    #[getter]
    fn protocols(&self) -> Vec<String> {
        self.link.handshake.protocols.clone()
    }

    /// What was agreed on for compression, as the answer says it.
    #[getter]
    fn extension(&self) -> Option<String> {
        Some(self.link.handshake.agreed?.to_field())
    }

    /// `"connecting"`, `"open"` or `"closed"`.
    #[getter]
    fn state(&self) -> &'static str {
        match self.link.stage() {
            Stage::Connecting => "connecting",
            Stage::Open => "open",
            Stage::Closed(_) => "closed",
        }
    }

    /// Code and reason of the end; None before it.
    #[getter]
    fn ended(&self) -> Option<(u16, String)> {
        match self.link.stage() {
            Stage::Closed(reason) => Some((reason.code, reason.reason)),
            Stage::Connecting | Stage::Open => None,
        }
    }

    /// Answers the handshake; `False` if the client has gone, or it was answered already.
    fn accept(
        &self,
        py: Python<'_>,
        protocol: Option<&str>,
        headers: Vec<(String, String)>,
    ) -> PyResult<bool> {
        let mut fields = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            let bytes = latin1(&value)?;
            let ours = OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours));
            if ours || !is_field_name(name.as_bytes()) || !is_field_value(&bytes) {
                return Err(PyValueError::new_err(format!(
                    "the header {name:?} cannot be sent with the answer to a handshake"
                )));
            }
            fields.push((name.into_bytes(), bytes));
        }
        let protocol = protocol.map(|protocol| protocol.as_bytes().to_vec());
        Ok(self.link.accept(py, Accept { protocol, fields }))
    }

    /// The next message; None: there is none now.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.link.take(py)
    }

    /// The next message, to be awaited; None: the socket is closed. Of an accepted socket.
    fn receive(&self, py: Python<'_>) -> PyResult<Py<Waiter>> {
        Waiter::of_message(py, &self.link, false)
    }

    /// The same for `__anext__`.
    fn iterate(&self, py: Python<'_>) -> PyResult<Py<Waiter>> {
        Waiter::of_message(py, &self.link, true)
    }

    /// An asynchronous iterator over the messages; `first()` is awaited for one as long as the socket is not accepted.
    fn messages(&self, first: Py<PyAny>) -> Messages {
        Messages {
            link: Arc::clone(&self.link),
            first,
        }
    }

    /// Waits on the calling thread until `take` has a message, or the socket is closed; `False`: the time was up.
    #[pyo3(signature = (timeout = None))]
    fn wait_blocking(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = seconds(timeout)?;
        Ok(self.link.wait_blocking(py, Side::Messages, timeout))
    }

    /// Sends a text (`str`) or bytes. None: the socket is not open; `False`: wait for room before sending more.
    fn send(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Option<bool>> {
        let sent = if let Ok(text) = data.cast::<PyString>() {
            self.link.send(py, Kind::Text, text.to_str()?.as_bytes())
        } else if let Ok(bytes) = data.cast::<PyBytes>() {
            self.link.send_bytes(bytes)
        } else {
            // Anything else with a buffer. A number would be made that many zeros.
            let view = py
                .import("builtins")?
                .getattr("memoryview")?
                .call1((data,))
                .map_err(|_| PyTypeError::new_err("a message is a str or has a buffer of bytes"))?;
            let bytes = view.call_method0("tobytes")?;
            self.link.send_bytes(bytes.cast::<PyBytes>()?)
        };
        Ok(told(sent))
    }

    fn ping(&self, py: Python<'_>, data: &[u8]) -> PyResult<Option<bool>> {
        if data.len() > 125 {
            return Err(PyValueError::new_err("a ping carries at most 125 bytes"));
        }
        Ok(told(self.link.ping(py, data)))
    }

    /// Something to await: it is over when there is room to send more, or the socket is closed.
    fn drain(&self, py: Python<'_>) -> PyResult<Py<Waiter>> {
        Waiter::of_room(py, &self.link)
    }

    #[pyo3(signature = (timeout = None))]
    fn drain_blocking(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = seconds(timeout)?;
        Ok(self.link.wait_blocking(py, Side::Room, timeout))
    }

    /// Begins the closing handshake of an open socket.
    fn close(&self, py: Python<'_>, code: u16, reason: &str) {
        self.link.close(py, code, reason);
    }

    fn __repr__(&self) -> String {
        format!("<Socket {}>", self.state())
    }
}

/// What `async for` asks for the messages of a socket.
#[pyclass(frozen, module = "bustapi._core")]
pub struct Messages {
    link: Arc<Link>,
    first: Py<PyAny>,
}

#[pymethods]
impl Messages {
    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if self.link.is_connecting() {
            return self.first.call0(py);
        }
        Waiter::of_message(py, &self.link, true).map(Py::into_any)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.first)
    }
}

fn told(sent: Sent) -> Option<bool> {
    match sent {
        Sent::Ready => Some(true),
        Sent::Full => Some(false),
        Sent::Closed => None,
    }
}

fn seconds(timeout: Option<f64>) -> PyResult<Option<Duration>> {
    timeout
        .map(|seconds| {
            Duration::try_from_secs_f64(seconds.max(0.0))
                .map_err(|_| PyValueError::new_err("the timeout must be a number of seconds"))
        })
        .transpose()
}
