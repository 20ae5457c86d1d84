//! All of the crate's direct use of the CPython C API: with its submodules the only files of `py`
//! in which `unsafe` is allowed.
//! Each function is a safe wrapper whose contract is in its signature; each block says why it is sound.
#![allow(unsafe_code)]

pub(crate) mod json;
pub(crate) mod walk;

use crate::buf::{Budget, Payload};
use crate::conn;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType, PyTypeMethods};
use smallvec::SmallVec;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

// ---------------------------------------------------------------------------------------------------------------
// Context variables
// ---------------------------------------------------------------------------------------------------------------

/// A `contextvars.Context`.
pub struct Context(Py<PyAny>);

impl Context {
    /// A copy of the thread's current context: 26 ns on 3.11.
    pub fn copy_current(py: Python<'_>) -> PyResult<Self> {
        // SAFETY: attached (`py`); returns a new reference or NULL with an exception set.
        let context = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent())? };
        Ok(Self(context.unbind()))
    }

    /// Another context with the same values.
    pub fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        self.0.call_method0(py, pyo3::intern!(py, "copy")).map(Self)
    }

    /// One that somebody else has; what is none cannot be entered.
    pub fn of(object: Py<PyAny>) -> Self {
        Self(object)
    }

    pub fn object(&self) -> &Py<PyAny> {
        &self.0
    }

    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        Self(self.0.clone_ref(py))
    }

    /// Whether a copy of it lives that nobody has set anything in: then what it holds is held by the copy too, and
    /// no reference count tells. Says yes where it cannot tell.
    pub fn has_copies(&self, py: Python<'_>) -> bool {
        let Some(values) = self.values(py) else {
            return true;
        };
        count_references(values) > 1
    }

    /// Whether `var` with `value` is all that it holds, and nobody has a copy of it or refers to it but for `known`
    /// references, this one among them.
    pub fn holds_only(
        &self,
        py: Python<'_>,
        known: isize,
        var: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> bool {
        if cfg!(Py_GIL_DISABLED) || count_references(self.0.as_ptr()) > known {
            return false;
        }
        // The map of values, its one node, and the node's one pair.
        let Some(values) = self.values(py) else {
            return false;
        };
        let node = referents(py, values);
        let [node] = node.as_slice() else {
            return false;
        };
        let pair = referents(py, *node);
        count_references(values) == 1
            && count_references(*node) == 1
            && matches!(*pair.as_slice(), [a, b]
                if a == var.as_ptr() && b == value.as_ptr() || b == var.as_ptr() && a == value.as_ptr())
    }

    /// The map that it shares with its copies; None if it is not to be found.
    fn values(&self, py: Python<'_>) -> Option<*mut ffi::PyObject> {
        let class = self.0.bind(py).get_type();
        let mut found = referents(py, self.0.as_ptr());
        // A context that is entered refers to the one that was current before.
        // SAFETY: attached, and what a live object refers to is alive.
        found.retain(|object| unsafe { ffi::Py_TYPE(*object) } != class.as_type_ptr());
        match *found.as_slice() {
            [values] => Some(values),
            _ => None,
        }
    }

    /// Makes it the thread's current context until the guard goes.
    pub fn enter<'a, 'py>(&'a self, py: Python<'py>) -> PyResult<Entered<'a, 'py>> {
        // SAFETY: attached; the argument is an object, and an exception is set if it is no Context.
        if unsafe { ffi::PyContext_Enter(self.0.as_ptr()) } != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(Entered { context: self, py })
    }
}

/// The objects that a live object refers to, as it shows them to the garbage collector: borrowed, and only as long as
/// nothing else runs. At most four; more count as none, as does an object that shows nothing.
fn referents(_py: Python<'_>, object: *mut ffi::PyObject) -> SmallVec<[*mut ffi::PyObject; 4]> {
    // SAFETY: called below with the vector as its argument; it runs no Python code. Stops at the fifth object.
    unsafe extern "C" fn collect(object: *mut ffi::PyObject, found: *mut c_void) -> c_int {
        // SAFETY: see above.
        let found = unsafe { &mut *found.cast::<SmallVec<[*mut ffi::PyObject; 4]>>() };
        if found.len() == 4 {
            return 1;
        }
        found.push(object);
        0
    }
    let mut found = SmallVec::new();
    // SAFETY: attached (`_py`), the object is alive, and `tp_traverse` is called as the garbage collector does.
    let stopped = unsafe {
        let Some(traverse) = (*ffi::Py_TYPE(object)).tp_traverse else {
            return found;
        };
        traverse(object, collect, (&raw mut found).cast())
    };
    if stopped != 0 {
        found.clear();
    }
    found
}

fn count_references(object: *mut ffi::PyObject) -> isize {
    // SAFETY: callers pass live objects, attached.
    unsafe { ffi::Py_REFCNT(object) as isize }
}

