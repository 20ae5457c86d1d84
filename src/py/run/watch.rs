//! What an application is made of besides its own registries: methods that can be replaced on its classes,
//! and the receivers of signals. Compared once a turn; a change makes the table stale.

use crate::py::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

/// The state of the classes and signals that a table was built with.
pub struct Watch {
    classes: Vec<(Py<PyType>, Option<u32>)>,
    /// Each signal's receivers, and whether there were any.
    receivers: Vec<(Py<PyDict>, bool)>,
    /// The methods themselves, in the order of `names`.
    names: Vec<(Py<PyType>, Py<pyo3::types::PyString>, Py<PyAny>)>,
}

impl Watch {
    /// Args: `classes`: the types; `names`: (type, attribute name) pairs; `receivers`: the dicts.
    pub fn new(names: &Bound<'_, PyList>, receivers: &Bound<'_, PyList>) -> PyResult<Self> {
        let mut watch = Self {
            classes: Vec::new(),
            receivers: Vec::new(),
            names: Vec::new(),
        };
        for pair in names.iter() {
            let pair = pair.cast_into::<PyTuple>()?;
            let class = pair.get_item(0)?.cast_into::<PyType>()?;
            let name = pair.get_item(1)?.cast_into::<pyo3::types::PyString>()?;
            // Looking the attribute up also gives the type a valid version.
            let method = look_up(&class, &name);
            if !watch.classes.iter().any(|(known, _)| known.is(&class)) {
                watch.classes.push((class.clone().unbind(), None));
            }
            watch
                .names
                .push((class.unbind(), name.unbind(), method.unbind()));
        }
        for (class, version) in &mut watch.classes {
            *version = ffi::type_version(class.bind(names.py()));
        }
        for dict in receivers.iter() {
            let dict = dict.cast_into::<PyDict>()?;
            let any = !dict.is_empty();
            watch.receivers.push((dict.unbind(), any));
        }
        Ok(watch)
    }

    /// Whether everything is as it was. Costs a few loads while no class was touched.
    pub fn is_unchanged(&mut self, py: Python<'_>) -> bool {
        for (dict, any) in &self.receivers {
            if dict.bind(py).is_empty() == *any {
                return false;
            }
        }
        let touched = self.classes.iter().any(|(class, version)| {
            version.is_none() || ffi::type_version(class.bind(py)) != *version
        });
        if !touched {
            return true;
        }
        for (class, name, method) in &self.names {
            if !look_up(class.bind(py), name.bind(py)).is(method) {
                return false;
            }
        }
        for (class, version) in &mut self.classes {
            *version = ffi::type_version(class.bind(py));
        }
        true
    }
}

/// The attribute as the class has it, without binding; None when it has none.
fn look_up<'py>(
    class: &Bound<'py, PyType>,
    name: &Bound<'py, pyo3::types::PyString>,
) -> Bound<'py, PyAny> {
    let py = class.py();
    // Only the type's own lookup gives it a version, found or not; without one every turn would come here.
    drop(class.getattr(name));
    class
        .mro()
        .iter()
        .find_map(|base| {
            let dict = base.getattr(pyo3::intern!(py, "__dict__")).ok()?;
            dict.get_item(name).ok()
        })
        .unwrap_or_else(|| py.None().into_bound(py))
}
