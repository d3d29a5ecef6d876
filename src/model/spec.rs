//! A Job's spec as the controller and the workers read it.
//!
//! [`JobSpec::from_doc`] reads the canonical document that `api` validated and stored, at creation and again at boot.

use super::life::Life;
use super::node::{Needs, NodeRequirement, NodeTerm, Toleration};
use super::priority::PreemptionPolicy;
use crate::base::{IndexSet, Quantity};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// kubernetes: `batch/v1 CompletionMode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub enum CompletionMode {
    /// Pods are alike.
    #[default]
    NonIndexed,
    /// Each pod has a completion index.
    Indexed,
}

/// kubernetes: `batch/v1 PodFailurePolicyAction`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub enum FailureAction {
    /// The Job fails.
    FailJob,
    /// The failure does not count.
    Ignore,
    /// The failure counts.
    Count,
    /// The pod's index fails.
    FailIndex,
}

/// `onExitCodes` of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnExitCodes {
    /// Only this container, if given.
    pub container: Option<String>,
    /// `In` (true) or `NotIn`.
    pub is_in: bool,
    /// Ascending.
    pub values: Vec<i32>,
}

impl Default for OnExitCodes {
    /// Matches nothing.
    fn default() -> Self {
        Self { container: None, is_in: true, values: Vec::new() }
    }
}

impl OnExitCodes {
    /// Whether the operator holds for an exit code.
    #[must_use]
    pub fn has(&self, exit_code: u8) -> bool {
        self.values.contains(&i32::from(exit_code)) == self.is_in
    }
}

/// An entry of `onPodConditions`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct PodConditionPattern {
    /// The condition's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The condition's status.
    pub status: String,
}

/// A rule of `podFailurePolicy`: about exit codes or about conditions, never both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailureRule {
    /// What a match does.
    pub action: FailureAction,
    /// The exit codes that match.
    pub on_exit_codes: OnExitCodes,
    /// The conditions that match.
    pub on_pod_conditions: Vec<PodConditionPattern>,
}

/// A rule of `successPolicy`.
#[derive(Clone, PartialEq, Debug)]
pub struct SuccessRule {
    /// Only these indexes, if given.
    pub indexes: Option<IndexSet>,
    /// So many of them are enough; all of `indexes` when not given.
    pub count: Option<u32>,
}

/// How long a failed pod's place stays empty: `base_ms`, doubling with each failure, at the most `max_ms`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackoffDelays {
    /// The first delay (kubernetes: `DefaultJobPodFailureBackOff`).
    pub base_ms: u64,
    /// The longest (kubernetes: `MaxJobPodFailureBackOff`).
    pub max_ms: u64,
}

impl Default for BackoffDelays {
    fn default() -> Self {
        Self { base_ms: 10_000, max_ms: 600_000 }
    }
}

/// kubernetes: `core/v1 RestartPolicy`, of a pod or of a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub enum RestartPolicy {
    /// A container that ended is not started again.
    #[default]
    Never,
    /// It is when its exit code was not 0.
    OnFailure,
    /// It always is.
    Always,
}

/// A container's own `restartPolicy` and `restartPolicyRules` (kubernetes: `ContainerRestartRules`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContainerRestarts {
    /// What holds when no rule matches.
    pub policy: RestartPolicy,
    /// Exit codes at which it is started again.
    pub rules: Vec<OnExitCodes>,
}

/// kubernetes: `metav1.LabelSelector`; an empty one takes everything.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Labels with their values.
    pub match_labels: BTreeMap<String, String>,
    /// Rules about labels: `In`, `NotIn`, `Exists` and `DoesNotExist`.
    pub match_expressions: Vec<NodeRequirement>,
}

impl Selector {
    /// Whether it takes an object with these labels.
    #[must_use]
    pub fn takes(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        let holds = |rule: &NodeRequirement| rule.holds(labels.get(&rule.key).map(String::as_str));
        self.match_labels.iter().all(has) && self.match_expressions.iter().all(holds)
    }
}