/// Leaves the context on drop, on every path.
pub struct Entered<'a, 'py> {
    context: &'a Context,
    py: Python<'py>,
}

impl Drop for Entered<'_, '_> {
    fn drop(&mut self) {
        // An exception on its way must survive the exit.
        // SAFETY: attached; the pointer that is returned is only compared.
        let is_raised = unsafe { !ffi::PyErr_Occurred().is_null() };
        let raised = is_raised.then(|| PyErr::fetch(self.py));
        // SAFETY: attached for `'py`; this guard entered the context and is dropped on the same thread (it holds a
        // `Python` token, which is not Send).
        if unsafe { ffi::PyContext_Exit(self.context.0.as_ptr()) } != 0 {
            PyErr::fetch(self.py).write_unraisable(self.py, None);
        }
        if let Some(raised) = raised {
            raised.restore(self.py);
        }
    }
}

/// Sets a context variable in the current context; no token is kept, the context itself is left as a whole.
pub fn set_context_var(var: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: attached; `PyContextVar_Set` checks the type of `var`; it returns a new reference or NULL with an error.
    let token = unsafe {
        Bound::from_owned_ptr_or_err(
            var.py(),
            ffi::PyContextVar_Set(var.as_ptr(), value.as_ptr()),
        )?
    };
    drop(token);
    Ok(())
}

/// The value of a context variable, or None when it has none here.
pub fn context_var_value<'py>(var: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = var.py();
    let mut value = ptr::null_mut();
    // SAFETY: attached; `PyContextVar_Get` checks the type of `var` and stores a new reference or NULL in `value`.
    unsafe {
        if ffi::PyContextVar_Get(var.as_ptr(), ptr::null_mut(), &raw mut value) != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(Bound::from_owned_ptr_or_opt(py, value))
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Attributes
// ---------------------------------------------------------------------------------------------------------------

unsafe extern "C" {
    /// The interpreter's own cached look-up along a type's bases: a borrowed reference, or NULL without an exception.
    /// Not part of the documented API, exported by every CPython from 2.2 on.
    fn _PyType_Lookup(
        class: *mut ffi::PyTypeObject,
        name: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
}

/// Has instances of a class read what it does not define from what their `_get_current_object` returns.
pub fn set_attribute_forwarding(class: &Bound<'_, PyType>) {
    // SAFETY: attached, and the type is alive while borrowed. A heap type's slot may be changed at any time as long as
    // the type's caches are told; the new function has the slot's contract. Classes derived later get the slot that
    // their own `__getattr__` asks for.
    unsafe {
        let class = class.as_type_ptr();
        (*class).tp_getattro = Some(forwarded_attribute);
        ffi::PyType_Modified(class);
    }
}

/// `tp_getattro` of a proxy. Nothing in it can panic.
// SAFETY: called by the interpreter, attached, with a live object and a str.
unsafe extern "C" fn forwarded_attribute(
    object: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: see above. Every result is a new reference or NULL with an exception set, except that of
    // `_PyType_Lookup`, which is only compared; each reference taken here is given back.
    unsafe {
        if !_PyType_Lookup(ffi::Py_TYPE(object), name).is_null() {
            return ffi::PyObject_GenericGetAttr(object, name);
        }
        let resolver = pyo3::intern!(Python::assume_attached(), "_get_current_object").as_ptr();
        let resolve = ffi::PyObject_GenericGetAttr(object, resolver);
        if resolve.is_null() {
            return ptr::null_mut();
        }
        let target = ffi::PyObject_CallNoArgs(resolve);
        ffi::Py_DECREF(resolve);
        if target.is_null() {
            return ptr::null_mut();
        }
        let value = ffi::PyObject_GetAttr(target, name);
        ffi::Py_DECREF(target);
        value
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Calls
// ---------------------------------------------------------------------------------------------------------------

/// `callable(**kwargs)` without an argument tuple.
pub fn call_with_kwargs<'py>(
    callable: &Bound<'py, PyAny>,
    kwargs: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; no positional arguments, so the array may be NULL; `kwargs` is a dict with str keys or the
    // call itself raises; returns a new reference or NULL with an exception set.
    unsafe {
        Bound::from_owned_ptr_or_err(
            callable.py(),
            ffi::PyObject_VectorcallDict(callable.as_ptr(), ptr::null(), 0, kwargs.as_ptr()),
        )
    }
}

/// What a coroutine did with a step.
pub enum Sent<'py> {
    Yielded(Bound<'py, PyAny>),
    Returned(Bound<'py, PyAny>),
    Raised(PyErr),
}

/// `coroutine.send(None)`, without an exception for its end.
#[cfg(Py_3_10)]
pub fn send<'py>(coroutine: &Bound<'py, PyAny>) -> Sent<'py> {
    let py = coroutine.py();
    let mut value = ptr::null_mut();
    // SAFETY: attached, and both objects are alive; whatever is no coroutine has its `send` called. `value` is a new
    // reference, or NULL with an exception set.
    let (outcome, value) = unsafe {
        let outcome = ffi::PyIter_Send(coroutine.as_ptr(), py.None().as_ptr(), &raw mut value);
        (outcome, Bound::from_owned_ptr_or_opt(py, value))
    };
    match (outcome, value) {
        (ffi::PySendResult::PYGEN_NEXT, Some(value)) => Sent::Yielded(value),
        (ffi::PySendResult::PYGEN_RETURN, Some(value)) => Sent::Returned(value),
        _ => Sent::Raised(PyErr::fetch(py)),
    }
}

/// `coroutine.send(None)`.
#[cfg(not(Py_3_10))]
pub fn send<'py>(coroutine: &Bound<'py, PyAny>) -> Sent<'py> {
    let py = coroutine.py();
    match coroutine.call_method1(pyo3::intern!(py, "send"), (py.None(),)) {
        Ok(value) => Sent::Yielded(value),
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyStopIteration>(py) => {
            match error.value(py).getattr("value") {
                Ok(value) => Sent::Returned(value),
                Err(error) => Sent::Raised(error),
            }
        }
        Err(error) => Sent::Raised(error),
    }
}

