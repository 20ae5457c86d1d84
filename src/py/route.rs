//! The router as Python sees it: `_core.Router`, made by `Map.update` from bound rules.
//!
//! Python hands over tokens, not text, so that subclassed rules and converters have the last word. What the core
//! cannot match or convert itself is asked back here through `re` and the converter objects.

use std::sync::OnceLock;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyTuple, PyType};

use crate::conn::Request;
use crate::http::{Target, percent_decode_path};
use crate::route::{
    Captures, Constants, Convert, GROUP, Need, Oracle, Outcome, Router as Table, RouterBuilder,
    RuleId, RuleSpec, Texts, Token, Unanswered, Value, Variable, constant_path,
};

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Router>()
}

/// An immutable matcher for a list of rules.
#[pyclass(module = "bustapi._core", frozen)]
pub struct Router {
    table: Table,
    /// Matches without values under the default domain.
    constants: Constants,
    rules: Vec<PyRule>,
    patterns: Vec<OnceLock<Py<PyAny>>>,
    validation_error: Py<PyAny>,
    /// What rules are bound to unless they say otherwise.
    default_domain: String,
    /// Rules are bound to hosts, not to subdomains.
    host_matching: bool,
}

/// What a request of the server leads to.
pub enum Found<'py> {
    /// A rule, by its place among those the router was made of. No dict when there is nothing to put in it.
    Rule {
        rule: usize,
        view_args: Option<Bound<'py, PyDict>>,
    },
    /// The dialect's own matching has the answer: a redirect, an error, a converter written in Python.
    Python,
}

/// What Python needs of a rule after a match.
struct PyRule {
    rule: Py<PyAny>,
    names: Vec<Py<PyString>>,
    converters: Vec<Py<PyAny>>,
    defaults: Option<Py<PyDict>>,
}

// The second element of what `match` returns, by its first.
const MATCHED: u8 = 0;
const REDIRECT: u8 = 1;
const NO_MATCH: u8 = 2;

type Answer<'py> = (u8, Bound<'py, PyAny>, Bound<'py, PyAny>);

#[pymethods]
impl Router {
    /// `rules` are tuples (rule, domain tokens, path tokens, methods, websocket, strict_slashes, merge_slashes,
    /// deferred, converters, defaults). A token is static text, "/", or a tuple (name, regex, isolating, weight,
    /// conversion); a conversion is a tuple of its kind and bounds. `converters` maps names to objects.
    #[new]
    #[pyo3(signature = (rules, merge_slashes, validation_error, default_domain=String::new(), host_matching=false))]
    fn new(
        rules: &Bound<'_, PyList>,
        merge_slashes: bool,
        validation_error: Bound<'_, PyType>,
        default_domain: String,
        host_matching: bool,
    ) -> PyResult<Self> {
        let mut builder = RouterBuilder::new(merge_slashes);
        let mut kept = Vec::with_capacity(rules.len());
        let mut paths = Vec::new();
        for rule in rules {
            let rule = rule.cast_into::<PyTuple>()?;
            let spec = RuleSpec {
                domain: tokens(&rule.get_item(1)?)?,
                path: tokens(&rule.get_item(2)?)?,
                methods: rule.get_item(3)?.extract()?,
                websocket: rule.get_item(4)?.extract()?,
                strict_slashes: rule.get_item(5)?.extract()?,
                merge_slashes: rule.get_item(6)?.extract()?,
                deferred: rule.get_item(7)?.extract()?,
            };
            paths.extend(constant_path(&spec));
            builder
                .add(spec)
                .map_err(|error| PyValueError::new_err(error.to_string()))?;
            let converters = rule.get_item(8)?.cast_into::<PyDict>()?;
            kept.push(PyRule {
                rule: rule.get_item(0)?.unbind(),
                names: Vec::new(),
                converters: converters.values().iter().map(Bound::unbind).collect(),
                defaults: rule.get_item(9)?.extract()?,
            });
        }
        let table = builder.build();
        let py = rules.py();
        for (id, rule) in (0..).map(RuleId).zip(&mut kept) {
            let names = table.variables(id);
            rule.names = names
                .map(|name| PyString::intern(py, name).unbind())
                .collect();
        }
        if host_matching {
            // There is no default to look them up under.
            paths.clear();
        }
        let constants = Constants::new(&table, &default_domain, &paths, |id| {
            kept[id.0 as usize].defaults.is_none()
        });
        Ok(Self {
            constants,
            patterns: table
                .expressions()
                .iter()
                .map(|_| OnceLock::new())
                .collect(),
            table,
            rules: kept,
            default_domain,
            host_matching,
            validation_error: validation_error.into_any().unbind(),
        })
    }

