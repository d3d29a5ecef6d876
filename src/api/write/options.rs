//! The query of a write (kubernetes: `CreateOptions`, `UpdateOptions`, `PatchOptions`).

use crate::api::decode::FieldValidation;
use crate::api::field::{json, quoted};
use crate::api::router::Query;
use crate::api::{FieldErrors, Status};

/// A field manager's name may have this many bytes (kubernetes: `FieldManagerMaxLength`).
pub(super) const FIELD_MANAGER_BYTES_MAX: usize = 128;

/// Which write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Update,
    Patch,
}

impl Verb {
    fn options_kind(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch => "PatchOptions",
        }
    }
}

/// What a write asks for beside its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WriteOptions {
    /// Nothing is to be kept.
    pub(super) dry_run: bool,
    pub(super) field_validation: FieldValidation,
}

impl WriteOptions {
    /// Reads the query.
    ///
    /// # Errors
    /// 422 with every fault, in the reference's order.
    pub(super) fn read(query: &Query, verb: Verb) -> Result<Self, Status> {
        let mut errors = FieldErrors::default();
        if verb == Verb::Patch && query.get("force").is_some() {
            errors.forbidden("force", "may not be specified for non-apply patch");
        }
        field_manager(query.get("fieldManager").unwrap_or(""), &mut errors);
        let values: Vec<&str> = query.get("dryRun").into_iter().collect();
        let dry_run = dry_run(&values, &mut errors);
        let field_validation = FieldValidation::read(query.get("fieldValidation"), &mut errors);
        if errors.is_empty() {
            Ok(Self { dry_run, field_validation })
        } else {
            Err(Status::invalid("meta.k8s.io", verb.options_kind(), "", &errors.into_vec()))
        }
    }
}

/// kubernetes: `ValidateFieldManager`. Managers are not kept, but their names are held to the same rule.
fn field_manager(name: &str, errors: &mut FieldErrors) {
    if name.len() > FIELD_MANAGER_BYTES_MAX {
        errors.too_long("fieldManager", FIELD_MANAGER_BYTES_MAX);
    }
    for (at, c) in name.char_indices().filter(|(_, c)| !is_print(*c)) {
        let detail = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
        errors.invalid("fieldManager", quoted(name), detail);
    }
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the space.
fn is_print(c: char) -> bool {
    // A mark is escaped only where it has nothing to stand on.
    let text = String::from_iter(['a', c]);
    matches!(c, '"' | '\'' | '\\') || text.escape_debug().eq(text.chars())
}

/// Whether nothing is to be kept (kubernetes: `ValidateDryRun`).
pub(super) fn dry_run(values: &[&str], errors: &mut FieldErrors) -> bool {
    if values.iter().any(|value| *value != "All") {
        errors.not_supported("dryRun", json(&values), &["All"]);
    }
    !values.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::client::query;

    /// Parameters of a query.
    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn read(verb: Verb, pairs: Pairs<'_>) -> Result<WriteOptions, String> {
        WriteOptions::read(&query(pairs), verb).map_err(|status| {
            assert_eq!(status.code(), 422);
            status.message
        })
    }

    #[test]
    fn options_are_read_from_the_query() {
        let none = WriteOptions { dry_run: false, field_validation: FieldValidation::Warn };
        assert_eq!(read(Verb::Create, &[]), Ok(none));
        assert_eq!(read(Verb::Patch, &[("fieldManager", ""), ("fieldValidation", "")]), Ok(none));
        let strict = [("dryRun", "All"), ("fieldValidation", "Strict"), ("fieldManager", "kubectl é-\u{301} (x)")];
        let wanted = WriteOptions { dry_run: true, field_validation: FieldValidation::Strict };
        assert_eq!(read(Verb::Update, &strict), Ok(wanted));
    }

    #[test]
    fn a_field_manager_has_a_limit() {
        let at = "m".repeat(FIELD_MANAGER_BYTES_MAX);
        assert!(read(Verb::Create, &[("fieldManager", &at)]).is_ok());
        assert_eq!(
            read(Verb::Create, &[("fieldManager", &(at + "m"))]).expect_err("too long"),
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes"
        );
    }

    #[test]
    fn wrong_options_are_refused_in_the_words_of_the_reference() {
        let cases: [(Verb, Pairs<'_>, &str); 5] = [
            (
                Verb::Create,
                &[("fieldManager", "a\u{7}b")],
                "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\ab\": invalid character \
                 U+0007 (at position 1)",
            ),
            (
                Verb::Create,
                &[("dryRun", "")],
                "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"\"]: supported values: \"All\"",
            ),
            (
                Verb::Update,
                &[("fieldValidation", "strict")],
                "UpdateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"strict\": supported \
                 values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
            ),
            (
                Verb::Patch,
                &[("force", "false")],
                "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
            ),
            (
                Verb::Patch,
                &[("force", "true"), ("dryRun", "x")],
                "PatchOptions.meta.k8s.io \"\" is invalid: [force: Forbidden: may not be specified for non-apply patch, \
                 dryRun: Unsupported value: [\"x\"]: supported values: \"All\"]",
            ),
        ];
        for (verb, pairs, message) in cases {
            assert_eq!(read(verb, pairs).expect_err(message), message);
        }
    }
}
