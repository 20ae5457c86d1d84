//! Static files: the rule of an application's folder, answered without its view where that would do nothing else.
//!
//! Answers are those of the view: 200, 206 for one range, 304. Whatever is not plainly one of them (no such file, a
//! path with dots, a condition of a rarer kind) is left to the view, which also makes the errors.

use super::file::{is_small, part_of, read_part};
use super::reply::{Reply, Rest};
use crate::conn::Parts;
use crate::h1::ReplyLength;
use crate::http::Method;
use crate::http::conditional::{Conditions, accepts_coding, names_tag, one_range, seconds_of};
use crate::http::imf_fixdate;
use crate::json::float::write_float;
use crate::py::face::state::RequestState;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// `bustapi.kernel.plan.Folder`.
pub struct Folder {
    path: String,
    /// The same without links, where what leads out of it is not served.
    real: Option<PathBuf>,
    /// Asked for the fields of a file, by its name and the coding of what is sent.
    fields: Py<PyAny>,
    /// Codings that are looked for beside a file, in the order of preference, and the endings of their names.
    codings: Vec<(String, String)>,
    known: Mutex<HashMap<(bool, String), Known>>,
}

/// What was learnt of one file, for as long as it is taken to hold.
#[derive(Clone)]
struct Known {
    since: Instant,
    of: Arc<Described>,
}

struct Described {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Seconds that a client may keep it.
    max_age: Option<i64>,
    /// The path's Adler-32, a part of the entity tag.
    checksum: u32,
}

/// How long a file's media type is believed: what Python knows of types can change at any time.
const BELIEF: Duration = Duration::from_secs(1);

/// Files that are remembered.
const KNOWN: usize = 4096;

/// The fields that a 304 goes without (as Werkzeug's `remove_entity_headers` has it).
const OF_CONTENT: [&[u8]; 6] = [
    b"allow",
    b"content-encoding",
    b"content-language",
    b"content-md5",
    b"content-type",
    b"last-modified",
];

impl Folder {
    /// Reads what the dialect says of the folder.
    pub fn extract(folder: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if folder.is_none() {
            return Ok(None);
        }
        let py = folder.py();
        let path: String = folder.getattr(intern!(py, "path"))?.extract()?;
        let follows: bool = folder.getattr(intern!(py, "follows_links"))?.extract()?;
        let real = if follows {
            None
        } else {
            // A folder that is not there yet has nothing to be served.
            Some(fs::canonicalize(&path).unwrap_or_else(|_| PathBuf::from("/nonexistent")))
        };
        Ok(Some(Self {
            path,
            real,
            fields: folder.getattr(intern!(py, "fields"))?.unbind(),
            codings: folder.getattr(intern!(py, "codings"))?.extract()?,
            known: Mutex::default(),
        }))
    }

    /// Answers the request. `false`: the view has to.
    pub fn answer(
        &self,
        py: Python<'_>,
        state: &Bound<'_, RequestState>,
        reply: &mut Reply,
    ) -> PyResult<bool> {
        let this = state.try_borrow()?;
        let request = this.request();
        let is_head = match request.head.method {
            Method::Get => false,
            Method::Head => true,
            _ => return Ok(false),
        };
        let conditions = Conditions::of(request.fields());
        let has_date_or_tag =
            conditions.none_match.is_some() || conditions.modified_since.is_some();
        // Of a range with such a condition applications differ in which comes first.
        if this.concerns_response()
            || conditions.unusual
            || conditions.range.is_some() && (is_head || has_date_or_tag)
        {
            return Ok(false);
        }
        let Some(arguments) = this.view_arguments(py) else {
            return Ok(false);
        };
        let Some(name) = arguments.get_item(intern!(py, "filename"))? else {
            return Ok(false);
        };
        let Ok(name) = name.cast::<PyString>()?.to_str() else {
            return Ok(false);
        };
        if arguments.len() != 1 || !is_plain(name) {
            return Ok(false);
        }
        let Some((path, coding)) = py.detach(|| self.locate(name, &conditions)) else {
            return Ok(false);
        };
        let Some(described) = self.describe(py, name, coding, &path)? else {
            return Ok(false);
        };
        let opened = py.detach(|| Opened::new(&path, has_date_or_tag || is_head));
        let Some(mut opened) = opened else {
            return Ok(false);
        };
        loop {
            let Some(facts) = Facts::of(&opened.metadata, described.checksum) else {
                return Ok(false);
            };
            let Some(choice) = choose(&conditions, &facts) else {
                return Ok(false);
            };
            if opened.file.is_none() && !is_head && choice != Choice::NotModified {
                // Looked at and not opened: what it then is may be another.
                match py.detach(|| Opened::new(&path, false)) {
                    Some(again) => opened = again,
                    None => return Ok(false),
                }
                continue;
            }
            described.write(&facts, &choice, reply);
            return Ok(py.detach(|| opened.fill(&facts, &choice, reply)));
        }
    }