/// Ends an iteration with a value, as a `return` in a generator does: without an exception where the interpreter can do
/// without. Not for tuples and exceptions, which it would take for the arguments of one, and for one. `__next__` returns
/// None right after it, and drops nothing but references that others have too.
pub fn set_stop_iteration(value: &Bound<'_, PyAny>) {
    // SAFETY: attached, and both objects are alive.
    unsafe { ffi::PyErr_SetObject(ffi::PyExc_StopIteration, value.as_ptr()) }
}

/// A new instance of a class, as its `__new__` without arguments makes it; `__init__` is not called.
pub fn new_object<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let arguments = PyTuple::empty(py);
    // SAFETY: attached, and the type is alive while borrowed. `tp_new` is called as `type.__call__` calls it, with an
    // empty tuple and no keywords; it returns a new reference or NULL with an exception set.
    unsafe {
        let Some(new) = (*class.as_type_ptr()).tp_new else {
            return Err(PyTypeError::new_err("the class cannot be instantiated"));
        };
        let object = new(class.as_type_ptr(), arguments.as_ptr(), ptr::null_mut());
        Bound::from_owned_ptr_or_err(py, object)
    }
}

/// How many references an object has; only a hint where other threads may hold some.
pub fn reference_count(object: &Bound<'_, PyAny>) -> isize {
    count_references(object.as_ptr())
}

/// The memory of an object at one moment: what its type keeps in it, pointers as pointers, and the number of references
/// to it.
pub struct Snapshot {
    /// Words before the object that are compared too: those for attributes and weak references that the interpreter
    /// keeps there for some types (3.12 and later).
    before: usize,
    words: Box<[usize]>,
}

impl Snapshot {
    /// None for types whose memory is of no fixed size, and where other threads may write to it at any time.
    pub fn take(object: &Bound<'_, PyAny>) -> Option<Self> {
        const WORD: usize = size_of::<usize>();
        // `Py_TPFLAGS_MANAGED_WEAKREF` and `Py_TPFLAGS_MANAGED_DICT`.
        const MANAGED: std::ffi::c_ulong = 1 << 3 | 1 << 4;
        let class = object.get_type();
        let flags = type_flags(&class);
        // SAFETY: attached, and the type is alive while borrowed; these are set when it is made.
        let (size, items) = unsafe {
            let class = class.as_type_ptr();
            ((*class).tp_basicsize, (*class).tp_itemsize)
        };
        let size = usize::try_from(size).ok()?;
        if cfg!(Py_GIL_DISABLED) || items != 0 || size % WORD != 0 {
            return None;
        }
        // Two words, before the two of the garbage collector.
        let before = if flags & MANAGED != 0 { 4 } else { 0 };
        let mut snapshot = Self {
            before,
            words: vec![0; before + size / WORD].into_boxed_slice(),
        };
        for index in 0..snapshot.words.len() {
            // SAFETY: `index` is within the words that were just counted.
            snapshot.words[index] = unsafe { snapshot.word(object, index) };
        }
        Some(snapshot)
    }

    /// Whether an object of the same type has the same memory now.
    pub fn is_of(&self, object: &Bound<'_, PyAny>) -> bool {
        self.words
            .iter()
            .enumerate()
            // The collector's words are its own: it links the objects that it tracks.
            .filter(|(index, _)| !(2..self.before).contains(index))
            // SAFETY: the snapshot has as many words as objects of this type have.
            .all(|(index, word)| unsafe { self.word(object, index) } == *word)
    }

