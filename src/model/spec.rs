//! A Job's spec as the controller and the workers read it.
//!
//! [`JobSpec::from_doc`] reads the canonical document that `api` validated and stored, at creation and again at boot.

use super::life::Life;
use super::node::{Needs, NodeRequirement, NodeTerm, Toleration};
use super::priority::PreemptionPolicy;
use crate::base::Quantity;
use serde::Deserialize;
use serde_json::Value;
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

/// A rule of `podFailurePolicy`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailureRule {
    /// What a match does.
    pub action: FailureAction,
    /// What matches.
    pub on_exit_codes: OnExitCodes,
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

    /// As [`JobSpec::from_doc`], from the document as a tree.
    ///
    /// # Errors
    /// [`SpecError`] when the document did not go through validation.
    pub fn from_tree(document: &Value) -> Result<Self, SpecError> {
        Self::from_raw(raw::Doc::deserialize(document)?)
    }

    fn from_raw(doc: raw::Doc) -> Result<Self, SpecError> {
        let spec = doc.spec;
        let has_policy = spec.pod_failure_policy.is_some();
        let rules = spec.pod_failure_policy.map(|policy| policy.rules).unwrap_or_default();
        Ok(Self {
            parallelism: spec.parallelism,
            completions: spec.completions,
            mode: spec.completion_mode,
            backoff_limit: spec.backoff_limit,
            active_deadline_s: spec.active_deadline_seconds,
            only_replace_failed: has_policy || spec.pod_replacement_policy.as_deref() == Some("Failed"),
            failure_policy: rules.into_iter().map(raw::Rule::read).collect(),
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

/// The document's shape. Only what is read; everything else is skipped.
mod raw {
    use super::{
        BTreeMap, CompletionMode, Deserialize, EnvValue, FUEL_ANNOTATION, FailureAction, FieldPath, Needs, NodeTerm,
        PreemptionPolicy, Quantity, SpecError, Toleration,
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
        finalizers: Vec<String>,
        deletion_timestamp: Option<String>,
    }

    impl JobMetadata {
        pub(super) fn life(self) -> super::Life {
            super::Life { finalizers: self.finalizers, is_deleted: self.deletion_timestamp.is_some() }
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
        pub(super) selector: Option<super::Selector>,
        pub(super) template: Template,
    }

    #[derive(Deserialize)]
    pub(super) struct Policy {
        pub(super) rules: Vec<Rule>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Rule {
        action: FailureAction,
        on_exit_codes: Codes,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Codes {
        container_name: Option<String>,
        operator: Operator,
        values: Vec<i32>,
    }

    #[derive(Deserialize, PartialEq)]
    enum Operator {
        In,
        NotIn,
    }

    impl Rule {
        pub(super) fn read(self) -> super::FailureRule {
            let codes = self.on_exit_codes;
            super::FailureRule {
                action: self.action,
                on_exit_codes: super::OnExitCodes {
                    container: codes.container_name,
                    is_in: codes.operator == Operator::In,
                    values: codes.values,
                },
            }
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
            Ok(super::PodTemplate {
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
    fn field_paths_that_are_not_offered_are_none() {
        for path in ["", "spec.nodeName", "metadata.labels", "metadata.labels['a", "status.podIP"] {
            assert_eq!(FieldPath::parse(path), None, "{path}");
        }
    }
}
