//! Connections without sockets: bytes in, bytes out.
