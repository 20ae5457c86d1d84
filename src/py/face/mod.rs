//! What Python touches of a request.

mod address;
pub mod application;
pub mod environ;
pub mod fate;
pub mod generation;
mod lent;
mod local;
mod made;
pub mod proxy;
pub mod session;
pub mod signer;
pub mod state;

/// A message for what must not happen.
pub fn internal(message: &'static str) -> pyo3::PyErr {
    pyo3::exceptions::PyRuntimeError::new_err(message)
}
