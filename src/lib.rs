//! BustAPI's native core: an HTTP/1.1 server whose views are Python callables.
//!
//! Layers (an arrow is who may be imported by whom):
//!
//! ```text
//! buf, http, json, pace  <-  form, h1, ws, route  <-  conn  <-  net  <-  py
//! ```
//!
//! `buf`, `http`, `json` and `pace` (which routes are quick) know nothing of the others; `h1` and `ws` are sans-IO
//! protocol engines; `route` matches paths; `conn` joins a protocol engine to its buffers; `net` owns sockets, timers
//! and the poll loop and knows no Python; `py` implements `conn::Service` with Python views. `tests/layers.rs` scans
//! imports and fails on a breach.
//!
//! Unsafe code is denied crate-wide and allowed only in `py/ffi.rs`, `net/sys.rs` and `buf/chunk.rs`.

pub mod buf;
pub mod config;
pub mod conn;
pub mod form;
pub mod h1;
pub mod http;
pub mod json;
pub mod net;
pub mod pace;
#[cfg(feature = "python")]
pub mod py;
pub mod route;
pub mod ws;

#[cfg(feature = "python")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
