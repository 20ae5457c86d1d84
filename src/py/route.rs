//! stub
use pyo3::prelude::*;
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Router>()
}
#[pyclass(frozen)]
pub struct Router {}
pub enum Found<'py> {
    Rule {
        rule: usize,
        view_args: Option<Bound<'py, pyo3::types::PyDict>>,
    },
    Python,
}
impl Router {
    pub fn find<'py>(
        &self,
        _py: Python<'py>,
        r: &crate::conn::Request,
        _h: bool,
    ) -> PyResult<Found<'py>> {
        if r.bytes.is_empty() {
            return Ok(Found::Python);
        }
        Ok(Found::Rule {
            rule: 0,
            view_args: None,
        })
    }
}
#[pymethods]
impl Router {
    #[new]
    fn new() -> Self {
        Self {}
    }
}
