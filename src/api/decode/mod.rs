//! From the bytes of a request to a typed object.
//!
//! Owns media types, `fieldValidation` and the wording of decode errors; `tree` reads JSON and YAML into a value with a
//! bounded depth, `protobuf` does so with what the official Go client sends, `manifest` splits files of several documents. It must not know what a Job means. Invariant: any bytes give
//! a value or a [`Status`], in bounded time and depth.

mod manifest;
pub(super) mod protobuf;
mod tree;

#[cfg(test)]
mod tests;

use super::field::{FieldErrors, quoted};
use super::status::Status;
pub use manifest::{DOCUMENTS_MAX, Document, ManifestError, read_documents};
use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde_json::Value;
pub use tree::{DEPTH_MAX, Tree, TreeError, read_json, read_yaml};

/// A body may have this many bytes (kubernetes: apiserver `MaxRequestBodyBytes`, 3 MiB).
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Unknown and repeated fields beyond this many are not listed (kubernetes: sigs.k8s.io/json keeps 100 strict errors).
pub const STRICT_ERRORS_MAX: usize = 100;

/// A path of an unknown or repeated field is cut to this many bytes (keys are the client's and may be long).
const PATH_BYTES_MAX: usize = 1024;

/// The first bytes of a body that an error shows.
const SUMMARY_BYTES: usize = 30;

/// The media types of bodies, as errors list them.
const ACCEPTED: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The forms of a body that are read here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaType {
    /// `application/json`, and bodies without a Content-Type.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

impl MediaType {
    /// Reads a Content-Type; parameters such as `charset` do not matter.
    ///
    /// # Errors
    /// 415 for any other type.
    pub fn parse(content_type: Option<&str>) -> Result<Self, Status> {
        let essence = content_type.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match essence.as_str() {
            "" | "application/json" => Ok(Self::Json),
            "application/yaml" => Ok(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Ok(Self::Protobuf),
            _ => Err(Status::unsupported_media_type(&ACCEPTED)),
        }
    }
}

/// What is done about unknown and repeated fields (query parameter `fieldValidation`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FieldValidation {
    /// They are dropped in silence.
    Ignore,
    /// They are dropped, with a warning each.
    #[default]
    Warn,
    /// They are errors.
    Strict,
}

impl FieldValidation {
    /// Reads the query parameter; a word that it does not know is added to `errors`.
    pub(super) fn read(parameter: Option<&str>, errors: &mut FieldErrors) -> Self {
        match parameter.unwrap_or("") {
            "" | "Warn" => Self::Warn,
            "Ignore" => Self::Ignore,
            "Strict" => Self::Strict,
            other => {
                errors.not_supported("fieldValidation", quoted(other), &["", "Ignore", "Strict", "Warn"]);
                Self::Strict
            }
        }
    }
}

/// A decoded object and what to tell the client beside it.
#[derive(Clone, Debug)]
pub struct Decoded<T> {
    /// The object.
    pub object: T,
    /// Texts for `Warning` headers: unknown and repeated fields.
    pub warnings: Vec<String>,
}

/// The object kind that a path takes.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Such as `batch/v1`.
    pub api_version: &'static str,
    /// Such as `Job`.
    pub kind: &'static str,
    /// The name of the reference's internal type, such as `batch.Job`.
    pub internal: &'static str,
    /// Every group has this kind under its own `apiVersion` (kubernetes: `metav1.AddToGroupVersion`).
    pub(super) is_in_every_group: bool,
    /// Its fields in a protobuf body.
    pub(super) message: &'static [protobuf::Field],
}

