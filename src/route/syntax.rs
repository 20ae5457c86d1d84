//! The text of a rule with stock converters, read into tokens.

use super::convert::Convert;
use super::rule::{RuleError, Token, Variable};

pub(super) fn tokens(rule: &str) -> Result<Vec<Token>, RuleError> {
    let mut tokens = Vec::new();
    let mut rest = rule;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '/' => {
                tokens.push(Token::Slash);
                &rest[1..]
            }
            '<' => {
                let (token, behind) = variable(&rest[1..], rule.len() - rest.len())?;
                tokens.push(Token::Variable(token));
                behind
            }
            _ => {
                let end = rest.find(['<', '/']).unwrap_or(rest.len());
                tokens.push(Token::Static(rest[..end].to_owned()));
                &rest[end..]
            }
        };
    }
    Ok(tokens)
}

/// Reads behind `<`, gives what follows `>`.
fn variable(text: &str, at: usize) -> Result<(Variable, &str), RuleError> {
    let malformed = RuleError::Malformed(at);
    let (name, rest) = identifier(text).ok_or(malformed.clone())?;
    if let Some(rest) = rest.strip_prefix('>') {
        return Ok((converter("default", "", name)?, rest));
    }
    let (arguments, rest) = if let Some(inner) = rest.strip_prefix('(') {
        // The first `)` that is followed by `:name>` closes the arguments.
        inner
            .match_indices(')')
            .map(|(end, _)| (&inner[..end], &inner[end + 1..]))
            .find(|(_, rest)| closing(rest).is_some())
            .ok_or(malformed.clone())?
    } else {
        ("", rest)
    };
    let (variable_name, rest) = closing(rest).ok_or(malformed)?;
    Ok((converter(name, arguments, variable_name)?, rest))
}

fn closing(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = identifier(text.strip_prefix(':')?)?;
    Some((name, rest.strip_prefix('>')?))
}

fn identifier(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let name = &text[..end];
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()))
        .then_some((name, &text[end..]))
}

fn converter(kind: &str, arguments: &str, name: &str) -> Result<Variable, RuleError> {
    let bad = || RuleError::BadArguments(kind.to_owned());
    let arguments = self::arguments(arguments).ok_or_else(bad)?;
    let read = Reader(&arguments);
    let (regex, weight, convert) = match kind {
        "default" | "string" => {
            let bounds = match read.number::<u32>(2, "length").ok_or_else(bad)? {
                Some(length) => length.to_string(),
                None => {
                    let min = read
                        .number::<u32>(0, "minlength")
                        .ok_or_else(bad)?
                        .unwrap_or(1);
                    let max = read.number::<u32>(1, "maxlength").ok_or_else(bad)?;
                    format!("{min},{}", max.map_or(String::new(), |max| max.to_string()))
                }
            };
            (format!("[^/]{{{bounds}}}"), 100.0, Convert::Text)
        }
        "int" => {
            let digits: i64 = read.number(0, "fixed_digits").ok_or_else(bad)?.unwrap_or(0);
            let convert = Convert::Int {
                fixed_digits: u32::try_from(digits).map_err(|_| bad())?,
                min: read.number(1, "min").ok_or_else(bad)?,
                max: read.number(2, "max").ok_or_else(bad)?,
            };
            let sign = if read.flag(3) { "-?" } else { "" };
            (format!(r"{sign}\d+"), 50.0, convert)
        }
        "float" => {
            let convert = Convert::Float {
                min: read.number(0, "min").ok_or_else(bad)?,
                max: read.number(1, "max").ok_or_else(bad)?,
            };
            let sign = if read.flag(2) { "-?" } else { "" };
            (format!(r"{sign}\d+\.\d+"), 50.0, convert)
        }
        "any" => {
            let words: Vec<String> = arguments
                .iter()
                .map(|(_, word)| super::rule::escape(word))
                .collect();
            (format!("(?:{})", words.join("|")), 100.0, Convert::Text)
        }
        "path" => (String::from("[^/].*?"), 200.0, Convert::Text),
        "uuid" => (super::pattern::UUID.to_owned(), 100.0, Convert::Uuid),
        _ => return Err(RuleError::UnknownConverter(kind.to_owned())),
    };
    Ok(Variable {
        name: name.to_owned(),
        regex,
        isolating: kind != "path",
        weight,
        convert,
    })
}

/// Positional and keyword arguments of a converter.
struct Reader<'a>(&'a [(Option<String>, String)]);

impl Reader<'_> {
    fn get(&self, place: usize, name: &str) -> Option<&str> {
        let by_name = self.0.iter().find(|(key, _)| key.as_deref() == Some(name));
        let by_place = || self.0.get(place).filter(|(key, _)| key.is_none());
        by_name.or_else(by_place).map(|(_, value)| value.as_str())
    }

    /// `None` if the argument is there and is not a number.
    fn number<T: std::str::FromStr>(&self, place: usize, name: &str) -> Option<Option<T>> {
        match self.get(place, name) {
            None | Some("None") => Some(None),
            Some(value) => value.parse().ok().map(Some),
        }
    }

    fn flag(&self, place: usize) -> bool {
        self.get(place, "signed") == Some("True")
    }
}

/// Splits `a, name=value, "quoted, text"` at its commas.
fn arguments(text: &str) -> Option<Vec<(Option<String>, String)>> {
    let mut arguments = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let mut name = None;
        if let Some((key, value)) = identifier(rest)
            && let Some(value) = value.trim_start().strip_prefix('=')
        {
            name = Some(key.to_owned());
            rest = value.trim_start();
        }
        let value;
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            let (inner, behind) = rest[1..].split_once(quote)?;
            value = inner;
            rest = behind.trim_start();
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            value = rest[..end].trim_end();
            if value.is_empty() {
                return None;
            }
            rest = &rest[end..];
        }
        arguments.push((name, value.to_owned()));
        rest = match rest.strip_prefix(',') {
            Some(behind) => behind.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(arguments)
}
