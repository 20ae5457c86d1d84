//! The layer rule, read from the source: who may import whom, and where `unsafe` may stand.
//!
//! ```text
//! buf, http, json, pace  <-  form, h1, h2, ws, tls, route  <-  config  <-  conn  <-  net  <-  py
//! ```
//!
//! An arrow is who may be imported by whom; layers of one rank do not know each other. `config` resolves the limits
//! that the engines define, so it stands above them. There is no list of exceptions, and test modules count too.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const RANKS: &[&[&str]] = &[
    &["buf", "http", "json", "pace"],
    &["form", "h1", "h2", "ws", "tls", "route"],
    &["config"],
    &["conn"],
    &["net"],
    &["py"],
];
const UNSAFE_FILES: &[&str] = &[
    "py/ffi.rs",
    "py/ffi/json.rs",
    "py/ffi/walk.rs",
    "net/sys.rs",
    "buf/chunk.rs",
];

#[test]
fn layers_import_only_downwards() {
    let mut breaches = String::new();
    for file in sources() {
        let text = fs::read_to_string(&file.path).expect("a source file is readable");
        for breach in breaches_of(&file.module, &text) {
            writeln!(breaches, "src/{}: {breach}", file.name).expect("a String takes every write");
        }
    }
    assert!(breaches.is_empty(), "layer rule broken:\n{breaches}");
}

#[test]
fn every_top_level_module_has_a_rank() {
    let unknown: Vec<_> = sources()
        .into_iter()
        .filter(|file| !file.module.is_empty() && rank(&file.module[0]).is_none())
        .map(|file| file.name)
        .collect();
    assert!(unknown.is_empty(), "not in the layer rule: {unknown:?}");
}

#[test]
fn unsafe_stands_only_in_the_named_files() {
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|file| !UNSAFE_FILES.contains(&file.name.as_str()))
        .filter(|file| {
            let text = fs::read_to_string(&file.path).expect("a source file is readable");
            says_unsafe(&text)
        })
        .map(|file| file.name)
        .collect();
    assert!(
        found.is_empty(),
        "unsafe outside {UNSAFE_FILES:?}: {found:?}"
    );
}

#[test]
fn the_scanner_sees_each_form_of_an_import() {
    let h1 = ["h1".to_owned(), "parse".to_owned()];
    let cases: &[(&str, &[&str])] = &[
        ("use crate::conn::Conn;", &["h1 imports conn"]),
        ("pub use crate::conn::Conn;", &["h1 imports conn"]),
        (
            "use crate::{http::Head, net, route::{Tree}};",
            &["h1 imports net", "h1 imports route"],
        ),
        ("fn f() { crate::py::run() }", &["h1 imports py"]),
        ("use super::super::conn::Conn;", &["h1 imports conn"]),
        ("use super::super::{conn, buf};", &["h1 imports conn"]),
        (
            "mod tests { use super::super::super::net::Poll; }",
            &["h1 imports net"],
        ),
        ("use crate::*;", &["h1 imports everything"]),
        ("use crate::{self as core};", &["h1 imports everything"]),
        ("use crate as core;", &["h1 imports everything"]),
        ("use bustapi_core::net::Reactor;", &["h1 imports net"]),
        (
            "use crate::http::Head; use crate::buf::Inbox; use crate::h1::Error;",
            &[],
        ),
        ("use super::framing; use super::super::http::Head;", &[]),
        (
            "mod tests { use super::super::framing; use super::*; }",
            &[],
        ),
        ("pub(crate) fn f() {} pub(in crate::h1) fn g() {}", &[]),
        (
            "// crate::conn\n/* crate::net /* nested */ crate::py */",
            &[],
        ),
        (
            "const A: &str = \"crate::conn\"; const B: &str = r#\"\"crate::net\"\"#;",
            &[],
        ),
        (
            "fn f<'a>(x: &'a str) -> char { '\"' } fn g() { crate::net::h() }",
            &["h1 imports net"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(&breaches_of(&h1, text), expected, "{text}");
    }
}

#[test]
fn the_scanner_tells_unsafe_from_its_mention() {
    assert!(says_unsafe("fn f() { unsafe { g() } }"));
    assert!(says_unsafe("unsafe impl Send for T {}"));
    assert!(says_unsafe("#![allow(unsafe_code)]"));
    assert!(!says_unsafe(
        "// unsafe\nfn f() -> &'static str { \"unsafe\" }"
    ));
    assert!(!says_unsafe("#![forbid(unsafe_code)]"));
    assert!(!says_unsafe("#![deny(unsafe_code)]"));
}

struct Source {
    path: PathBuf,
    /// Relative to `src`, with `/`.
    name: String,
    /// `src/h1/parse.rs` is `["h1", "parse"]`, `src/lib.rs` is empty.
    module: Vec<String>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a source folder is readable") {
            let path = entry.expect("a source folder is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path
                    .strip_prefix(&root)
                    .expect("it was found under the root");
                let mut module: Vec<String> = relative
                    .with_extension("")
                    .iter()
                    .map(|part| part.to_string_lossy().into_owned())
                    .collect();
                if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
                    module.pop();
                }
                let name = relative.to_string_lossy().replace('\\', "/");
                found.push(Source { path, name, module });
            }
        }
    }
    assert!(!found.is_empty(), "no sources under {}", root.display());
    found
}

