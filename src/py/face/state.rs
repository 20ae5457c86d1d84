//! One request in the server, as Python sees it: the value of the context variable while its view runs.
//!
//! It is one allocation that points into the receive buffer. `Request`, `g`, the session and the contexts are
//! Python objects made by the application's own classes on first touch, through its dialect; a view that touches
//! none of them pays for none.

use super::application::App;
use super::environ::{latin1, separator, title_case};
use super::fate::Fate;
use super::local::Local;
use super::made::{Made, is_json};
use super::signer::CookieSigner;
use crate::buf::{Budget, Held};
use crate::conn::{self, PeerAddr, Request};
use crate::http::forwarded::Origin;
use crate::http::{Head, Version, percent_decode_path};
use crate::py::ffi::Body;
use crate::py::run::body::BodyStream;
use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[pyclass(module = "bustapi._core")]
pub struct RequestState {
    pub(super) request: Request,
    pub(super) peer: Arc<PeerAddr>,
    pub(super) pinned: Arc<Budget>,
    pub(super) app: Arc<App>,
    pub(super) url_rule: Option<Py<PyAny>>,
    pub(super) view_args: Option<Py<PyAny>>,
    pub(super) routing_exception: Option<Py<PyAny>>,
    pub(super) body: Option<Py<Body>>,
    /// The body, if the view reads it while it arrives.
    pub(super) stream: Option<Py<BodyStream>>,
    pub(super) environ: Option<Py<PyDict>>,
    pub(super) made: Made,
    pub(super) fate: Fate,
    /// Of a request without a connection.
    pub(super) local: Option<Box<Local>>,
}

impl RequestState {
    pub fn new(request: Request, peer: Arc<PeerAddr>, pinned: Arc<Budget>, app: Arc<App>) -> Self {
        Self {
            request,
            peer,
            pinned,
            app,
            url_rule: None,
            view_args: None,
            routing_exception: None,
            body: None,
            stream: None,
            environ: None,
            made: Made::default(),
            fate: Fate::default(),
            local: None,
        }
    }

    pub fn fate(&self) -> &Fate {
        &self.fate
    }

    pub fn request(&self) -> &Request {
        &self.request
    }

    pub(super) fn origin(&self) -> Option<&Origin> {
        self.request.origin.as_deref()
    }

    /// The body comes while the view runs.
    pub fn set_stream(&mut self, stream: Py<BodyStream>) {
        self.stream = Some(stream);
    }

    pub fn is_read_as_it_comes(slf: &Bound<'_, Self>) -> bool {
        slf.try_borrow().is_ok_and(|this| this.stream.is_some())
    }

    /// The request is over: what was read of its body as a whole is not counted any more.
    pub fn settle_stream(slf: &Bound<'_, Self>) {
        if let Ok(this) = slf.try_borrow()
            && let Some(stream) = &this.stream
        {
            stream.get().reading.settle();
        }
    }

    /// Takes the request out of a state that no view has seen.
    pub fn give_up(slf: &Bound<'_, Self>) -> PyResult<Request> {
        let mut this = slf.try_borrow_mut()?;
        let nothing = Request {
            bytes: Held::Own(Box::default()),
            head: Head::default(),
            body: conn::Body::Empty,
            origin: None,
        };
        Ok(std::mem::replace(&mut this.request, nothing))
    }

    pub fn set_match(&mut self, rule: Py<PyAny>, view_args: Option<Py<PyAny>>) {
        self.url_rule = Some(rule);
        self.view_args = view_args;
    }

    /// Something of the request concerns the response: its session, which was touched or may have to be kept
    /// alive, or the request context, on which functions to run after the request are kept.
    pub fn concerns_response(&self) -> bool {
        self.made.session.is_some()
            || self.made.request_context.is_some()
            || self.may_refresh_session()
    }

    /// A session was opened, and there is nothing else that the response depends on.
    pub fn has_session_only(&self) -> bool {
        self.made.session.is_some() && self.made.request_context.is_none()
    }

    pub fn has_request_context(&self) -> bool {
        self.made.request_context.is_some()
    }

    /// What is to be done at its end was done.
    pub fn forget_request_context(slf: &Bound<'_, Self>) {
        let made = slf
            .try_borrow_mut()
            .map(|mut this| this.made.request_context.take());
        drop(made);
    }

