//! The WSGI environment of a native request, for code that asks for `request.environ`.

use super::state::RequestState;
use crate::conn::PeerAddr;
use crate::http::forwarded::Counts;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

/// A new environment; made only when something asks for it.
pub fn build<'py>(state: &Bound<'py, RequestState>) -> PyResult<Bound<'py, PyDict>> {
    let py = state.py();
    let environ = PyDict::new(py);
    environ.set_item("wsgi.version", (1, 0))?;
    environ.set_item("wsgi.errors", py.import("sys")?.getattr("stderr")?)?;
    environ.set_item("wsgi.multithread", true)?;
    environ.set_item("wsgi.multiprocess", false)?;
    environ.set_item("wsgi.run_once", false)?;
    state.try_borrow()?.environ_parts(&environ)?;
    let mut this = state.try_borrow_mut()?;
    if this.is_fixed() {
        environ.set_item("werkzeug.proxy_fix.orig", this.unfixed(py)?)?;
    }
    Ok(environ)
}

/// `wsgi.input` over the received body.
pub fn input<'py>(py: Python<'py>, body: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    py.import("io")?
        .getattr("BytesIO")?
        .call1((PyBytes::new(py, body),))
}

impl RequestState {
    /// Takes over what so many proxies say. `false`: this has to be left to Python.
    pub fn believe(&mut self, counts: &Counts) -> bool {
        if self.request.origin.is_some() {
            return false;
        }
        let (peer, local) = match &*self.peer {
            PeerAddr::Inet { peer, local } => (Some(peer.port()), Some(local.port())),
            PeerAddr::Unix { .. } | PeerAddr::Named { .. } => return false,
        };
        let origin = counts.resolve(self.request.fields(), peer, local);
        self.request.origin = origin.map(Box::new);
        self.request.origin.is_some()
    }

    /// What `ProxyFix` keeps of the environment that it changes.
    fn unfixed<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let origin = self.request.origin.take();
        let kept = PyDict::new(py);
        let (server, port) = self.server();
        kept.set_item("REMOTE_ADDR", self.remote_addr())?;
        kept.set_item("wsgi.url_scheme", self.scheme())?;
        kept.set_item("HTTP_HOST", self.host(py))?;
        kept.set_item("SERVER_NAME", server)?;
        kept.set_item("SERVER_PORT", port.map(|port| port.to_string()))?;
        kept.set_item("SCRIPT_NAME", self.root_path(py))?;
        self.request.origin = origin;
        Ok(kept)
    }

    /// Parts of the environment that the head gives.
    pub(super) fn environ_parts<'py>(&self, environ: &Bound<'py, PyDict>) -> PyResult<()> {
        let py = environ.py();
        let (path, query) = self.path_and_query();
        environ.set_item("REQUEST_METHOD", self.method(py))?;
        environ.set_item("SCRIPT_NAME", self.root_path(py))?;
        let decoded: Vec<u8> = percent_encoding::percent_decode(path).collect();
        environ.set_item("PATH_INFO", latin1(py, &decoded))?;
        environ.set_item("QUERY_STRING", latin1(py, query))?;
        let mut target = path.to_vec();
        if !query.is_empty() {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        environ.set_item("REQUEST_URI", latin1(py, &target))?;
        environ.set_item("RAW_URI", latin1(py, &target))?;
        environ.set_item("SERVER_PROTOCOL", self.http_version())?;
        environ.set_item("wsgi.url_scheme", self.scheme())?;
        let (server, port) = self.server();
        environ.set_item("SERVER_NAME", server)?;
        environ.set_item(
            "SERVER_PORT",
            port.map_or_else(String::new, |p| p.to_string()),
        )?;
        if let Some(address) = self.remote_addr() {
            environ.set_item("REMOTE_ADDR", address)?;
        }
        if let Some(port) = self.remote_port() {
            environ.set_item("REMOTE_PORT", port)?;
        }
        for (name, value) in self.request.fields() {
            if name.contains(&b'_') {
                // `X_Forwarded_For` and `X-Forwarded-For` would become one key: the first is never what was meant.
                continue;
            }
            let mut key = String::with_capacity(name.len() + 5);
            if !name.eq_ignore_ascii_case(b"content-type")
                && !name.eq_ignore_ascii_case(b"content-length")
            {
                key.push_str("HTTP_");
            }
            key.extend(name.iter().map(|b| {
                if *b == b'-' {
                    '_'
                } else {
                    char::from(b.to_ascii_uppercase())
                }
            }));
            let value = latin1(py, value);
            match environ.get_item(&key)? {
                Some(first) if name.eq_ignore_ascii_case(b"cookie") => {
                    environ.set_item(&key, format!("{first}; {value}"))?;
                }
                Some(first) => environ.set_item(&key, format!("{first},{value}"))?,
                None => environ.set_item(&key, value)?,
            }
        }
        if let Some(host) = self.host(py) {
            environ.set_item("HTTP_HOST", host)?;
        }
        if self.is_chunked() {
            environ.set_item("wsgi.input_terminated", true)?;
        }
        match &self.stream {
            Some(stream) => {
                let input = self.app.call(pyo3::intern!(py, "make_input"), (stream,))?;
                environ.set_item("wsgi.input", input)?;
            }
            None => environ.set_item("wsgi.input", input(py, self.data(py))?)?,
        }
        Ok(())
    }
}

/// Latin-1 text, as WSGI and Werkzeug give field values.
pub fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => PyString::new(py, text),
        _ => PyString::new(
            py,
            &bytes.iter().map(|b| char::from(*b)).collect::<String>(),
        ),
    }
}

/// What joins the values of repeated fields: RFC 9110 5.3, and RFC 9113 8.2.3 for cookies.
pub(super) fn separator(name: &[u8]) -> &'static [u8] {
    if name.eq_ignore_ascii_case(b"cookie") {
        b"; "
    } else {
        b","
    }
}

/// `content-type` -> `Content-Type`, as field names come out of a WSGI environment.
pub(super) fn title_case(name: &[u8]) -> String {
    let mut upper = true;
    name.iter()
        .map(|b| {
            let c = if upper {
                b.to_ascii_uppercase()
            } else {
                b.to_ascii_lowercase()
            };
            upper = *b == b'-';
            char::from(c)
        })
        .collect()
}
