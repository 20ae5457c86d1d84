//! What Python touches of a request.

pub mod environ;
pub mod generation;
pub mod state;