    /// Returns (0, rule, values), (1, path, None) for a redirect or (2, allowed methods, websocket mismatch).
    #[pyo3(name = "match")]
    fn match_<'py>(
        &self,
        py: Python<'py>,
        domain: &str,
        path: &str,
        method: &str,
        websocket: bool,
    ) -> PyResult<Answer<'py>> {
        let mut captures = Captures::default();
        let mut oracle = PyOracle {
            py,
            router: self,
            error: None,
        };
        let found = self.table.find_with(
            Some(domain),
            path,
            method,
            websocket,
            &mut captures,
            &mut oracle,
        );
        if let Some(error) = oracle.error {
            return Err(error);
        }
        let outcome = match found {
            Outcome::Match(id) => match self.view_args(py, id, &captures)? {
                Some(values) => {
                    let rule = self.rule(py, id).clone();
                    return Ok((MATCHED, rule, values.into_any()));
                }
                None => self.table.refused(&captures),
            },
            other => other,
        };
        let none = || py.None().into_bound(py);
        match outcome {
            Outcome::Redirect(path) => Ok((REDIRECT, PyString::new(py, &path).into_any(), none())),
            _ => {
                let methods = PyList::new(py, self.table.allowed(&captures))?;
                let mismatch = captures.websocket_mismatch();
                let websocket = mismatch.into_pyobject(py)?.to_owned().into_any();
                Ok((NO_MATCH, methods.into_any(), websocket))
            }
        }
    }

    fn __len__(&self) -> usize {
        self.rules.len()
    }

    /// A rule knows its map, whose matcher has the router, which has the rule. Other members of that cycle can let
    /// go, so there is no `__clear__`.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.validation_error)?;
        for pattern in self.patterns.iter().filter_map(OnceLock::get) {
            visit.call(pattern)?;
        }
        for rule in &self.rules {
            visit.call(&rule.rule)?;
            visit.call(&rule.defaults)?;
            for converter in &rule.converters {
                visit.call(converter)?;
            }
        }
        Ok(())
    }
}

impl Router {
    /// Matches a received request, with `host_matching` by its host.
    ///
    /// Only what needs no converter written in Python is answered here: such a converter may look at the request,
    /// the application or the session, which only the full pipeline has ready.
    pub fn find<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
        host_matching: bool,
    ) -> PyResult<Found<'py>> {
        let head = &request.head;
        let domain = match (host_matching, self.host_matching) {
            (false, false) => Some(self.default_domain.as_str()),
            (true, true) => request.host().and_then(plain_host),
            // Subdomains are relative to the server's name, which the dialect knows.
            _ => None,
        };
        // `*` is a path to the dialect, and an upgrade to a websocket makes a request one of another scheme.
        let plain = head.target != Target::Asterisk
            && !request
                .field(b"upgrade")
                .is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
        let Some(domain) = domain.filter(|_| plain) else {
            return Ok(Found::Python);
        };
        let path = head.path(&request.bytes);
        let method = head.method.as_str(&request.bytes);
        if let Some(id) = self.constants.find(method.as_bytes(), path) {
            return Ok(Found::Rule {
                rule: id.0 as usize,
                view_args: None,
            });
        }
        let path = percent_decode_path(path);
        let mut captures = Captures::default();
        let mut outcome = self
            .table
            .find(Some(domain), &path, method, false, &mut captures);
        if outcome == Outcome::NeedsPython(Need::Expression) {
            let mut oracle = PyOracle {
                py,
                router: self,
                error: None,
            };
            outcome = self.table.find_with(
                Some(domain),
                &path,
                method,
                false,
                &mut captures,
                &mut oracle,
            );
            if let Some(error) = oracle.error {
                return Err(error);
            }
        }
        let Outcome::Match(id) = outcome else {
            return Ok(Found::Python);
        };
        if self.table.is_deferred(id) || self.table.needs_converters(id) {
            return Ok(Found::Python);
        }
        let rule = id.0 as usize;
        if captures.values().is_empty() && self.rules[rule].defaults.is_none() {
            return Ok(Found::Rule {
                rule,
                view_args: None,
            });
        }
        Ok(match self.view_args(py, id, &captures)? {
            Some(values) => Found::Rule {
                rule,
                view_args: Some(values),
            },
            None => Found::Python,
        })
    }

    /// The Python `Rule` of a match.
    pub(crate) fn rule<'a, 'py>(&'a self, py: Python<'py>, id: RuleId) -> &'a Bound<'py, PyAny> {
        self.rules[id.0 as usize].rule.bind(py)
    }

    /// The values of a match with the rule's defaults, or `None` if a converter refused: then
    /// `Router::refused` is the answer.
    pub(crate) fn view_args<'py>(
        &self,
        py: Python<'py>,
        id: RuleId,
        captures: &Captures<'_>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let rule = &self.rules[id.0 as usize];
        let values = PyDict::new(py);
        for ((name, converter), value) in rule
            .names
            .iter()
            .zip(&rule.converters)
            .zip(captures.values())
        {
            let name = name.bind(py);
            match *value {
                Value::Text(text) => values.set_item(name, text)?,
                Value::Int(number) => values.set_item(name, number)?,
                Value::Float(number) => values.set_item(name, number)?,
                Value::Uuid(text) => values.set_item(name, uuid_class(py)?.call1((text,))?)?,
                Value::BigInt(text) => match py.get_type::<PyInt>().call1((text,)) {
                    Ok(number) => values.set_item(name, number)?,
                    // More digits than the interpreter converts: Werkzeug's converter refuses it.
                    Err(error) if error.is_instance_of::<PyValueError>(py) => return Ok(None),
                    Err(error) => return Err(error),
                },
                Value::Python(text) => {
                    match converter
                        .bind(py)
                        .call_method1(pyo3::intern!(py, "to_python"), (text,))
                    {
                        Ok(value) => values.set_item(name, value)?,
                        Err(error) if error.matches(py, &self.validation_error)? => {
                            return Ok(None);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        if let Some(defaults) = &rule.defaults {
            values.update(defaults.bind(py).as_mapping())?;
        }
        Ok(Some(values))
    }

    fn pattern<'py>(&self, py: Python<'py>, expression: u32) -> PyResult<Bound<'py, PyAny>> {
        let cell = &self.patterns[expression as usize];
        if let Some(pattern) = cell.get() {
            return Ok(pattern.bind(py).clone());
        }
        let regex = &self.table.expressions()[expression as usize];
        let pattern = py.import("re")?.call_method1("compile", (regex,))?;
        // Another thread may have compiled the same text meanwhile: either will do.
        let _ = cell.set(pattern.clone().unbind());
        Ok(pattern)
    }
}

/// Asks Python's `re`.
struct PyOracle<'a, 'py> {
    py: Python<'py>,
    router: &'a Router,
    error: Option<PyErr>,
}

impl Oracle for PyOracle<'_, '_> {
    fn ask<'t>(
        &mut self,
        expression: u32,
        suffixed: bool,
        text: &'t str,
        texts: &mut Texts<'t>,
    ) -> Result<Option<bool>, Unanswered> {
        self.search(expression, suffixed, text, texts)
            .map_err(|error| {
                self.error = Some(error);
                Unanswered
            })
    }
}