/// Decodes a request body. `normalise` may rewrite the value before it is typed (forms that the reference accepts and the
/// type does not); what it refuses is a 400.
///
/// # Errors
/// 413, 415, or 400 in the reference's words.
pub fn decode<T: DeserializeOwned>(
    body: &[u8],
    content_type: Option<&str>,
    validation: FieldValidation,
    expected: Expected,
    normalise: fn(&mut Value) -> Result<(), String>,
) -> Result<Decoded<T>, Status> {
    let Tree { mut value, repeated } = read(body, content_type, expected)?;
    normalise(&mut value).map_err(|error| cannot_be_handled(expected, &error))?;
    let Ok((object, mut faults)) = noting_unknown(value) else {
        // The value went into the type; what is wrong is looked for in another one, with its path.
        let Tree { mut value, .. } = read(body, content_type, expected)?;
        let typed = normalise(&mut value).and_then(|()| typed::<T>(value).map(|_| String::new()));
        return Err(cannot_be_handled(expected, &typed.unwrap_or_else(|error| error)));
    };
    faults.extend(duplicates(&repeated));
    faults.truncate(STRICT_ERRORS_MAX);
    match validation {
        FieldValidation::Strict if !faults.is_empty() => {
            let error = format!("strict decoding error: {}", faults.join(", "));
            Err(cannot_be_handled(expected, &error))
        }
        FieldValidation::Warn => Ok(Decoded { object, warnings: faults }),
        FieldValidation::Strict | FieldValidation::Ignore => Ok(Decoded { object, warnings: Vec::new() }),
    }
}

/// Types the result of a patch, whose own repeated fields are `repeated`. The faults of a body are 422 here, as in the
/// reference, with the whole object.
///
/// # Errors
/// 422.
pub(super) fn decode_patched<T: DeserializeOwned>(
    mut patched: Value,
    repeated: &[String],
    validation: FieldValidation,
    normalise: fn(&mut Value) -> Result<(), String>,
) -> Result<Decoded<T>, Status> {
    let shown = patched.to_string();
    let invalid = |detail: String| {
        let mut errors = FieldErrors::default();
        errors.invalid("patch", quoted(&shown), detail);
        Status::invalid("", "", "", &errors.into_vec())
    };
    let (object, unknown) = normalise(&mut patched).and_then(|()| typed::<T>(patched)).map_err(invalid)?;
    let mut faults = duplicates(repeated);
    faults.extend(unknown);
    faults.truncate(STRICT_ERRORS_MAX);
    match validation {
        FieldValidation::Strict if !faults.is_empty() => {
            Err(invalid(format!("strict decoding error: {}", faults.join(", "))))
        }
        FieldValidation::Warn => Ok(Decoded { object, warnings: faults }),
        FieldValidation::Strict | FieldValidation::Ignore => Ok(Decoded { object, warnings: Vec::new() }),
    }
}

fn duplicates(paths: &[String]) -> Vec<String> {
    paths.iter().map(|path| format!("duplicate field {}", quoted(path))).collect()
}

/// The body's value, of the kind that is expected.
fn read(body: &[u8], content_type: Option<&str>, expected: Expected) -> Result<Tree, Status> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Status::too_large(BODY_BYTES_MAX));
    }
    let tree = match MediaType::parse(content_type)? {
        MediaType::Json => read_json(body),
        MediaType::Yaml => std::str::from_utf8(body)
            .map_err(|_| TreeError { message: "yaml: invalid UTF-8".to_owned(), line: 0 })
            .and_then(read_yaml),
        MediaType::Protobuf => return read_protobuf(body, expected),
    };
    let mut tree = tree.map_err(|error| unrecognised(expected, &error, body))?;
    check_kind(&mut tree.value, expected).map_err(|why| match why {
        KindError::NotAnObject(error) => unrecognised(expected, &error, body),
        KindError::Other(status) => status,
    })?;
    Ok(tree)
}

fn read_protobuf(body: &[u8], expected: Expected) -> Result<Tree, Status> {
    use protobuf::Fault;
    let envelope = protobuf::open(body).map_err(|fault| {
        let (Fault::Broken(why) | Fault::Unread(why)) = fault;
        let kind = expected.kind;
        let shown = summary(body);
        Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({shown})"))
    })?;
    check_names(envelope.api_version, envelope.kind, expected)?;
    let value = protobuf::object(envelope.raw, expected.message).map_err(|fault| match fault {
        Fault::Broken(why) => cannot_be_handled(expected, &why),
        Fault::Unread(path) => Status::bad_request(format!(
            "{path} is set in a protobuf body and cannot be converted by this version of Coracle; send JSON or YAML"
        )),
    })?;
    Ok(Tree { value, repeated: Vec::new() })
}

