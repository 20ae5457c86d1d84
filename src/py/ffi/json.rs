//! What `py::json` needs from the C API: the exact kind of a value, the raw text of a `str`, snapshots of
//! containers. None of these functions runs Python code unless its doc says so.

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::json::Text;
use crate::json::utf8::{self, Measure};

/// How the `json` module of the standard library sees a value: identity for the three constants, then
/// subclass checks in the order of its C encoder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Str,
    Int,
    Float,
    True,
    False,
    None,
    Dict,
    DictSubclass,
    List,
    Tuple,
    SequenceSubclass,
    Other,
}

#[inline]
pub(crate) fn kind(value: &Bound<'_, PyAny>) -> Kind {
    let ptr = value.as_ptr();
    // SAFETY: `value` is a live object and we are attached; the static types and singletons live as long as the
    // interpreter, and the Check functions only read type flags.
    unsafe {
        let class = ffi::Py_TYPE(ptr);
        if class == &raw mut ffi::PyUnicode_Type {
            Kind::Str
        } else if class == &raw mut ffi::PyLong_Type {
            Kind::Int
        } else if class == &raw mut ffi::PyDict_Type {
            Kind::Dict
        } else if class == &raw mut ffi::PyList_Type {
            Kind::List
        } else if class == &raw mut ffi::PyFloat_Type {
            Kind::Float
        } else if class == &raw mut ffi::PyTuple_Type {
            Kind::Tuple
        } else if ptr == ffi::Py_None() {
            Kind::None
        } else if ptr == ffi::Py_True() {
            Kind::True
        } else if ptr == ffi::Py_False() {
            Kind::False
        } else if ffi::PyUnicode_Check(ptr) != 0 {
            Kind::Str
        } else if ffi::PyLong_Check(ptr) != 0 {
            Kind::Int
        } else if ffi::PyFloat_Check(ptr) != 0 {
            Kind::Float
        } else if ffi::PyList_Check(ptr) != 0 || ffi::PyTuple_Check(ptr) != 0 {
            Kind::SequenceSubclass
        } else if ffi::PyDict_Check(ptr) != 0 {
            Kind::DictSubclass
        } else {
            Kind::Other
        }
    }
}

/// True for `str` itself, not for a subclass.
#[inline]
pub(crate) fn is_exact_str(value: &Bound<'_, PyAny>) -> bool {
    // SAFETY: reads the type pointer of a live object.
    unsafe { ffi::Py_TYPE(value.as_ptr()) == &raw mut ffi::PyUnicode_Type }
}

/// The stored text of a `str` or of a subclass's instance; None if `value` is no `str`, or if an old
/// `wchar_t` string (before 3.12) cannot be converted for lack of memory.
#[inline]
pub(crate) fn text<'a>(value: &'a Bound<'_, PyAny>) -> Option<Text<'a>> {
    // SAFETY: attached, and the object lives for as long as the borrow.
    unsafe { raw_text(value.as_ptr()) }
}

/// The same of a pointer.
// SAFETY: for the caller: attached, and the object outlives `'a`.
#[inline]
pub(super) unsafe fn raw_text<'a>(ptr: *mut ffi::PyObject) -> Option<Text<'a>> {
    // SAFETY: the check makes `ptr` a `str`, READY gives it its canonical form, in which KIND, DATA and
    // GET_LENGTH describe one buffer. The text of a `str` never changes.
    unsafe {
        if ffi::PyUnicode_Check(ptr) == 0 {
            return None;
        }
        if ffi::PyUnicode_READY(ptr) != 0 {
            ffi::PyErr_Clear();
            return None;
        }
        let len = ffi::PyUnicode_GET_LENGTH(ptr) as usize;
        let data = ffi::PyUnicode_DATA(ptr);
        Some(match ffi::PyUnicode_KIND(ptr) {
            ffi::PyUnicode_1BYTE_KIND => {
                Text::One(std::slice::from_raw_parts(data.cast::<u8>(), len))
            }
            ffi::PyUnicode_2BYTE_KIND => {
                Text::Two(std::slice::from_raw_parts(data.cast::<u16>(), len))
            }
            _ => Text::Four(std::slice::from_raw_parts(data.cast::<u32>(), len)),
        })
    }
}

