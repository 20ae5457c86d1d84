//! A rule as text and as tokens, and its parts: what lies between slashes.
//!
//! Syntax: static text, `/`, and `<converter(arguments):name>` with converter and arguments optional. The stock
//! converters are read here; a caller with converters of its own resolves them and gives tokens.

use super::convert::Convert;
use super::pattern::{Element, End, Pattern, Shape};
use super::syntax;

/// A rule before it is added to a router. `parse` gives Werkzeug's defaults; set what differs.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSpec {
    /// Subdomain or host; empty matches the empty one.
    pub domain: Vec<Token>,
    pub path: Vec<Token>,
    /// In upper case; `None` allows every method.
    pub methods: Option<Vec<String>>,
    pub websocket: bool,
    pub strict_slashes: bool,
    pub merge_slashes: bool,
    /// A match is not the answer yet: an alias, a `redirect_to` or a rule whose defaults redirect.
    pub deferred: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Static(String),
    Slash,
    Variable(Variable),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    pub name: String,
    /// Python's regular expression for the text.
    pub regex: String,
    /// False if the text may contain slashes; the part then takes all the rest of the path.
    pub isolating: bool,
    pub weight: f64,
    pub convert: Convert,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("a rule must start with a slash")]
    NoSlash,
    #[error("malformed rule at byte {0}")]
    Malformed(usize),
    #[error("unknown converter {0:?}")]
    UnknownConverter(String),
    #[error("bad arguments for converter {0:?}")]
    BadArguments(String),
    #[error("a rule has more than {MAX_PARTS} parts")]
    TooManyParts,
    #[error("rules use more than {MAX_METHODS} different methods")]
    TooManyMethods,
}

// Matching descends one call for each part of a rule.
pub(super) const MAX_PARTS: usize = 512;
pub(super) const MAX_METHODS: usize = 127;

impl RuleSpec {
    /// A rule for any method on the empty domain, with strict and merged slashes.
    pub fn parse(rule: &str) -> Result<Self, RuleError> {
        if !rule.starts_with('/') {
            return Err(RuleError::NoSlash);
        }
        let mut path = syntax::tokens(rule)?;
        path.dedup_by(|next, token| *next == Token::Slash && *token == Token::Slash);
        Ok(Self {
            domain: Vec::new(),
            path,
            methods: None,
            websocket: false,
            strict_slashes: true,
            merge_slashes: true,
            deferred: false,
        })
    }

    /// The same rule on a subdomain or host, itself in rule syntax.
    pub fn on(mut self, domain: &str) -> Result<Self, RuleError> {
        self.domain = syntax::tokens(domain)?;
        Ok(self)
    }

    /// The same rule for these methods only.
    #[must_use]
    pub fn methods(mut self, methods: &[&str]) -> Self {
        self.methods = Some(
            methods
                .iter()
                .map(|method| method.to_ascii_uppercase())
                .collect(),
        );
        self
    }
}

/// A step from one state to the next. Equal steps are one edge, as in Werkzeug's machine.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) test: Test,
    pub(super) weight: Weight,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Static(String),
    /// Identity is the expression's text: shapes that match alike but are written differently stay apart.
    Dynamic {
        regex: String,
        takes_rest: bool,
        suffixed: bool,
        pattern: Option<Pattern>,
    },
}

/// Lower comes first.
#[derive(Debug, Clone, PartialEq, PartialOrd, Default)]
pub(super) struct Weight {
    statics: i64,
    static_weights: Vec<(i64, i64)>,
    variables: i64,
    variable_weights: Vec<f64>,
}

/// Splits tokens into parts; a rule that ends with a slash has an empty last part.
pub(super) fn parts(tokens: &[Token]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut open = Open::default();
    for token in tokens {
        match token {
            Token::Static(text) => open.push_static(text),
            Token::Variable(variable) => open.push_variable(variable),
            Token::Slash if open.takes_rest => open.push_slash(),
            Token::Slash => parts.push(std::mem::take(&mut open).close()),
        }
    }
    let branch = open.takes_rest && matches!(tokens.last(), Some(Token::Slash));
    open.suffixed = branch;
    let last = open.close();
    let weight = last.weight.clone();
    parts.push(last);
    if branch {
        parts.push(Part {
            test: Test::Static(String::new()),
            weight,
        });
    }
    parts
}

/// A part that more tokens may join.
#[derive(Default)]
struct Open {
    text: String,
    regex: String,
    /// `Err` where only Python knows the expression.
    elements: Vec<Result<Element, ()>>,
    dynamic: bool,
    takes_rest: bool,
    suffixed: bool,
    weight: Weight,
}

impl Open {
    fn push_static(&mut self, text: &str) {
        let place = self.weight.static_weights.len() as i64;
        let length = text.chars().count() as i64;
        self.weight.static_weights.push((place, -length));
        self.push_literal(text);
        self.regex.push_str(&escape(text));
    }

    fn push_slash(&mut self) {
        self.push_literal("/");
        self.regex.push('/');
    }

    fn push_literal(&mut self, text: &str) {
        self.text.push_str(text);
        if let Some(Ok(Element::Literal(last))) = self.elements.last_mut() {
            *last = format!("{last}{text}").into();
        } else {
            self.elements.push(Ok(Element::Literal(text.into())));
        }
    }

    fn push_variable(&mut self, variable: &Variable) {
        let number = self.weight.variable_weights.len();
        self.dynamic = true;
        self.takes_rest |= !variable.isolating;
        self.weight.variable_weights.push(variable.weight);
        self.regex
            .push_str(&format!("(?P<{GROUP}{number}>{})", variable.regex));
        let shape = Shape::from_regex(&variable.regex).map(Element::Capture);
        self.elements.push(shape.ok_or(()));
    }

    fn close(mut self) -> Part {
        self.weight.statics = -(self.weight.static_weights.len() as i64);
        self.weight.variables = -(self.weight.variable_weights.len() as i64);
        let test = if self.dynamic {
            let mut end = End::Exact;
            if self.suffixed {
                self.regex.pop();
                self.regex.push_str("(?<!/)(/?)");
                end = End::Slash;
                if let Some(Ok(Element::Literal(last))) = self.elements.last_mut() {
                    *last = last[..last.len() - 1].into();
                }
            }
            self.regex.push_str(r"\Z");
            let elements: Result<Vec<_>, _> = self.elements.into_iter().collect();
            Test::Dynamic {
                regex: self.regex,
                takes_rest: self.takes_rest,
                suffixed: self.suffixed,
                pattern: elements.ok().map(|elements| Pattern::new(elements, end)),
            }
        } else {
            Test::Static(self.text)
        };
        Part {
            test,
            weight: self.weight,
        }
    }
}

/// Prefix of the groups that hold captures in an expression left to Python.
pub const GROUP: &str = "__route_";

/// As Python's `re.escape`.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "()[]{}?*+-|^$\\.&~# \t\n\r\x0b\x0c".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
