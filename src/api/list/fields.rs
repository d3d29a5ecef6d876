//! Field selectors: `a=b`, `a==b`, `a!=b`, joined by commas.
//!
//! Knows the grammar, its escapes and its errors (kubernetes: apimachinery `fields.ParseSelector`), not the objects.
//! Invariant: every term names a field that its kind can be selected by.

use super::kind::Listed;
use super::labels::{REQUIREMENTS_MAX, too_long, too_many};
use std::borrow::Cow;

#[derive(Clone, PartialEq, Eq, Debug)]
struct Term {
    path: String,
    is_equal: bool,
    value: String,
}

/// Terms that must all hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Fields(Vec<Term>);

impl Fields {
    /// Reads a selector of objects of a kind.
    ///
    /// # Errors
    /// The message, in Kubernetes' words.
    pub(super) fn parse(text: &str, kind: &Listed) -> Result<Self, String> {
        if let Some(why) = too_long(text) {
            return Err(why);
        }
        let mut parts = split(text);
        parts.retain(|part| !part.is_empty());
        if parts.len() > REQUIREMENTS_MAX {
            return Err(too_many());
        }
        // The reference sorts, so that of several errors it is this one that is told.
        parts.sort_unstable();
        let not_understood = |part| format!("invalid selector: '{text}'; can't understand '{part}'");
        let terms: Vec<Term> =
            parts.into_iter().map(|part| term(part).ok_or_else(|| not_understood(part))?).collect::<Result<_, _>>()?;
        match terms.iter().find(|term| !kind.has_field(&term.path)) {
            Some(unknown) => Err(kind.unknown_field(&unknown.path)),
            None => Ok(Self(terms)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every term is about a field whose path begins so.
    pub(super) fn are_all(&self, prefix: &str) -> bool {
        self.0.iter().all(|term| term.path.starts_with(prefix))
    }

    /// Whether a term is about this field.
    pub(super) fn mentions(&self, path: &str) -> bool {
        self.0.iter().any(|term| term.path == path)
    }

    /// Whether an object with the fields that `field` looks up is selected.
    pub(super) fn takes<'a>(&self, field: impl Fn(&str) -> Cow<'a, str>) -> bool {
        self.0.iter().all(|term| (field(&term.path) == term.value) == term.is_equal)
    }

    /// The one value that a field must have, if the selector says so.
    pub(super) fn exact(&self, path: &str) -> Option<&str> {
        self.0.iter().find(|term| term.is_equal && term.path == path).map(|term| term.value.as_str())
    }
}

/// Cuts at the commas that are not escaped.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// `None` when there is no operator in `part`.
fn term(part: &str) -> Option<Result<Term, String>> {
    let is_operator = |at: &usize| part[*at..].starts_with('=') || part[*at..].starts_with("!=");
    let at = part.char_indices().map(|(at, _)| at).find(is_operator)?;
    let (path, rest) = part.split_at(at);
    let operator = ["!=", "==", "="].into_iter().find(|operator| rest.starts_with(operator))?;
    let value = unescape(&rest[operator.len()..]);
    Some(value.map(|value| Term { path: path.to_owned(), is_equal: operator != "!=", value }))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => value.push(c),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(format!("invalid field selector: invalid escape sequence: \\{other}"));
                }
            },
            ',' | '=' => {
                return Err(format!("invalid field selector: unescaped character in value: {}", u32::from(c)));
            }
            c => value.push(c),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::super::kind::{EVENTS, JOBS, NAMESPACES, NODES, PODS};
    use super::*;

    #[test]
    fn selectors_take_what_kubernetes_takes() {
        let cases = [
            ("", true),
            (",", true),
            ("metadata.name=a", true),
            ("metadata.name==a", true),
            ("metadata.name!=a", false),
            ("metadata.name!=b,metadata.namespace=ns", true),
            ("metadata.name=a,metadata.namespace=b", false),
            ("status.phase=", true),
            (r"status.podIP=x\,y\=z\\", true),
        ];
        for (text, is_taken) in cases {
            let fields = Fields::parse(text, &PODS).unwrap_or_else(|why| panic!("{text}: {why}"));
            let field = |path: &str| {
                Cow::Borrowed(match path {
                    "metadata.name" => "a",
                    "metadata.namespace" => "ns",
                    "status.podIP" => r"x,y=z\",
                    _ => "",
                })
            };
            assert_eq!(fields.takes(field), is_taken, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_in_kubernetes_words() {
        let cases = [
            (&PODS, "x", "invalid selector: 'x'; can't understand 'x'"),
            (&PODS, "metadata.name=a,!x", "invalid selector: 'metadata.name=a,!x'; can't understand '!x'"),
            (&PODS, "metadata.name=a=b", "invalid field selector: unescaped character in value: 61"),
            (&PODS, r"metadata.name=\a", r"invalid field selector: invalid escape sequence: \a"),
            (&PODS, r"metadata.name=é\", r"invalid field selector: invalid escape sequence: \"),
            (&PODS, "spec.x=a", "field label not supported: spec.x"),
            (&EVENTS, "é=a", "field label not supported: é"),
            (&NODES, "status.phase=a", "field label not supported: status.phase"),
            (&NODES, "metadata.namespace=a", "field label not supported: metadata.namespace"),
            (&NAMESPACES, "metadata.namespace!=a", "field label not supported: metadata.namespace"),
            (&JOBS, "status.phase=a", "field label \"status.phase\" not supported for Job"),
            (&JOBS, "=a", "field label \"\" not supported for Job"),
        ];
        for (kind, text, why) in cases {
            assert_eq!(Fields::parse(text, kind), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_selector_ends_at_its_limits() {
        let terms = |count: usize| vec!["metadata.name=a"; count].join(",");
        assert!(Fields::parse(&terms(REQUIREMENTS_MAX), &PODS).is_ok());
        assert_eq!(Fields::parse(&terms(REQUIREMENTS_MAX + 1), &PODS), Err(too_many()));
    }
}
