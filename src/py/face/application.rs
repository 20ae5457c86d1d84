//! An application at one generation, as the requests it answers see it.

use super::session::SessionReader;
use crate::py::json::DumpOptions;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

/// What running and answering a request needs of the application; shared by all its requests.
pub struct App {
    pub object: Py<PyAny>,
    /// The module of its dialect: `bustapi.kernel.plan.Dialect`.
    pub dialect: Py<PyAny>,
    /// What dict and list results are written with; None when the application's provider must do it.
    pub json: Option<DumpOptions>,
    /// A request that carries this cookie has a session to be looked after, touched or not.
    pub session_cookie: Option<Vec<u8>>,
    /// The cookie's content is JSON in base64: whether its session is a permanent one can be read without a key.
    pub session_is_json: bool,
    /// What opens its session; None: the dialect.
    pub session_reader: Option<SessionReader>,
    /// Responses of exactly this class are read by their attributes.
    pub response_class: Option<Py<PyType>>,
    /// Paths are built from the rules and `script_name` alone: nothing of the request decides about them.
    pub plain_urls: bool,
    /// The class of requests, if they can be made here.
    pub request_class: Option<Py<PyType>>,
    /// JSON bodies up to this many bytes are parsed here, with the meaning of `json_provider.loads`.
    pub json_body_limit: Option<usize>,
    pub json_provider: Py<PyAny>,
    /// The class of a response's headers, if responses of plain values can be made here.
    pub headers_class: Option<Py<PyType>>,
}

impl App {
    /// Calls a function of the dialect.
    pub fn call<'py>(
        &self,
        name: &Bound<'py, PyString>,
        arguments: impl pyo3::call::PyCallArgs<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.dialect.bind(name.py()).call_method1(name, arguments)
    }
}