/// A new `str` of ASCII bytes. The caller has checked that all are below 0x80.
#[inline]
pub(crate) fn ascii_str<'py>(py: Python<'py>, ascii: &[u8]) -> PyResult<Bound<'py, PyString>> {
    debug_assert!(ascii.is_ascii());
    let len = ascii.len();
    // SAFETY: a slice is never longer than isize::MAX; PyUnicode_New returns null with an error set, or a new
    // compact ASCII `str` of `len` writable bytes that nobody else has seen. A one-character request returns
    // a fresh object too (singletons come from other constructors); the empty string is shared and gets
    // nothing written.
    unsafe {
        let ptr = ffi::PyUnicode_New(len as ffi::Py_ssize_t, 127);
        let text = Bound::from_owned_ptr_or_err(py, ptr)?;
        if len != 0 {
            let data = ascii_data(ptr);
            match (ascii.first_chunk::<8>(), ascii.last_chunk::<8>()) {
                // Two moves that may overlap, instead of a call: most texts are no longer.
                (Some(head), Some(tail)) if len <= 16 => {
                    data.cast::<[u8; 8]>().write_unaligned(*head);
                    data.add(len - 8).cast::<[u8; 8]>().write_unaligned(*tail);
                }
                _ => std::ptr::copy_nonoverlapping(ascii.as_ptr(), data, len),
            }
        }
        Ok(text.cast_into_unchecked())
    }
}

/// Where the text of a compact ASCII `str` is: right behind its head.
// SAFETY: for the caller: `text` is one.
#[inline(always)]
unsafe fn ascii_data(text: *mut ffi::PyObject) -> *mut u8 {
    // SAFETY: as said; the text is in the same allocation.
    unsafe { text.cast::<ffi::PyASCIIObject>().add(1).cast() }
}

/// An `int`; None (no exception) for lack of memory.
#[inline(always)]
pub(crate) fn new_int(py: Python<'_>, number: i64) -> Option<Bound<'_, PyAny>> {
    // SAFETY: attached; a new reference, or null with an exception, which is cleared.
    unsafe {
        let int = ffi::PyLong_FromLongLong(number);
        if int.is_null() {
            ffi::PyErr_Clear();
        }
        Bound::from_owned_ptr_or_opt(py, int)
    }
}

/// A new `list` of `values[base..]`, which it takes out; None (no exception) for lack of memory.
#[inline(always)]
pub(crate) fn new_list<'py>(
    py: Python<'py>,
    values: &mut Vec<Py<PyAny>>,
    base: usize,
) -> Option<Bound<'py, PyAny>> {
    let items = values.get(base..)?;
    // SAFETY: a new list has room for as many items as it was made for, all null, and nothing runs before they are
    // set. A `Py` is a pointer to an object with a reference of its own, which goes over to the list: the vector
    // forgets them at once.
    unsafe {
        let list = ffi::PyList_New(items.len() as ffi::Py_ssize_t);
        if list.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let room = (*list.cast::<ffi::PyListObject>()).ob_item;
        std::ptr::copy_nonoverlapping(items.as_ptr().cast(), room, items.len());
        values.set_len(base);
        Some(Bound::from_owned_ptr(py, list))
    }
}

