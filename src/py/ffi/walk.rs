//! A read of a tree of plain values with borrowed references only: exact `dict`, `list`, `tuple`, `str`, `int`,
//! `float`, `bool` and None.
//!
//! Reading these runs no Python code and releases no object, so under the GIL nothing can change or free what is
//! borrowed; without a GIL the walk declines. Whatever is not plain makes it give up, and the caller starts over
//! the general way, which is always possible because nothing was done yet that Python could see.

use std::mem::MaybeUninit;
use std::slice;

use pyo3::ffi;
use pyo3::prelude::*;

use super::json::raw_text;
use crate::json::{Short, Text, Word};

/// Nesting beyond this is left to the general way: a frame here is native stack.
const MAX_DEPTH: usize = 16;

/// Dicts of up to this many items are sorted on the stack.
const STACK_PAIRS: usize = 16;

/// Takes what a walk finds, as plain data. INVARIANT: no method runs Python code.
pub(crate) trait Sink {
    fn open(&mut self, bracket: u8);
    fn close(&mut self, bracket: u8);
    fn key(&mut self, key: Short<'_>);
    fn short(&mut self, text: Short<'_>);
    fn text(&mut self, text: Text<'_>);
    fn int(&mut self, number: i64);
    fn float(&mut self, number: f64);
    fn word(&mut self, word: Word);
}

/// Tells `sink` all of `value`; false, after any number of calls, for one that is not plain.
#[inline]
pub(crate) fn walk(value: &Bound<'_, PyAny>, sort: bool, sink: &mut impl Sink) -> bool {
    if cfg!(Py_GIL_DISABLED) {
        return false;
    }
    let mut walker = Walker {
        sink,
        sort,
        path: [std::ptr::null_mut(); MAX_DEPTH],
    };
    // SAFETY: attached, for as long as `value` lives; `value` keeps the root alive, and the module's doc says why
    // all below it stays alive and unchanged.
    unsafe { walker.value(value.as_ptr(), 0) }
}

/// An item of a dict, borrowed.
#[derive(Clone, Copy)]
struct Pair {
    /// The key's first bytes, the first one highest: orders most keys without a look at them.
    order: u64,
    key: *const u8,
    len: usize,
    value: *mut ffi::PyObject,
}

struct Walker<'s, S> {
    sink: &'s mut S,
    sort: bool,
    /// The containers around the current value: one that is among them is a cycle.
    path: [*mut ffi::PyObject; MAX_DEPTH],
}

impl<S: Sink> Walker<'_, S> {
    // SAFETY: for the caller, as for all of this type: attached with the GIL, `value` alive.
    #[inline(always)]
    unsafe fn value(&mut self, value: *mut ffi::PyObject, depth: usize) -> bool {
        // SAFETY: a live object; the static types and singletons live as long as the interpreter.
        unsafe {
            let class = ffi::Py_TYPE(value);
            if class == &raw mut ffi::PyUnicode_Type {
                if let Some(text) = short(value) {
                    self.sink.short(text);
                } else if let Some(text) = raw_text(value) {
                    self.sink.text(text);
                } else {
                    return false;
                }
            } else if class == &raw mut ffi::PyLong_Type {
                let mut overflow = 0;
                let number = ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow);
                if overflow != 0 {
                    return false;
                }
                self.sink.int(number);
            } else if class == &raw mut ffi::PyBool_Type {
                let truth = value == ffi::Py_True();
                self.sink.word(if truth { Word::True } else { Word::False });
            } else if class == &raw mut ffi::PyFloat_Type {
                self.sink.float(ffi::PyFloat_AS_DOUBLE(value));
            } else if class == &raw mut ffi::PyDict_Type {
                return self.dict(value, depth);
            } else if class == &raw mut ffi::PyList_Type {
                return self.list(value, depth, ffi::PyList_GET_SIZE(value), |list, at| {
                    ffi::PyList_GET_ITEM(list, at)
                });
            } else if value == ffi::Py_None() {
                self.sink.word(Word::Null);
            } else if class == &raw mut ffi::PyTuple_Type {
                return self.list(value, depth, ffi::PyTuple_GET_SIZE(value), |tuple, at| {
                    ffi::PyTuple_GET_ITEM(tuple, at)
                });
            } else {
                return false;
            }
        }
        true
    }

    /// Adds a container to the path; false where it is there already, or is too deep.
    #[inline]
    fn enter(&mut self, container: *mut ffi::PyObject, depth: usize) -> bool {
        if depth >= MAX_DEPTH || self.path[..depth].contains(&container) {
            return false;
        }
        self.path[depth] = container;
        true
    }

    // SAFETY: for the caller: `list` is what `item` reads, with `len` items.
    unsafe fn list(
        &mut self,
        list: *mut ffi::PyObject,
        depth: usize,
        len: ffi::Py_ssize_t,
        item: impl Fn(*mut ffi::PyObject, ffi::Py_ssize_t) -> *mut ffi::PyObject,
    ) -> bool {
        if !self.enter(list, depth) {
            return false;
        }
        self.sink.open(b'[');
        for at in 0..len {
            // SAFETY: the index is below the length, which cannot change in the walk.
            if unsafe { !self.value(item(list, at), depth + 1) } {
                return false;
            }
        }
        self.sink.close(b']');
        true
    }