    /// Whether a context was made, which has to be left.
    pub fn has_contexts(&self) -> bool {
        self.made.request_context.is_some() || self.made.app_context.is_some()
    }

    /// The view's keyword arguments, if it has any.
    pub fn view_arguments<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyDict>> {
        self.view_args
            .as_ref()?
            .bind(py)
            .cast::<PyDict>()
            .ok()
            .cloned()
    }
}

#[pymethods]
impl RequestState {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.url_rule)?;
        visit.call(&self.view_args)?;
        visit.call(&self.routing_exception)?;
        visit.call(&self.environ)?;
        if let Some(local) = &self.local {
            local.traverse(&visit)?;
        }
        visit.call(&self.made.request)?;
        visit.call(&self.made.g)?;
        visit.call(&self.made.session)?;
        visit.call(&self.made.app_context)?;
        visit.call(&self.made.request_context)
    }

    fn __clear__(&mut self) {
        self.made = Made::default();
        self.environ = None;
        self.local = None;
        self.routing_exception = None;
        self.view_args = None;
    }

    /// Whether the client was seen to go while the view ran.
    #[getter]
    fn disconnected(&self) -> bool {
        self.fate.disconnected.load(Ordering::Relaxed)
    }

    /// Whether the view's time is up.
    #[getter]
    fn expired(&self) -> bool {
        self.fate.expired.load(Ordering::Relaxed)
    }

    /// The request method, as sent.
    #[getter]
    pub fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, self.request.head.method.as_bytes(&self.request.bytes))
    }

    /// The path, percent-decoded, UTF-8 with replacement characters.
    #[getter]
    fn path(&self) -> String {
        percent_decode_path(self.path_and_query().0).into_owned()
    }

    /// The path as sent.
    #[getter]
    fn raw_path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.path_and_query().0)
    }

    /// What follows the first `?`, as sent.
    #[getter]
    fn query_string<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.path_and_query().1)
    }

    /// As the client sees it: what a trusted proxy says, or what the connection is.
    #[getter]
    pub(super) fn scheme(&self) -> &'static str {
        self.origin()
            .and_then(|origin| origin.scheme)
            .unwrap_or("http")
    }

    /// The path below which trusted proxies have the application, without a slash at its end.
    #[getter]
    pub(super) fn root_path<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        let prefix = self.origin().and_then(|origin| origin.prefix.as_deref());
        latin1(py, prefix.unwrap_or_default())
    }

    /// Whether the server did what the application's `ProxyFix` would have done.
    #[getter]
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self.origin(), Some(Origin { applied: true, .. }))
    }

    #[getter]
    pub(super) fn http_version(&self) -> &'static str {
        match self.request.head.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }

    /// What the path of a URL that is built for this request begins with; None if its URL adapter has to say.
    #[getter]
    fn url_prefix(slf: &Bound<'_, Self>) -> PyResult<Option<&'static str>> {
        let py = slf.py();
        let context = {
            let this = slf.try_borrow()?;
            let is_below = this.origin().is_some_and(|origin| {
                origin
                    .prefix
                    .as_ref()
                    .is_some_and(|prefix| !prefix.is_empty())
            });
            if !this.app.plain_urls || is_below {
                return Ok(None);
            }
            let context = this.made.request_context.as_ref();
            context.map(|context| context.clone_ref(py))
        };
        if let Some(context) = context
            && context
                .bind(py)
                .getattr(pyo3::intern!(py, "has_adapter"))?
                .is_truthy()?
        {
            return Ok(None);
        }
        Ok(Some(""))
    }

    /// Address and port that the client connected to; the path and None on a unix socket.
    #[getter]
    pub(super) fn server(&self) -> (String, Option<u16>) {
        self.local_address()
    }

    #[getter]
    pub(super) fn remote_addr(&self) -> Option<String> {
        self.client_address()
    }

    #[getter]
    pub(super) fn remote_port(&self) -> Option<u16> {
        self.client_port()
    }

    /// Every field line in order, names in Title-Case, values as latin-1 text.
    fn headers_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for (name, value) in self.request.fields() {
            list.append((title_case(name), latin1(py, value)))?;
        }
        Ok(list)
    }

    /// The value of a field (any case), or None. Repeated fields are one value, as in a WSGI environment.
    fn header<'py>(&self, py: Python<'py>, name: &str) -> Option<Bound<'py, PyString>> {
        let mut values = self
            .request
            .fields()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value);
        let first = values.next()?;
        let Some(second) = values.next() else {
            return Some(latin1(py, first));
        };
        let mut joined = first.to_vec();
        for value in std::iter::once(second).chain(values) {
            joined.extend_from_slice(separator(name.as_bytes()));
            joined.extend_from_slice(value);
        }
        Some(latin1(py, &joined))
    }

    /// Host as sent, the authority of an absolute target (RFC 9112 3.2.2), or what a trusted proxy says.
    #[getter]
    pub(super) fn host<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.request.host().map(|host| latin1(py, host))
    }

    #[getter]
    fn content_length(&self, py: Python<'_>) -> Option<u64> {
        let declared = self.request.field(b"content-length")?;
        if self.stream.is_some() {
            return std::str::from_utf8(declared).ok()?.parse().ok();
        }
        Some(self.data(py).len() as u64)
    }

    /// Whether the body came in chunks, without a declared length.
    #[getter]
    pub(super) fn is_chunked(&self) -> bool {
        self.request.field(b"transfer-encoding").is_some()
    }

    /// Whether the body comes while the view runs: it is read by `stream`, and not here.
    #[getter]
    fn is_streamed(&self) -> bool {
        self.stream.is_some()
    }

    #[getter]
    fn stream(&self, py: Python<'_>) -> Option<Py<BodyStream>> {
        self.stream.as_ref().map(|stream| stream.clone_ref(py))
    }

    /// The body as a read-only buffer object over the received bytes.
    #[getter]
    pub(super) fn body(slf: &Bound<'_, Self>) -> PyResult<Py<Body>> {
        let py = slf.py();
        let mut this = slf.try_borrow_mut()?;
        if let Some(body) = &this.body {
            return Ok(body.clone_ref(py));
        }
        let budget = Arc::clone(&this.pinned);
        let (data, pinned) = match &this.request.body {
            conn::Body::Empty => (conn::Body::Empty, 0),
            conn::Body::Held(Held::View(view)) if budget.take(conn::PINNED_BY_VIEW) => (
                conn::Body::Held(Held::View(view.clone())),
                conn::PINNED_BY_VIEW,
            ),
            conn::Body::Held(held) => (
                conn::Body::Held(Held::Own(held.to_vec().into_boxed_slice())),
                0,
            ),
            conn::Body::Own { .. } => {
                // Moved: from now on the request reads it through the object.
                (
                    std::mem::replace(&mut this.request.body, conn::Body::Empty),
                    0,
                )
            }
        };
        let body = Py::new(py, Body::new(data, pinned, budget))?;
        this.body = Some(body.clone_ref(py));
        Ok(body)
    }

    /// The body as `bytes`.
    fn get_data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.data(py))
    }

    /// The body parsed as JSON.
    fn json<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let body = Self::lend_body(slf)?;
        Ok(crate::py::json::load(py, body.bytes(py))?.into_bound(py))
    }

    /// The value of a JSON body, if `request` would come to the same: its class and the application's provider are
    /// the stock ones, nobody has read or replaced anything that the body or its type are found by, and the body
    /// is well-formed. Ellipsis: it has to find out itself.
    fn plain_json<'py>(
        slf: &Bound<'py, Self>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let ellipsis = || py.Ellipsis().into_bound(py);
        {
            let this = slf.try_borrow()?;
            let Some(limit) = this.app.json_body_limit else {
                return Ok(ellipsis());
            };
            if this.environ.is_some()
                || this.stream.is_some()
                || this.data(py).len() > limit
                || !this.request.field(b"content-type").is_some_and(is_json)
                || !this.is_untouched(request)?
            {
                return Ok(ellipsis());
            }
        }
        let body = Self::lend_body(slf)?;
        match crate::py::json::load(py, body.bytes(py)) {
            Ok(value) => Ok(value.into_bound(py)),
            // Once more, where the error is answered.
            Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(ellipsis()),
            Err(error) => Err(error),
        }
    }

    #[getter]
    fn app(&self, py: Python<'_>) -> Py<PyAny> {
        self.app.object.clone_ref(py)
    }

    #[getter]
    fn get_url_rule(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.url_rule.as_ref().map(|rule| rule.clone_ref(py))
    }

    #[setter]
    fn set_url_rule(&mut self, value: Option<Py<PyAny>>) {
        self.url_rule = value;
    }

    #[getter]
    fn get_view_args(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.view_args.as_ref().map(|args| args.clone_ref(py))
    }

    #[setter]
    fn set_view_args(&mut self, value: Option<Py<PyAny>>) {
        self.view_args = value;
    }

    #[getter]
    fn get_routing_exception(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.routing_exception.as_ref().map(|e| e.clone_ref(py))
    }

    #[setter(routing_exception)]
    fn put_routing_exception(&mut self, value: Option<Py<PyAny>>) {
        self.routing_exception = value;
    }

    #[getter(request)]
    fn get_request<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(request) = Self::stock_request(slf)? {
            return Ok(request);
        }
        Self::made(
            slf,
            |made| &mut made.request,
            pyo3::intern!(slf.py(), "make_request"),
        )
    }

    #[setter(request)]
    fn set_request(&mut self, value: Option<Py<PyAny>>) {
        self.made.request = value;
    }

    #[getter]
    fn get_g<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::made(slf, |made| &mut made.g, pyo3::intern!(slf.py(), "make_g"))
    }

    #[setter]
    fn set_g(&mut self, value: Option<Py<PyAny>>) {
        self.made.g = value;
    }

    /// The session; reading it marks it as accessed.
    #[getter]
    fn get_session<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::open_session(slf)?;
        let session = Self::made(
            slf,
            |made| &mut made.session,
            pyo3::intern!(slf.py(), "open_session"),
        )?;
        session.setattr(pyo3::intern!(slf.py(), "accessed"), true)?;
        Ok(session)
    }

    #[setter]
    fn set_session(&mut self, value: Option<Py<PyAny>>) {
        self.made.session = value;
    }

    #[getter]
    fn get_app_context<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::made(
            slf,
            |made| &mut made.app_context,
            pyo3::intern!(slf.py(), "make_app_context"),
        )
    }

    #[setter]
    fn set_app_context(&mut self, value: Option<Py<PyAny>>) {
        self.made.app_context = value;
    }

    #[getter]
    fn get_request_context<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::made(
            slf,
            |made| &mut made.request_context,
            pyo3::intern!(slf.py(), "make_request_context"),
        )
    }

    #[setter]
    fn set_request_context(&mut self, value: Option<Py<PyAny>>) {
        self.made.request_context = value;
    }

    /// What was made so far: `peek("session")` is None for a view that touched no session.
    fn peek(&self, py: Python<'_>, name: &str) -> PyResult<Option<Py<PyAny>>> {
        let slot = match name {
            "request" => &self.made.request,
            "g" => &self.made.g,
            "session" => &self.made.session,
            "app_context" => &self.made.app_context,
            "request_context" => &self.made.request_context,
            _ => {
                return Err(PyAttributeError::new_err(format!(
                    "nothing is made under the name {name:?}"
                )));
            }
        };
        Ok(slot.as_ref().map(|made| made.clone_ref(py)))
    }

    /// What the session cookie holds: None without a cookie, empty if it is not known to be valid, and why is for
    /// the dialect to find out.
    fn session_content<'py>(
        &self,
        py: Python<'py>,
        signer: &CookieSigner,
        now: i64,
        max_age: i64,
    ) -> Option<Bound<'py, PyBytes>> {
        let content = if self.app.session_cookie.is_some() {
            signer.content(py, self.session_cookie()?, now, max_age)
        } else {
            None
        };
        Some(content.unwrap_or_else(|| PyBytes::new(py, b"")))
    }

    /// Makes the WSGI environment anew when it is asked for: nobody has the one that there is.
    fn forget_environ(slf: &Bound<'_, Self>) -> PyResult<()> {
        let environ = slf.try_borrow_mut()?.environ.take();
        drop(environ);
        Ok(())
    }

    /// The WSGI environment (PEP 3333) of this request; the same dict every time.
    fn environ(slf: &Bound<'_, Self>) -> PyResult<Py<PyDict>> {
        let py = slf.py();
        if let Some(environ) = &slf.try_borrow()?.environ {
            return Ok(environ.clone_ref(py));
        }
        let environ = match Self::local_environ(slf)? {
            Some(environ) => environ,
            None => super::environ::build(slf)?,
        };
        let mut this = slf.try_borrow_mut()?;
        Ok(this.environ.get_or_insert(environ.unbind()).clone_ref(py))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<RequestState {} {:?}>",
            self.method(py).to_str()?,
            self.path()
        ))
    }
}
