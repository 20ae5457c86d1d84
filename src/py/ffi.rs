//! All of the crate's direct use of the CPython C API: the only file of `py` in which `unsafe` is allowed.
//! Each function is a safe wrapper whose contract is in its signature; each block says why it is sound.
#![allow(unsafe_code)]
