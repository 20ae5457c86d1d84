//! The Content-Disposition of a part, in the form that browsers send it.

/// Name and file name of a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disposition<'a> {
    pub name: Option<&'a str>,
    pub filename: Option<&'a str>,
}

impl<'a> Disposition<'a> {
    /// Reads `form-data; name="a"; filename="b"`: quoted values without escapes, names in lower case. `None` for
    /// everything else that the field may be (RFC 2231, tokens, escapes, other parameters), which needs a whole
    /// parser of parameters.
    #[must_use]
    pub fn read(value: &'a str) -> Option<Self> {
        let blanks = [' ', '\t'];
        let mut found = Self::default();
        let (kind, rest) = value.split_once(';').unwrap_or((value, ""));
        let mut rest = rest.trim_matches(blanks);
        if kind.trim_matches(blanks).is_empty() {
            return Some(found);
        }
        while !rest.is_empty() {
            let (name, after) = rest.split_once("=\"")?;
            let (text, after) = after.split_once('"')?;
            if text.contains(['\\', '%']) {
                return None;
            }
            match name {
                "name" => found.name = Some(text),
                "filename" => found.filename = Some(text),
                _ => return None,
            }
            rest = match after.strip_prefix(';') {
                Some(more) => more.trim_start_matches(blanks),
                None if after.is_empty() => after,
                None => return None,
            };
        }
        Some(found)
    }
}
