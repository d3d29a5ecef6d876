//! Rules of names and labels.

use super::super::text::*;
use super::{LABEL, LABEL_VALUE, QUALIFIED, SUBDOMAIN};

fn check(rule: fn(&str) -> Vec<String>, cases: &[(&str, &[&str])]) {
    for (text, wanted) in cases {
        assert_eq!(rule(text), *wanted, "{text:?}");
    }
}

#[test]
fn dns_labels() {
    let (most, more) = ("a".repeat(63), "a".repeat(64));
    check(
        dns_label,
        &[
            ("a", &[]),
            ("a-1", &[]),
            (&most, &[]),
            (&more, &["must be no more than 63 bytes"]),
            ("a.b", &["must not contain dots"]),
            ("-a", &[LABEL]),
            ("a-", &[LABEL]),
            ("A", &[LABEL]),
            ("a_b", &[LABEL]),
            ("é", &[LABEL]),
            ("", &[LABEL]),
        ],
    );
}

#[test]
fn dns_subdomains() {
    let more = "a".repeat(254);
    check(
        dns_subdomain,
        &[
            ("a.b-c.9", &[]),
            (&more, &["must be no more than 253 bytes"]),
            ("a..b", &[SUBDOMAIN]),
            ("a.", &[SUBDOMAIN]),
            ("a.-b", &[SUBDOMAIN]),
            ("A", &[SUBDOMAIN]),
            ("", &[SUBDOMAIN]),
        ],
    );
}

#[test]
fn qualified_names() {
    let more = "a".repeat(64);
    let prefix = format!("prefix part {SUBDOMAIN}");
    let three = QUALIFIED.replace("name part", "a qualified name")
        + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
    check(
        qualified_name,
        &[
            ("A_b.c-9", &[]),
            ("example.com/a", &[]),
            ("", &["name part must be non-empty", QUALIFIED]),
            ("/a", &["prefix part must be non-empty"]),
            ("A/a", &[&prefix]),
            ("a/", &["name part must be non-empty", QUALIFIED]),
            ("-a", &[QUALIFIED]),
            (&more, &["name part must be no more than 63 bytes"]),
            ("a/b/c", &[&three]),
        ],
    );
}

#[test]
fn label_values() {
    let more = "a".repeat(64);
    check(
        label_value,
        &[
            ("", &[]),
            ("A_b.c-9", &[]),
            ("a b", &[LABEL_VALUE]),
            ("-", &[LABEL_VALUE]),
            (&more, &["must be no more than 63 bytes"]),
        ],
    );
}

#[test]
fn names_of_variables() {
    let message = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    check(env_name, &[("A", &[]), ("9 a.b-c", &[]), ("a=b", &[message]), ("é", &[message]), ("a\n", &[message])]);
}

#[test]
fn names_of_ports() {
    let form = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
    let letter = "must contain at least one letter (a-z)";
    check(
        port_name,
        &[
            ("http-1", &[]),
            ("0123456789abcde", &[]),
            ("0123456789abcdef", &["must be no more than 15 bytes"]),
            ("HTTP", &[form, letter]),
            ("80", &[letter]),
            ("a--b", &["must not contain consecutive hyphens"]),
            ("a-", &["must not begin or end with a hyphen"]),
        ],
    );
}

#[test]
fn http_paths() {
    let message = r"Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')";
    check(http_path, &[("a/b:~%'", &[]), ("a b", &[message]), ("é", &[message])]);
}