/// The part of a JobSpec that decides something.
#[derive(Clone, PartialEq, Debug)]
pub struct JobSpec {
    /// How many pods at a time at the most.
    pub parallelism: u32,
    /// How many successes; `None` is the work-queue form.
    pub completions: Option<u32>,
    /// Mode.
    pub mode: CompletionMode,
    /// How many failures are borne.
    pub backoff_limit: u32,
    /// Seconds after `startTime` at which the Job fails.
    pub active_deadline_s: Option<u64>,
    /// `podReplacementPolicy: Failed`, or a failure policy: a stopping pod holds its place until it has ended.
    pub only_replace_failed: bool,
    /// Rules in order.
    pub failure_policy: Vec<FailureRule>,
    /// No pod runs.
    pub suspend: bool,
    /// How many failures each index bears (Indexed).
    pub backoff_limit_per_index: Option<u32>,
    /// How many failed indexes are borne.
    pub max_failed_indexes: Option<u32>,
    /// Rules in order (Indexed).
    pub success_policy: Vec<SuccessRule>,
    /// Somebody else's controller looks after the Job (`managedBy`).
    pub is_foreign: bool,
    /// How long after its end the Job is deleted, s.
    pub ttl_s: Option<u32>,
    /// Annotations [`BACKOFF_BASE_ANNOTATION`] and [`BACKOFF_MAX_ANNOTATION`].
    pub backoff_delays: BackoffDelays,
    /// The pod template; shared with what workers are given.
    pub template: Arc<PodTemplate>,
    /// What keeps the Job, and whether it is being deleted.
    pub life: Life,
    /// Whose pods are the Job's.
    pub selector: Selector,
}

/// The part of a pod template that a worker needs.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PodTemplate {
    /// The container's name.
    pub container: String,
    /// The module's name.
    pub image: String,
    /// `command`; empty when unset.
    pub command: Vec<String>,
    /// `args`; empty when unset.
    pub args: Vec<String>,
    /// `env` in order.
    pub env: Vec<EnvVar>,
    /// Labels of the template, Job labels included.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the template.
    pub annotations: BTreeMap<String, String>,
    /// `resources.limits.memory` in bytes; `None` takes the server's default.
    pub memory_bytes_max: Option<u64>,
    /// `resources.requests.cpu` is one CPU or more.
    pub wants_whole_cpu: bool,
    /// `restartPolicy` of the pod.
    pub restart_policy: RestartPolicy,
    /// What the container says of its restarts itself.
    pub container_restarts: Option<ContainerRestarts>,
    /// Annotation `coracle.dev/fuel`: units of wasmtime fuel (about one a wasm instruction).
    pub fuel: Option<u64>,
    /// `terminationGracePeriodSeconds`.
    pub grace_s: u32,
    /// `priorityClassName`; empty when unset.
    pub priority_class: String,
    /// `priority`, which must be that of the class.
    pub priority: Option<i32>,
    /// `preemptionPolicy`, which must be that of the class.
    pub preemption_policy: Option<PreemptionPolicy>,
    /// What it asks of a node; `None` when that is nothing.
    pub needs: Option<Box<Needs>>,
}

impl PodTemplate {
    /// Whether a container that ended with this code is started again (kubernetes: `ContainerShouldRestart`).
    #[must_use]
    pub fn restarts_after(&self, exit_code: u8) -> bool {
        let own = self.container_restarts.as_ref();
        if own.is_some_and(|own| own.rules.iter().any(|rule| rule.has(exit_code))) {
            return true;
        }
        match own.map_or(self.restart_policy, |own| own.policy) {
            RestartPolicy::Never => false,
            RestartPolicy::OnFailure => exit_code != 0,
            RestartPolicy::Always => true,
        }
    }

    /// One that says nothing, the same for everybody.
    #[must_use]
    pub fn unset() -> Arc<Self> {
        static UNSET: LazyLock<Arc<PodTemplate>> = LazyLock::new(Arc::default);
        Arc::clone(&UNSET)
    }
}

/// An entry of `env`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Where its value comes from.
    pub value: EnvValue,
}

/// Where an environment variable's value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EnvValue {
    /// `value`, before expansion of `$(VAR)`.
    Text(String),
    /// `valueFrom.fieldRef`, never expanded.
    Field(FieldPath),
}

/// The `fieldPath`s of the downward API that are offered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FieldPath {
    /// `metadata.name`
    Name,
    /// `metadata.namespace`
    Namespace,
    /// `metadata.uid`
    Uid,
    /// `metadata.labels['<key>']`
    Label(String),
    /// `metadata.annotations['<key>']`
    Annotation(String),
}

