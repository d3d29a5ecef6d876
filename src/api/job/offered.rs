//! What this version runs, and what it refuses although Kubernetes would take it.
//!
//! One table over the canonical JSON of a Job: a path that is not in it is refused, so a field that nobody thought of is an
//! error and never silence. Start with [`TABLE`]. It must not repeat Kubernetes' own rules (`validate` ran before).
//! Invariant: what passes here has a `model::JobSpec`.

use crate::api::field::{FieldErrors, quoted};
use crate::model::{
    BACKOFF_BASE_ANNOTATION, BACKOFF_MAX_ANNOTATION, BackoffDelays, FUEL_ANNOTATION, FieldPath, duration_ms,
};
use crate::view::NODE_NAME;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
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
    /// A number that is taken up to our own limit.
    AtMost(i64),
    /// A map whose keys are the user's, of texts: taken when the test holds for the key.
    Keys(fn(&str) -> bool, &'static str),
    /// Refused; the text says what would be missing.
    Refused(&'static str),
}

use Rule::{AtMost, First, Inside, Kept, Keys, Refused, When};

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
    ("metadata.finalizers", Kept),
    ("metadata.ownerReferences", Refused("garbage collection by owner")),
    ("spec", Inside),
    ("spec.activeDeadlineSeconds", Kept),
    ("spec.backoffLimit", Kept),
    ("spec.backoffLimitPerIndex", Kept),
    ("spec.completionMode", Kept),
    ("spec.completions", AtMost(COMPLETIONS_MAX)),
    ("spec.managedBy", Kept),
    ("spec.manualSelector", When(is_false, "selectors of one's own")),
    ("spec.maxFailedIndexes", Kept),
    ("spec.parallelism", AtMost(COMPLETIONS_MAX)),
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
    ("spec.template.spec.affinity", Inside),
    ("spec.template.spec.affinity.nodeAffinity", Kept),
    ("spec.template.spec.affinity.podAffinity", Refused("choosing a node by its pods")),
    ("spec.template.spec.affinity.podAntiAffinity", Refused("choosing a node by its pods")),
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
    ("spec.template.spec.nodeName", When(|value| is_word(value, NODE_NAME), "another node")),
    ("spec.template.spec.nodeSelector", Kept),
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
    ("spec.template.spec.schedulingGates", Kept),
    ("spec.template.spec.schedulingGroup", Refused("scheduling groups")),
    ("spec.template.spec.securityContext", When(is_empty, "security contexts; every pod is a sandbox already")),
    ("spec.template.spec.serviceAccount", When(|value| is_word(value, "default"), "service accounts")),
    ("spec.template.spec.serviceAccountName", When(|value| is_word(value, "default"), "service accounts")),
    ("spec.template.spec.setHostnameAsFQDN", When(is_false, "host names of a pod")),
    ("spec.template.spec.shareProcessNamespace", When(is_false, "processes in a pod")),
    ("spec.template.spec.subdomain", Refused("host names of a pod")),
    ("spec.template.spec.terminationGracePeriodSeconds", AtMost(GRACE_SECONDS_MAX)),
    // There is one node, and its only taint is that of a cordon.
    ("spec.template.spec.tolerations", Kept),
    ("spec.template.spec.topologySpreadConstraints", Refused("choosing a node by its pods")),
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

/// The table as a tree.
#[derive(Default)]
struct Node {
    rule: Option<Rule>,
    /// By the name of a field; `[]` is every item.
    inside: HashMap<&'static str, Self>,
}

static ROOT: LazyLock<Node> = LazyLock::new(|| {
    let mut root = Node { rule: Some(Inside), ..Node::default() };
    for (path, rule) in TABLE {
        let mut node = &mut root;
        for field in path.split('.') {
            let name = field.trim_end_matches("[]");
            node = node.inside.entry(name).or_default();
            if name != field {
                node = node.inside.entry("[]").or_default();
            }
        }
        node.rule = Some(*rule);
    }
    root
});

/// What the document asks for and this version does not do.
pub(super) fn check(document: &str, errors: &mut FieldErrors) {
    let look = Look { node: Some(&ROOT), path: Path::Root, errors };
    look.deserialize(&mut serde_json::Deserializer::from_str(document)).expect("a document is JSON");
    // Few Jobs have these.
    if [BACKOFF_BASE_ANNOTATION, BACKOFF_MAX_ANNOTATION].iter().any(|key| document.contains(key)) {
        backoff_delays(&serde_json::from_str(document).expect("a document is JSON"), errors);
    }
}

/// Where a value is; printed only for an error.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Field(&'a Self, &'a str),
    Item(&'a Self, usize),
    Key(&'a Self, &'a str),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(holder, name) => write!(f, "{holder}.{name}"),
            Self::Item(holder, at) => write!(f, "{holder}[{at}]"),
            Self::Key(holder, key) => write!(f, "{holder}[{key}]"),
        }
    }
}

