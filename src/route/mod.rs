//! Paths to rules: exactly the answers of Werkzeug 3.1's `Map.bind(...).match()`, without Python.
//!
//! A rule is cut at its slashes into parts; parts lead from state to state, static ones through a hash table,
//! dynamic ones in the order of their weights. Built once, then immutable and shared. Matching on the plain path
//! does not allocate. Where only Python can answer (a converter with an expression or a `to_python` of its own,
//! a rule that redirects) `find` says so, and the caller matches again with an [`Oracle`] at hand.
#![forbid(unsafe_code)]

mod build;
mod constant;
mod convert;
mod digits;
mod pattern;
mod rule;
mod syntax;
mod table;
#[cfg(test)]
mod tests;
mod walk;

use memchr::memmem;
use smallvec::SmallVec;

pub use build::RouterBuilder;
pub use constant::{Constants, constant_path};
pub use convert::{Convert, Value};
pub use pattern::Texts;
pub use rule::{GROUP, RuleError, RuleSpec, Token, Variable};

use build::{Edge, EdgeTest, Entry, State};
use table::Table;
use walk::{Stop, Walk};

/// The place of a rule among those added, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleId(pub u32);

/// What a path, a method and a domain lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The captures hold the values in the order of `Router::variables`.
    Match(RuleId),
    /// The path to redirect to, decoded as the one given: with its trailing slash, or with slashes merged.
    Redirect(String),
    NotFound,
    /// `Router::allowed` names the methods.
    MethodNotAllowed,
    /// Only a websocket rule for a plain request, or the reverse.
    WebsocketMismatch,
    NeedsPython(Need),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A converter's expression has to be tried before anything is known.
    Expression,
    /// The rule matches, and its values go through Python converters: [`Value::Python`] in the captures.
    Values(RuleId),
    /// The rule matches, and may answer with a redirect that Python has to build.
    Redirect(RuleId),
}

/// What a match found; reused from request to request.
#[derive(Debug, Default)]
pub struct Captures<'p> {
    texts: Texts<'p>,
    values: SmallVec<[Value<'p>; 8]>,
    allowed: u128,
    websocket_mismatch: bool,
}

/// Tries the expressions that this module does not know.
pub trait Oracle {
    /// Matches `text` against `Router::expressions()[expression]` from its first character. On success appends
    /// the groups named [`GROUP`] and a number, by number, and says whether the optional slash of a
    /// `suffixed` expression (its last group) was there.
    fn ask<'t>(
        &mut self,
        expression: u32,
        suffixed: bool,
        text: &'t str,
        texts: &mut Texts<'t>,
    ) -> Result<Option<bool>, Unanswered>;
}

/// The oracle has no answer; matching stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered;

/// For callers without Python.
struct Nobody;

impl Oracle for Nobody {
    fn ask<'t>(
        &mut self,
        _: u32,
        _: bool,
        _: &'t str,
        _: &mut Texts<'t>,
    ) -> Result<Option<bool>, Unanswered> {
        Err(Unanswered)
    }
}

#[derive(Debug)]
pub struct Router {
    merge_slashes: bool,
    states: Vec<State>,
    state_rules: Vec<u32>,
    edges: Vec<Edge>,
    table: Table,
    tests: Vec<EdgeTest>,
    expressions: Vec<String>,
    rules: Vec<Entry>,
    names: Vec<Box<[Box<str>]>>,
    methods: Vec<String>,
    /// A bit for each method, in the order of `methods`.
    method_sets: Vec<u128>,
    conversions: Vec<Box<[Convert]>>,
}

