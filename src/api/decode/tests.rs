//! From bytes to a Job, or to a Status in the reference's words.

use super::*;
use k8s_openapi::api::batch::v1::Job;
use proptest::prelude::*;
use serde_json::json;

const JOB: Expected = Expected {
    api_version: "batch/v1",
    kind: "Job",
    internal: "batch.Job",
    is_in_every_group: false,
    message: &protobuf::JOB,
};

fn read(body: &str, content_type: Option<&str>, validation: FieldValidation) -> Result<Decoded<Job>, Status> {
    decode(body.as_bytes(), content_type, validation, JOB, |_| Ok(()))
}

fn golden_message(name: &str) -> String {
    let path = format!("{}/tests/goldens/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let value: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a golden")).expect("JSON");
    value["message"].as_str().expect("a message").to_owned()
}

#[test]
fn content_types_that_name_json_or_yaml_are_read() {
    for (content_type, wanted) in [
        (None, MediaType::Json),
        (Some(""), MediaType::Json),
        (Some("application/json; charset=utf-8"), MediaType::Json),
        (Some("Application/YAML"), MediaType::Yaml),
        (Some("application/vnd.kubernetes.protobuf"), MediaType::Protobuf),
    ] {
        assert_eq!(MediaType::parse(content_type).ok(), Some(wanted), "{content_type:?}");
    }
    for content_type in ["text/plain", "application/cbor", "application/x-protobuf"] {
        assert_eq!(MediaType::parse(Some(content_type)).expect_err(content_type).code(), 415);
    }
}

#[test]
fn field_validation_takes_three_words() {
    use FieldValidation::{Ignore, Strict, Warn};
    let mut errors = FieldErrors::default();
    for (word, wanted) in
        [(None, Warn), (Some(""), Warn), (Some("Warn"), Warn), (Some("Strict"), Strict), (Some("Ignore"), Ignore)]
    {
        assert_eq!(FieldValidation::read(word, &mut errors), wanted);
    }
    assert!(errors.is_empty());
    FieldValidation::read(Some("strict"), &mut errors);
    assert_eq!(
        errors.into_vec()[0].to_string(),
        "fieldValidation: Unsupported value: \"strict\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
    );
}

#[test]
fn broken_json_is_refused_in_the_words_of_the_reference() {
    let status = read("{\"a\":", None, FieldValidation::Warn).expect_err("cut");
    assert_eq!(status.message, golden_message("status-400-bad-json"));
}