/// A text that is copied only when it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A look at the value at a path while it is read.
struct Look<'a> {
    node: Option<&'a Node>,
    path: Path<'a>,
    errors: &'a mut FieldErrors,
}

fn refuse(path: Path<'_>, missing: &str, errors: &mut FieldErrors) {
    errors.forbidden(path, format!("not offered by this version of Coracle: {missing}"));
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        match self.node.and_then(|node| node.rule) {
            Some(Inside | First(_) | Keys(..)) => return value.deserialize_any(self),
            Some(Kept) => {}
            Some(AtMost(limit)) => {
                let found = Value::deserialize(value)?;
                if found.as_i64().is_some_and(|found| found > limit) {
                    let why = format!("is above this server's limit {}", grouped(limit));
                    self.errors.invalid(self.path, found.to_string(), why);
                }
                return Ok(());
            }
            Some(When(holds, missing)) => {
                if !holds(&Value::deserialize(value)?) {
                    refuse(self.path, missing, self.errors);
                }
                return Ok(());
            }
            Some(Refused(missing)) => refuse(self.path, missing, self.errors),
            None => refuse(self.path, "this field", self.errors),
        }
        IgnoredAny::deserialize(value).map(drop)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { node, path, errors } = self;
        while let Some(Text(name)) = fields.next_key()? {
            if let Some(Keys(holds, missing)) = node.and_then(|node| node.rule) {
                let (path, Text(value)) = (Path::Key(&path, &name), fields.next_value()?);
                if !holds(&name) {
                    refuse(path, missing, errors);
                } else if let Some(why) = fault(&name, &value) {
                    errors.invalid(path, quoted(&value), why);
                }
            } else {
                let node = node.and_then(|node| node.inside.get(&*name));
                fields.next_value_seed(Look { node, path: Path::Field(&path, &name), errors })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { node, path, errors } = self;
        let only_first = match node.and_then(|node| node.rule) {
            Some(First(missing)) => Some(missing),
            _ => None,
        };
        let node = node.and_then(|node| node.inside.get("[]"));
        for at in 0.. {
            let path = Path::Item(&path, at);
            let item = match only_first.filter(|_| at > 0) {
                None => items.next_element_seed(Look { node, path, errors })?,
                Some(missing) => items.next_element()?.map(|IgnoredAny| refuse(path, missing, errors)),
            };
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// What is wrong with the value of an annotation of ours.
fn fault(annotation: &str, value: &str) -> Option<&'static str> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let is_fuel = is_number && value.parse::<u64>().is_ok_and(|fuel| fuel > 0);
    (annotation == FUEL_ANNOTATION && !is_fuel)
        .then_some("must be a positive integer: units of fuel, about one a wasm instruction")
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
            Some(_) => {
                (BACKOFF_BASE_ANNOTATION, format!("must not be longer than {BACKOFF_MAX_ANNOTATION} (10m if unset)"))
            }
            None => {
                (BACKOFF_MAX_ANNOTATION, format!("must not be shorter than {BACKOFF_BASE_ANNOTATION} (10s if unset)"))
            }
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