impl Router {
    /// Matches without Python. `host` is the subdomain or host that rules are bound to, `None` the empty one;
    /// `path` is decoded text.
    pub fn find<'p>(
        &self,
        host: Option<&'p str>,
        path: &'p str,
        method: &str,
        websocket: bool,
        out: &mut Captures<'p>,
    ) -> Outcome {
        let outcome = self.find_with(host, path, method, websocket, out, &mut Nobody);
        if let Outcome::Match(id) = outcome {
            if self.is_deferred(id) {
                return Outcome::NeedsPython(Need::Redirect(id));
            }
            if self.needs_converters(id) {
                return Outcome::NeedsPython(Need::Values(id));
            }
        }
        outcome
    }

    /// Matches with an oracle for the expressions of Python converters. `Match` may then hold
    /// [`Value::Python`]; if the converter refuses one, the answer is `Router::refused`.
    pub fn find_with<'p, O: Oracle>(
        &self,
        host: Option<&'p str>,
        path: &'p str,
        method: &str,
        websocket: bool,
        out: &mut Captures<'p>,
        oracle: &mut O,
    ) -> Outcome {
        out.clear();
        let host = host.unwrap_or("");
        let path = one_leading_slash(path);
        let mut walk = Walk {
            router: self,
            method: self.method_bit(method),
            websocket,
            allowed: 0,
            websocket_mismatch: false,
            texts: &mut out.texts,
            oracle,
        };
        let found = walk.start(host, path);
        out.allowed = walk.allowed;
        out.websocket_mismatch = walk.websocket_mismatch;
        match found {
            Err(Stop::SlashRequired) => Outcome::Redirect(format!("{path}/")),
            Err(Stop::Unanswered) => Outcome::NeedsPython(Need::Expression),
            Ok(Some(id)) => self.convert(id, out),
            Ok(None) if self.merge_slashes && memmem::find(path.as_bytes(), b"//").is_some() => {
                self.find_merged(host, path, method, websocket, out, oracle)
            }
            Ok(None) => self.refused(out),
        }
    }

    /// The answer for a request that no rule takes, or whose rule's converter refused a value.
    #[must_use]
    pub fn refused(&self, captures: &Captures<'_>) -> Outcome {
        if captures.allowed != 0 {
            Outcome::MethodNotAllowed
        } else if captures.websocket_mismatch {
            Outcome::WebsocketMismatch
        } else {
            Outcome::NotFound
        }
    }

    /// The methods of the rules that matched but for the method, each once.
    pub fn allowed(&self, captures: &Captures<'_>) -> impl Iterator<Item = &str> {
        let bits = captures.allowed;
        let methods = self.methods.iter().enumerate();
        methods
            .filter(move |(index, _)| bits >> index & 1 == 1)
            .map(|(_, method)| method.as_str())
    }

    /// The names of a rule's variables, in the order of its captures.
    pub fn variables(&self, id: RuleId) -> impl Iterator<Item = &str> {
        self.names[id.0 as usize].iter().map(|name| &**name)
    }

    /// Whether a match of this rule may be answered with a redirect that only Python can build.
    #[must_use]
    pub fn is_deferred(&self, id: RuleId) -> bool {
        self.rules[id.0 as usize].deferred
    }

    /// Whether values of this rule go through converters written in Python.
    #[must_use]
    pub fn needs_converters(&self, id: RuleId) -> bool {
        self.rules[id.0 as usize].python
    }

    /// The regular expressions an [`Oracle`] is asked for, in Python's syntax.
    #[must_use]
    pub fn expressions(&self) -> &[String] {
        &self.expressions
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    fn convert(&self, id: u32, out: &mut Captures<'_>) -> Outcome {
        let conversions = self.rules[id as usize].conversions as usize;
        for (convert, text) in self.conversions[conversions].iter().zip(&out.texts) {
            match convert.apply(text) {
                Some(value) => out.values.push(value),
                None => return self.refused(out),
            }
        }
        Outcome::Match(RuleId(id))
    }

    /// The second try: only ever a redirect.
    #[cold]
    fn find_merged<O: Oracle>(
        &self,
        host: &str,
        path: &str,
        method: &str,
        websocket: bool,
        out: &mut Captures<'_>,
        oracle: &mut O,
    ) -> Outcome {
        let mut merged = String::with_capacity(path.len());
        for c in path.chars() {
            if c != '/' || !merged.ends_with('/') {
                merged.push(c);
            }
        }
        let mut texts = Texts::new();
        let mut walk = Walk {
            router: self,
            method: self.method_bit(method),
            websocket,
            allowed: out.allowed,
            websocket_mismatch: out.websocket_mismatch,
            texts: &mut texts,
            oracle,
        };
        let found = walk.start(host, &merged);
        out.allowed = walk.allowed;
        out.websocket_mismatch = walk.websocket_mismatch;
        drop(texts);
        match found {
            Err(Stop::SlashRequired) => Outcome::Redirect(merged + "/"),
            Err(Stop::Unanswered) => Outcome::NeedsPython(Need::Expression),
            Ok(Some(id)) if self.rules[id as usize].merge_slashes => Outcome::Redirect(merged),
            Ok(_) => self.refused(out),
        }
    }

    fn rules_of(&self, state: &State) -> &[u32] {
        &self.state_rules[state.rules.0 as usize..state.rules.1 as usize]
    }

    /// The top bit is set only in rules for every method.
    fn method_bit(&self, method: &str) -> u128 {
        let mut names = self.methods.iter();
        let known = names.position(|name| name == method).or_else(|| {
            let mut names = self.methods.iter();
            names.position(|name| name.eq_ignore_ascii_case(method))
        });
        1 << known.unwrap_or(rule::MAX_METHODS)
    }
}

impl<'p> Captures<'p> {
    /// The values of a match, in the order of `Router::variables`.
    #[must_use]
    pub fn values(&self) -> &[Value<'p>] {
        &self.values
    }

    /// Whether a rule matched but for websocket against plain HTTP.
    #[must_use]
    pub fn websocket_mismatch(&self) -> bool {
        self.websocket_mismatch
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.values.clear();
        self.allowed = 0;
        self.websocket_mismatch = false;
    }
}

/// `//a` is `/a`, as Werkzeug's adapter has it; the empty path stays empty.
fn one_leading_slash(path: &str) -> &str {
    let extra = path.bytes().take_while(|&byte| byte == b'/').count();
    &path[extra.saturating_sub(1)..]
}
