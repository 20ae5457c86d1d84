//! From rules to an immutable router: a tree of states first, then flat arrays.

use std::collections::HashMap;

use super::convert::Convert;
use super::pattern::{Pattern, Shape};
use super::rule::{MAX_METHODS, MAX_PARTS, Part, RuleError, RuleSpec, Test, Token, parts};
use super::table::{Statics, TableBuilder};
use super::{Router, RuleId};

/// Collects rules in the order in which equal ones are tried.
#[derive(Debug)]
pub struct RouterBuilder {
    merge_slashes: bool,
    states: Vec<Growing>,
    rules: Vec<Entry>,
    names: Vec<Box<[Box<str>]>>,
    methods: Vec<String>,
    method_sets: Pool<u128>,
    conversions: Pool<Box<[Convert]>>,
}

/// Equal things once.
#[derive(Debug)]
struct Pool<T>(Vec<T>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> Pool<T> {
    fn place(&mut self, thing: T) -> u32 {
        let known = self.0.iter().position(|other| *other == thing);
        known.unwrap_or_else(|| {
            self.0.push(thing);
            self.0.len() - 1
        }) as u32
    }
}

/// A state while rules are added.
#[derive(Debug, Default)]
struct Growing {
    statics: HashMap<String, u32>,
    dynamics: Vec<(Part, u32)>,
    rules: Vec<u32>,
}

/// A rule as matching needs it: small, what rules have in common stands elsewhere.
#[derive(Debug)]
pub(super) struct Entry {
    /// Index into `Router::method_sets`.
    pub(super) methods: u32,
    /// Index into `Router::conversions`.
    pub(super) conversions: u32,
    pub(super) websocket: bool,
    pub(super) strict_slashes: bool,
    pub(super) merge_slashes: bool,
    pub(super) deferred: bool,
    pub(super) python: bool,
}

/// A state in the finished router. Ranges point into `Router::state_rules` and `Router::edges`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct State {
    pub(super) statics: Statics,
    /// The child over an empty segment; 0 if there is none.
    pub(super) slash: u32,
    pub(super) rules: (u32, u32),
    pub(super) edges: (u32, u32),
}

#[derive(Debug)]
pub(super) struct Edge {
    pub(super) child: u32,
    /// Index into `Router::tests`.
    pub(super) test: u32,
    pub(super) takes_rest: bool,
    pub(super) suffixed: bool,
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
            names: Vec::new(),
            methods: Vec::new(),
            method_sets: Pool::default(),
            conversions: Pool::default(),
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
        let (names, converts) = variables(&spec);
        self.rules.push(Entry {
            methods: self.method_sets.place(methods),
            websocket: spec.websocket,
            strict_slashes: spec.strict_slashes,
            merge_slashes: spec.merge_slashes,
            deferred: spec.deferred,
            python: converts.contains(&Convert::Python),
            conversions: self.conversions.place(converts.into()),
        });
        self.names.push(names.into());
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
        let order = self.depth_first();
        let mut places = vec![0; order.len()];
        for (place, &state) in order.iter().enumerate() {
            places[state as usize] = place as u32;
        }
        let mut table = TableBuilder::default();
        let mut tests = Tests::default();
        let mut edges = Vec::new();
        let mut state_rules = Vec::new();
        let mut states = Vec::with_capacity(order.len());
        for (place, &number) in order.iter().enumerate() {
            let growing = &mut self.states[number as usize];
            let mut statics: Vec<_> = growing
                .statics
                .iter()
                .map(|(key, child)| (key.as_str(), places[*child as usize]))
                .collect();
            statics.sort_unstable_by_key(|(_, child)| *child);
            let slash = statics.iter().position(|(key, _)| key.is_empty());
            let slash = slash.map_or(0, |index| statics.remove(index).1);
            let first_rule = state_rules.len() as u32;
            state_rules.append(&mut growing.rules);
            let first_edge = edges.len() as u32;
            edges.extend(
                growing
                    .dynamics
                    .drain(..)
                    .filter_map(|(part, child)| tests.edge(part, places[child as usize])),
            );
            states.push(State {
                statics: table.add(place as u32, &statics),
                slash,
                rules: (first_rule, state_rules.len() as u32),
                edges: (first_edge, edges.len() as u32),
            });
        }
        Router {
            merge_slashes: self.merge_slashes,
            states,
            state_rules,
            edges,
            table: table.build(),
            tests: tests.tests,
            expressions: tests.expressions,
            rules: self.rules,
            names: self.names,
            methods: self.methods,
            method_sets: self.method_sets.0,
            conversions: self.conversions.0,
        }
    }

    /// The states with what belongs to one subtree side by side: a request's way then touches few cache lines.
    fn depth_first(&self) -> Vec<u32> {
        let mut order = Vec::with_capacity(self.states.len());
        let mut open = vec![0];
        while let Some(number) = open.pop() {
            order.push(number);
            let state = &self.states[number as usize];
            let first = open.len();
            open.extend(state.statics.values());
            open.extend(state.dynamics.iter().map(|(_, child)| child));
            // The one made first comes first.
            open[first..].sort_unstable_by(|a, b| b.cmp(a));
        }
        order
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

/// What dynamic edges test; edges with the same expression share it.
#[derive(Default)]
struct Tests {
    tests: Vec<EdgeTest>,
    expressions: Vec<String>,
    known: HashMap<String, u32>,
}

impl Tests {
    /// `None` for a static part.
    fn edge(&mut self, part: Part, child: u32) -> Option<Edge> {
        let Test::Dynamic {
            regex,
            takes_rest,
            suffixed,
            pattern,
        } = part.test
        else {
            return None;
        };
        let test = self.known.get(&regex).copied().unwrap_or_else(|| {
            let place = self.tests.len() as u32;
            self.known.insert(regex.clone(), place);
            self.tests.push(match pattern {
                Some(pattern) => EdgeTest::Pattern(pattern),
                None => {
                    self.expressions.push(regex);
                    EdgeTest::Python(self.expressions.len() as u32 - 1)
                }
            });
            place
        });
        Some(Edge {
            child,
            test,
            takes_rest,
            suffixed,
        })
    }
}

/// Names in the order of their first occurrence, each with its last converter, as a Python dict keeps them.
fn variables(spec: &RuleSpec) -> (Vec<Box<str>>, Vec<Convert>) {
    let mut names: Vec<Box<str>> = Vec::new();
    let mut converts = Vec::new();
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
        match names.iter().position(|name| **name == *variable.name) {
            // The text may be the other one's: only Python's converter knows what to do with it.
            Some(index) => converts[index] = Convert::Python,
            None => {
                names.push(variable.name.as_str().into());
                converts.push(if fits {
                    variable.convert.clone()
                } else {
                    Convert::Python
                });
            }
        }
    }
    (names, converts)
}
