//! The part of a pod's JSON that all pods of a Job share, worked out once per document.
//!
//! Knows what Kubernetes adds to a template to make a pod (kubernetes: `podGenerateNameWithIndex`, `SetDefaults_PodSpec`). Invariant: the
//! completion index and the failures of that index are the only things in these pieces in which two pods of a Job differ.

use super::{INDEX_FAILURES_KEY, INDEX_IGNORED_KEY, INDEX_KEY, NODE_NAME, put, put_json};
use crate::base::Quantity;
use crate::model::{IndexFailures, JobSpec, PodPriority};
use crate::view::doc::JobDoc;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What stands at a place where two pods of a Job differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hole {
    /// The completion index.
    Index,
    /// The annotations that count the failures of the index.
    Failures,
}

/// Text with places at which two pods of a Job differ.
#[derive(Debug, Default)]
pub(super) struct Holed {
    /// Each hole with the text before it.
    parts: Vec<(String, Hole)>,
    last: String,
}

impl Holed {
    pub(super) fn render(&self, index: u32, failures: IndexFailures, out: &mut String) {
        for (text, hole) in &self.parts {
            out.push_str(text);
            match hole {
                Hole::Index => put(out, format_args!("{index}")),
                Hole::Failures => put_failures(failures, out),
            }
        }
        out.push_str(&self.last);
    }

    fn text(&mut self) -> &mut String {
        &mut self.last
    }

    fn hole(&mut self, hole: Hole) {
        self.parts.push((std::mem::take(&mut self.last), hole));
    }
}

