//! The session of a request, as far as the server looks at it: what a signed cookie holds, and whether the response has
//! to do with it. What the session is, the application's session interface says; one that is the stock one in every
//! part is what is written here.

use super::signer::CookieSigner;
use super::state::RequestState;
use crate::http::base64url;
use crate::py::ffi;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};
use std::sync::Arc;

/// `bustapi.kernel.plan.SessionReader`.
pub struct SessionReader {
    signer: Py<CookieSigner>,
    /// Seconds that a signature is good for.
    max_age: i64,
    class: Py<PyType>,
    on_update: Py<PyAny>,
    /// Its `tags` are what it knows besides JSON: so many if nothing was added.
    serializer: Py<PyAny>,
    known_tags: usize,
}

impl SessionReader {
    pub fn extract(reader: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if reader.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            signer: reader.getattr("signer")?.extract()?,
            max_age: reader.getattr("max_age")?.extract()?,
            class: reader.getattr("session_class")?.extract()?,
            on_update: reader.getattr("on_update")?.unbind(),
            serializer: reader.getattr("serializer")?.unbind(),
            known_tags: reader.getattr("known_tags")?.extract()?,
        }))
    }

    /// The session in a cookie; an empty one without. None: there is more to it than a dict of plain values.
    fn open<'py>(
        &self,
        py: Python<'py>,
        cookie: Option<&[u8]>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let tags = self.serializer.bind(py).getattr(intern!(py, "tags"))?;
        if tags.len()? != self.known_tags {
            return Ok(None);
        }
        let content = match cookie {
            None => None,
            Some(text) => {
                let content = self.signer.get().octets(text, now(py)?, self.max_age);
                // Tagged values are dicts whose one key begins with a blank.
                let Some(content) = content.filter(|content| {
                    content.starts_with(b"{") && memchr::memmem::find(content, b"\" ").is_none()
                }) else {
                    return Ok(None);
                };
                match crate::py::json::load(py, &content) {
                    Ok(content) => Some(content.into_bound(py)),
                    Err(error) if error.is_instance_of::<PyValueError>(py) => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
        };
        let session = ffi::new_object(self.class.bind(py))?;
        if let Some(content) = content {
            session.cast::<PyDict>()?.update(content.cast()?)?;
        }
        session.setattr(intern!(py, "on_update"), &self.on_update)?;
        Ok(Some(session))
    }
}

/// Seconds since 1970, from where tests replace them.
fn now(py: Python<'_>) -> PyResult<i64> {
    static TIME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let module = TIME.get_or_try_init(py, || {
        Ok::<_, PyErr>(py.import("time")?.into_any().unbind())
    })?;
    let seconds: f64 = module.call_method0(py, intern!(py, "time"))?.extract(py)?;
    Ok(seconds as i64)
}

impl RequestState {
    /// Opens the session, unless it is open or the dialect has to.
    pub(super) fn open_session(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (app, cookie) = {
            let this = slf.try_borrow()?;
            if this.made.session.is_some() || this.app.session_reader.is_none() {
                return Ok(());
            }
            let cookie = this.session_cookie().map(<[u8]>::to_vec);
            (Arc::clone(&this.app), cookie)
        };
        // No borrow is held across what may run Python's code.
        if let Some(reader) = &app.session_reader
            && let Some(session) = reader.open(py, cookie.as_deref())?
        {
            let mut this = slf.try_borrow_mut()?;
            this.made.session.get_or_insert_with(|| session.unbind());
        }
        Ok(())
    }

    /// Whether the session was merely read, which the response tells. None: that is for the dialect to say.
    pub fn session_varies(slf: &Bound<'_, Self>) -> PyResult<Option<bool>> {
        let py = slf.py();
        let (app, session) = {
            let this = slf.try_borrow()?;
            let Some(session) = &this.made.session else {
                return Ok(None);
            };
            (Arc::clone(&this.app), session.bind(py).clone())
        };
        let Some(reader) = &app.session_reader else {
            return Ok(None);
        };
        if !session.get_type().is(&reader.class)
            || session.getattr(intern!(py, "modified"))?.is_truthy()?
            || session.contains(intern!(py, "_permanent"))?
        {
            return Ok(None);
        }
        session
            .getattr(intern!(py, "accessed"))?
            .is_truthy()
            .map(Some)
    }

    /// Whether the request carries a session that has to be saved though nobody touched it: a permanent one lives on
    /// from its last use. Says yes where it cannot tell; that the cookie may be forged does not matter for a no.
    pub(super) fn may_refresh_session(&self) -> bool {
        let Some(text) = self.session_cookie() else {
            return false;
        };
        let Some(end) = memchr::memchr(b'.', text).filter(|end| *end > 0) else {
            // Compressed, or nothing that was signed; an empty cookie is no session.
            return !text.is_empty();
        };
        let mut content = Vec::with_capacity(end);
        if !self.app.session_is_json || base64url::decode(&text[..end], &mut content).is_none() {
            return true;
        }
        let find = |needle: &[u8]| memchr::memmem::find(&content, needle).is_some();
        find(b"_permanent") || find(b"\\u")
    }

    /// The value of the session cookie as it was sent; the first one's if there are several.
    pub(super) fn session_cookie(&self) -> Option<&[u8]> {
        let name = self.app.session_cookie.as_deref()?;
        // RFC 6265 5.4 has one Cookie field; clients that send several are read as if they had not.
        self.request
            .fields()
            .filter(|(field, _)| field.eq_ignore_ascii_case(b"cookie"))
            .flat_map(|(_, value)| value.split(|b| *b == b';'))
            .find_map(|pair| {
                let pair = pair.trim_ascii_start();
                let value = pair.strip_prefix(name)?.trim_ascii_start();
                value.strip_prefix(b"=").map(<[u8]>::trim_ascii)
            })
    }
}
