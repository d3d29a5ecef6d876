//! Field errors: what is wrong, where in the object, in Kubernetes' words.
//!
//! Owns the texts of the error types and how values are printed in them; knows no rule. Invariant: `path: body` is the
//! text in a Status' message, `body` alone is the cause's message (kubernetes: apimachinery `field.Error`).

use serde::Serialize;
use std::fmt;

/// What is wrong with a field (kubernetes: apimachinery `field.ErrorType`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldErrorKind {
    /// It is missing.
    Required,
    /// Its value breaks a rule.
    Invalid,
    /// Its value is none of the known ones.
    NotSupported,
    /// Its value was there before.
    Duplicate,
    /// It may not be set here.
    Forbidden,
    /// It has too many bytes.
    TooLong,
    /// It has too many items.
    TooMany,
    /// It names something that is not there.
    NotFound,
}

impl FieldErrorKind {
    /// The cause's reason, such as `FieldValueInvalid`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
        }
    }
}

/// One error at one field. Displays as `path: body`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldError {
    /// What is wrong.
    pub kind: FieldErrorKind,
    /// Where, such as `spec.template.spec.containers[0].name`.
    pub path: String,
    /// The value as it is printed (see [`quoted`], [`json`]); `None` leaves it out.
    pub value: Option<String>,
    /// Why; may be empty.
    pub detail: String,
}

impl FieldError {
    /// The text without the path.
    #[must_use]
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        for part in self.value.iter().chain(Some(&self.detail).filter(|detail| !detail.is_empty())) {
            text.push_str(": ");
            text.push_str(part);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

/// A text in double quotes, escaped as Go's `%q` escapes it.
#[must_use]
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value as compact JSON: how numbers, lists and objects are printed.
#[must_use]
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// Errors beyond this many are not kept: a body of 3 MiB can break a rule 300,000 times.
pub const ERRORS_MAX: usize = 1000;

/// The errors found so far, in the order in which the reference finds them; at most [`ERRORS_MAX`].
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    fn push(
        &mut self,
        kind: FieldErrorKind,
        path: impl fmt::Display,
        value: Option<String>,
        detail: impl Into<String>,
    ) {
        if self.0.len() < ERRORS_MAX {
            self.0.push(FieldError { kind, path: path.to_string(), value, detail: detail.into() });
        }
    }

    /// `Required value`.
    pub fn required(&mut self, path: impl fmt::Display, detail: impl Into<String>) {
        self.push(FieldErrorKind::Required, path, None, detail);
    }

    /// `Invalid value` with a printed value.
    pub fn invalid(&mut self, path: impl fmt::Display, value: impl Into<String>, detail: impl Into<String>) {
        self.push(FieldErrorKind::Invalid, path, Some(value.into()), detail);
    }

    /// `Invalid value` without the value.
    pub fn invalid_unprinted(&mut self, path: impl fmt::Display, detail: impl Into<String>) {
        self.push(FieldErrorKind::Invalid, path, None, detail);
    }

    /// `Unsupported value` with the list of those that are.
    pub fn not_supported(&mut self, path: impl fmt::Display, value: impl Into<String>, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|text| quoted(text)).collect();
        let detail = format!("supported values: {}", list.join(", "));
        self.push(FieldErrorKind::NotSupported, path, Some(value.into()), detail);
    }

    /// `Duplicate value`.
    pub fn duplicate(&mut self, path: impl fmt::Display, value: impl Into<String>) {
        self.push(FieldErrorKind::Duplicate, path, Some(value.into()), "");
    }

    /// `Forbidden`.
    pub fn forbidden(&mut self, path: impl fmt::Display, detail: impl Into<String>) {
        self.push(FieldErrorKind::Forbidden, path, None, detail);
    }

    /// `Too long`, for a text of more than `bytes_max` bytes.
    pub fn too_long(&mut self, path: impl fmt::Display, bytes_max: usize) {
        self.push(FieldErrorKind::TooLong, path, None, format!("may not be more than {bytes_max} bytes"));
    }

    /// `Too many`, for a list of `count` items where `count_max` are allowed.
    pub fn too_many(&mut self, path: impl fmt::Display, count: usize, count_max: usize) {
        let detail = format!("must have at most {count_max} items");
        self.push(FieldErrorKind::TooMany, path, Some(count.to_string()), detail);
    }

    /// `Not found`.
    pub fn not_found(&mut self, path: impl fmt::Display, value: impl Into<String>) {
        self.push(FieldErrorKind::NotFound, path, Some(value.into()), "");
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The errors in order.
    #[must_use]
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_prints_its_own_text() {
        let mut errors = FieldErrors::default();
        errors.required("a", "");
        errors.required("a", "when b is specified");
        errors.invalid("a.b[0]", "-1", "must be greater than or equal to 0");
        errors.invalid_unprinted("a", "no");
        errors.not_supported("a", quoted("x"), &["In", "NotIn"]);
        errors.duplicate("a[1]", "7");
        errors.forbidden("a", "not here");
        errors.too_long("a", 63);
        errors.too_many("a", 21, 20);
        errors.not_found("a", quoted("v"));
        let texts: Vec<String> = errors.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "a: Required value",
                "a: Required value: when b is specified",
                "a.b[0]: Invalid value: -1: must be greater than or equal to 0",
                "a: Invalid value: no",
                "a: Unsupported value: \"x\": supported values: \"In\", \"NotIn\"",
                "a[1]: Duplicate value: 7",
                "a: Forbidden: not here",
                "a: Too long: may not be more than 63 bytes",
                "a: Too many: 21: must have at most 20 items",
                "a: Not found: \"v\"",
            ]
        );
    }

    #[test]
    fn the_list_of_errors_ends_at_its_limit() {
        let mut errors = FieldErrors::default();
        (0..ERRORS_MAX + 1).for_each(|_| errors.required("a", ""));
        assert_eq!(errors.into_vec().len(), ERRORS_MAX);
    }

    #[test]
    fn texts_are_quoted_as_go_quotes_them() {
        for (text, shown) in [
            ("a b", "\"a b\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("\n\t\u{7}\u{0}\u{7f}", "\"\\n\\t\\a\\x00\\x7f\""),
            ("é'", "\"é'\""),
            ("\u{85}", "\"\\u0085\""),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }
}