    /// The file to be sent for a name: the first of its encoded forms that the client takes, or itself.
    fn locate(
        &self,
        name: &str,
        conditions: &Conditions<'_>,
    ) -> Option<(String, Option<&(String, String)>)> {
        let mut path = String::with_capacity(self.path.len() + name.len() + 8);
        path.push_str(&self.path);
        if !path.ends_with('/') {
            path.push('/');
        }
        path.push_str(name);
        if !self.codings.is_empty() && !is_file(&path) {
            return None;
        }
        let whole = path.len();
        if let Some(accepted) = conditions.accept_encoding {
            for coding in &self.codings {
                if accepts_coding(accepted, coding.0.as_bytes()) {
                    path.push_str(&coding.1);
                    if is_file(&path) && self.is_inside(&path) {
                        return Some((path, Some(coding)));
                    }
                    path.truncate(whole);
                }
            }
        }
        self.is_inside(&path).then_some((path, None))
    }

    fn is_inside(&self, path: &str) -> bool {
        let Some(real) = &self.real else {
            return true;
        };
        fs::canonicalize(path).is_ok_and(|path| path.starts_with(real))
    }

    /// The fields of a file, from memory or from the dialect. None: there is something about it that needs the view.
    fn describe(
        &self,
        py: Python<'_>,
        name: &str,
        coding: Option<&(String, String)>,
        path: &str,
    ) -> PyResult<Option<Arc<Described>>> {
        let now = Instant::now();
        // The encoded form of one file may also be asked for by its own name.
        let key = (coding.is_some(), path.to_owned());
        if let Some(known) = self.known().get(&key)
            && now.duration_since(known.since) < BELIEF
        {
            return Ok(Some(Arc::clone(&known.of)));
        }
        if !py.detach(|| is_file(path)) {
            // Python would open it, and wait at a named pipe.
            return Ok(None);
        }
        let coding = coding.map(|(coding, _)| coding);
        let said = self.fields.bind(py).call1((name, coding))?;
        if said.is_none() {
            return Ok(None);
        }
        let (fields, max_age): (Vec<(String, String)>, Option<i64>) = said.extract()?;
        if !fields.iter().all(|(name, value)| {
            crate::http::is_field_name(name.as_bytes())
                && value.is_ascii()
                && crate::http::is_field_value(value.as_bytes())
        }) {
            return Ok(None);
        }
        let of = Arc::new(Described {
            fields: fields
                .into_iter()
                .map(|(name, value)| (name.into_bytes(), value.into_bytes()))
                .collect(),
            max_age,
            checksum: adler32(path.as_bytes()),
        });
        let known = Known {
            since: now,
            of: Arc::clone(&of),
        };
        let mut all = self.known();
        if all.len() >= KNOWN {
            all.clear();
        }
        all.insert(key, known);
        Ok(Some(of))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(bool, String), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer is.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    NotModified,
    Whole,
    Part(u64, u64),
}

/// What the file system says of a file, as far as answers depend on it.
struct Facts {
    len: u64,
    /// Whole seconds of the last change.
    modified: u64,
    /// In its quotes.
    tag: Vec<u8>,
}

impl Facts {
    /// None: a time that the view may write otherwise than this would.
    fn of(metadata: &Metadata, checksum: u32) -> Option<Self> {
        let modified = u64::try_from(metadata.mtime()).ok()?;
        let nanos = metadata.mtime_nsec();
        // Python rounds to microseconds where it makes a date of the time.
        if modified == 0 || modified > 1 << 33 || nanos >= 999_999_000 {
            return None;
        }
        let mut tag = Vec::with_capacity(48);
        tag.push(b'"');
        // As Python makes a float of the two.
        write_float(&mut tag, modified as f64 + 1e-9 * nanos as f64);
        write!(tag, "-{}-{checksum}\"", metadata.len()).ok()?;
        Some(Self {
            len: metadata.len(),
            modified,
            tag,
        })
    }
}

/// None: the view has to decide.
fn choose(conditions: &Conditions<'_>, facts: &Facts) -> Option<Choice> {
    if let Some(tags) = conditions.none_match {
        if names_tag(tags, &facts.tag)? {
            return Some(Choice::NotModified);
        }
    } else if let Some(date) = conditions.modified_since
        && facts.modified <= seconds_of(date)?
    {
        return Some(Choice::NotModified);
    }
    let Some(range) = conditions.range else {
        return Some(Choice::Whole);
    };
    if conditions.if_range.is_some_and(|tag| tag != facts.tag) {
        return None;
    }
    let (start, len) = one_range(range, facts.len)?;
    Some(Choice::Part(start, len))
}

impl Described {
    /// Writes status and fields.
    fn write(&self, facts: &Facts, choice: &Choice, reply: &mut Reply) {
        let is_whole = !matches!(choice, Choice::NotModified);
        reply.status = match choice {
            Choice::NotModified => 304,
            Choice::Whole => 200,
            Choice::Part(..) => 206,
        };
        for (name, value) in &self.fields {
            if is_whole
                || !OF_CONTENT
                    .iter()
                    .any(|other| name.eq_ignore_ascii_case(other))
            {
                reply.field(name, value);
            }
        }
        let mut date = [0; 29];
        if is_whole {
            imf_fixdate(facts.modified, &mut date);
            reply.field(b"Last-Modified", &date);
        }
        if let Some(age) = self.max_age {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let until = now
                .map_or(0, |now| now.as_secs())
                .saturating_add_signed(age);
            imf_fixdate(until, &mut date);
            reply.field(b"Expires", &date);
        }
        reply.field(b"ETag", &facts.tag);
        reply.field(b"Accept-Ranges", b"bytes");
        if let Choice::Part(start, len) = choice {
            let range = format!("bytes {start}-{}/{}", start + len - 1, facts.len);
            reply.field(b"Content-Range", range.as_bytes());
        }
    }
}

/// A file that was looked at.
struct Opened {
    file: Option<File>,
    metadata: Metadata,
}

impl Opened {
    /// Opens a regular file, or only looks at it. None: there is none, or it may not be read; the view finds out.
    fn new(path: &str, only_look: bool) -> Option<Self> {
        if only_look {
            let metadata = fs::metadata(path).ok()?;
            return metadata.is_file().then_some(Self {
                file: None,
                metadata,
            });
        }
        // A named pipe must not keep the thread until somebody writes to it.
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .ok()?;
        let metadata = file.metadata().ok()?;
        metadata.is_file().then_some(Self {
            file: Some(file),
            metadata,
        })
    }

    /// Puts the content into the reply, or what leads to it. `false`: it could not be read.
    fn fill(self, facts: &Facts, choice: &Choice, reply: &mut Reply) -> bool {
        let (start, len) = match choice {
            Choice::NotModified => return true,
            Choice::Whole => (0, facts.len),
            Choice::Part(start, len) => (*start, *len),
        };
        let Some(file) = self.file else {
            // HEAD: the length is told.
            reply.rest = Rest::File(Box::new(Parts {
                segments: Vec::new(),
                length: ReplyLength::Known(len),
            }));
            return true;
        };
        if is_small(len) {
            return read_part(&file, start, len as usize, &mut reply.body).is_ok();
        }
        let Some(body) = part_of(file, start, len) else {
            return false;
        };
        reply.rest = Rest::File(Box::new(body));
        true
    }
}

/// Whether a name is what joining it to a folder leaves as it is: no empty, `.` or `..` part in it.
fn is_plain(name: &str) -> bool {
    !name.contains('\0') && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn is_file(path: &str) -> bool {
    fs::metadata(Path::new(path)).is_ok_and(|metadata| metadata.is_file())
}

/// RFC 1950 8.2.
fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}
