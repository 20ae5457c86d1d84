//! Form bodies for Python: what `request.form` and `request.files` are made of.
//!
//! A dialect's own parser asks here when all that takes part is the stock one, and makes its objects of the answer.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::form::{Decoder, Disposition, Error, Event, Head, pairs};
use crate::py::ffi::Body;

/// Adds the functions to the module.
///
/// # Errors
/// What adding an attribute to a module raises.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(urlencoded_pairs, m)?)?;
    m.add_function(wrap_pyfunction!(parse_multipart, m)?)
}

/// The decoded pairs of a URL-encoded form, in order.
///
/// Args:
///     data: The body.
///
/// Returns:
///     Names and values; None if the body is not UTF-8.
#[pyfunction]
fn urlencoded_pairs<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyBytes>,
) -> PyResult<Option<Bound<'py, PyList>>> {
    let Some(pairs) = pairs(data.as_bytes()) else {
        return Ok(None);
    };
    let list = PyList::empty(py);
    for (name, value) in pairs {
        list.append((&*name, &*value))?;
    }
    Ok(Some(list))
}

/// Parse a multipart form.
///
/// Args:
///     source: The body as `bytes` or `Body`, or a function that reads a number of bytes of it.
///     start: Where the body begins in the source; 0 for a function.
///     boundary: The boundary.
///     block: Bytes that are looked at at a time, 1 at the least.
///     max_memory: Bytes that a field, and what waits for the end of something, may have; None for any.
///     max_parts: Parts allowed; None for any.
///     open_file: Called for a file with the fields of its head and its Content-Disposition, if the core could not read
///         that; returns the name, the file name (None makes it a field), what is kept as the file, and the method that
///         takes its content.
///     charset_of: Called with the fields of the head of a field that has a Content-Type; returns a codec.
///
/// Returns:
///     The fields (name and text), the files (what `open_file` returned), the bytes that were read of the source, and
///     what is wrong with the body: None, True (a limit is passed), a message, or bytes that are no UTF-8.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one call a form")]
#[expect(clippy::type_complexity, reason = "a tuple for Python")]
fn parse_multipart<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    start: usize,
    boundary: &[u8],
    block: usize,
    max_memory: Option<usize>,
    max_parts: Option<usize>,
    open_file: &Bound<'py, PyAny>,
    charset_of: &Bound<'py, PyAny>,
) -> PyResult<(
    Bound<'py, PyList>,
    Bound<'py, PyList>,
    usize,
    Option<Bound<'py, PyAny>>,
)> {
    let mut form = Form {
        decoder: Decoder::new(boundary, max_parts),
        max_memory,
        fields: PyList::empty(py),
        files: PyList::empty(py),
        part: Part::None,
        open_file,
        charset_of,
    };
    let block = block.max(1);
    let (read, refused) = if let Ok(bytes) = source.cast::<PyBytes>() {
        form.read_all(bytes.as_bytes(), start, block)?
    } else if let Ok(body) = source.cast::<Body>() {
        form.read_all(body.get().bytes(), start, block)?
    } else {
        form.read_from(source, block)?
    };
    let refused = match refused {
        None => None,
        Some(Refused::Limit) => Some(true.into_pyobject(py)?.to_owned().into_any()),
        Some(Refused::Malformed(message)) => Some(PyString::new(py, &message).into_any()),
        Some(Refused::NotUtf8(bytes)) => Some(PyBytes::new(py, &bytes).into_any()),
    };
    Ok((form.fields, form.files, read, refused))
}

/// What is wrong with a body.
enum Refused {
    Limit,
    Malformed(String),
    NotUtf8(Vec<u8>),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::TooManyParts => Self::Limit,
            Error::NoDisposition => {
                Self::Malformed("Missing Content-Disposition header".to_owned())
            }
            Error::NotUtf8(line) => Self::NotUtf8(line),
        }
    }
}

/// The part that is being read.
enum Part<'py> {
    None,
    Field {
        name: Bound<'py, PyAny>,
        head: Head,
        content: Vec<u8>,
    },
    File {
        write: Bound<'py, PyAny>,
        entry: Bound<'py, PyAny>,
    },
}

struct Form<'a, 'py> {
    decoder: Decoder,
    max_memory: Option<usize>,
    fields: Bound<'py, PyList>,
    files: Bound<'py, PyList>,
    part: Part<'py>,
    open_file: &'a Bound<'py, PyAny>,
    charset_of: &'a Bound<'py, PyAny>,
}

type Outcome = Option<Refused>;