/// A new `str` from UTF-8 that need not be valid; None (no exception) where it is not.
pub(crate) fn utf8_str<'py>(py: Python<'py>, utf8: &[u8]) -> Option<Bound<'py, PyString>> {
    let Measure { len, limit } = utf8::measure(utf8);
    // SAFETY: null means an exception, which is cleared. Otherwise a new `str` nobody else has seen (the shared
    // empty one has no room), with room for `len` characters of the width that `limit` has; it is zeroed before there
    // are references to it. A text that could not be written is freed without anybody having seen it.
    unsafe {
        let ptr = ffi::PyUnicode_New(len as ffi::Py_ssize_t, limit);
        if ptr.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let object = Bound::from_owned_ptr(py, ptr).cast_into_unchecked();
        let data = ffi::PyUnicode_DATA(ptr);
        let is_valid = match limit {
            0x7f | 0xff => utf8::decode(utf8, room::<u8>(data, len)),
            0xffff => utf8::decode(utf8, room::<u16>(data, len)),
            _ => utf8::decode(utf8, room::<u32>(data, len)),
        };
        is_valid.then_some(object)
    }
}

/// The text of a new `str`, made zeros.
// SAFETY: for the caller: nobody else sees the `str`, which has room for `len` units and outlives `'a`.
unsafe fn room<'a, T: utf8::Unit>(data: *mut std::ffi::c_void, len: usize) -> &'a mut [T] {
    // SAFETY: as said; a unit of zeros is valid, and `DATA` is aligned for its units.
    unsafe {
        let units = data.cast::<T>();
        units.write_bytes(0, len);
        std::slice::from_raw_parts_mut(units, len)
    }
}

/// A new `str` of code points; None (no exception) for lack of memory, or if one is beyond Unicode.
pub(crate) fn points_str<'py>(py: Python<'py>, points: &[u32]) -> Option<Bound<'py, PyString>> {
    // The width depends on the highest one; up to its own width, all bits together are as good.
    let limit = match points.iter().fold(0, |bits, &point| bits | point) {
        bits @ 0..0x1_0000 => bits,
        _ => points.iter().copied().max()?,
    };
    if limit > 0x10_ffff {
        return None;
    }
    // SAFETY: as in `utf8_str`; every point is at most `limit`.
    unsafe {
        let ptr = ffi::PyUnicode_New(points.len() as ffi::Py_ssize_t, limit);
        if ptr.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let object = Bound::from_owned_ptr(py, ptr).cast_into_unchecked();
        let data = ffi::PyUnicode_DATA(ptr);
        for (at, &point) in points.iter().enumerate() {
            if limit < 0x100 {
                *data.cast::<u8>().add(at) = point as u8;
            } else if limit < 0x1_0000 {
                *data.cast::<u16>().add(at) = point as u16;
            } else {
                *data.cast::<u32>().add(at) = point;
            }
        }
        Some(object)
    }
}

/// The value of an `int` (or subclass) where it fits; None for larger ones and for what is no `int`.
#[inline]
pub(crate) fn small_int(value: &Bound<'_, PyAny>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: the check makes it an `int`, for which the conversion reads digits and calls no `__index__`.
    let number = unsafe {
        if ffi::PyLong_Check(value.as_ptr()) == 0 {
            return None;
        }
        ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &raw mut overflow)
    };
    (overflow == 0).then_some(number)
}

/// `int.__repr__(value)`, whatever a subclass overrides. Fails like it on too many digits.
pub(crate) fn int_repr<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let int = value.py().get_type::<pyo3::types::PyInt>();
    int.getattr("__repr__")?.call1((value,))
}

/// The value of a `float` or of a subclass's instance.
#[inline]
pub(crate) fn float(value: &Bound<'_, PyAny>) -> Option<f64> {
    // SAFETY: the check makes the read of the field valid.
    unsafe {
        (ffi::PyFloat_Check(value.as_ptr()) != 0).then(|| ffi::PyFloat_AS_DOUBLE(value.as_ptr()))
    }
}

