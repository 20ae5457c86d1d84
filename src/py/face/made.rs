//! What the application's classes make of a request, and when it goes.

use super::application::App;
use super::fate::Fate;
use super::state::RequestState;
use crate::buf::Held;
use crate::conn::{self, PeerAddr, Request};
use crate::py::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::sync::Arc;

/// What was made on first touch. A request and its context refer back to their state.
#[derive(Default)]
pub(super) struct Made {
    pub(super) request: Option<Py<PyAny>>,
    pub(super) g: Option<Py<PyAny>>,
    pub(super) session: Option<Py<PyAny>>,
    pub(super) app_context: Option<Py<PyAny>>,
    pub(super) request_context: Option<Py<PyAny>>,
}

impl RequestState {
    /// The answer is complete. What was made for the view is dropped if nothing else can see it; if somebody kept
    /// the request or a copy of its context, everything stays as it is, but outside of the receive buffer, and the
    /// garbage collector ends the cycle of a request and its state. `held`: the references the caller knows of, that
    /// of the request's context among them; `is_uncopied` is asked about that.
    pub fn release(slf: &Bound<'_, Self>, held: isize, is_uncopied: impl FnOnce() -> bool) {
        let count = |object: &Option<Py<PyAny>>| {
            object
                .as_ref()
                .map_or(0, |object| ffi::reference_count(object.bind(slf.py())))
        };
        // Before the borrow, which is a reference too.
        let references = ffi::reference_count(slf.as_any());
        let made = {
            let Ok(mut this) = slf.try_borrow_mut() else {
                return;
            };
            let made = &this.made;
            let contexts = isize::from(made.request_context.is_some());
            // The request and its context refer to the state, and the context to the request.
            let inner = contexts + isize::from(made.request.is_some());
            let is_alone = references <= held + inner
                && count(&made.request) <= 1 + contexts
                && count(&made.request_context) <= 1
                && count(&made.app_context) <= 1
                && is_uncopied();
            if !is_alone {
                this.leave_arena();
                return;
            }
            // Dropped outside of the borrow: a finaliser may look at this object.
            (std::mem::take(&mut this.made), this.environ.take())
        };
        drop(made);
    }

    /// For another request, if the caller and its context alone refer to it: then making one and setting it is spared.
    /// It is empty until `renew`.
    pub fn can_be_renewed(slf: &Bound<'_, Self>) -> bool {
        if ffi::reference_count(slf.as_any()) != 2 {
            return false;
        }
        let left = {
            let Ok(mut this) = slf.try_borrow_mut() else {
                return false;
            };
            // Every field by name: one that is added and not emptied here would be seen by another client's request.
            let Self {
                request,
                // The connection's, the process's and the application's: `renew` sets the first and the last.
                peer: _,
                pinned: _,
                app: _,
                url_rule,
                view_args,
                routing_exception,
                body,
                stream,
                environ,
                made,
                fate,
                local,
            } = &mut *this;
            request.bytes = Held::Own(Box::default());
            request.body = conn::Body::Empty;
            request.origin = None;
            *fate = Fate::default();
            (
                url_rule.take(),
                view_args.take(),
                routing_exception.take(),
                body.take(),
                stream.take(),
                environ.take(),
                std::mem::take(made),
                local.take(),
            )
        };
        // Dropped outside of the borrow: a finaliser may look at this object, or keep it.
        drop(left);
        ffi::reference_count(slf.as_any()) == 2
    }

    /// Makes an emptied state another request's.
    pub fn renew(slf: &Bound<'_, Self>, request: Request, peer: &Arc<PeerAddr>, app: &Arc<App>) {
        let mut this = slf.borrow_mut();
        this.request = request;
        if !Arc::ptr_eq(&this.peer, peer) {
            this.peer = Arc::clone(peer);
        }
        if !Arc::ptr_eq(&this.app, app) {
            this.app = Arc::clone(app);
        }
    }