impl FieldPath {
    /// Reads a `fieldPath`; `None` for one that is not offered.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let key = |prefix: &str| Some(path.strip_prefix(prefix)?.strip_suffix("']")?.to_owned());
        match path {
            "metadata.name" => Some(Self::Name),
            "metadata.namespace" => Some(Self::Namespace),
            "metadata.uid" => Some(Self::Uid),
            _ => key("metadata.labels['")
                .map(Self::Label)
                .or_else(|| key("metadata.annotations['").map(Self::Annotation)),
        }
    }
}

/// The pod-template annotation that limits CPU work, in units of wasmtime fuel.
pub const FUEL_ANNOTATION: &str = "coracle.dev/fuel";

/// The Job annotation that replaces the first delay before a failed pod's replacement; a duration such as `500ms`.
pub const BACKOFF_BASE_ANNOTATION: &str = "coracle.dev/backoff-base";

/// The Job annotation that replaces the longest such delay.
pub const BACKOFF_MAX_ANNOTATION: &str = "coracle.dev/backoff-max";

/// kubernetes: `batch/v1 JobControllerName`, the value of `managedBy` that means this controller.
const JOB_CONTROLLER: &str = "kubernetes.io/job-controller";

/// Why a stored document cannot be read back: it was not written by this build's validation.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Not the JSON of a Job.
    #[error("the stored Job cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A field that validation should have refused.
    #[error("the stored Job has an unusable {field}: {value:?}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it holds.
        value: String,
    },
}

impl JobSpec {
    /// Reads the canonical document of a Job.
    ///
    /// # Errors
    /// [`SpecError`] when the document did not go through validation.
    pub fn from_doc(json: &str) -> Result<Self, SpecError> {
        Self::from_raw(serde_json::from_str(json)?)
    }

    fn from_raw(doc: raw::Doc) -> Result<Self, SpecError> {
        let spec = doc.spec;
        let has_policy = spec.pod_failure_policy.is_some();
        let rules = spec.pod_failure_policy.map(|policy| policy.rules).unwrap_or_default();
        let successes = spec.success_policy.map(|policy| policy.rules).unwrap_or_default();
        let completions = spec.completions.unwrap_or(0);
        Ok(Self {
            parallelism: spec.parallelism,
            completions: spec.completions,
            mode: spec.completion_mode,
            backoff_limit: spec.backoff_limit,
            active_deadline_s: spec.active_deadline_seconds,
            only_replace_failed: has_policy || spec.pod_replacement_policy.as_deref() == Some("Failed"),
            failure_policy: rules.into_iter().map(raw::Rule::read).collect(),
            suspend: spec.suspend,
            backoff_limit_per_index: spec.backoff_limit_per_index,
            max_failed_indexes: spec.max_failed_indexes,
            success_policy: successes.into_iter().map(|rule| rule.read(completions)).collect::<Result<_, _>>()?,
            is_foreign: spec.managed_by.is_some_and(|name| name != JOB_CONTROLLER),
            ttl_s: spec.ttl_seconds_after_finished,
            backoff_delays: doc.metadata.backoff_delays()?,
            template: Arc::new(spec.template.read()?),
            life: doc.metadata.life(),
            selector: spec.selector.unwrap_or_default(),
        })
    }

    /// Whether the Job is Indexed.
    #[must_use]
    pub fn is_indexed(&self) -> bool {
        self.mode == CompletionMode::Indexed
    }
}

/// A duration as people write it, ms: numbers with the units `ms`, `s`, `m` and `h`, such as `500ms` or `1m30s`; `None` for
/// what is none, is zero or is longer than can be counted.
#[must_use]
pub fn duration_ms(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit_ms)?)?;
        rest = after;
    }
    (total > 0).then_some(total)
}

/// The document's shape. Only what is read; everything else is skipped.
mod raw {
    use super::{
        BACKOFF_BASE_ANNOTATION, BACKOFF_MAX_ANNOTATION, BTreeMap, BackoffDelays, CompletionMode, ContainerRestarts,
        Deserialize, EnvValue, FUEL_ANNOTATION, FailureAction, FieldPath, IndexSet, Needs, NodeTerm, OnExitCodes,
        PodConditionPattern, PreemptionPolicy, Quantity, RestartPolicy, SpecError, SuccessRule, Toleration,
        duration_ms,
    };

    #[derive(Deserialize)]
    pub(super) struct Doc {
        #[serde(default)]
        pub(super) metadata: JobMetadata,
        pub(super) spec: Spec,
    }

    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct JobMetadata {
        #[serde(default)]
        annotations: BTreeMap<String, String>,
        #[serde(default)]
        finalizers: Vec<String>,
        deletion_timestamp: Option<String>,
    }

