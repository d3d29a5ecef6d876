//! Kubernetes' `$(NAME)` references in commands, arguments and environment values.
//!
//! Knows nothing of where values come from. Invariant: what a reference gives is never expanded again.

/// Replaces every `$(NAME)` that `value_of` knows; an unknown one stays as written. `$$` gives `$`, so `$$(NAME)` gives
/// `$(NAME)`; any other `$` and a reference that is never closed stay as they are (kubernetes:
/// third_party/forked/golang/expansion, `Expand`). The result replaces what is in `out`. `None` when it would be longer than
/// `bytes_max`: references to values full of references double with every level.
pub(super) fn expand<'a, 'o>(
    out: &'o mut String,
    text: &str,
    bytes_max: usize,
    value_of: impl Fn(&str) -> Option<&'a str>,
) -> Option<&'o str> {
    out.clear();
    let mut rest = text;
    // Looked up once: many openers without a closer must not search the text again each.
    let mut is_closed_ahead = text.contains(')');
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let inner = after.strip_prefix('(').filter(|_| is_closed_ahead);
        let reference = inner.and_then(|inner| inner.split_once(')'));
        is_closed_ahead &= inner.is_none() || reference.is_some();
        rest = if let Some((name, tail)) = reference {
            match value_of(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            tail
        } else {
            out.push('$');
            after.strip_prefix('$').unwrap_or(after)
        };
        if out.len() > bytes_max {
            return None;
        }
    }
    out.push_str(rest);
    (out.len() <= bytes_max).then_some(&**out)
}

#[cfg(test)]
mod tests {
    fn expand<'a>(text: &str, bytes_max: usize, value_of: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
        let mut out = "what was there before".to_owned();
        super::expand(&mut out, text, bytes_max, value_of).map(str::to_owned)
    }

    fn value_of(name: &str) -> Option<&'static str> {
        match name {
            "VAR_A" => Some("A"),
            "VAR_B" => Some("B"),
            "VAR_C" => Some("C"),
            "VAR_REF" => Some("$(VAR_A)"),
            "VAR_EMPTY" => Some(""),
            _ => None,
        }
    }

    #[test]
    fn references_expand_by_kubernetes_rules() {
        let cases = [
            ("whole string", "$(VAR_A)", "A"),
            ("repeat", "$(VAR_A)-$(VAR_A)", "A-A"),
            ("beginning", "$(VAR_A)-1", "A-1"),
            ("middle", "___$(VAR_B)___", "___B___"),
            ("end", "___$(VAR_C)", "___C"),
            ("several", "$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"),
            ("empty value", "foo$(VAR_EMPTY)bar", "foobar"),
            ("unknown stays", "foo_$(VAR_AWOL)_bar", "foo_$(VAR_AWOL)_bar"),
            ("no recursion", "$(VAR_REF)", "$(VAR_A)"),
            ("escaped reference", "$$(VAR_A)", "$(VAR_A)"),
            ("escaped then expanded", "$$$(VAR_A)", "$A"),
            ("escaped twice", "$$$$(VAR_A)", "$$(VAR_A)"),
            ("five operators", "$$$$$(VAR_A)", "$$A"),
            ("escapes in the middle", "f000-$$VAR_A", "f000-$VAR_A"),
            ("operator without braces", "$VAR_A", "$VAR_A"),
            ("operator at the end", "$", "$"),
            ("two operators", "$$", "$"),
            ("three operators", "$$$", "$$"),
            ("never closed", "$(VAR_A", "$(VAR_A"),
            ("never closed, then an escape", "$(VAR_A$$", "$(VAR_A$"),
            ("empty name", "$()", "$()"),
            ("nested", "$($(VAR_A))", "$($(VAR_A))"),
            ("name with blanks", "$( VAR_A )", "$( VAR_A )"),
            ("closer only", "VAR_A)", "VAR_A)"),
            ("outside ASCII", "é$é$(VAR_A)é", "é$éAé"),
            ("nothing", "", ""),
        ];
        for (case, text, expanded) in cases {
            assert_eq!(expand(text, 64, value_of).as_deref(), Some(expanded), "{case}");
        }
    }

    #[test]
    fn a_result_may_be_as_long_as_the_limit_and_no_longer() {
        for (text, bytes) in [("abc", 3), ("$(VAR_A)b", 2), ("$$$", 2), ("$(NONE)", 7)] {
            assert!(expand(text, bytes, value_of).is_some(), "{text} fits {bytes}");
            assert!(expand(text, bytes - 1, value_of).is_none(), "{text} does not fit {}", bytes - 1);
        }
    }

    #[test]
    fn a_megabyte_of_openers_is_read_once() {
        let text = "$(".repeat(1 << 19);
        assert_eq!(expand(&text, usize::MAX, value_of), Some(text));
    }
}
