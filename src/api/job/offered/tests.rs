//! Every field that the types know is either offered or refused.

use super::*;
use k8s_openapi::api::batch::v1::Job;
use serde::de::Error;
use serde::de::value::StrDeserializer;
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::json;
use std::collections::BTreeSet;

/// A list inside a list deeper than this is left empty; a Job's own types end far above.
const LEVELS: usize = 24;

/// Gives every field of a type a value, as the type itself asks for it: so a new field of a newer k8s-openapi shows up here.
#[derive(Clone, Copy)]
struct Everything(usize);

impl<'de> Deserializer<'de> for Everything {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str("x")
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_bool(true)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_i32(1)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_i64(1)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_f64(1.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0 > LEVELS { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match name {
            "Time" | "MicroTime" => visitor.visit_newtype_struct(StrDeserializer::new("2026-11-23T03:43:57.000000Z")),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_seq(Once(self.0, true))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(Fields(self.0, ["k"].iter()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_map(Fields(self.0, fields.iter()))
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 char str string bytes byte_buf unit unit_struct tuple tuple_struct enum
        identifier ignored_any
    }
}

struct Once(usize, bool);

impl<'de> SeqAccess<'de> for Once {
    type Error = serde::de::value::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Self::Error> {
        let first = std::mem::take(&mut self.1);
        first.then(|| seed.deserialize(Everything(self.0 + 1))).transpose()
    }
}

struct Fields(usize, std::slice::Iter<'static, &'static str>);

impl<'de> MapAccess<'de> for Fields {
    type Error = serde::de::value::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        // The two that a Job checks for itself.
        let skipped = |field: &&&str| ["apiVersion", "kind"].contains(*field) && self.0 == 0;
        let next = self.1.by_ref().find(|field| !skipped(field));
        next.map(|field| seed.deserialize(StrDeserializer::new(field))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        seed.deserialize(Everything(self.0 + 1))
    }
}

fn every_field() -> Value {
    let mut job =
        Job::deserialize(Everything(0)).unwrap_or_else(|error| panic!("{}", serde::de::value::Error::custom(error)));
    job.status = None;
    job.metadata.resource_version = None;
    serde_json::from_str(&super::super::pruned::text(&job)).expect("JSON")
}

fn rule(pattern: &str) -> Option<Rule> {
    TABLE.iter().find(|(path, _)| *path == pattern).map(|(_, rule)| *rule)
}

fn errors_of(document: &Value) -> Vec<String> {
    let mut errors = FieldErrors::default();
    check(&document.to_string(), &mut errors);
    errors.into_vec().iter().map(ToString::to_string).collect()
}

/// Patterns of `value` and of all below it.
fn patterns(value: &Value, pattern: &str, found: &mut BTreeSet<String>) {
    found.insert(pattern.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, field)| patterns(field, &format!("{pattern}.{key}"), found))
        }
        Value::Array(items) => items.iter().for_each(|item| patterns(item, &format!("{pattern}[]"), found)),
        _ => {}
    }
}

#[test]
fn every_field_that_the_types_know_is_decided_by_name() {
    let document = every_field();
    let mut known = BTreeSet::new();
    for (key, field) in document.as_object().expect("an object") {
        patterns(field, key, &mut known);
    }
    assert!(known.len() > 500, "the types were not walked: {}", known.len());
    for pattern in &known {
        // A field is decided by its own line, or with the whole object in which it lies.
        let mut at = pattern.as_str();
        loop {
            match rule(at) {
                Some(Inside | First(_)) => assert_eq!(at, pattern, "{pattern} has no line of its own"),
                Some(_) => break,
                None => {}
            }
            if rule(at).is_some() {
                break;
            }
            let end = at.strip_suffix("[]").map_or_else(|| at.rfind('.').unwrap_or(0), str::len);
            assert!(end > 0, "{pattern} has no line");
            at = &at[..end];
        }
    }
}

#[test]
fn every_line_is_about_a_field_that_exists_and_stands_once() {
    let mut known = BTreeSet::new();
    for (key, field) in every_field().as_object().expect("an object") {
        patterns(field, key, &mut known);
    }
    let mut seen = BTreeSet::new();
    for (path, _) in TABLE {
        assert!(seen.insert(path), "{path} stands twice");
        // These two are dropped when a document is made.
        let dropped = ["spec.template.metadata.resourceVersion", "apiVersion", "kind"].contains(path);
        assert!(dropped || known.contains(*path), "{path} is no field");
    }
}

#[test]
fn a_field_that_is_not_in_the_table_is_refused() {
    let errors =
        errors_of(&json!({"spec": {"newThing": 1, "template": {"spec": {"containers": [{"gpu": {"a": 1}}]}}}}));
    assert_eq!(
        errors,
        [
            "spec.newThing: Forbidden: not offered by this version of Coracle: this field",
            "spec.template.spec.containers[0].gpu: Forbidden: not offered by this version of Coracle: this field",
        ]
    );
}

/// The field at a path of the table, as the smallest document that has it.
fn holder(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |inner, part| match part.strip_suffix("[]") {
        Some(name) => json!({ name: [inner] }),
        None => json!({ part: inner }),
    })
}

