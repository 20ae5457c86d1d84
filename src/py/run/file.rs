//! Bodies that are files: handed over by Python as descriptors, sent by the core without passing through either.

use crate::buf::{FilePart, Segment};
use crate::conn::{BY_REFERENCE, Parts};
use crate::h1::ReplyLength;
use crate::net::duplicate_file;
use pyo3::exceptions::{PyOverflowError, PyRuntimeError};
use pyo3::prelude::*;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

/// One part of a file as a body of known length.
pub fn part_of(file: File, offset: u64, len: u64) -> Option<Parts> {
    let part = FilePart::new(Arc::new(file), offset, usize::try_from(len).ok()?);
    Some(Parts {
        segments: vec![Segment::File(part)],
        length: ReplyLength::Known(len),
    })
}

/// A body that a response hands over: parts of a file, each after some bytes of its own, and bytes at the end.
#[pyclass(frozen, module = "bustapi._core")]
pub struct FileBody {
    reply: Mutex<Option<Parts>>,
}

#[pymethods]
impl FileBody {
    /// Args: descriptor: the file's, of which this takes a copy; parts: bytes, offset in the file and length of each;
    /// tail: the last bytes; declared: the client is told the length.
    #[new]
    #[pyo3(signature = (descriptor, parts, tail = Vec::new(), declared = true))]
    fn new(
        descriptor: i32,
        parts: Vec<(Vec<u8>, u64, u64)>,
        tail: Vec<u8>,
        declared: bool,
    ) -> PyResult<Self> {
        let file = Arc::new(duplicate_file(descriptor)?);
        let mut segments = Vec::with_capacity(2 * parts.len() + 1);
        for (before, offset, len) in parts {
            let len = usize::try_from(len)
                .map_err(|_| PyOverflowError::new_err("the part of the file is too long"))?;
            segments.push(Segment::Bytes(before));
            segments.push(Segment::File(FilePart::new(Arc::clone(&file), offset, len)));
        }
        segments.push(Segment::Bytes(tail));
        let total = segments.iter().map(|segment| segment.len() as u64).sum();
        let reply = Parts {
            segments,
            length: if declared {
                ReplyLength::Known(total)
            } else {
                ReplyLength::Unknown
            },
        };
        Ok(Self {
            reply: Mutex::new(Some(reply)),
        })
    }
}

impl FileBody {
    pub fn take(&self) -> PyResult<Parts> {
        let mut reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner);
        reply
            .take()
            .ok_or_else(|| PyRuntimeError::new_err("the file was sent already"))
    }
}

/// Whether a body of this length is read at once, to go out with its head.
pub fn is_small(len: u64) -> bool {
    len < BY_REFERENCE as u64
}

/// Appends a part of a file.
///
/// # Errors
/// The file's; `UnexpectedEof` where it ends before the part does.
pub fn read_part(file: &File, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.resize(start + len, 0);
    file.read_exact_at(&mut out[start..], offset)
}