fn rank(layer: &str) -> Option<usize> {
    RANKS.iter().position(|layers| layers.contains(&layer))
}

/// The imports of `text`, standing in `module`, that the rule forbids. The crate root may import everything.
fn breaches_of(module: &[String], text: &str) -> Vec<String> {
    let Some(own) = module.first() else {
        return Vec::new();
    };
    imports(module, &tokens(text))
        .into_iter()
        .filter(|layer| layer != own && rank(layer).is_none_or(|other| Some(other) >= rank(own)))
        .map(|layer| match layer.as_str() {
            "*" => format!("{own} imports everything"),
            _ => format!("{own} imports {layer}"),
        })
        .collect()
}

/// First segments of every path into the crate: after `crate::`, the crate's own name, or a chain of `super::`.
fn imports(module: &[String], tokens: &[String]) -> Vec<String> {
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token == text);
    let mut found = Vec::new();
    // Brace depths at which an inline module was opened: each adds one step to `super`.
    let mut inline = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "{" => {
                depth += 1;
                if at >= 2 && is(at - 2, "mod") {
                    inline.push(depth);
                }
            }
            "}" => {
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
                depth -= 1;
            }
            "crate" | "bustapi_core"
                if is(at + 1, "::")
                // `pub(in crate::x)` grants sight and imports nothing.
                && !(at >= 1 && is(at - 1, "in")) =>
            {
                found.extend(first_segments(tokens, at + 2));
            }
            "crate" | "bustapi_core" if is(at + 1, "as") => found.push("*".to_owned()),
            "super" if !(at >= 1 && is(at - 1, "::")) => {
                let mut climbed = 1;
                while is(at + 1, "::") && is(at + 2, "super") {
                    climbed += 1;
                    at += 2;
                }
                if climbed >= module.len() + inline.len() && is(at + 1, "::") {
                    found.extend(first_segments(tokens, at + 2));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The name at `at`, or the first name of each member of the group that opens there.
fn first_segments(tokens: &[String], at: usize) -> Vec<String> {
    let named = |token: &String| {
        if token == "self" {
            "*".to_owned()
        } else {
            token.clone()
        }
    };
    if tokens.get(at).map(String::as_str) != Some("{") {
        return tokens.get(at).map(named).into_iter().collect();
    }
    let mut found = Vec::new();
    let mut depth = 0;
    let mut starts = false;
    for token in &tokens[at..] {
        match token.as_str() {
            "{" => {
                depth += 1;
                starts = depth == 1;
            }
            "}" => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            "," => starts = depth == 1,
            _ if starts => {
                found.push(named(token));
                starts = false;
            }
            _ => {}
        }
    }
    found
}

fn says_unsafe(text: &str) -> bool {
    let tokens = tokens(text);
    tokens.iter().enumerate().any(|(at, token)| {
        token == "unsafe"
            || (token == "unsafe_code" && at >= 2 && tokens[at - 2] == "allow")
            || (token == "unsafe_code" && at >= 2 && tokens[at - 2] == "expect")
    })
}

/// Words, `::` and single punctuation marks; comments, strings, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let get = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        match (chars[at], get(at + 1)) {
            ('/', '/') => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
            }
            ('/', '*') => at = end_of_block_comment(&chars, at),
            ('"', _) => at = end_of_string(&chars, at),
            // 'a' and '\n' are characters, 'a without a second quote is a lifetime.
            ('\'', '\\') => {
                at += 3;
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
            ('\'', _) if get(at + 2) == '\'' => at += 3,
            ('\'', _) => {
                at += 1;
                while word(get(at)) {
                    at += 1;
                }
            }
            (':', ':') => {
                found.push("::".to_owned());
                at += 2;
            }
            (c, _) if word(c) => {
                while word(get(at)) {
                    at += 1;
                }
                let text: String = chars[start..at].iter().collect();
                let raw =
                    matches!(text.as_str(), "r" | "br" | "cr") && matches!(get(at), '"' | '#');
                match (raw, raw.then(|| end_of_raw_string(&chars, at)).flatten()) {
                    (true, Some(end)) => at = end,
                    // `r#type`: the name follows as a word of its own.
                    (true, None) => at += 1,
                    (false, _) => found.push(text),
                }
            }
            (c, _) => {
                if !c.is_whitespace() {
                    found.push(c.to_string());
                }
                at += 1;
            }
        }
    }
    found
}

fn end_of_block_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `at` stands behind the `r`; None if no string opens there.
fn end_of_raw_string(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at..].iter().take_while(|&&c| c == '#').count();
    if chars.get(at + hashes) != Some(&'"') {
        return None;
    }
    let mut end = at + hashes + 1;
    while end < chars.len() {
        let closes = chars[end] == '"'
            && chars[end + 1..]
                .iter()
                .take(hashes)
                .filter(|&&c| c == '#')
                .count()
                == hashes;
        end += 1;
        if closes {
            return Some(end + hashes);
        }
    }
    Some(end)
}