/// The annotation of the ignored failures is there when there are some (kubernetes: `addIndexFailureCountAnnotation`).
fn put_failures(failures: IndexFailures, out: &mut String) {
    let IndexFailures { counted, ignored } = failures;
    put(out, format_args!(r#""{INDEX_FAILURES_KEY}":"{counted}""#));
    if ignored > 0 {
        put(out, format_args!(r#","{INDEX_IGNORED_KEY}":"{ignored}""#));
    }
}

/// The constant pieces of a Job's pods.
#[derive(Debug)]
pub(in crate::view) struct PodTemplatePieces {
    /// `generateName` of a NonIndexed Job's pods; an Indexed Job's are cut by their index.
    pub(super) generate_name: String,
    /// The container's name as JSON.
    pub(super) container: String,
    /// The image as JSON.
    pub(super) image: String,
    /// `,"labels":…,"annotations":…,"ownerReferences":[…]`
    pub(super) metadata: Holed,
    /// `},"spec":{…}`
    pub(super) spec: Holed,
    /// As `spec`, of a pod that no node was found for.
    pub(super) unplaced_spec: Holed,
    /// As `unplaced_spec`, with the scheduling gates.
    pub(super) gated_spec: Holed,
    /// `status.qosClass`
    pub(super) qos: &'static str,
    /// What selectors may ask for of the spec, as text.
    pub(in crate::view) scalars: BTreeMap<&'static str, String>,
}

/// The scalars of a pod's spec that field selectors know (kubernetes: `core/v1 AddFieldLabelConversionsForPod`).
const SCALARS: [&str; 4] = ["hostNetwork", "restartPolicy", "schedulerName", "serviceAccountName"];

#[derive(Deserialize)]
struct Doc {
    spec: DocSpec,
}

#[derive(Deserialize)]
struct DocSpec {
    template: DocTemplate,
}

#[derive(Deserialize)]
struct DocTemplate {
    spec: Map<String, Value>,
}

impl PodTemplatePieces {
    pub(in crate::view) fn new(doc: &JobDoc, spec: &JobSpec) -> Self {
        let is_indexed = spec.is_indexed();
        let raw: Doc = serde_json::from_str(&doc.json).expect("a Job is validated before it is stored");
        let mut pod_spec = raw.spec.template.spec;
        add_defaults(&mut pod_spec, doc.placement.priority.as_ref());
        if is_indexed {
            add_index(&mut pod_spec);
        }
        let indexed = is_indexed.then_some(&*doc.key.name);
        let gates = pod_spec.remove("schedulingGates");
        let (mut unplaced_spec, mut gated_spec) = (Holed::default(), Holed::default());
        if doc.placement.unplaced.is_some() || gates.is_some() {
            let mut unplaced = pod_spec.clone();
            unplaced.remove("nodeName");
            unplaced_spec = holed_spec(&unplaced, indexed);
            if let Some(gates) = gates {
                unplaced.insert("schedulingGates".to_owned(), gates);
                gated_spec = holed_spec(&unplaced, indexed);
            }
        }
        let quoted = |text: &str| {
            let mut out = String::new();
            put_json(&mut out, text);
            out
        };
        Self {
            generate_name: format!("{}-", doc.key.name),
            container: quoted(&spec.template.container),
            image: quoted(&spec.template.image),
            metadata: metadata(doc, spec),
            qos: qos_class(&pod_spec),
            scalars: SCALARS.into_iter().map(|field| (field, scalar(&pod_spec, field))).collect(),
            spec: holed_spec(&pod_spec, indexed),
            unplaced_spec,
            gated_spec,
        }
    }
}

fn metadata(doc: &JobDoc, spec: &JobSpec) -> Holed {
    let mut out = Holed::default();
    let index: &[_] = if spec.is_indexed() { &[(INDEX_KEY, Hole::Index)] } else { &[] };
    put_map("labels", &spec.template.labels, index, &mut out);
    let failures = spec.backoff_limit_per_index.map(|_| (INDEX_FAILURES_KEY, Hole::Failures));
    let holes: Vec<_> = index.iter().copied().chain(failures).collect();
    put_map("annotations", &spec.template.annotations, &holes, &mut out);
    if doc.placement.orphaned {
        return out;
    }
    let (name, uid) = (&doc.key.name, doc.key.uid);
    let text = out.text();
    put(
        text,
        format_args!(r#","ownerReferences":[{{"apiVersion":"batch/v1","kind":"Job","name":"{name}","uid":"{uid}","#),
    );
    text.push_str(r#""controller":true,"blockOwnerDeletion":true}]"#);
    out
}

/// Appends `,"<field>":{…}` with the holes under their keys, nothing for an empty map.
fn put_map(field: &str, map: &BTreeMap<String, String>, holes: &[(&'static str, Hole)], out: &mut Holed) {
    let own = map.iter().map(|(key, value)| (key.as_str(), Err(value.as_str())));
    let entries: BTreeMap<&str, Result<Hole, &str>> =
        own.chain(holes.iter().map(|(key, hole)| (*key, Ok(*hole)))).collect();
    if entries.is_empty() {
        return;
    }
    put(out.text(), format_args!(r#","{field}":{{"#));
    for (nth, (key, value)) in entries.into_iter().enumerate() {
        let text = out.text();
        text.push_str(if nth > 0 { "," } else { "" });
        match value {
            Ok(Hole::Failures) => out.hole(Hole::Failures),
            Ok(Hole::Index) => {
                put_json(text, key);
                text.push_str(":\"");
                out.hole(Hole::Index);
                out.text().push('"');
            }
            Err(value) => {
                put_json(text, key);
                text.push(':');
                put_json(text, value);
            }
        }
    }
    out.text().push('}');
}

fn holed_spec(spec: &Map<String, Value>, indexed: Option<&str>) -> Holed {
    let mut out = Holed::default();
    let json = serde_json::to_string(spec).expect("JSON that was read can be written");
    put(out.text(), format_args!(r#"}},"spec":{json}"#));
    if let Some(job) = indexed {
        let closed = out.text().pop();
        debug_assert_eq!(closed, Some('}'));
        put(out.text(), format_args!(r#","hostname":"{job}-"#));
        out.hole(Hole::Index);
        out.text().push_str("\"}");
    }
    out
}

/// kubernetes: what defaulting and admission add to a pod but not to a template.
fn add_defaults(spec: &mut Map<String, Value>, priority: Option<&PodPriority>) {
    let account = spec.get("serviceAccountName").cloned().unwrap_or_else(|| json!("default"));
    spec.insert("serviceAccountName".to_owned(), account.clone());
    spec.insert("serviceAccount".to_owned(), account);
    spec.insert("nodeName".to_owned(), json!(NODE_NAME));
    let default = PodPriority::default();
    let PodPriority { class, value, preemption_policy } = priority.unwrap_or(&default);
    let class = class.as_ref().map(|class| ("priorityClassName", json!(class)));
    let resolved = [("priority", json!(value)), ("preemptionPolicy", json!(preemption_policy.as_str()))];
    for (field, value) in [("enableServiceLinks", json!(true))].into_iter().chain(resolved).chain(class) {
        spec.entry(field).or_insert(value);
    }
    each_container(spec, |container| {
        let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else { return };
        let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
        let requests = resources.entry("requests").or_insert_with(|| json!({}));
        let Some(requests) = requests.as_object_mut() else { return };
        for (name, limit) in limits {
            requests.entry(name).or_insert(limit);
        }
    });
}

/// kubernetes: `addCompletionIndexEnvVariables`; the hostname is put in for each pod.
fn add_index(spec: &mut Map<String, Value>) {
    spec.remove("hostname");
    let field = json!({"apiVersion": "v1", "fieldPath": format!("metadata.labels['{INDEX_KEY}']")});
    let variable = json!({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": field}});
    each_container(spec, |container| {
        let env = container.entry("env").or_insert_with(|| json!([]));
        let Some(env) = env.as_array_mut() else { return };
        if !env.iter().any(|entry| entry["name"] == variable["name"]) {
            env.push(variable.clone());
        }
    });
}

fn each_container(spec: &mut Map<String, Value>, mut change: impl FnMut(&mut Map<String, Value>)) {
    for field in ["initContainers", "containers"] {
        let containers = spec.get_mut(field).and_then(Value::as_array_mut);
        containers.into_iter().flatten().filter_map(Value::as_object_mut).for_each(&mut change);
    }
}

fn scalar(spec: &Map<String, Value>, field: &str) -> String {
    match spec.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None if field == "hostNetwork" => "false".to_owned(),
        None => String::new(),
    }
}

/// kubernetes: `qos.ComputePodQOS`, after requests were defaulted from limits.
fn qos_class(spec: &Map<String, Value>) -> &'static str {
    let containers = ["initContainers", "containers"].iter().filter_map(|field| spec.get(*field)?.as_array()).flatten();
    let (mut has_any, mut is_guaranteed) = (false, true);
    for container in containers {
        for resource in ["cpu", "memory"] {
            let amount = |kind: &str| {
                let quantity: Quantity = container["resources"][kind][resource].as_str()?.parse().ok()?;
                (quantity.units() > 0).then_some(quantity)
            };
            let (request, limit) = (amount("requests"), amount("limits"));
            has_any |= request.is_some() || limit.is_some();
            is_guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (has_any, is_guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qos_classes_follow_kubernetes_rule() {
        let cases = [
            (json!({}), "BestEffort"),
            (json!({"limits": {"memory": "0"}}), "BestEffort"),
            (json!({"limits": {"memory": "64Mi"}}), "Burstable"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"limits": {"memory": "64Mi", "cpu": "1"}}), "Guaranteed"),
            (json!({"limits": {"memory": "64Mi", "cpu": "1"}, "requests": {"cpu": "1000m"}}), "Guaranteed"),
            (json!({"limits": {"memory": "64Mi", "cpu": "1"}, "requests": {"cpu": "500m"}}), "Burstable"),
        ];
        for (resources, class) in cases {
            let spec = json!({"containers": [{"name": "c", "resources": resources}]});
            let mut spec = spec.as_object().expect("an object").clone();
            add_defaults(&mut spec, None);
            assert_eq!(qos_class(&spec), class, "{spec:?}");
        }
    }
}
