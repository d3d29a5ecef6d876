//! Jobs as clients send them.
//!
//! Knows the fields that benchmarks set, and their numbers in protobuf (kubernetes: `generated.proto` of `batch/v1`, `core/v1` and
//! `meta/v1`). Invariant: both encodings say the same.

use bytes::Bytes;
use serde_json::{Value, json};

/// How a body begins that is protobuf (kubernetes: `runtime.Unknown`).
const MAGIC: &[u8] = b"k8s\0";

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Encoding {
    /// application/vnd.kubernetes.protobuf, as client-go sends it
    Protobuf,
    /// application/json, as kubectl sends it
    Json,
}

impl Encoding {
    /// As the `Content-Type` and `--encoding` say it.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
            Self::Json => "application/json",
        }
    }

    /// A Job of one pod.
    pub(super) fn one_pod(self, name: &str, image: &str) -> Bytes {
        match self {
            Self::Protobuf => one_pod_protobuf(name, image).into(),
            Self::Json => one_pod(name, image).to_string().into(),
        }
    }
}

fn one_pod(name: &str, image: &str) -> Value {
    job(name, json!({ "backoffLimit": 0 }), &json!({ "name": "c", "image": image }))
}

/// An Indexed Job.
pub(super) fn indexed(name: &str, image: &str, args: &[&str], pods: u32, parallelism: u32) -> Bytes {
    let spec = json!({
        "completionMode": "Indexed", "completions": pods, "parallelism": parallelism.min(pods), "backoffLimit": 0,
    });
    job(name, spec, &json!({ "name": "c", "image": image, "args": args })).to_string().into()
}

fn job(name: &str, mut spec: Value, container: &Value) -> Value {
    spec["template"] = json!({ "spec": { "restartPolicy": "Never", "containers": [container] } });
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name }, "spec": spec })
}

fn one_pod_protobuf(name: &str, image: &str) -> Vec<u8> {
    let container = [bytes_field(1, b"c"), bytes_field(2, image.as_bytes())].concat();
    let pod = [bytes_field(2, &container), bytes_field(3, b"Never")].concat();
    let backoff_limit = [vec![7 << 3], varint(0)].concat();
    let spec = [bytes_field(6, &bytes_field(2, &pod)), backoff_limit].concat();
    let job = [bytes_field(1, &bytes_field(1, name.as_bytes())), bytes_field(2, &spec)].concat();
    let kind = [bytes_field(1, b"batch/v1"), bytes_field(2, b"Job")].concat();
    [MAGIC.to_vec(), bytes_field(1, &kind), bytes_field(2, &job)].concat()
}

/// A field of bytes, text or a message.
fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    const LENGTH_DELIMITED: u8 = 2;
    [vec![number << 3 | LENGTH_DELIMITED], varint(bytes.len()), bytes.to_vec()].concat()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let seven = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            bytes.push(seven);
            return bytes;
        }
        bytes.push(seven | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_pb::api::batch::v1::Job;
    use k8s_pb::apimachinery::pkg::runtime::Unknown;
    use prost::Message as _;

    #[test]
    fn both_encodings_say_the_same() {
        let image = format!("team/{}", "x".repeat(300));
        let body = Encoding::Protobuf.one_pod("jobs-7", &image);
        let unknown = Unknown::decode(&body[MAGIC.len()..]).expect("an envelope");
        let kind = unknown.type_meta.expect("its kind");
        assert_eq!((kind.api_version.as_deref(), kind.kind.as_deref()), (Some("batch/v1"), Some("Job")));
        let job = Job::decode(unknown.raw.expect("the Job").as_slice()).expect("a Job");
        let spec = job.spec.expect("a spec");
        let pod = spec.template.expect("a template").spec.expect("a pod");
        let json: Value = serde_json::from_slice(&Encoding::Json.one_pod("jobs-7", &image)).expect("JSON");
        let of_protobuf = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": job.metadata.expect("metadata").name },
            "spec": { "backoffLimit": spec.backoff_limit, "template": { "spec": {
                "restartPolicy": pod.restart_policy,
                "containers": [{ "name": pod.containers[0].name, "image": pod.containers[0].image }],
            }}},
        });
        assert_eq!(json, of_protobuf);
    }

    #[test]
    fn a_job_has_no_more_pods_at_a_time_than_in_all() {
        let body: Value = serde_json::from_slice(&indexed("a", "i", &["9"], 5, 10)).expect("JSON");
        assert_eq!((body["spec"]["completions"].clone(), body["spec"]["parallelism"].clone()), (json!(5), json!(5)));
        assert_eq!(body["spec"]["template"]["spec"]["containers"][0]["args"], json!(["9"]));
    }
}