impl PyOracle<'_, '_> {
    fn search<'t>(
        &self,
        expression: u32,
        suffixed: bool,
        text: &'t str,
        texts: &mut Texts<'t>,
    ) -> PyResult<Option<bool>> {
        let pattern = self.router.pattern(self.py, expression)?;
        let found = pattern.call_method1("match", (text,))?;
        if found.is_none() {
            return Ok(None);
        }
        let names = pattern.getattr("groupindex")?;
        for number in 0.. {
            let group = format!("{GROUP}{number}");
            if !names.contains(&group)? {
                break;
            }
            let (start, end): (isize, isize) = found.call_method1("span", (group,))?.extract()?;
            texts.push(slice(text, start, end));
        }
        let last: usize = pattern.getattr("groups")?.extract()?;
        Ok(Some(
            suffixed
                && found
                    .call_method1("group", (last,))?
                    .extract::<Option<String>>()?
                    .as_deref()
                    == Some("/"),
        ))
    }
}

/// A span in characters; -1 for a group that took no part.
fn slice(text: &str, start: isize, end: isize) -> &str {
    let byte = |characters: isize| {
        let characters = usize::try_from(characters).unwrap_or(0);
        text.char_indices()
            .nth(characters)
            .map_or(text.len(), |(byte, _)| byte)
    };
    text.get(byte(start)..byte(end)).unwrap_or("")
}

/// The host as rules are matched with it; `None` where the dialect has to prepare it: letters to lower, a standard
/// port to drop, a name to check.
fn plain_host(host: &[u8]) -> Option<&str> {
    let host = std::str::from_utf8(host).ok()?;
    let name = host.split_once(':').map_or(host, |(name, port)| {
        if matches!(port, "" | "80" | "443") {
            ""
        } else {
            name
        }
    });
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    name.split('.').all(label).then_some(host)
}

fn tokens(list: &Bound<'_, PyAny>) -> PyResult<Vec<Token>> {
    list.try_iter()?
        .map(|item| {
            let item = item?;
            if let Ok(text) = item.cast::<PyString>() {
                let text = text.to_str()?;
                return Ok(if text == "/" {
                    Token::Slash
                } else {
                    Token::Static(text.to_owned())
                });
            }
            let (name, regex, isolating, weight, conversion): (
                String,
                String,
                bool,
                f64,
                Bound<'_, PyTuple>,
            ) = item.extract()?;
            Ok(Token::Variable(Variable {
                name,
                regex,
                isolating,
                weight,
                convert: convert(&conversion)?,
            }))
        })
        .collect()
}

fn convert(conversion: &Bound<'_, PyTuple>) -> PyResult<Convert> {
    let kind: String = conversion.get_item(0)?.extract()?;
    Ok(match kind.as_str() {
        "text" => Convert::Text,
        "uuid" => Convert::Uuid,
        "python" => Convert::Python,
        "int" => {
            let (_, fixed_digits, min, max): (String, u32, Option<i64>, Option<i64>) =
                conversion.extract()?;
            Convert::Int {
                fixed_digits,
                min,
                max,
            }
        }
        "float" => {
            let (_, min, max): (String, Option<f64>, Option<f64>) = conversion.extract()?;
            Convert::Float { min, max }
        }
        _ => return Err(PyTypeError::new_err("unknown conversion")),
    })
}

fn uuid_class<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "uuid", "UUID")
}
