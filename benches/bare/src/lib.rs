//! A bare HTTP/1.1 server: mio, httparse and answers rendered in advance. No Python, no routing table, no features.
//!
//! It is the limit of what a server of this shape can do on a machine, and the figure every other is divided by, so
//! it must be as lean as it can honestly be: one `recv` and one `send` a request (or a pipeline of requests), no
//! allocation on a keep-alive connection, edge-triggered readiness, and exactly the bytes the measured server sends.

mod answer;
mod server;

pub use answer::Answers;
pub use server::Server;
