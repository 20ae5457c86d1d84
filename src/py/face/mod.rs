//! What Python touches of a request.

pub mod application;
pub mod environ;
pub mod fate;
pub mod generation;
mod made;
pub mod proxy;
pub mod signer;
pub mod state;