#[test]
fn an_unknown_field_is_refused_in_the_words_of_the_reference() {
    let status = read(r#"{"spec":{"paralelism":1}}"#, None, FieldValidation::Strict).expect_err("strict");
    assert_eq!(status.message, golden_message("status-400-strict"));
}

#[test]
fn bodies_that_are_no_job_are_refused() {
    let handled = |text: &str| format!("{text} cannot be handled as a Job: ");
    let cases = [
        ("", "the object provided is unrecognized (must be of type Job): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)".to_owned()),
        (r#"{"kind":"Pod","apiVersion":"v1"}"#, handled("Pod in version \"v1\"") + "converting (v1.Pod) to (batch.Job): unknown conversion"),
        (r#"{"kind":"CronJob"}"#, handled("CronJob in version \"v1\"") + "converting (v1.CronJob) to (batch.Job): unknown conversion"),
        (r#"{"apiVersion":"batch/v2"}"#, handled("Job in version \"v2\"") + "no kind \"Job\" is registered for version \"batch/v2\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""),
        (r#"{"spec":{"completions":"four"}}"#, handled("Job in version \"v1\"") + "spec.completions: invalid type: string \"four\", expected i32"),
        (r#"{"spec":{"completions":3000000000}}"#, handled("Job in version \"v1\"") + "spec.completions: invalid value: integer `3000000000`, expected i32"),
        (r#"{"spec":{"completions":1.5}}"#, handled("Job in version \"v1\"") + "spec.completions: invalid type: floating point `1.5`, expected i32"),
        (r#"{"spec":{"template":{"spec":{"containers":[{},{"env":[{"name":1}]}]}}}}"#, handled("Job in version \"v1\"") + "spec.template.spec.containers[1].env[0].name: invalid type: integer `1`, expected a string"),
    ];
    for (body, message) in cases {
        assert_eq!(read(body, None, FieldValidation::Warn).expect_err(body).message, message, "{body}");
    }
}

#[test]
fn missing_version_and_kind_come_from_the_path() {
    for body in ["{}", r#"{"kind":"Job"}"#, r#"{"apiVersion":"batch/v1","kind":"Job"}"#, r#"{"kind":null}"#] {
        assert_eq!(read(body, None, FieldValidation::Strict).expect(body).object, Job::default(), "{body}");
    }
}

#[test]
fn null_is_the_same_as_absent() {
    let body = r#"{"metadata":{"name":null,"creationTimestamp":null},"spec":null,"status":null}"#;
    assert_eq!(read(body, None, FieldValidation::Strict).expect("nulls").object, Job::default());
}

#[test]
fn unknown_and_repeated_fields_are_named_as_kubectl_names_them() {
    let body = r#"{"spec":{"completions":1,"completions":2,"foo":null,"template":{"spec":{"containers":[
        {"name":"c","comand":["x"],"env":[{"name":"a","name":"b"}]}]}}},"bar":{"a":1}}"#;
    let faults = [
        "unknown field \"bar\"",
        "unknown field \"spec.foo\"",
        "unknown field \"spec.template.spec.containers[0].comand\"",
        "duplicate field \"spec.completions\"",
        "duplicate field \"spec.template.spec.containers[0].env[0].name\"",
    ];
    let decoded = read(body, None, FieldValidation::Warn).expect("only warned");
    assert_eq!(decoded.warnings, faults);
    assert_eq!(decoded.object.spec.expect("spec").completions, Some(2));
    assert!(read(body, None, FieldValidation::Ignore).expect("ignored").warnings.is_empty());
    assert_eq!(
        read(body, None, FieldValidation::Strict).expect_err("refused").message,
        format!("Job in version \"v1\" cannot be handled as a Job: strict decoding error: {}", faults.join(", "))
    );
}

#[test]
fn the_list_of_unknown_fields_ends_at_its_limit() {
    let fields: Vec<String> = (0..STRICT_ERRORS_MAX + 5).map(|n| format!("\"f{n:03}\":1")).collect();
    let body = format!("{{{}}}", fields.join(","));
    assert_eq!(read(&body, None, FieldValidation::Warn).expect("warned").warnings.len(), STRICT_ERRORS_MAX);
}

#[test]
fn long_paths_of_faults_are_cut() {
    let key = "k".repeat(5000);
    let body = format!(r#"{{"{key}":1,"metadata":{{"labels":{{"{key}":"a","{key}":"b"}}}}}}"#);
    let warnings = read(&body, None, FieldValidation::Warn).expect("warned").warnings;
    let lengths: Vec<usize> = warnings.iter().map(String::len).collect();
    assert_eq!(lengths, ["unknown field \"\"", "duplicate field \"\""].map(|text| text.len() + 1024));
}

#[test]
fn a_body_above_the_limit_is_refused_before_it_is_read() {
    let at_limit = format!("{{}}{}", " ".repeat(BODY_BYTES_MAX - 2));
    assert!(read(&at_limit, None, FieldValidation::Warn).is_ok());
    let status = read(&(at_limit + " "), None, FieldValidation::Warn).expect_err("one byte more");
    assert_eq!((status.code(), status.message.as_str()), (413, "Request entity too large: limit is 3145728"));
}

#[test]
fn depth_is_bounded_at_its_limit_in_both_languages() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    for read in [|text: &str| read_json(text.as_bytes()), read_yaml] {
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        assert!(read(&nested(DEPTH_MAX + 1)).is_err());
        assert!(read(&nested(100_000)).is_err());
    }
}

#[test]
fn yaml_reads_as_kubectl_reads_it() {
    let tree =
        read_yaml("a: yes\nb: 0644\nc: 'yes'\nd: ~\ne: 1.5\nf: [x, 2]\ng: {on: off}\nh: 2.10.0\n").expect("yaml");
    assert_eq!(
        tree.value,
        json!({"a": true, "b": 420, "c": "yes", "d": null, "e": 1.5, "f": ["x", 2], "g": {"on": false}, "h": "2.10.0"})
    );
}

#[test]
fn yaml_with_repeated_keys_or_several_documents_is_refused() {
    assert_eq!(read_yaml("a: 1\nb: 2\na: 3\n").expect_err("repeated").line, 3);
    assert!(read_yaml("a: 1\n---\nb: 2\n").is_err());
    assert!(read_yaml("a: [1").is_err());
    assert!(read_yaml("a: .nan").is_err());
    let body = read("a: 1\na: 2\n", Some("application/yaml"), FieldValidation::Ignore).expect_err("repeated");
    assert_eq!(body.code(), 400);
}

#[test]
fn a_file_gives_its_documents_with_their_lines() {
    let text =
        "# a comment\n\nkind: A\n---\n\nkind: B\ntext: |\n  --- not a mark\n---\n---\n# nothing\n--- \nkind: C\n...\n";
    let documents = read_documents(text).expect("three documents");
    let found: Vec<(u64, &Value)> = documents.iter().map(|document| (document.line, &document.value["kind"])).collect();
    assert_eq!(found, [(3, &json!("A")), (6, &json!("B")), (13, &json!("C"))]);
    assert_eq!(read_documents("").expect("nothing"), []);
    assert_eq!(read_documents(r#"{"kind":"A"}"#).expect("JSON").len(), 1);
}

#[test]
fn an_error_in_a_file_names_the_line_of_the_file() {
    let error = read_documents("kind: A\n---\nkind: B\nkind: C\n").expect_err("repeated key");
    assert!(matches!(error, ManifestError::Document { line: 4, .. }), "{error:?}");
}

#[test]
fn a_file_may_hold_so_many_documents_and_no_more() {
    let text = "---\na: 1\n".repeat(DOCUMENTS_MAX);
    assert_eq!(read_documents(&text).map(|documents| documents.len()), Ok(DOCUMENTS_MAX));
    assert_eq!(read_documents(&(text + "---\na: 1\n")), Err(ManifestError::TooMany));
}

const SAMPLE: &str = r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a","labels":{"k":"v"}},"spec":{"completions":2,
    "template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i","env":[{"name":"A","value":"é\n"}]}]}}}}"#;

proptest! {
    #[test]
    fn mutated_bodies_never_panic(
        at in 0..SAMPLE.len(),
        bytes in proptest::collection::vec(any::<u8>(), 0..8),
        removed in 0_usize..8,
        yaml in any::<bool>(),
    ) {
        let mut body = SAMPLE.as_bytes().to_vec();
        body.splice(at..(at + removed).min(SAMPLE.len()), bytes);
        let content_type = yaml.then_some("application/yaml");
        let _: Result<Decoded<Job>, Status> = decode(&body, content_type, FieldValidation::Strict, JOB, |_| Ok(()));
        let _ = read_documents(&String::from_utf8_lossy(&body));
    }

    #[test]
    fn json_read_by_us_is_json_read_by_serde(text in "[\\[\\]{}:,\"a0-9 .e-]{0,40}") {
        let ours = read_json(text.as_bytes()).map(|tree| tree.value).ok();
        prop_assert_eq!(ours, serde_json::from_str::<Value>(&text).ok());
    }
}