    impl JobMetadata {
        pub(super) fn life(self) -> super::Life {
            super::Life { finalizers: self.finalizers, is_deleted: self.deletion_timestamp.is_some() }
        }

        pub(super) fn backoff_delays(&self) -> Result<BackoffDelays, SpecError> {
            let delay = |field: &'static str, default| match self.annotations.get(field) {
                None => Ok(default),
                Some(text) => duration_ms(text).ok_or_else(|| SpecError::Field { field, value: text.clone() }),
            };
            let default = BackoffDelays::default();
            Ok(BackoffDelays {
                base_ms: delay(BACKOFF_BASE_ANNOTATION, default.base_ms)?,
                max_ms: delay(BACKOFF_MAX_ANNOTATION, default.max_ms)?,
            })
        }
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Spec {
        pub(super) parallelism: u32,
        pub(super) completions: Option<u32>,
        #[serde(default)]
        pub(super) completion_mode: CompletionMode,
        pub(super) backoff_limit: u32,
        pub(super) active_deadline_seconds: Option<u64>,
        pub(super) pod_replacement_policy: Option<String>,
        pub(super) pod_failure_policy: Option<Policy>,
        #[serde(default)]
        pub(super) suspend: bool,
        pub(super) backoff_limit_per_index: Option<u32>,
        pub(super) max_failed_indexes: Option<u32>,
        pub(super) success_policy: Option<SuccessPolicy>,
        pub(super) managed_by: Option<String>,
        pub(super) ttl_seconds_after_finished: Option<u32>,
        pub(super) selector: Option<super::Selector>,
        pub(super) template: Template,
    }

    #[derive(Deserialize)]
    pub(super) struct SuccessPolicy {
        pub(super) rules: Vec<Success>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Success {
        succeeded_indexes: Option<String>,
        succeeded_count: Option<u32>,
    }

    impl Success {
        pub(super) fn read(self, completions: u32) -> Result<SuccessRule, SpecError> {
            let parse = |text: String| {
                IndexSet::parse(&text, completions)
                    .map_err(|_| SpecError::Field { field: "successPolicy.rules.succeededIndexes", value: text })
            };
            let indexes = self.succeeded_indexes.map(parse).transpose()?;
            Ok(SuccessRule { indexes, count: self.succeeded_count })
        }
    }

