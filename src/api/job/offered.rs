//! What this version runs, and what it refuses although Kubernetes would take it.
//!
//! One table over the canonical JSON of a Job: a path that is not in it is refused, so a field that nobody thought of is an
//! error and never silence. Start with [`TABLE`]. It must not repeat Kubernetes' own rules (`validate` ran before).
//! Invariant: what passes here has a `model::JobSpec`.

use crate::api::field::{FieldErrors, quoted};
use crate::model::{BACKOFF_BASE_ANNOTATION, BACKOFF_MAX_ANNOTATION, BackoffDelays, FUEL_ANNOTATION, FieldPath, duration_ms};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A Job may ask for this many completions, and run this many pods at a time.
pub const COMPLETIONS_MAX: i64 = 10_000_000;

/// `terminationGracePeriodSeconds` at the most (`model::PodTemplate::grace_s`).
const GRACE_SECONDS_MAX: i64 = u32::MAX as i64;

/// Annotations of this prefix are ours; one that we do not know is a mistake.
const OUR_ANNOTATIONS: &str = "coracle.dev/";

/// What is done with the value at a path.
#[derive(Clone, Copy)]
enum Rule {
    /// Taken as it is, with all that is in it.
    Kept,
    /// Each field or item is looked up by itself.
    Inside,
    /// As `Inside`, but only the first item; the text says what more of them would need.
    First(&'static str),
    /// Taken when the test holds; the text says what would be missing.
    When(fn(&Value) -> bool, &'static str),
    /// A map whose keys are the user's: taken when the test holds for the key.
    Keys(fn(&str) -> bool, &'static str),
    /// Refused; the text says what would be missing.
    Refused(&'static str),
}

use Rule::{First, Inside, Kept, Keys, Refused, When};

fn is_false(value: &Value) -> bool {
    value == &Value::Bool(false)
}

fn is_true(value: &Value) -> bool {
    value == &Value::Bool(true)
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

fn is_word(value: &Value, word: &str) -> bool {
    value.as_str() == Some(word)
}

fn is_field_path(value: &Value) -> bool {
    value.as_str().is_some_and(|path| FieldPath::parse(path).is_some())
}

/// Whether an annotation is not one of ours.
pub(in crate::api) fn is_foreign(key: &str) -> bool {
    !key.starts_with(OUR_ANNOTATIONS)
}

fn is_foreign_or_fuel(key: &str) -> bool {
    is_foreign(key) || key == FUEL_ANNOTATION
}

fn is_foreign_or_backoff(key: &str) -> bool {
    is_foreign(key) || key == BACKOFF_BASE_ANNOTATION || key == BACKOFF_MAX_ANNOTATION
}

/// Every path of a Job, `[]` for an item of a list. Grouped by object.
const TABLE: &[(&str, Rule)] = &[
    ("apiVersion", Kept),
    ("kind", Kept),
    ("metadata", Inside),
    ("metadata.name", Kept),
    ("metadata.generateName", Kept),
    ("metadata.namespace", Kept),
    ("metadata.uid", Kept),
    ("metadata.creationTimestamp", Kept),
    ("metadata.deletionTimestamp", Kept),
    ("metadata.deletionGracePeriodSeconds", Kept),
    ("metadata.generation", Kept),
    ("metadata.labels", Kept),
    ("metadata.annotations", Keys(is_foreign_or_backoff, "an annotation of this name")),
    // The server drops these two before it stores a Job.
    ("metadata.managedFields", Kept),
    ("metadata.selfLink", Kept),
    ("metadata.finalizers", Refused("finalizers")),
    ("metadata.ownerReferences", Refused("garbage collection by owner")),
    ("spec", Inside),
    ("spec.activeDeadlineSeconds", Kept),
    ("spec.backoffLimit", Kept),
    ("spec.backoffLimitPerIndex", Kept),
    ("spec.completionMode", Kept),
    ("spec.completions", Kept),
    ("spec.managedBy", Kept),
    ("spec.manualSelector", When(is_false, "selectors of one's own")),
    ("spec.maxFailedIndexes", Kept),
    ("spec.parallelism", Kept),
    ("spec.podFailurePolicy", Kept),
    ("spec.podReplacementPolicy", Kept),
    ("spec.selector", Kept),
    ("spec.successPolicy", Kept),
    ("spec.suspend", Kept),
    ("spec.template", Inside),
    ("spec.ttlSecondsAfterFinished", Kept),
    // Only labels, annotations and finalizers of a template reach its pods; the rest says nothing.
    ("spec.template.metadata", Inside),
    ("spec.template.metadata.annotations", Keys(is_foreign_or_fuel, "an annotation of this name")),
    ("spec.template.metadata.creationTimestamp", Kept),
    ("spec.template.metadata.deletionGracePeriodSeconds", Kept),
    ("spec.template.metadata.deletionTimestamp", Kept),
    ("spec.template.metadata.finalizers", Refused("finalizers on pods")),
    ("spec.template.metadata.generateName", Kept),
    ("spec.template.metadata.generation", Kept),
    ("spec.template.metadata.labels", Kept),
    ("spec.template.metadata.managedFields", Kept),
    ("spec.template.metadata.name", Kept),
    ("spec.template.metadata.namespace", Kept),
    ("spec.template.metadata.ownerReferences", Kept),
    ("spec.template.metadata.resourceVersion", Kept),
    ("spec.template.metadata.selfLink", Kept),
    ("spec.template.metadata.uid", Kept),
    ("spec.template.spec", Inside),
    ("spec.template.spec.activeDeadlineSeconds", Refused("a deadline for each pod")),
    ("spec.template.spec.affinity", Refused("choosing a node")),
    ("spec.template.spec.automountServiceAccountToken", When(is_false, "API credentials in a pod")),
    ("spec.template.spec.containers", First("more than one container in a pod")),
    ("spec.template.spec.dnsConfig", Refused("name servers of a pod")),
    ("spec.template.spec.dnsPolicy", Kept),
    ("spec.template.spec.enableServiceLinks", Kept),
    ("spec.template.spec.ephemeralContainers", Refused("ephemeral containers")),
    ("spec.template.spec.hostAliases", Refused("host names of a pod")),
    ("spec.template.spec.hostIPC", Refused("the host's namespaces")),
    ("spec.template.spec.hostNetwork", Refused("the host's network")),
    ("spec.template.spec.hostPID", Refused("the host's namespaces")),
    ("spec.template.spec.hostUsers", When(is_true, "user namespaces")),
    ("spec.template.spec.hostname", Refused("host names of a pod")),
    ("spec.template.spec.hostnameOverride", Refused("host names of a pod")),
    ("spec.template.spec.imagePullSecrets", Refused("secrets for registries")),
    ("spec.template.spec.initContainers", Refused("init containers")),
    ("spec.template.spec.nodeName", Refused("choosing a node")),
    ("spec.template.spec.nodeSelector", Refused("choosing a node")),
    ("spec.template.spec.os", Refused("choosing an operating system")),
    ("spec.template.spec.overhead", Refused("runtime classes")),
    ("spec.template.spec.preemptionPolicy", Kept),
    ("spec.template.spec.priority", Kept),
    ("spec.template.spec.priorityClassName", Kept),
    ("spec.template.spec.readinessGates", Refused("readiness gates")),
    ("spec.template.spec.resourceClaims", Refused("resource claims")),
    ("spec.template.spec.resources", Refused("resources of a whole pod")),
    ("spec.template.spec.restartPolicy", Kept),
    ("spec.template.spec.runtimeClassName", Refused("runtime classes")),
    (
        "spec.template.spec.schedulerName",
        When(|value| is_word(value, "default-scheduler"), "pods placed by another scheduler"),
    ),
    ("spec.template.spec.schedulingGates", Refused("scheduling gates")),
    ("spec.template.spec.schedulingGroup", Refused("scheduling groups")),
    ("spec.template.spec.securityContext", When(is_empty, "security contexts; every pod is a sandbox already")),
    ("spec.template.spec.serviceAccount", When(|value| is_word(value, "default"), "service accounts")),
    ("spec.template.spec.serviceAccountName", When(|value| is_word(value, "default"), "service accounts")),
    ("spec.template.spec.setHostnameAsFQDN", When(is_false, "host names of a pod")),
    ("spec.template.spec.shareProcessNamespace", When(is_false, "processes in a pod")),
    ("spec.template.spec.subdomain", Refused("host names of a pod")),
    ("spec.template.spec.terminationGracePeriodSeconds", Kept),
    // There is one node and it has no taint.
    ("spec.template.spec.tolerations", Kept),
    ("spec.template.spec.topologySpreadConstraints", Refused("choosing a node")),
    ("spec.template.spec.volumes", Refused("volumes")),
    ("spec.template.spec.containers[]", Inside),
    ("spec.template.spec.containers[].args", Kept),
    ("spec.template.spec.containers[].command", Kept),
    ("spec.template.spec.containers[].env", Inside),
    ("spec.template.spec.containers[].env[]", Inside),
    ("spec.template.spec.containers[].env[].name", Kept),
    ("spec.template.spec.containers[].env[].value", Kept),
    ("spec.template.spec.containers[].env[].valueFrom", Inside),
    ("spec.template.spec.containers[].env[].valueFrom.configMapKeyRef", Refused("ConfigMaps")),
    ("spec.template.spec.containers[].env[].valueFrom.fieldRef", Inside),
    ("spec.template.spec.containers[].env[].valueFrom.fieldRef.apiVersion", Kept),
    (
        "spec.template.spec.containers[].env[].valueFrom.fieldRef.fieldPath",
        When(is_field_path, "this field of the pod as a variable"),
    ),
    ("spec.template.spec.containers[].env[].valueFrom.fileKeyRef", Refused("variables from files")),
    ("spec.template.spec.containers[].env[].valueFrom.resourceFieldRef", Refused("resources as variables")),
    ("spec.template.spec.containers[].env[].valueFrom.secretKeyRef", Refused("Secrets")),
    ("spec.template.spec.containers[].envFrom", Refused("variables from ConfigMaps and Secrets")),
    ("spec.template.spec.containers[].image", Kept),
    ("spec.template.spec.containers[].imagePullPolicy", Kept),
    ("spec.template.spec.containers[].lifecycle", Refused("lifecycle hooks")),
    ("spec.template.spec.containers[].livenessProbe", Refused("probes")),
    ("spec.template.spec.containers[].name", Kept),
    ("spec.template.spec.containers[].ports", Inside),
    ("spec.template.spec.containers[].ports[]", Inside),
    ("spec.template.spec.containers[].ports[].containerPort", Kept),
    ("spec.template.spec.containers[].ports[].hostIP", Refused("ports of the host")),
    ("spec.template.spec.containers[].ports[].hostPort", Refused("ports of the host")),
    ("spec.template.spec.containers[].ports[].name", Kept),
    ("spec.template.spec.containers[].ports[].protocol", Kept),
    ("spec.template.spec.containers[].readinessProbe", Refused("probes")),
    ("spec.template.spec.containers[].resizePolicy", Refused("changes of a pod's resources")),
    ("spec.template.spec.containers[].resources", Inside),
    ("spec.template.spec.containers[].resources.claims", Refused("resource claims")),
    ("spec.template.spec.containers[].resources.limits", Keys(|key| key == "memory", "a limit on this resource")),
    ("spec.template.spec.containers[].resources.requests", Kept),
    ("spec.template.spec.containers[].restartPolicy", Kept),
    ("spec.template.spec.containers[].restartPolicyRules", Inside),
    ("spec.template.spec.containers[].restartPolicyRules[]", Inside),
    (
        "spec.template.spec.containers[].restartPolicyRules[].action",
        When(|value| is_word(value, "Restart"), "restarts of all containers of a pod"),
    ),
    ("spec.template.spec.containers[].restartPolicyRules[].exitCodes", Kept),
    (
        "spec.template.spec.containers[].securityContext",
        When(is_empty, "security contexts; every pod is a sandbox already"),
    ),
    ("spec.template.spec.containers[].startupProbe", Refused("probes")),
    ("spec.template.spec.containers[].stdin", Refused("input to a container")),
    ("spec.template.spec.containers[].stdinOnce", Refused("input to a container")),
    ("spec.template.spec.containers[].terminationMessagePath", Kept),
    (
        "spec.template.spec.containers[].terminationMessagePolicy",
        When(|value| is_word(value, "File"), "messages taken from logs"),
    ),
    ("spec.template.spec.containers[].tty", Refused("terminals")),
    ("spec.template.spec.containers[].volumeDevices", Refused("volumes")),
    ("spec.template.spec.containers[].volumeMounts", Refused("volumes")),
    ("spec.template.spec.containers[].workingDir", Refused("working directories")),
];

fn rule(pattern: &str) -> Option<Rule> {
    static BY_PATH: LazyLock<HashMap<&str, Rule>> = LazyLock::new(|| TABLE.iter().copied().collect());
    BY_PATH.get(pattern).copied()
}

/// What the document asks for and this version does not do.
pub(super) fn check(document: &Value, errors: &mut FieldErrors) {
    fields(document, "", "", errors);
    limits(document, errors);
    backoff_delays(document, errors);
}

fn refuse(path: &str, missing: &str, errors: &mut FieldErrors) {
    errors.forbidden(path, format!("not offered by this version of Coracle: {missing}"));
}

/// `pattern` is `path` with `[]` for every index.
fn value(value: &Value, path: &str, pattern: &str, errors: &mut FieldErrors) {
    match rule(pattern) {
        None => refuse(path, "this field", errors),
        Some(Refused(missing)) => refuse(path, missing, errors),
        Some(Kept) => {}
        Some(When(holds, missing)) => {
            if !holds(value) {
                refuse(path, missing, errors);
            }
        }
        Some(Keys(holds, missing)) => {
            let keys = value.as_object().into_iter().flat_map(serde_json::Map::keys);
            keys.filter(|key| !holds(key)).for_each(|key| refuse(&format!("{path}[{key}]"), missing, errors));
        }
        Some(Inside) => inside(value, path, pattern, errors),
        Some(First(missing)) => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            for (at, item) in items.iter().enumerate() {
                match at {
                    0 => inside(item, &format!("{path}[0]"), &format!("{pattern}[]"), errors),
                    _ => refuse(&format!("{path}[{at}]"), missing, errors),
                }
            }
        }
    }
}

fn inside(holder: &Value, path: &str, pattern: &str, errors: &mut FieldErrors) {
    match holder {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                value(item, &format!("{path}[{at}]"), &format!("{pattern}[]"), errors);
            }
        }
        _ => fields(holder, &format!("{path}."), &format!("{pattern}."), errors),
    }
}

fn fields(holder: &Value, path: &str, pattern: &str, errors: &mut FieldErrors) {
    for (key, field) in holder.as_object().into_iter().flatten() {
        value(field, &format!("{path}{key}"), &format!("{pattern}{key}"), errors);
    }
}

/// Our own limits on fields that are offered.
fn limits(document: &Value, errors: &mut FieldErrors) {
    let limit = |limit: i64| format!("is above this server's limit {}", grouped(limit));
    let at_most = [
        ("spec.completions", "/spec/completions", COMPLETIONS_MAX),
        ("spec.parallelism", "/spec/parallelism", COMPLETIONS_MAX),
        (
            "spec.template.spec.terminationGracePeriodSeconds",
            "/spec/template/spec/terminationGracePeriodSeconds",
            GRACE_SECONDS_MAX,
        ),
    ];
    for (path, pointer, max) in at_most {
        let found = document.pointer(pointer).and_then(Value::as_i64).filter(|&found| found > max);
        if let Some(found) = found {
            errors.invalid(path, found.to_string(), limit(max));
        }
    }
    let annotations = document.pointer("/spec/template/metadata/annotations");
    if let Some(fuel) = annotations.and_then(|texts| texts.get(FUEL_ANNOTATION)).and_then(Value::as_str) {
        let is_number = fuel.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || fuel.parse::<u64>().is_ok_and(|fuel| fuel == 0) || fuel.parse::<u64>().is_err() {
            let path = format!("spec.template.metadata.annotations[{FUEL_ANNOTATION}]");
            errors.invalid(
                path,
                quoted(fuel),
                "must be a positive integer: units of fuel, about one a wasm instruction",
            );
        }
    }
}

/// The delays that a Job sets for itself.
fn backoff_delays(document: &Value, errors: &mut FieldErrors) {
    let texts = document.pointer("/metadata/annotations");
    let text = |key: &str| texts.and_then(|texts| texts.get(key)).and_then(Value::as_str);
    let path = |key: &str| format!("metadata.annotations[{key}]");
    let mut delay = |key: &str| match text(key).map(|text| (text, duration_ms(text))) {
        None => Some(None),
        Some((_, Some(ms))) => Some(Some(ms)),
        Some((text, None)) => {
            errors.invalid(path(key), quoted(text), "must be a positive duration such as 500ms, 2s or 5m");
            None
        }
    };
    let (base, max) = (delay(BACKOFF_BASE_ANNOTATION), delay(BACKOFF_MAX_ANNOTATION));
    let default = BackoffDelays::default();
    let (Some(base), Some(max)) = (base, max) else { return };
    if base.unwrap_or(default.base_ms) > max.unwrap_or(default.max_ms) {
        let (key, other) = match base {
            Some(_) => (BACKOFF_BASE_ANNOTATION, format!("must not be longer than {BACKOFF_MAX_ANNOTATION} (10m if unset)")),
            None => (BACKOFF_MAX_ANNOTATION, format!("must not be shorter than {BACKOFF_BASE_ANNOTATION} (10s if unset)")),
        };
        errors.invalid(path(key), quoted(text(key).unwrap_or_default()), other);
    }
}

/// `10,000,000`
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
