//! The forms that names, labels and paths must have, with the reference's messages.
//!
//! Pure tests of texts (kubernetes: apimachinery `util/validation`); each returns the messages about one text, none when it
//! is fine.

/// Bytes of a DNS label, a label value, the name part of a qualified name.
pub(super) const LABEL_BYTES_MAX: usize = 63;

const SUBDOMAIN_BYTES_MAX: usize = 253;

const LABEL_FORM: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED_FORM: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_MESSAGE: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

fn form_message(message: &str, form: &str, examples: &[&str]) -> String {
    let shown: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    let examples = if shown.is_empty() { String::new() } else { format!("e.g. {}", shown.join(" or ")) };
    format!("{message} ({examples}regex used for validation is '{form}')")
}

pub(super) fn too_long(bytes_max: usize) -> String {
    format!("must be no more than {bytes_max} bytes")
}

/// Bytes from `inside`, the first and the last alphanumeric in the sense of `edge`.
fn has_form(text: &str, edge: fn(u8) -> bool, inside: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|&byte| edge(byte))
        && bytes.last().is_some_and(|&byte| edge(byte))
        && bytes.iter().all(|&byte| edge(byte) || inside(byte))
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label_form(text: &str) -> bool {
    has_form(text, is_lower, |byte| byte == b'-')
}

fn is_subdomain_form(text: &str) -> bool {
    text.split('.').all(is_label_form)
}

fn is_qualified_form(text: &str) -> bool {
    has_form(text, |byte| byte.is_ascii_alphanumeric(), |byte| matches!(byte, b'-' | b'_' | b'.'))
}

/// kubernetes: `IsDNS1123Label`.
pub(in crate::api) fn dns_label(text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if text.len() > LABEL_BYTES_MAX {
        messages.push(too_long(LABEL_BYTES_MAX));
    }
    if !is_label_form(text) {
        messages.push(if is_subdomain_form(text) {
            "must not contain dots".to_owned()
        } else {
            form_message(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
                 end with an alphanumeric character",
                LABEL_FORM,
                &["my-name", "123-abc"],
            )
        });
    }
    messages
}

/// kubernetes: `IsDNS1123Subdomain`.
pub(super) fn dns_subdomain(text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if text.len() > SUBDOMAIN_BYTES_MAX {
        messages.push(too_long(SUBDOMAIN_BYTES_MAX));
    }
    if !is_subdomain_form(text) {
        messages.push(form_message(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
             and end with an alphanumeric character",
            &format!("{LABEL_FORM}(\\.{LABEL_FORM})*"),
            &["example.com"],
        ));
    }
    messages
}

/// kubernetes: `IsQualifiedName`: `name` or `prefix/name`.
pub(in crate::api) fn qualified_name(text: &str) -> Vec<String> {
    let form = |what: &str| {
        form_message(&format!("{what}{QUALIFIED_MESSAGE}"), QUALIFIED_FORM, &["MyName", "my.name", "123-abc"])
    };
    let mut messages = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        ["", name] => {
            messages.push("prefix part must be non-empty".to_owned());
            name
        }
        [prefix, name] => {
            messages.extend(dns_subdomain(prefix).into_iter().map(|message| format!("prefix part {message}")));
            name
        }
        _ => {
            let tail = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![form("a qualified name ") + tail];
        }
    };
    if name.is_empty() {
        messages.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_BYTES_MAX {
        messages.push(format!("name part {}", too_long(LABEL_BYTES_MAX)));
    }
    if !is_qualified_form(name) {
        messages.push(form("name part "));
    }
    messages
}

/// kubernetes: `IsValidLabelValue`.
pub(in crate::api) fn label_value(text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if text.len() > LABEL_BYTES_MAX {
        messages.push(too_long(LABEL_BYTES_MAX));
    }
    if !text.is_empty() && !is_qualified_form(text) {
        messages.push(form_message(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
             and end with an alphanumeric character",
            &format!("({QUALIFIED_FORM})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    messages
}

/// kubernetes: `IsRelaxedEnvVarName` (1.34 and later): printable ASCII other than `=`.
pub(super) fn env_name(text: &str) -> Vec<String> {
    let fine = text.bytes().all(|byte| (byte == b' ' || byte.is_ascii_graphic()) && byte != b'=');
    let message = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    if fine { Vec::new() } else { vec![message.to_owned()] }
}

/// kubernetes: `IsValidPortName`.
pub(super) fn port_name(text: &str) -> Vec<String> {
    const BYTES_MAX: usize = 15;
    let rules = [
        (text.len() > BYTES_MAX, too_long(BYTES_MAX)),
        (
            text.is_empty() || !text.bytes().all(|byte| is_lower(byte) || byte == b'-'),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned(),
        ),
        (!text.bytes().any(|byte| byte.is_ascii_lowercase()), "must contain at least one letter (a-z)".to_owned()),
        (text.contains("--"), "must not contain consecutive hyphens".to_owned()),
        (text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen".to_owned()),
    ];
    rules.into_iter().filter_map(|(broken, message)| broken.then_some(message)).collect()
}

/// kubernetes: the path part of `IsDomainPrefixedPath` (RFC 3986 path characters).
pub(super) fn http_path(text: &str) -> Vec<String> {
    let fine = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte));
    let form = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+";
    if fine { Vec::new() } else { vec![form_message("Invalid path", form, &[])] }
}