/// Gives every pair of a dict to `take`, each with a reference of its own. `take` must not run Python code
/// (it could change the dict); that would be a wrong snapshot, not a memory error, as every step re-reads.
#[inline]
pub(crate) fn dict_pairs<'py>(
    dict: &Bound<'py, PyDict>,
    mut take: impl FnMut(Bound<'py, PyAny>, Bound<'py, PyAny>),
) {
    let py = dict.py();
    let mut walk = || {
        let mut position: ffi::Py_ssize_t = 0;
        let mut key = std::ptr::null_mut();
        let mut value = std::ptr::null_mut();
        // SAFETY: `dict` is a dict; PyDict_Next checks `position` against the table on every call and yields
        // references that are valid until other code runs; each gets its own count before that.
        unsafe {
            while ffi::PyDict_Next(
                dict.as_ptr(),
                &raw mut position,
                &raw mut key,
                &raw mut value,
            ) != 0
            {
                take(
                    Bound::from_borrowed_ptr(py, key),
                    Bound::from_borrowed_ptr(py, value),
                );
            }
        }
    };
    // Without a GIL another thread may resize the table between two steps.
    #[cfg(Py_GIL_DISABLED)]
    pyo3::sync::critical_section::with_critical_section(dict.as_any(), walk);
    #[cfg(not(Py_GIL_DISABLED))]
    walk();
}

/// Item `index` of a list or tuple as it is now; None past its end (a list may have shrunk meanwhile).
#[inline]
pub(crate) fn item<'py>(items: &Bound<'py, PyAny>, index: usize) -> Option<Bound<'py, PyAny>> {
    let ptr = items.as_ptr();
    let at = index as ffi::Py_ssize_t;
    // SAFETY: each branch has checked the type, the index is compared with the size under the same attach
    // without code in between, and the borrowed item gets its own count at once. Without a GIL the list is
    // read through PyList_GetItemRef, which does the same atomically.
    unsafe {
        if ffi::PyTuple_Check(ptr) != 0 {
            (at < ffi::PyTuple_GET_SIZE(ptr))
                .then(|| Bound::from_borrowed_ptr(items.py(), ffi::PyTuple_GET_ITEM(ptr, at)))
        } else if ffi::PyList_Check(ptr) != 0 {
            #[cfg(Py_GIL_DISABLED)]
            {
                let item = ffi::PyList_GetItemRef(ptr, at);
                if item.is_null() {
                    ffi::PyErr_Clear();
                    return None;
                }
                Some(Bound::from_owned_ptr(items.py(), item))
            }
            #[cfg(not(Py_GIL_DISABLED))]
            (at < ffi::PyList_GET_SIZE(ptr))
                .then(|| Bound::from_borrowed_ptr(items.py(), ffi::PyList_GET_ITEM(ptr, at)))
        } else {
            None
        }
    }
}

/// The items of a list or tuple subclass as an exact list, through its `__iter__`. Runs Python code.
pub(crate) fn sequence_list<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    const MESSAGE: &CStr = c"_iterencode_list needs a sequence";
    // SAFETY: a live object, a static message; returns a new reference or null with an exception.
    unsafe {
        let items = ffi::PySequence_Fast(value.as_ptr(), MESSAGE.as_ptr());
        Bound::from_owned_ptr_or_err(value.py(), items)
    }
}

/// Counts one level of nesting against the interpreter's recursion limit; RecursionError beyond it. Every
/// success is to be paired with one `leave_recursion` on the same thread.
#[inline]
pub(crate) fn enter_recursion(py: Python<'_>) -> PyResult<()> {
    // SAFETY: attached; a static message.
    if unsafe { ffi::Py_EnterRecursiveCall(c" while encoding a JSON object".as_ptr()) } == 0 {
        Ok(())
    } else {
        Err(PyErr::fetch(py))
    }
}

#[inline]
pub(crate) fn leave_recursion(_py: Python<'_>) {
    // SAFETY: attached; unpaired calls only make the limit too generous.
    unsafe { ffi::Py_LeaveRecursiveCall() }
}