    #[derive(Deserialize)]
    pub(super) struct Policy {
        pub(super) rules: Vec<Rule>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Rule {
        action: FailureAction,
        on_exit_codes: Option<Codes>,
        #[serde(default)]
        on_pod_conditions: Vec<PodConditionPattern>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Codes {
        container_name: Option<String>,
        operator: Operator,
        #[serde(default)]
        values: Vec<i32>,
    }

    #[derive(Deserialize, PartialEq)]
    enum Operator {
        In,
        NotIn,
    }

    impl Rule {
        pub(super) fn read(self) -> super::FailureRule {
            super::FailureRule {
                action: self.action,
                on_exit_codes: self.on_exit_codes.map(Codes::read).unwrap_or_default(),
                on_pod_conditions: self.on_pod_conditions,
            }
        }
    }

    impl Codes {
        fn read(self) -> OnExitCodes {
            OnExitCodes { container: self.container_name, is_in: self.operator == Operator::In, values: self.values }
        }
    }

    #[derive(Deserialize)]
    pub(super) struct Template {
        #[serde(default)]
        metadata: Metadata,
        spec: PodSpec,
    }

    #[derive(Deserialize, Default)]
    struct Metadata {
        #[serde(default)]
        labels: BTreeMap<String, String>,
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct PodSpec {
        containers: Vec<Container>,
        #[serde(default = "grace_default")]
        termination_grace_period_seconds: u32,
        #[serde(default)]
        priority_class_name: String,
        priority: Option<i32>,
        preemption_policy: Option<PreemptionPolicy>,
        #[serde(default)]
        restart_policy: RestartPolicy,
        #[serde(default)]
        node_selector: BTreeMap<String, String>,
        #[serde(default)]
        affinity: Affinity,
        #[serde(default)]
        scheduling_gates: Vec<Gate>,
        #[serde(default)]
        tolerations: Vec<Toleration>,
    }

    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Affinity {
        node_affinity: NodeAffinity,
    }

    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct NodeAffinity {
        #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
        required: Option<NodeTerms>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct NodeTerms {
        #[serde(default)]
        node_selector_terms: Vec<NodeTerm>,
    }

    #[derive(Deserialize)]
    struct Gate {
        name: String,
    }

    impl PodSpec {
        /// kubernetes: requests default to limits, resource by resource (`SetDefaults_Pod`).
        fn needs(&mut self) -> Result<Option<Box<Needs>>, SpecError> {
            let mut needs = Needs {
                selector: std::mem::take(&mut self.node_selector),
                terms: self.affinity.node_affinity.required.take().map(|terms| terms.node_selector_terms),
                gates: self.scheduling_gates.drain(..).map(|gate| gate.name).collect(),
                tolerates_cordon: self.tolerations.iter().any(Toleration::is_of_cordon),
                ..Needs::default()
            };
            for resources in self.containers.iter().map(|container| &container.resources) {
                let limits = resources.limits.iter().filter(|(name, _)| !resources.requests.contains_key(*name));
                for (name, text) in resources.requests.iter().chain(limits) {
                    let unusable = |_| SpecError::Field { field: "resources.requests", value: text.clone() };
                    let quantity = text.parse::<Quantity>().map_err(unusable)?;
                    match name.as_str() {
                        "cpu" => needs.cpu_m = needs.cpu_m.saturating_add(quantity.millis()),
                        "memory" => needs.memory_bytes = needs.memory_bytes.saturating_add(quantity.units()),
                        // What is written is not counted here.
                        "ephemeral-storage" => {}
                        other if quantity.units() > 0 => needs.others.push(other.to_owned()),
                        _ => {}
                    }
                }
            }
            Ok((needs != Needs::default()).then(|| Box::new(needs)))
        }
    }

    fn grace_default() -> u32 {
        30
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Container {
        name: String,
        image: String,
        #[serde(default)]
        command: Vec<String>,
        #[serde(default)]
        args: Vec<String>,
        #[serde(default)]
        env: Vec<Env>,
        #[serde(default)]
        resources: Resources,
        restart_policy: Option<RestartPolicy>,
        #[serde(default)]
        restart_policy_rules: Vec<RestartRule>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct RestartRule {
        exit_codes: Codes,
    }

    #[derive(Deserialize, Default)]
    struct Resources {
        #[serde(default)]
        limits: BTreeMap<String, String>,
        #[serde(default)]
        requests: BTreeMap<String, String>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Env {
        name: String,
        #[serde(default)]
        value: String,
        value_from: Option<Source>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Source {
        field_ref: FieldRef,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct FieldRef {
        field_path: String,
    }

    impl Env {
        fn read(self) -> Result<super::EnvVar, SpecError> {
            let value = match self.value_from {
                None => EnvValue::Text(self.value),
                Some(Source { field_ref: FieldRef { field_path: path } }) => EnvValue::Field(
                    FieldPath::parse(&path).ok_or(SpecError::Field { field: "env.valueFrom.fieldRef", value: path })?,
                ),
            };
            Ok(super::EnvVar { name: self.name, value })
        }
    }

    impl Template {
        pub(super) fn read(mut self) -> Result<super::PodTemplate, SpecError> {
            let needs = self.spec.needs()?;
            let container = self
                .spec
                .containers
                .into_iter()
                .next()
                .ok_or_else(|| SpecError::Field { field: "template.spec.containers", value: String::new() })?;
            let memory = container.resources.limits.get("memory").map(|text| {
                let quantity = text.parse::<Quantity>();
                quantity.map_err(|_| SpecError::Field { field: "resources.limits.memory", value: text.clone() })
            });
            let cpu = container.resources.requests.get("cpu").map(|text| {
                let quantity = text.parse::<Quantity>();
                quantity.map_err(|_| SpecError::Field { field: "resources.requests.cpu", value: text.clone() })
            });
            let fuel = self.metadata.annotations.get(FUEL_ANNOTATION).map(|text| {
                text.parse::<u64>().map_err(|_| SpecError::Field { field: FUEL_ANNOTATION, value: text.clone() })
            });
            let rules = container.restart_policy_rules.into_iter();
            let rules: Vec<OnExitCodes> = rules.map(|rule| rule.exit_codes.read()).collect();
            Ok(super::PodTemplate {
                restart_policy: self.spec.restart_policy,
                container_restarts: container.restart_policy.map(|policy| ContainerRestarts { policy, rules }),
                container: container.name,
                image: container.image,
                command: container.command,
                args: container.args,
                env: container.env.into_iter().map(Env::read).collect::<Result<_, _>>()?,
                labels: self.metadata.labels,
                annotations: self.metadata.annotations,
                memory_bytes_max: memory.transpose()?.map(Quantity::units),
                wants_whole_cpu: cpu.transpose()?.is_some_and(|cpu| cpu >= Quantity::whole(1)),
                fuel: fuel.transpose()?,
                grace_s: self.spec.termination_grace_period_seconds,
                priority_class: self.spec.priority_class_name,
                priority: self.spec.priority,
                preemption_policy: self.spec.preemption_policy,
                needs,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_into_its_spec() {
        let spec = JobSpec::from_doc(
            r#"{"metadata":{"name":"a"},"spec":{"parallelism":3,"completions":5,"completionMode":"Indexed",
            "backoffLimit":6,"activeDeadlineSeconds":9,"podReplacementPolicy":"Failed",
            "podFailurePolicy":{"rules":[{"action":"FailJob","onExitCodes":{"operator":"NotIn","values":[1,2]}}]},
            "template":{"metadata":{"labels":{"a":"b"},"annotations":{"coracle.dev/fuel":"1000"}},
            "spec":{"containers":[{"name":"c","image":"i","args":["x"],"resources":{"limits":{"memory":"64Mi"}},
            "env":[{"name":"E","value":"v"},{"name":"F","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['a']"}}}]}]}}}}"#,
        )
        .expect("a good document");
        assert_eq!((spec.parallelism, spec.completions, spec.backoff_limit), (3, Some(5), 6));
        assert!(spec.is_indexed() && spec.only_replace_failed);
        assert!(!spec.failure_policy[0].on_exit_codes.is_in);
        assert_eq!(spec.template.memory_bytes_max, Some(64 << 20));
        assert_eq!(spec.template.fuel, Some(1000));
        assert!(!spec.template.wants_whole_cpu);
        assert_eq!(spec.template.grace_s, 30);
        assert_eq!(spec.template.env[1].value, EnvValue::Field(FieldPath::Label("a".to_owned())));
    }

    #[test]
    fn a_whole_cpu_is_one_or_more() {
        let cases = [("1", true), ("1000m", true), ("2", true), ("999m", false), ("0.999999999", false), ("0", false)];
        for (cpu, wants) in cases {
            let json = format!(
                r#"{{"spec":{{"parallelism":1,"backoffLimit":6,"template":{{"spec":{{"containers":[{{"name":"c",
                "image":"i","resources":{{"requests":{{"cpu":"{cpu}"}}}}}}]}}}}}}}}"#
            );
            assert_eq!(JobSpec::from_doc(&json).expect("a good document").template.wants_whole_cpu, wants, "{cpu}");
        }
    }

    #[test]
    fn a_container_restarts_by_its_own_rules_before_its_own_policy_before_the_pods() {
        use RestartPolicy::{Always, Never, OnFailure};
        let own = |policy, values: &[i32], is_in| {
            let rule = OnExitCodes { container: None, is_in, values: values.to_vec() };
            Some(ContainerRestarts { policy, rules: vec![rule] })
        };
        let cases = [
            (Never, None, [false, false, false]),
            (OnFailure, None, [false, true, true]),
            (Never, own(Never, &[3], true), [false, false, true]),
            (OnFailure, own(Never, &[3], true), [false, false, true]),
            (Never, own(OnFailure, &[0], true), [true, true, true]),
            (Never, own(Never, &[3], false), [true, true, false]),
            (Never, own(Always, &[], true), [true, true, true]),
        ];
        for (restart_policy, container_restarts, expected) in cases {
            let template = PodTemplate { restart_policy, container_restarts, ..PodTemplate::default() };
            assert_eq!([0, 1, 3].map(|code| template.restarts_after(code)), expected, "{template:?}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let cases = [
            ("500ms", Some(500)),
            ("2s", Some(2000)),
            ("5m", Some(300_000)),
            ("1m30s", Some(90_000)),
            ("1h", Some(3_600_000)),
            ("", None),
            ("0s", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1 s", None),
            ("99999999999999999999h", None),
            ("9999999999999999h", None),
        ];
        for (text, ms) in cases {
            assert_eq!(duration_ms(text), ms, "{text:?}");
        }
    }

    #[test]
    fn field_paths_that_are_not_offered_are_none() {
        for path in ["", "spec.nodeName", "metadata.labels", "metadata.labels['a", "status.podIP"] {
            assert_eq!(FieldPath::parse(path), None, "{path}");
        }
    }
}
