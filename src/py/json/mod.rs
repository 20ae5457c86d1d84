//! The JSON bridge: Python values to JSON text and back, straight from and to buffers.
//!
//! Its meaning is that of the standard library's `json` with the options of Flask's provider, byte for byte and
//! exception for exception; its own code only ever is a faster way to the same answer.

mod convert;
mod depth;
mod dump;
mod entries;
mod keys;
mod load;
mod module;
mod options;
mod plain;

pub use dump::dump;
pub use load::load;
pub use module::register;
pub use options::DumpOptions;
