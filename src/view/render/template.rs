//! The part of a pod's JSON that all pods of a Job share, worked out once per document.
//!
//! Knows what Kubernetes adds to a template to make a pod (kubernetes: `podGenerateNameWithIndex`, `SetDefaults_PodSpec`). Invariant: the
//! completion index is the only thing in these pieces in which two pods of a Job differ.

use super::{INDEX_KEY, NODE_NAME, put, put_json};
use crate::base::Quantity;
use crate::model::{JobSpec, PodPriority};
use crate::view::doc::JobDoc;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Text in which the completion index stands at some places.
#[derive(Debug, Default)]
pub(super) struct Holed(Vec<String>);

impl Holed {
    pub(super) fn render(&self, index: u32, out: &mut String) {
        for (nth, text) in self.0.iter().enumerate() {
            if nth > 0 {
                put(out, format_args!("{index}"));
            }
            out.push_str(text);
        }
    }

    fn text(&mut self) -> &mut String {
        if self.0.is_empty() {
            self.0.push(String::new());
        }
        self.0.last_mut().expect("there is one now")
    }

    fn hole(&mut self) {
        self.text();
        self.0.push(String::new());
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
    put_map("labels", &spec.template.labels, spec.is_indexed(), &mut out);
    put_map("annotations", &spec.template.annotations, spec.is_indexed(), &mut out);
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

/// Appends `,"<field>":{…}` with the index under its key, nothing for an empty map.
fn put_map(field: &str, map: &BTreeMap<String, String>, is_indexed: bool, out: &mut Holed) {
    let own = map.iter().filter(|(key, _)| !(is_indexed && *key == INDEX_KEY));
    let mut entries: BTreeMap<&str, Option<&str>> =
        own.map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect();
    if is_indexed {
        entries.insert(INDEX_KEY, None);
    }
    if entries.is_empty() {
        return;
    }
    put(out.text(), format_args!(r#","{field}":{{"#));
    for (nth, (key, value)) in entries.into_iter().enumerate() {
        let text = out.text();
        text.push_str(if nth > 0 { "," } else { "" });
        put_json(text, key);
        text.push(':');
        if let Some(value) = value {
            put_json(text, value);
        } else {
            text.push('"');
            out.hole();
            out.text().push('"');
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
        out.hole();
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
