//! The walk through the states, in the order of Werkzeug's `StateMachineMatcher`: static before dynamic, dynamic
//! by weight, back where a branch fails. The states are a tree, so each is entered at most once a walk.

use super::build::{EdgeTest, Entry, State};
use super::pattern::Texts;
use super::table::Segment;
use super::{Oracle, Router};

pub(super) struct Walk<'r, 't, 'o, O> {
    pub(super) router: &'r Router,
    /// The method's bit; the top one if no rule names the method.
    pub(super) method: u128,
    pub(super) websocket: bool,
    /// Methods of rules that matched but for the method.
    pub(super) allowed: u128,
    pub(super) websocket_mismatch: bool,
    pub(super) texts: &'o mut Texts<'t>,
    pub(super) oracle: &'o mut O,
}

/// Why a walk ends at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    SlashRequired,
    /// An expression only Python can try, and nobody here to ask.
    Unanswered,
}

type Found = Result<Option<u32>, Stop>;

impl<'t, O: Oracle> Walk<'_, 't, '_, O> {
    pub(super) fn start(&mut self, domain: &'t str, path: &'t str) -> Found {
        let root = self.router.states[0];
        if let Some(next) = self.static_child(0, &root, domain) {
            let found = self.visit(next, Some(path))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        for index in root.edges.0..root.edges.1 {
            let edge = &self.router.edges[index as usize];
            // A domain part that takes the rest leaves no path for the rule's own parts.
            if edge.takes_rest {
                continue;
            }
            let found = self.follow(index, domain, Some(path))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// `rest` is what remains behind a slash; `None` if nothing does, not even an empty segment.
    fn visit(&mut self, at: u32, rest: Option<&'t str>) -> Found {
        let state = self.router.states[at as usize];
        let Some(rest) = rest else {
            return self.finish(&state);
        };
        let (segment, remaining) = match slash(rest.as_bytes()) {
            Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
            None => (rest, None),
        };
        if let Some(next) = self.static_child(at, &state, segment) {
            let found = self.visit(next, remaining)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        for index in state.edges.0..state.edges.1 {
            let found = if self.router.edges[index as usize].takes_rest {
                self.follow(index, rest, None)?
            } else {
                self.follow(index, segment, remaining)?
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        if rest.is_empty() {
            return Ok(self.choose(&state, |rule| !rule.strict_slashes));
        }
        Ok(None)
    }

    fn finish(&mut self, state: &State) -> Found {
        let found = self.choose(state, |_| true);
        if found.is_some() || state.slash == 0 {
            return Ok(found);
        }
        let router = self.router;
        let branch = router.states[state.slash as usize];
        for &id in router.rules_of(&branch) {
            let rule = &router.rules[id as usize];
            if rule.websocket == self.websocket
                && self.router.method_sets[rule.methods as usize] & self.method != 0
            {
                return if rule.strict_slashes {
                    Err(Stop::SlashRequired)
                } else {
                    Ok(Some(id))
                };
            }
        }
        Ok(None)
    }

    /// The first rule that fits; the others leave what a 405 or a websocket mismatch needs.
    fn choose(&mut self, state: &State, considered: impl Fn(&Entry) -> bool) -> Option<u32> {
        let router = self.router;
        for &id in router.rules_of(state) {
            let rule = &router.rules[id as usize];
            if !considered(rule) {
                continue;
            }
            let methods = router.method_sets[rule.methods as usize];
            if methods & self.method == 0 {
                self.allowed |= methods;
            } else if rule.websocket != self.websocket {
                self.websocket_mismatch = true;
            } else {
                return Some(id);
            }
        }
        None
    }

    fn follow(&mut self, index: u32, target: &'t str, remaining: Option<&'t str>) -> Found {
        let router = self.router;
        let edge = &router.edges[index as usize];
        let before = self.texts.len();
        let slash = match &router.tests[edge.test as usize] {
            EdgeTest::Pattern(pattern) => pattern.matches(target, self.texts),
            EdgeTest::Python(expression) => self
                .oracle
                .ask(*expression, edge.suffixed, target, self.texts)
                .map_err(|_| Stop::Unanswered)?,
        };
        let Some(slash) = slash else {
            return Ok(None);
        };
        let remaining = if slash { Some("") } else { remaining };
        let found = self.visit(edge.child, remaining)?;
        if found.is_none() {
            self.texts.truncate(before);
        }
        Ok(found)
    }

    fn static_child(&self, at: u32, state: &State, segment: &str) -> Option<u32> {
        if segment.is_empty() {
            return (state.slash != 0).then_some(state.slash);
        }
        if state.statics.is_empty() {
            return None;
        }
        let segment = Segment::new(segment);
        self.router.table.get(at, state.statics, &segment)
    }
}

/// Where the first slash is. Segments are short: looking at eight bytes at once beats a call.
fn slash(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    const SLASHES: u64 = ONES * b'/' as u64;
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let zeros = u64::from_le_bytes(*word) ^ SLASHES;
        // The lowest byte that it marks is right; those above it may be wrong.
        let marks = zeros.wrapping_sub(ONES) & !zeros & HIGHS;
        if marks != 0 {
            return Some(index * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    let found = tail.iter().position(|&byte| byte == b'/');
    found.map(|index| words.len() * 8 + index)
}
