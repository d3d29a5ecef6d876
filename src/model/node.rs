//! The node that this server is, and what pods ask of one.
//!
//! Knows amounts and labels, not who waits. Invariant: a pod that asks for nothing has no [`Needs`].

use serde::Deserialize;
use std::collections::BTreeMap;

/// The key and effect of the taint of a node that takes no more pods (kubernetes: `TaintNodeUnschedulable`).
const CORDON_TAINT: (&str, &str) = ("node.kubernetes.io/unschedulable", "NoSchedule");

/// What a node has, whatever clients write of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeShape {
    /// `metadata.name`.
    pub name: String,
    /// Thousandths of a CPU.
    pub cpu_m: u64,
    /// Bytes.
    pub memory_bytes: u64,
    /// The labels that it has from the start.
    pub labels: BTreeMap<String, String>,
}

/// What clients wrote of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct NodeSays {
    /// Its metadata.
    #[serde(default)]
    pub metadata: NodeMetadata,
    /// Its spec.
    #[serde(default)]
    pub spec: NodeSpec,
}

/// The part of a node's metadata that clients write.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct NodeMetadata {
    /// All its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The part of a node's spec that clients write.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct NodeSpec {
    /// It takes no more pods.
    #[serde(default)]
    pub unschedulable: bool,
}

impl NodeSays {
    /// Reads a document.
    ///
    /// # Errors
    /// When it did not go through validation.
    pub fn from_doc(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}

/// What a pod asks of its node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// Thousandths of a CPU, reserved.
    pub cpu_m: u64,
    /// Bytes, reserved.
    pub memory_bytes: u64,
    /// Resources that no node here has.
    pub others: Vec<String>,
    /// `nodeSelector`.
    pub selector: BTreeMap<String, String>,
    /// `requiredDuringSchedulingIgnoredDuringExecution` of the node affinity: one of these terms must hold.
    pub terms: Option<Vec<NodeTerm>>,
    /// `schedulingGates`.
    pub gates: Vec<String>,
    /// It may go to a node that takes no more pods.
    pub tolerates_cordon: bool,
}

/// kubernetes: `core/v1 NodeSelectorTerm`: all of it must hold; an empty one never does.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeTerm {
    /// About labels.
    pub match_expressions: Vec<NodeRequirement>,
    /// About `metadata.name`.
    pub match_fields: Vec<NodeRequirement>,
}

/// kubernetes: `core/v1 NodeSelectorRequirement`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct NodeRequirement {
    /// Of which label or field.
    pub key: String,
    /// How the values are meant.
    pub operator: NodeOperator,
    /// Values.
    #[serde(default)]
    pub values: Vec<String>,
}

/// kubernetes: `core/v1 NodeSelectorOperator`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub enum NodeOperator {
    /// One of the values.
    In,
    /// None of them, or no label.
    NotIn,
    /// There is the label.
    Exists,
    /// There is not.
    DoesNotExist,
    /// A number above the value.
    Gt,
    /// A number below the value.
    Lt,
}

/// A toleration, as far as it decides.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Toleration {
    key: String,
    operator: String,
    value: String,
    effect: String,
}

impl Toleration {
    /// Whether it lets a pod go to a node that takes no more pods (kubernetes: `Toleration.ToleratesTaint`).
    #[must_use]
    pub fn is_of_cordon(&self) -> bool {
        let (key, effect) = CORDON_TAINT;
        let is_key = self.key == key || (self.key.is_empty() && self.operator == "Exists");
        let is_value = self.operator == "Exists" || self.value.is_empty();
        is_key && is_value && (self.effect.is_empty() || self.effect == effect)
    }
}

impl NodeRequirement {
    pub(super) fn holds(&self, value: Option<&str>) -> bool {
        let is_among = value.is_some_and(|value| self.values.iter().any(|wanted| wanted == value));
        let number = |text: &str| text.parse::<i64>().ok();
        let both = || Some((number(value?)?, number(self.values.first()?)?));
        match self.operator {
            NodeOperator::In => is_among,
            NodeOperator::NotIn => !is_among,
            NodeOperator::Exists => value.is_some(),
            NodeOperator::DoesNotExist => value.is_none(),
            NodeOperator::Gt => both().is_some_and(|(value, limit)| value > limit),
            NodeOperator::Lt => both().is_some_and(|(value, limit)| value < limit),
        }
    }
}

