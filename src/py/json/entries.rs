//! The items of a dict in the order they are written: a snapshot with references of its own, so that a
//! callback may change the dict meanwhile.

use std::cmp::Ordering;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyMapping, PyTuple};
use smallvec::SmallVec;

use crate::json::Text;
use crate::py::ffi::json::{dict_pairs, is_exact_str, text};

pub(super) struct Entry<'py> {
    pub(super) key: Bound<'py, PyAny>,
    pub(super) value: Bound<'py, PyAny>,
    /// First eight bytes of a one-byte-per-character key, big-endian: orders most keys without a look at them.
    prefix: u64,
}

/// The entries of all open dicts, innermost last. 32 before anything is allocated.
pub(super) type Entries<'py> = SmallVec<[Entry<'py>; 32]>;

/// Appends the items of an exact dict.
#[inline]
pub(super) fn push_dict<'py>(
    entries: &mut Entries<'py>,
    dict: &Bound<'py, PyDict>,
    sort: bool,
) -> PyResult<()> {
    let base = entries.len();
    let (mut all_str, mut all_narrow, mut sorted) = (true, true, true);
    let mut last = 0;
    dict_pairs(dict, |key, value| {
        let mut prefix = 0;
        if sort {
            if is_exact_str(&key) {
                if let Some(Text::One(bytes)) = text(&key) {
                    prefix = key_prefix(bytes);
                } else {
                    all_narrow = false;
                }
            } else {
                all_str = false;
            }
            sorted &= last < prefix;
            last = prefix;
        }
        entries.push(Entry { key, value, prefix });
    });
    let found = &mut entries[base..];
    if !sort || found.len() < 2 || (all_str && all_narrow && sorted) {
        return Ok(());
    }
    if !all_str {
        // Keys that are not all `str` compare by Python's rules, as tuples of key and value.
        entries.truncate(base);
        return push_items(entries, &dict.items(), true);
    }
    let order = |a: &Entry<'_>, b: &Entry<'_>| {
        let by_prefix = if all_narrow {
            a.prefix.cmp(&b.prefix)
        } else {
            Ordering::Equal
        };
        by_prefix.then_with(|| compare_text(&a.key, &b.key))
    };
    if !found.is_sorted_by(|a, b| order(a, b) != Ordering::Greater) {
        found.sort_unstable_by(order);
    }
    Ok(())
}

/// Appends the items of a dict subclass, through its `items()`.
pub(super) fn push_subclass<'py>(
    entries: &mut Entries<'py>,
    dict: &Bound<'py, PyAny>,
    sort: bool,
) -> PyResult<()> {
    let items = dict.cast::<PyMapping>()?.items()?;
    push_items(entries, &items, sort)
}

fn push_items<'py>(
    entries: &mut Entries<'py>,
    items: &Bound<'py, PyList>,
    sort: bool,
) -> PyResult<()> {
    if sort {
        items.sort()?;
    }
    for item in items {
        let pair = item.cast::<PyTuple>().ok().filter(|pair| pair.len() == 2);
        let Some(pair) = pair else {
            return Err(PyValueError::new_err("items must return 2-tuples"));
        };
        entries.push(Entry {
            key: pair.get_item(0)?,
            value: pair.get_item(1)?,
            prefix: 0,
        });
    }
    Ok(())
}

/// Padding with zeros keeps the order: a key that ends here is a prefix of the other, or a tie that the full
/// comparison settles.
#[inline]
fn key_prefix(bytes: &[u8]) -> u64 {
    if let Some(head) = bytes.first_chunk::<8>() {
        return u64::from_be_bytes(*head);
    }
    let mut prefix = 0;
    for &byte in bytes {
        prefix = prefix << 8 | u64::from(byte);
    }
    // At most seven bytes were shifted in; an empty key stays 0.
    if bytes.is_empty() {
        0
    } else {
        prefix << (64 - 8 * bytes.len())
    }
}

/// `str` order: by code point.
fn compare_text(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> Ordering {
    match (text(a), text(b)) {
        (Some(Text::One(a)), Some(Text::One(b))) => a.cmp(b),
        (Some(a), Some(b)) => points(a).cmp(points(b)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

fn points(text: Text<'_>) -> impl Iterator<Item = u32> {
    let (one, two, four): (&[u8], &[u16], &[u32]) = match text {
        Text::One(units) => (units, &[], &[]),
        Text::Two(units) => (&[], units, &[]),
        Text::Four(units) => (&[], &[], units),
    };
    let one = one.iter().map(|&unit| u32::from(unit));
    one.chain(two.iter().map(|&unit| u32::from(unit)))
        .chain(four.iter().copied())
}