#[test]
fn every_refused_field_is_refused_at_its_path() {
    for (path, line) in TABLE {
        let missing = match line {
            Refused(missing) | When(_, missing) | Keys(_, missing) => missing,
            Kept | AtMost(_) | Inside | First(_) => continue,
        };
        let (value, at) = match line {
            Keys(..) => (json!({"coracle.dev/x": "1"}), format!("{path}[coracle.dev/x]")),
            When(holds, _) if holds(&json!(true)) => (json!(false), (*path).to_owned()),
            _ => (json!(true), (*path).to_owned()),
        };
        let wanted =
            format!("{}: Forbidden: not offered by this version of Coracle: {missing}", at.replace("[]", "[0]"));
        assert_eq!(errors_of(&holder(path, value)), [wanted]);
    }
}

#[test]
fn what_is_offered_passes() {
    let offered = [
        ("spec.backoffLimitPerIndex", json!(1)),
        ("spec.managedBy", json!("example.com/x")),
        ("spec.manualSelector", json!(false)),
        ("spec.maxFailedIndexes", json!(1)),
        ("spec.suspend", json!(true)),
        ("spec.successPolicy.rules[]", json!({"succeededCount": 1})),
        ("spec.ttlSecondsAfterFinished", json!(0)),
        ("spec.podFailurePolicy.rules[].action", json!("FailIndex")),
        ("spec.podFailurePolicy.rules[].onPodConditions[]", json!({"type": "DisruptionTarget", "status": "True"})),
        ("metadata.annotations", json!({"coracle.dev/backoff-base": "500ms", "coracle.dev/backoff-max": "500ms"})),
        ("metadata.annotations", json!({"coracle.dev/backoff-base": "10m"})),
        ("metadata.annotations", json!({"coracle.dev/backoff-max": "1h30m"})),
        ("spec.template.spec.containers[].restartPolicy", json!("Always")),
        (
            "spec.template.spec.containers[].restartPolicyRules[]",
            json!({"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}),
        ),
        ("spec.completions", json!(COMPLETIONS_MAX)),
        ("spec.parallelism", json!(COMPLETIONS_MAX)),
        ("metadata.annotations", json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"})),
        ("spec.template.metadata.annotations", json!({"coracle.dev/fuel": "1000"})),
        ("spec.template.metadata.annotations", json!({"coracle.dev/fuel": "18446744073709551615"})),
        ("spec.template.spec.automountServiceAccountToken", json!(false)),
        ("spec.template.spec.hostUsers", json!(true)),
        ("spec.template.spec.preemptionPolicy", json!("Never")),
        ("spec.template.spec.priority", json!(1000)),
        ("spec.template.spec.priorityClassName", json!("high")),
        ("spec.template.spec.restartPolicy", json!("OnFailure")),
        ("spec.template.spec.schedulerName", json!("default-scheduler")),
        ("spec.template.spec.securityContext", json!({})),
        ("spec.template.spec.serviceAccountName", json!("default")),
        ("spec.template.spec.terminationGracePeriodSeconds", json!(4_294_967_295_i64)),
        ("spec.template.spec.tolerations[]", json!({"operator": "Exists"})),
        ("spec.template.spec.containers[].ports[]", json!({"containerPort": 80, "name": "http", "protocol": "TCP"})),
        (
            "spec.template.spec.containers[].env[].valueFrom.fieldRef",
            json!({"apiVersion": "v1", "fieldPath": "metadata.uid"}),
        ),
        ("spec.template.spec.containers[].resources", json!({"limits": {"memory": "1"}, "requests": {"cpu": "1"}})),
        ("spec.template.spec.containers[].securityContext", json!({})),
    ];
    for (path, value) in offered {
        assert_eq!(errors_of(&holder(path, value)), [""; 0], "{path}");
    }
}

#[test]
fn what_would_need_more_is_refused_with_what_is_missing() {
    let limit = "limits[cpu]: Forbidden: not offered by this version of Coracle: a limit on this resource";
    let limit = format!("spec.template.spec.containers[0].resources.{limit}");
    let second = "spec.template.spec.containers[1]: Forbidden: not offered by this version of Coracle: more than one container in a pod";
    let path = "spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Forbidden: not offered by this version of \
                Coracle: this field of the pod as a variable";
    let refused = [
        ("spec.template.spec.containers[].resources.limits", json!({"cpu": "1", "memory": "1"}), limit.as_str()),
        ("spec.template.spec.containers", json!([{}, {"name": "d"}]), second),
        ("spec.template.spec.containers[].env[].valueFrom.fieldRef.fieldPath", json!("status.podIP"), path),
    ];
    for (field, value, error) in refused {
        assert_eq!(errors_of(&holder(field, value)), [error]);
    }
}

#[test]
fn our_limits_say_where_they_are() {
    let fuel = "spec.template.metadata.annotations[coracle.dev/fuel]: Invalid value: ";
    let why = "must be a positive integer: units of fuel, about one a wasm instruction";
    let cases = [
        (
            "spec.completions",
            json!(2_000_000_000),
            "spec.completions: Invalid value: 2000000000: is above this server's limit 10,000,000".to_owned(),
        ),
        (
            "spec.parallelism",
            json!(10_000_001),
            "spec.parallelism: Invalid value: 10000001: is above this server's limit 10,000,000".to_owned(),
        ),
        (
            "spec.template.spec.terminationGracePeriodSeconds",
            json!(4_294_967_296_i64),
            "spec.template.spec.terminationGracePeriodSeconds: Invalid value: 4294967296: is above this server's limit 4,294,967,295"
                .to_owned(),
        ),
        ("spec.template.metadata.annotations", json!({"coracle.dev/fuel": "0"}), format!("{fuel}\"0\": {why}")),
        ("spec.template.metadata.annotations", json!({"coracle.dev/fuel": "+5"}), format!("{fuel}\"+5\": {why}")),
        ("spec.template.metadata.annotations", json!({"coracle.dev/fuel": ""}), format!("{fuel}\"\": {why}")),
        ("spec.template.metadata.annotations", json!({"coracle.dev/fuel": "1.5"}), format!("{fuel}\"1.5\": {why}")),
        (
            "spec.template.metadata.annotations",
            json!({"coracle.dev/fuel": "18446744073709551616"}),
            format!("{fuel}\"18446744073709551616\": {why}"),
        ),
    ];
    for (path, value, error) in cases {
        assert_eq!(errors_of(&holder(path, value)), [error]);
    }
}

#[test]
fn delays_that_make_no_sense_are_refused() {
    let base =
        |text: &str, why: &str| (json!({"coracle.dev/backoff-base": text}), "base", text.to_owned(), why.to_owned());
    let form = "must be a positive duration such as 500ms, 2s or 5m";
    let too_long = "must not be longer than coracle.dev/backoff-max (10m if unset)";
    let cases = [
        base("", form),
        base("0s", form),
        base("5", form),
        base("-1s", form),
        base("601s", too_long),
        (
            json!({"coracle.dev/backoff-base": "3s", "coracle.dev/backoff-max": "2s"}),
            "base",
            "3s".to_owned(),
            too_long.to_owned(),
        ),
        (
            json!({"coracle.dev/backoff-max": "9s"}),
            "max",
            "9s".to_owned(),
            "must not be shorter than coracle.dev/backoff-base (10s if unset)".to_owned(),
        ),
        (json!({"coracle.dev/backoff-max": "soon"}), "max", "soon".to_owned(), form.to_owned()),
    ];
    for (annotations, which, text, why) in cases {
        let error = format!("metadata.annotations[coracle.dev/backoff-{which}]: Invalid value: \"{text}\": {why}");
        assert_eq!(errors_of(&holder("metadata.annotations", annotations)), [error]);
    }
}