    /// # Safety
    ///
    /// `index` is below the number of words, and the object of the type that these were counted for.
    unsafe fn word(&self, object: &Bound<'_, PyAny>, index: usize) -> usize {
        // SAFETY: attached; an object is aligned to words, and memory of `tp_basicsize` bytes that the interpreter has
        // set to zero before its first use. Objects of types with one of the flags have four words before them. Nobody
        // writes while this thread is attached.
        unsafe {
            object
                .as_ptr()
                .cast::<usize>()
                .sub(self.before)
                .add(index)
                .read()
        }
    }
}

fn type_flags(class: &Bound<'_, PyType>) -> std::ffi::c_ulong {
    // SAFETY: attached, and the type is alive while borrowed; as `type_version` says.
    unsafe {
        #[cfg(Py_GIL_DISABLED)]
        return (*class.as_type_ptr())
            .tp_flags
            .load(std::sync::atomic::Ordering::Relaxed);
        #[cfg(not(Py_GIL_DISABLED))]
        return (*class.as_type_ptr()).tp_flags;
    }
}

/// The interpreter's version number of a type: it changes with every change of the type or a base of it. None when
/// the type has no valid one now (it was changed and not looked at since).
pub fn type_version(class: &Bound<'_, PyType>) -> Option<u32> {
    const VALID_VERSION_TAG: std::ffi::c_ulong = 1 << 19;
    let flags = type_flags(class);
    // SAFETY: attached, and the type is alive while borrowed; a plain integer that the interpreter writes under its own
    // lock. On a free-threaded build a torn view is impossible (aligned words), and a stale one is what reading a moment
    // earlier would have given.
    let version = unsafe { (*class.as_type_ptr()).tp_version_tag };
    (flags & VALID_VERSION_TAG != 0 && version != 0).then_some(version)
}

// ---------------------------------------------------------------------------------------------------------------
// Buffers
// ---------------------------------------------------------------------------------------------------------------

/// A `bytes` object as a body: read detached, dropped attached (by the graveyard).
pub struct BytesPayload {
    data: *const u8,
    len: usize,
    _owner: Py<PyBytes>,
}

// SAFETY: the pointer is into an immutable bytes object that `_owner` keeps alive; `Py` is Send.
unsafe impl Send for BytesPayload {}

impl BytesPayload {
    pub fn new(owner: Py<PyBytes>) -> Self {
        let (data, len) = Python::attach(|py| {
            let bytes = owner.as_bytes(py);
            (bytes.as_ptr(), bytes.len())
        });
        Self {
            data,
            len,
            _owner: owner,
        }
    }
}

impl Payload for BytesPayload {
    fn bytes(&self) -> &[u8] {
        // SAFETY: valid for `len` bytes for as long as `_owner` lives, that is as long as `self`; never written.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

/// The received bytes of a request body, read-only, without a copy: whatever takes a buffer takes this.
#[pyclass(frozen, module = "bustapi._core", weakref)]
pub struct Body {
    data: conn::Body,
    /// What this object pins of receive memory: given back with the last view.
    pinned: usize,
    budget: Arc<Budget>,
}

impl Body {
    pub fn new(data: conn::Body, pinned: usize, budget: Arc<Budget>) -> Self {
        Self {
            data,
            pinned,
            budget,
        }
    }

    pub fn bytes(&self) -> &[u8] {
        self.data.bytes()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.budget.give_back(self.pinned);
    }
}

#[pymethods]
impl Body {
    fn __len__(&self) -> usize {
        self.bytes().len()
    }

    fn __bool__(&self) -> bool {
        !self.bytes().is_empty()
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.bytes())
    }

    fn __repr__(&self) -> String {
        format!("<Body of {} bytes>", self.bytes().len())
    }

    /// `tobytes()`: a copy, as `memoryview.tobytes` gives.
    fn tobytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.__bytes__(py)
    }

    // SAFETY: called by the interpreter with a valid `view`; filled by PyBuffer_FillInfo, which takes a reference on
    // the exporter. The exporter is frozen and owns its bytes, which are never written or moved while it lives.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill"));
        }
        let bytes = slf.get().bytes();
        let len = bytes.len() as ffi::Py_ssize_t;
        // SAFETY: see above; read-only is requested, so a writable request is refused with BufferError.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                bytes.as_ptr().cast_mut().cast::<c_void>(),
                len,
                1,
                flags,
            )
        };
        if filled == 0 {
            Ok(())
        } else {
            Err(PyErr::fetch(slf.py()))
        }
    }

    // SAFETY: nothing to release: the reference is dropped by PyBuffer_Release.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {}
}
