//! From rules to an immutable router: a tree of states first, then flat arrays.

use std::collections::HashMap;

use super::convert::Convert;
use super::pattern::{Pattern, Shape};
use super::rule::{MAX_METHODS, MAX_PARTS, Part, RuleError, RuleSpec, Test, Token, parts};
use super::table::Table;
use super::{Router, RuleId};

/// Collects rules in the order in which equal ones are tried.
#[derive(Debug)]
pub struct RouterBuilder {
    merge_slashes: bool,
    states: Vec<Growing>,
    rules: Vec<Entry>,
    methods: Vec<String>,
}

/// A state while rules are added.
#[derive(Debug, Default)]
struct Growing {
    statics: HashMap<String, u32>,
    dynamics: Vec<(Part, u32)>,
    rules: Vec<u32>,
}

/// A rule as matching needs it.
#[derive(Debug)]
pub(super) struct Entry {
    /// A bit for each method, in the order of `Router::methods`.
    pub(super) methods: u128,
    pub(super) websocket: bool,
    pub(super) strict_slashes: bool,
    pub(super) merge_slashes: bool,
    pub(super) deferred: bool,
    pub(super) python: bool,
    pub(super) variables: Box<[(Box<str>, Convert)]>,
}

/// A state in the finished router. Ranges point into `Router::state_rules` and `Router::edges`.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) rules: (u32, u32),
    pub(super) edges: (u32, u32),
    /// The child over an empty segment; 0 if there is none.
    pub(super) slash: u32,
    pub(super) has_statics: bool,
}

#[derive(Debug)]
pub(super) struct Edge {
    pub(super) child: u32,
    pub(super) takes_rest: bool,
    pub(super) suffixed: bool,
    pub(super) test: EdgeTest,
}

#[derive(Debug)]
pub(super) enum EdgeTest {
    Pattern(Pattern),
    /// Index into `Router::expressions`.
    Python(u32),
}

impl RouterBuilder {
    /// `merge_slashes` is the map's: whether a miss is tried again with repeated slashes merged.
    #[must_use]
    pub fn new(merge_slashes: bool) -> Self {
        Self {
            merge_slashes,
            states: vec![Growing::default()],
            rules: Vec::new(),
            methods: Vec::new(),
        }
    }

    /// Adds a rule; ids count from 0.
    pub fn add(&mut self, spec: RuleSpec) -> Result<RuleId, RuleError> {
        let mut path = parts(&spec.domain);
        path.extend(parts(&spec.path));
        if path.len() > MAX_PARTS {
            return Err(RuleError::TooManyParts);
        }
        let methods = match &spec.methods {
            None => u128::MAX,
            Some(names) => self.method_bits(names)?,
        };
        let id = self.rules.len() as u32;
        let state = path
            .into_iter()
            .fold(0, |state, part| self.step(state, part));
        self.states[state as usize].rules.push(id);
        let variables = variables(&spec);
        self.rules.push(Entry {
            methods,
            websocket: spec.websocket,
            strict_slashes: spec.strict_slashes,
            merge_slashes: spec.merge_slashes,
            deferred: spec.deferred,
            python: variables
                .iter()
                .any(|(_, convert)| *convert == Convert::Python),
            variables,
        });
        Ok(RuleId(id))
    }

    #[must_use]
    pub fn build(mut self) -> Router {
        for state in &mut self.states {
            // Stable: among equals the one added first is tried first.
            state.dynamics.sort_by(|(a, _), (b, _)| {
                a.weight
                    .partial_cmp(&b.weight)
                    .unwrap_or(std::cmp::Ordering::Equal)
            });
        }
        let mut router = Router {
            merge_slashes: self.merge_slashes,
            states: Vec::with_capacity(self.states.len()),
            state_rules: Vec::new(),
            edges: Vec::new(),
            table: Table::new(self.states.iter().enumerate().flat_map(|(parent, state)| {
                let statics = state.statics.iter();
                statics
                    .filter(|(key, _)| !key.is_empty())
                    .map(move |(key, child)| (parent as u32, key.as_str(), *child))
            })),
            expressions: Vec::new(),
            rules: self.rules,
            methods: self.methods,
        };
        for state in self.states {
            let first_rule = router.state_rules.len() as u32;
            router.state_rules.extend(state.rules);
            let first_edge = router.edges.len() as u32;
            for (part, child) in state.dynamics {
                router.push_edge(part, child);
            }
            let slash = state.statics.get("").copied().unwrap_or(0);
            router.states.push(State {
                rules: (first_rule, router.state_rules.len() as u32),
                edges: (first_edge, router.edges.len() as u32),
                slash,
                has_statics: state.statics.len() > usize::from(slash != 0),
            });
        }
        router
    }

    fn step(&mut self, state: u32, part: Part) -> u32 {
        let fresh = self.states.len() as u32;
        let from = &mut self.states[state as usize];
        let next = match &part.test {
            Test::Static(text) => *from.statics.entry(text.clone()).or_insert(fresh),
            Test::Dynamic { .. } => {
                let known = from.dynamics.iter().find(|(edge, _)| *edge == part);
                match known {
                    Some((_, next)) => *next,
                    None => {
                        from.dynamics.push((part, fresh));
                        fresh
                    }
                }
            }
        };
        if next == fresh {
            self.states.push(Growing::default());
        }
        next
    }

    fn method_bits(&mut self, names: &[String]) -> Result<u128, RuleError> {
        let mut bits = 0;
        for name in names {
            let known = self.methods.iter().position(|method| method == name);
            let index = known.unwrap_or_else(|| {
                self.methods.push(name.clone());
                self.methods.len() - 1
            });
            if index >= MAX_METHODS {
                return Err(RuleError::TooManyMethods);
            }
            bits |= 1 << index;
        }
        Ok(bits)
    }
}

impl Router {
    fn push_edge(&mut self, part: Part, child: u32) {
        let Test::Dynamic {
            regex,
            takes_rest,
            suffixed,
            pattern,
        } = part.test
        else {
            return;
        };
        let test = match pattern {
            Some(pattern) => EdgeTest::Pattern(pattern),
            None => {
                self.expressions.push(regex);
                EdgeTest::Python(self.expressions.len() as u32 - 1)
            }
        };
        self.edges.push(Edge {
            child,
            takes_rest,
            suffixed,
            test,
        });
    }
}

/// Names in the order of their first occurrence, each with its last converter, as a Python dict keeps them.
fn variables(spec: &RuleSpec) -> Box<[(Box<str>, Convert)]> {
    let mut variables: Vec<(Box<str>, Convert)> = Vec::new();
    for token in spec.domain.iter().chain(&spec.path) {
        let Token::Variable(variable) = token else {
            continue;
        };
        let fits = match (&variable.convert, Shape::from_regex(&variable.regex)) {
            (Convert::Int { .. }, shape) => matches!(shape, Some(Shape::Int { .. })),
            (Convert::Float { .. }, shape) => matches!(shape, Some(Shape::Float { .. })),
            (Convert::Uuid, shape) => shape == Some(Shape::Uuid),
            _ => true,
        };
        let known = variables
            .iter_mut()
            .find(|(name, _)| **name == *variable.name);
        match known {
            // The text may be the other one's: only Python's converter knows what to do with it.
            Some((_, convert)) => *convert = Convert::Python,
            None if fits => {
                variables.push((variable.name.as_str().into(), variable.convert.clone()))
            }
            None => variables.push((variable.name.as_str().into(), Convert::Python)),
        }
    }
    variables.into()
}