impl Needs {
    /// Whether a node of this name with these labels will do (kubernetes: `GetRequiredNodeAffinity`).
    #[must_use]
    pub fn takes(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let is_selected = self.selector.iter().all(|(key, value)| labels.get(key) == Some(value));
        let holds = |term: &NodeTerm| {
            let is_empty = term.match_expressions.is_empty() && term.match_fields.is_empty();
            let label = |rule: &NodeRequirement| rule.holds(labels.get(&rule.key).map(String::as_str));
            let field = |rule: &NodeRequirement| rule.key == "metadata.name" && rule.holds(Some(name));
            !is_empty && term.match_expressions.iter().all(label) && term.match_fields.iter().all(field)
        };
        is_selected && self.terms.as_ref().is_none_or(|terms| terms.iter().any(holds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(json: &str) -> Needs {
        Needs { terms: Some(serde_json::from_str(json).expect("terms")), ..Needs::default() }
    }

    #[test]
    fn required_affinity_follows_kubernetes_rule() {
        let labels = BTreeMap::from([("os".to_owned(), "linux".to_owned()), ("size".to_owned(), "5".to_owned())]);
        let cases = [
            ("[]", false),
            ("[{}]", false),
            (r#"[{"matchExpressions":[{"key":"os","operator":"In","values":["linux","x"]}]}]"#, true),
            (r#"[{"matchExpressions":[{"key":"os","operator":"NotIn","values":["linux"]}]}]"#, false),
            (r#"[{"matchExpressions":[{"key":"none","operator":"NotIn","values":["linux"]}]}]"#, true),
            (r#"[{"matchExpressions":[{"key":"none","operator":"Exists"}]}]"#, false),
            (r#"[{"matchExpressions":[{"key":"none","operator":"DoesNotExist"}]}]"#, true),
            (r#"[{"matchExpressions":[{"key":"size","operator":"Gt","values":["4"]}]}]"#, true),
            (r#"[{"matchExpressions":[{"key":"size","operator":"Lt","values":["4"]}]}]"#, false),
            (r#"[{"matchExpressions":[{"key":"os","operator":"Gt","values":["4"]}]}]"#, false),
            (r#"[{"matchFields":[{"key":"metadata.name","operator":"In","values":["one"]}]}]"#, true),
            (r#"[{"matchFields":[{"key":"metadata.name","operator":"In","values":["two"]}]}]"#, false),
            (r#"[{},{"matchExpressions":[{"key":"os","operator":"Exists"}]}]"#, true),
        ];
        for (json, takes) in cases {
            assert_eq!(terms(json).takes("one", &labels), takes, "{json}");
        }
        let selector =
            |value: &str| Needs { selector: BTreeMap::from([("os".to_owned(), value.to_owned())]), ..Needs::default() };
        assert!(selector("linux").takes("one", &labels) && !selector("x").takes("one", &labels));
    }

    #[test]
    fn a_toleration_of_everything_is_one_of_a_cordon() {
        let cases = [
            (r#"{"operator":"Exists"}"#, true),
            (r#"{"key":"node.kubernetes.io/unschedulable","operator":"Exists","effect":"NoSchedule"}"#, true),
            (r#"{"key":"node.kubernetes.io/unschedulable"}"#, true),
            (r#"{"key":"node.kubernetes.io/unschedulable","value":"x"}"#, false),
            (r#"{"operator":"Exists","effect":"NoExecute"}"#, false),
            (r#"{"key":"a","operator":"Exists"}"#, false),
        ];
        for (json, is_one) in cases {
            assert_eq!(serde_json::from_str::<Toleration>(json).expect(json).is_of_cordon(), is_one, "{json}");
        }
    }
}