    // SAFETY: for the caller: `dict` is a dict.
    unsafe fn dict(&mut self, dict: *mut ffi::PyObject, depth: usize) -> bool {
        if !self.enter(dict, depth) {
            return false;
        }
        // SAFETY: a dict that is alive and does not change in the walk.
        unsafe {
            let len = ffi::PyDict_Size(dict) as usize;
            if len <= STACK_PAIRS {
                let mut pairs = [const { MaybeUninit::uninit() }; STACK_PAIRS];
                self.pairs(dict, depth, &mut pairs)
            } else {
                let mut pairs = Vec::new();
                pairs.resize_with(len, MaybeUninit::uninit);
                self.pairs(dict, depth, &mut pairs)
            }
        }
    }

    // SAFETY: for the caller: `dict` is a dict.
    #[inline(always)]
    unsafe fn pairs(
        &mut self,
        dict: *mut ffi::PyObject,
        depth: usize,
        pairs: &mut [MaybeUninit<Pair>],
    ) -> bool {
        let mut len = 0;
        let mut sorted = true;
        let mut last = 0;
        let mut position: ffi::Py_ssize_t = 0;
        let mut key = std::ptr::null_mut();
        let mut value = std::ptr::null_mut();
        // SAFETY: a dict that does not change while it is iterated.
        unsafe {
            while ffi::PyDict_Next(dict, &raw mut position, &raw mut key, &raw mut value) != 0 {
                if ffi::Py_TYPE(key) != &raw mut ffi::PyUnicode_Type {
                    return false;
                }
                let (Some(text), Some(pair)) = (short(key), pairs.get_mut(len)) else {
                    return false;
                };
                let order = text.head.swap_bytes();
                sorted &= last < order;
                last = order;
                pair.write(Pair {
                    order,
                    key: text.bytes.as_ptr(),
                    len: text.bytes.len(),
                    value,
                });
                len += 1;
            }
        }
        // SAFETY: the first `len` were written just now; MaybeUninit has the layout of what it holds.
        let pairs = unsafe { slice::from_raw_parts_mut(pairs.as_mut_ptr().cast::<Pair>(), len) };
        if self.sort && !sorted {
            sort(pairs);
        }
        self.sink.open(b'{');
        for pair in pairs {
            let head = pair.order.swap_bytes();
            self.sink.key(Short {
                bytes: pair.text(),
                head,
            });
            // SAFETY: the value is in the dict, which does not change.
            if unsafe { !self.value(pair.value, depth + 1) } {
                return false;
            }
        }
        self.sink.close(b'}');
        true
    }
}

impl Pair {
    #[inline]
    fn text(&self) -> &[u8] {
        // SAFETY: the text of a key that is alive for the walk, and pairs are made and used within one.
        unsafe { slice::from_raw_parts(self.key, self.len) }
    }
}

/// By key. Zeros behind a short key keep the order; the full text settles what is equal so far.
#[inline]
fn sort(pairs: &mut [Pair]) {
    let order = |a: &Pair, b: &Pair| a.order.cmp(&b.order).then_with(|| a.text().cmp(b.text()));
    if pairs.len() > STACK_PAIRS {
        pairs.sort_unstable_by(order);
        return;
    }
    // By insertion: half the time of the library's sort on the few keys of a record.
    for from in 1..pairs.len() {
        let pair = pairs[from];
        let mut to = from;
        while to > 0 && order(&pair, &pairs[to - 1]).is_lt() {
            pairs[to] = pairs[to - 1];
            to -= 1;
        }
        pairs[to] = pair;
    }
}

/// The text of an exact ASCII `str`; None for others.
// SAFETY: for the caller: `text` is alive, and so the bytes are for as long as it is.
#[cfg(all(not(Py_3_14), target_endian = "little"))]
#[inline]
unsafe fn short<'a>(text: *mut ffi::PyObject) -> Option<Short<'a>> {
    /// `compact` and `ascii` of the state's bit field: 2 bits of interning and 3 of the kind come first.
    const COMPACT_ASCII: u32 = 0b110_0000;
    // SAFETY: a `str` begins with these fields. A compact ASCII one has its text right behind them in the same
    // allocation, so the eight bytes that end with the text's last one are within the object, whatever its length.
    unsafe {
        let object = text.cast::<ffi::PyASCIIObject>();
        if (*object).state & COMPACT_ASCII != COMPACT_ASCII {
            return None;
        }
        let len = (*object).length as usize;
        let data = object.add(1).cast::<u8>();
        let head = if len >= 8 {
            data.cast::<u64>().read_unaligned()
        } else {
            let word = data.add(len).sub(8).cast::<u64>().read_unaligned();
            // Twice half the shift: one by 64 for the empty text is not defined.
            word >> (32 - 4 * len) >> (32 - 4 * len)
        };
        let bytes = slice::from_raw_parts(data, len);
        Some(Short { bytes, head })
    }
}

/// The text of an exact `str` of one byte per character; None for others.
// SAFETY: for the caller: `text` is alive, and so the bytes are for as long as it is.
#[cfg(not(all(not(Py_3_14), target_endian = "little")))]
#[inline]
unsafe fn short<'a>(text: *mut ffi::PyObject) -> Option<Short<'a>> {
    // SAFETY: passed on.
    let Some(Text::One(bytes)) = (unsafe { raw_text(text) }) else {
        return None;
    };
    Some(Short::new(bytes))
}