impl<'py> Form<'_, 'py> {
    /// Reads a body that is in memory. It is shown in blocks all the same: limits are looked at between them.
    fn read_all(&mut self, data: &[u8], start: usize, block: usize) -> PyResult<(usize, Outcome)> {
        let (mut at, mut seen) = (start.min(data.len()), start.min(data.len()));
        while seen < data.len() {
            let size = block.min(data.len() - seen);
            if self.is_too_much(seen - at + size) {
                return Ok((seen + size - start, Some(Refused::Limit)));
            }
            seen += size;
            let (consumed, refused) = self.take(&data[at..seen])?;
            if refused.is_some() {
                return Ok((seen - start, refused));
            }
            at += consumed;
        }
        Ok((seen.saturating_sub(start), self.end()))
    }

    /// Reads a body that a function gives.
    fn read_from(&mut self, read: &Bound<'py, PyAny>, block: usize) -> PyResult<(usize, Outcome)> {
        let (mut inbox, mut total) = (Vec::new(), 0);
        loop {
            let data = read.call1((block,))?;
            let data = data
                .cast::<PyBytes>()
                .map_err(|_| PyTypeError::new_err("a stream of bytes is needed"))?
                .as_bytes();
            if data.is_empty() {
                return Ok((total, self.end()));
            }
            total += data.len();
            if self.is_too_much(inbox.len() + data.len()) {
                return Ok((total, Some(Refused::Limit)));
            }
            let (consumed, refused) = if inbox.is_empty() {
                let (consumed, refused) = self.take(data)?;
                inbox.extend_from_slice(&data[consumed..]);
                (0, refused)
            } else {
                inbox.extend_from_slice(data);
                self.take(&inbox)?
            };
            if refused.is_some() {
                return Ok((total, refused));
            }
            inbox.drain(..consumed);
        }
    }

    fn is_too_much(&self, waiting: usize) -> bool {
        self.max_memory.is_some_and(|most| waiting > most)
    }

    /// The body ended.
    fn end(&self) -> Outcome {
        let state = self.decoder.waits_in()?;
        Some(Refused::Malformed(format!(
            "Invalid form-data cannot parse beyond State.{state}"
        )))
    }

    /// Takes what can be told of the input, and says how much that was.
    fn take(&mut self, input: &[u8]) -> PyResult<(usize, Outcome)> {
        let mut at = 0;
        loop {
            let step = match self.decoder.handle(&input[at..]) {
                Ok(step) => step,
                Err(error) => return Ok((at, Some(error.into()))),
            };
            at += step.consumed;
            match step.event {
                Event::Incomplete | Event::End => return Ok((at, None)),
                Event::Part(head) => self.begin(head)?,
                Event::Data { bytes, last } => {
                    if !self.content(bytes)? {
                        return Ok((at, Some(Refused::Limit)));
                    }
                    if last {
                        self.finish()?;
                    }
                }
            }
        }
    }

    fn begin(&mut self, head: Head) -> PyResult<()> {
        let py = self.fields.py();
        let text = head.field("content-disposition").unwrap_or_default();
        self.part = match Disposition::read(text) {
            Some(Disposition {
                name,
                filename: None,
            }) => Part::Field {
                name: name.into_pyobject(py)?,
                head,
                content: Vec::new(),
            },
            Some(found) => {
                let entry = self.open_file.call1((
                    field_list(py, &head)?,
                    found.name,
                    found.filename,
                    py.None(),
                ))?;
                Part::File {
                    write: entry.get_item(3)?,
                    entry,
                }
            }
            None => {
                let entry =
                    self.open_file
                        .call1((field_list(py, &head)?, py.None(), py.None(), text))?;
                if entry.get_item(1)?.is_none() {
                    Part::Field {
                        name: entry.get_item(0)?,
                        head,
                        content: Vec::new(),
                    }
                } else {
                    Part::File {
                        write: entry.get_item(3)?,
                        entry,
                    }
                }
            }
        };
        Ok(())
    }

    /// Adds content to the part; `false` if that makes a field too long.
    fn content(&mut self, bytes: &[u8]) -> PyResult<bool> {
        match &mut self.part {
            Part::None => {}
            Part::Field { content, .. } => {
                if self
                    .max_memory
                    .is_some_and(|most| content.len() + bytes.len() > most)
                {
                    return Ok(false);
                }
                content.extend_from_slice(bytes);
            }
            Part::File { write, .. } => {
                write.call1((PyBytes::new(self.fields.py(), bytes),))?;
            }
        }
        Ok(true)
    }

    fn finish(&mut self) -> PyResult<()> {
        let py = self.fields.py();
        match std::mem::replace(&mut self.part, Part::None) {
            Part::None => Ok(()),
            Part::File { entry, .. } => self.files.append(entry),
            Part::Field {
                name,
                head,
                content,
            } => {
                if head.field("content-type").is_none() {
                    return self
                        .fields
                        .append((name, String::from_utf8_lossy(&content)));
                }
                let charset = self.charset_of.call1((field_list(py, &head)?,))?;
                let text =
                    PyBytes::new(py, &content).call_method1("decode", (charset, "replace"))?;
                self.fields.append((name, text))
            }
        }
    }
}

fn field_list<'py>(py: Python<'py>, head: &Head) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, head.fields.iter().map(|(name, value)| (name, value)))
}
