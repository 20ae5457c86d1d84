//! Paths without variables by method and path, as they stand in the request: one look-up in place of a walk.
//!
//! The answers are the router's own, asked for once when the table is made. What is not found here says nothing: the
//! walk has the answer. The keys are the application's, so no client can make them collide.

use super::{Captures, Outcome, Router, RuleId, RuleSpec, Token};

/// Answers that hold for every request with this method and path.
#[derive(Default)]
pub struct Constants {
    /// A power of two of slots, at most half of them taken; none without entries.
    slots: Vec<Option<Entry>>,
}

struct Entry {
    hash: u64,
    method: Box<[u8]>,
    path: Box<[u8]>,
    rule: RuleId,
}

impl Constants {
    /// Asks `router` for each of `paths` under `domain`; keeps the matches that `is_final` takes.
    pub fn new(
        router: &Router,
        domain: &str,
        paths: &[(String, Vec<String>)],
        is_final: impl Fn(RuleId) -> bool,
    ) -> Self {
        let mut entries = Vec::new();
        let mut captures = Captures::default();
        for (path, methods) in paths {
            for method in methods {
                let outcome = router.find(Some(domain), path, method, false, &mut captures);
                if let Outcome::Match(rule) = outcome
                    && captures.values().is_empty()
                    && is_final(rule)
                {
                    entries.push(Entry {
                        hash: hash(method.as_bytes(), path.as_bytes()),
                        method: method.as_bytes().into(),
                        path: path.as_bytes().into(),
                        rule,
                    });
                }
            }
        }
        let mut constants = Self::default();
        if !entries.is_empty() {
            let len = (entries.len() * 2).next_power_of_two();
            constants.slots.resize_with(len, || None);
        }
        for entry in entries {
            let at = constants.slot(entry.hash, &entry.method, &entry.path);
            constants.slots[at] = Some(entry);
        }
        constants
    }

    /// The rule for a path that is not decoded.
    #[inline]
    #[must_use]
    pub fn find(&self, method: &[u8], path: &[u8]) -> Option<RuleId> {
        if self.slots.is_empty() {
            return None;
        }
        let at = self.slot(hash(method, path), method, path);
        self.slots[at].as_ref().map(|entry| entry.rule)
    }

    /// Where the key is, or where it would go. Ends, since at least half of the slots are free.
    #[inline]
    fn slot(&self, hash: u64, method: &[u8], path: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(entry) = &self.slots[at] {
            if entry.hash == hash && *entry.method == *method && *entry.path == *path {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }
}

/// The path and the methods of a rule that always has the same path; None for one with variables, without a list of
/// methods or for websockets, and for a path that could stand in a request in another form than its own.
#[must_use]
pub fn constant_path(spec: &RuleSpec) -> Option<(String, Vec<String>)> {
    let methods = spec.methods.clone().filter(|_| !spec.websocket)?;
    let mut path = String::new();
    for token in &spec.path {
        match token {
            Token::Static(text) => path.push_str(text),
            Token::Slash => path.push('/'),
            Token::Variable(_) => return None,
        }
    }
    let is_plain = path.is_ascii() && !path.contains('%');
    is_plain.then_some((path, methods))
}

// FNV-1a: a few instructions a byte, and paths are short.
#[inline]
fn hash(method: &[u8], path: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in method.iter().chain(path) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::RouterBuilder;

    fn constants(rules: &[(&str, &[&str])]) -> (Router, Constants) {
        let mut builder = RouterBuilder::new(true);
        let mut paths = Vec::new();
        for (rule, methods) in rules {
            let mut spec = RuleSpec::parse(rule).expect("the test's rules are well-formed");
            spec.methods = Some(methods.iter().map(|&method| method.to_owned()).collect());
            paths.extend(constant_path(&spec));
            builder.add(spec).expect("the test's rules can be added");
        }
        let router = builder.build();
        let constants = Constants::new(&router, "", &paths, |_| true);
        (router, constants)
    }

    #[test]
    fn answers_as_the_walk_does_or_not_at_all() {
        let rules: &[(&str, &[&str])] = &[
            ("/", &["GET", "HEAD"]),
            ("/json", &["GET"]),
            ("/json", &["POST"]),
            ("/dir/", &["GET"]),
            ("/<name>", &["GET", "DELETE"]),
            ("/a/b/c", &["GET"]),
        ];
        let (router, constants) = constants(rules);
        let mut found = 0;
        for path in [
            "/", "/json", "/dir/", "/dir", "/x", "//json", "/a/b/c", "/a/b", "", "/JSON",
        ] {
            for method in ["GET", "POST", "HEAD", "DELETE", "", "get"] {
                let Some(rule) = constants.find(method.as_bytes(), path.as_bytes()) else {
                    continue;
                };
                found += 1;
                let mut captures = Captures::default();
                let walked = router.find(Some(""), path, method, false, &mut captures);
                assert_eq!(walked, Outcome::Match(rule), "{method} {path}");
                assert!(captures.values().is_empty());
            }
        }
        assert_eq!(found, 6);
    }

    #[test]
    fn leaves_other_forms_of_a_path_to_the_walk() {
        let (_, constants) = constants(&[("/caf\u{e9}", &["GET"]), ("/a%20b", &["GET"])]);
        assert!(constants.slots.is_empty());
        assert_eq!(constants.find(b"GET", "/caf\u{e9}".as_bytes()), None);
    }

    #[test]
    fn finds_each_of_many() {
        let rules: Vec<String> = (0..500).map(|n| format!("/path/{n}")).collect();
        let rules: Vec<_> = rules
            .iter()
            .map(|rule| (rule.as_str(), &["GET"][..]))
            .collect();
        let (_, constants) = constants(&rules);
        for (id, (rule, _)) in rules.iter().enumerate() {
            let found = constants.find(b"GET", rule.as_bytes());
            assert_eq!(found, Some(RuleId(id as u32)), "{rule}");
        }
        assert_eq!(constants.find(b"GET", b"/path/500"), None);
    }
}
