//! Tables of the rules: one file for each file of rules. A case is a change of a good Job and all errors that it brings.

mod containers;
mod meta;
mod policies;
mod scalars;
mod selector;
mod template;
mod text;
mod update;
mod warnings;

use super::*;
use crate::api::job::defaults::{Identity, normalise, prepare_create, set_defaults};
use crate::base::{Time, Uid};
use serde_json::{Value, json};

const UID: &str = "00000000-0000-4000-8000-000000000007";

fn identity() -> Identity {
    Identity { uid: Uid::parse(UID).expect("a uid"), created: Time(1_795_405_437_000), name_draw: 5 }
}

fn good() -> Value {
    json!({
        "metadata": {"name": "pi"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": "i"}],
        }}},
    })
}

/// RFC 7386: `null` removes a field, lists are replaced.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, field) in fields {
        if field.is_null() {
            target.as_object_mut().expect("an object").remove(key);
        } else {
            merge(&mut target[key], field);
        }
    }
}

fn changed(patch: &Value) -> Value {
    let mut value = good();
    merge(&mut value, patch);
    value
}

fn prepared(mut value: Value) -> Job {
    normalise(&mut value).expect("quantities");
    let mut job: Job = serde_json::from_value(value).expect("a typed Job");
    let shared = set_defaults(&mut job);
    prepare_create(&mut job, "default", &identity(), shared);
    job
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn errors_of(patch: &Value) -> Vec<String> {
    texts(&validate_create(&prepared(changed(patch))))
}

/// Checks a table of (name of the case, patch, errors in order).
fn check(cases: Vec<(&str, Value, &[&str])>) {
    for (name, patch, wanted) in cases {
        assert_eq!(errors_of(&patch), wanted, "{name}");
    }
}

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
                     end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                         must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
                           must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
                           regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

#[test]
fn a_good_job_breaks_nothing() {
    assert_eq!(errors_of(&json!({})), [""; 0]);
}