    /// The head of the answer is sent, and its body goes on being generated.
    pub fn outlive_turn(slf: &Bound<'_, Self>) {
        if let Ok(mut this) = slf.try_borrow_mut() {
            this.leave_arena();
        }
    }

    fn leave_arena(&mut self) {
        if let Held::View(view) = &self.request.bytes {
            self.request.bytes = Held::Own(view.to_vec().into_boxed_slice());
        }
        if let conn::Body::Held(Held::View(view)) = &self.request.body {
            self.request.body = conn::Body::Held(Held::Own(view.to_vec().into_boxed_slice()));
        }
    }
    /// The request object, made here if its class allows it: what the dialect's `make_request` does, without a call.
    pub(super) fn stock_request<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let this = slf.try_borrow()?;
        if let Some(made) = &this.made.request {
            return Ok(Some(made.bind(py).clone()));
        }
        let Some(class) = &this.app.request_class else {
            return Ok(None);
        };
        let request = ffi::new_object(class.bind(py))?;
        request.setattr(intern!(py, "_native"), slf)?;
        request.setattr(intern!(py, "json_module"), &this.app.json_provider)?;
        if let Some(rule) = &this.url_rule {
            request.setattr(intern!(py, "url_rule"), rule)?;
            match &this.view_args {
                Some(args) => request.setattr(intern!(py, "view_args"), args)?,
                None => request.setattr(intern!(py, "view_args"), PyDict::new(py))?,
            }
        }
        drop(this);
        slf.try_borrow_mut()?.made.request = Some(request.clone().unbind());
        Ok(Some(request))
    }

    /// Lends a lazily made object, making it with the dialect's `maker` on first touch. No borrow is held across
    /// the call.
    pub(super) fn made<'py>(
        slf: &Bound<'py, Self>,
        slot: fn(&mut Made) -> &mut Option<Py<PyAny>>,
        maker: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let app = {
            let mut this = slf.try_borrow_mut()?;
            if let Some(made) = slot(&mut this.made) {
                return Ok(made.clone_ref(py).into_bound(py));
            }
            Arc::clone(&this.app)
        };
        let made = app.call(maker, (&app.object, slf))?;
        let mut this = slf.try_borrow_mut()?;
        // The maker may have set it itself.
        Ok(slot(&mut this.made)
            .get_or_insert_with(|| made.unbind())
            .clone_ref(py)
            .into_bound(py))
    }

    /// Nothing that a JSON body is read by was set on the request object itself.
    pub(super) fn is_untouched(&self, request: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = request.py();
        let values = request.getattr(intern!(py, "__dict__"))?;
        let Ok(values) = values.cast_exact::<PyDict>() else {
            return Ok(false);
        };
        let module = values.get_item(intern!(py, "json_module"))?;
        if module.is_none_or(|module| !module.is(&self.app.json_provider)) {
            return Ok(false);
        }
        // Most have what `stock_request` gave them and nothing else.
        let given = if self.url_rule.is_some() { 4 } else { 2 };
        if values.len() == given
            && values.contains(intern!(py, "_native"))?
            && (given == 2
                || values.contains(intern!(py, "url_rule"))?
                    && values.contains(intern!(py, "view_args"))?)
        {
            return Ok(true);
        }
        for name in [
            intern!(py, "stream"),
            intern!(py, "data"),
            intern!(py, "get_data"),
            intern!(py, "_cached_data"),
            intern!(py, "headers"),
            intern!(py, "content_type"),
            intern!(py, "mimetype"),
            intern!(py, "is_json"),
            intern!(py, "shallow"),
            intern!(py, "_max_content_length"),
        ] {
            if values.contains(name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl RequestState {
    pub(super) fn data<'a>(&'a self, py: Python<'a>) -> &'a [u8] {
        match (&self.body, &self.request.body) {
            (Some(body), conn::Body::Empty) => body.bind(py).get().bytes(),
            (_, body) => body.bytes(),
        }
    }
}

/// `application/json`, with parameters or not.
pub(super) fn is_json(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|b| *b == b';').next().unwrap_or(&[]);
    media_type
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/json")
}
