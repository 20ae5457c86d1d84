//! The Python module `bustapi._core`: the server object, what views touch, and the JSON bridge.

pub mod ffi;
pub mod json;
pub mod route;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    json::register(m)?;
    route::register(m)?;
    Ok(())
}