/// Types a value; also the texts about fields that the type does not have.
///
/// # Errors
/// What is wrong, with its path.
fn typed<T: DeserializeOwned>(value: Value) -> Result<(T, Vec<String>), String> {
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    noting_unknown(tracked).map_err(|error| {
        let path = without_options(&track.path());
        if path.is_empty() { error.to_string() } else { format!("{path}: {error}") }
    })
}

/// As [`typed`], without the path of an error: keeping track of it costs more than all the rest.
fn noting_unknown<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<(T, Vec<String>), D::Error> {
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| {
        if unknown.len() < STRICT_ERRORS_MAX {
            unknown.push(format!("unknown field {}", quoted(cut(&field_path(&path)))));
        }
    };
    let object = T::deserialize(serde_ignored::Deserializer::new(from, &mut note))?;
    Ok((object, unknown))
}

/// `path`, at most [`PATH_BYTES_MAX`] bytes of it.
fn cut(path: &str) -> &str {
    &path[..path.floor_char_boundary(PATH_BYTES_MAX)]
}

/// A path as kubectl knows it: `spec.template.spec.containers[0].comand`.
fn field_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field_path(parent)),
        Path::Map { parent, key } => {
            let parent = field_path(parent);
            if parent.is_empty() { (*key).to_owned() } else { format!("{parent}.{key}") }
        }
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => field_path(parent),
    }
}

/// The same for the path of a type error, in which an `Option` is a segment of its own.
fn without_options(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

enum KindError {
    NotAnObject(TreeError),
    Other(Status),
}

/// Holds the value's `apiVersion` and `kind` against what the path takes; what is missing is taken from the path.
fn check_kind(value: &mut Value, expected: Expected) -> Result<(), KindError> {
    let Value::Object(object) = value else {
        let message = "json: cannot unmarshal the body into a Go value of type struct { apiVersion, kind }";
        return Err(KindError::NotAnObject(TreeError { message: message.to_owned(), line: 0 }));
    };
    let mut text = |key: &str| match object.remove(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(KindError::NotAnObject(TreeError {
            message: format!("json: cannot unmarshal the field {key} into a Go value of type string"),
            line: 0,
        })),
    };
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    check_names(&api_version, &kind, expected).map_err(KindError::Other)
}

fn check_names(api_version: &str, kind: &str, expected: Expected) -> Result<(), Status> {
    let is_any = api_version.is_empty() || expected.is_in_every_group;
    let api_version = if is_any { expected.api_version } else { api_version };
    let kind = if kind.is_empty() { expected.kind } else { kind };
    if (api_version, kind) == (expected.api_version, expected.kind) {
        return Ok(());
    }
    let version = api_version.rsplit('/').next().unwrap_or(api_version);
    let why = match REGISTERED.contains(&(api_version, kind)) {
        true => format!("converting ({version}.{kind}) to ({}): unknown conversion", expected.internal),
        false => format!(
            "no kind {} is registered for version {} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            quoted(kind),
            quoted(api_version)
        ),
    };
    Err(Status::bad_request(format!(
        "{kind} in version {} cannot be handled as a {}: {why}",
        quoted(version),
        expected.kind
    )))
}

/// Kinds that a client is likely to send to the wrong path: the reference knows them, so it says something else about
/// them than about a kind that does not exist.
const REGISTERED: &[(&str, &str)] = &[
    ("batch/v1", "CronJob"),
    ("batch/v1", "JobList"),
    ("batch/v1", "CronJobList"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "Namespace"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    ("v1", "List"),
];

fn cannot_be_handled(expected: Expected, error: &str) -> Status {
    let version = expected.api_version.rsplit('/').next().unwrap_or(expected.api_version);
    Status::bad_request(format!(
        "{kind} in version {} cannot be handled as a {kind}: {error}",
        quoted(version),
        kind = expected.kind
    ))
}

fn unrecognised(expected: Expected, error: &TreeError, body: &[u8]) -> Status {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {} ({})",
        expected.kind,
        error.message,
        summary(body)
    ))
}

/// The body's first bytes: as text when they look like JSON, else in hex (kubernetes: apiserver `summarizeData`).
fn summary(body: &[u8]) -> String {
    let head = &body[..body.len().min(SUMMARY_BYTES)];
    let shown = match body.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(head).into_owned(),
        Some(_) => head.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if body.len() > SUMMARY_BYTES { format!("{shown} ...") } else { shown }
}
