//! core/v1 Pods: delete, evict, and changes of their metadata.
//!
//! Jobs make pods; what clients may do to them afterwards is here. Invariant: a pod is answered as it was when the write
//! happened to it, although it may be gone by then.

use super::delete::Deletion;
use super::options::{Verb, WriteOptions};
use super::patch::{MERGE_PATCH, MergePatch, STRATEGIC_MERGE_PATCH};
use super::{change, refusal};
use crate::api::decode::{Expected, MediaType, decode, protobuf, read_json, read_yaml};
use crate::api::job::{check_name, check_uid, validate_finalizers, validate_meta_update};
use crate::api::pods::find;
use crate::api::router::{Answered, Engine, Names, Query, Sent, json as answer, rendered};
use crate::api::{FieldErrors, PODS, Status};
use crate::control::{ChangePod, NewMeta, PodChange, PodSeen, WriteError};
use crate::engine::{Handle, RequestError, now};
use crate::model::{OwnerReference, PodMeta};
use crate::view::{Filter, Object, PodObject, TRACKING_FINALIZER, Topic};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

const EVICTION: Expected = Expected {
    api_version: "policy/v1",
    kind: "Eviction",
    internal: "policy.Eviction",
    is_in_every_group: false,
    message: &protobuf::EVICTION,
};

pub(in crate::api) async fn delete(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let deletion = Deletion::read(&query, &sent)?;
    change(PODS, &name, async || {
        let deleted = remove(&handle, &namespace, &name, &deletion, false).await?;
        Ok(deleted.map(|pod| answer(StatusCode::OK, rendered(|text| pod.render(text)), &[])))
    })
    .await
}

/// POST of a pod's `eviction` (kubernetes: `EvictionREST.Create`; there are no PodDisruptionBudgets).
pub(in crate::api) async fn evict(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Create)?;
    let body = decode::<Eviction>(&sent.bytes, sent.content_type(), options.field_validation, EVICTION, |_| Ok(()))?;
    let eviction = body.object;
    if eviction.metadata.name.as_deref() != Some(&*name) {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut deletion = Deletion::of(eviction.delete_options.unwrap_or_default())?;
    deletion.dry_run |= options.dry_run;
    change(PODS, &name, async || {
        let evicted = remove(&handle, &namespace, &name, &deletion, true).await?;
        Ok(evicted.map(|_| done(&body.warnings)))
    })
    .await
}

fn done(warnings: &[String]) -> Response {
    let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    answer(StatusCode::CREATED, done.to_string(), warnings)
}

/// Deletes the pod, which it gives as it was then; `None` when it changed meanwhile and the client named its version.
async fn remove(
    handle: &Handle,
    namespace: &str,
    name: &str,
    deletion: &Deletion,
    evict: bool,
) -> Result<Option<PodObject>, Status> {
    let pod = find(handle, namespace, name)?;
    deletion.expect(PODS, name, &pod.uid().to_string(), &pod.record.rv.to_string())?;
    let grace_s = grace_of(&pod, deletion);
    if deletion.dry_run {
        return Ok(Some(pod.deleted_at(now(), grace_s)));
    }
    let seen = deletion.resource_version.as_ref().map(|_| PodSeen::of(&pod.record));
    let (job, ordinal) = (pod.record.job, pod.record.ordinal);
    let change = ChangePod { job, ordinal, seen, change: PodChange::Delete { grace_s, evict } };
    match handle.change_pod(change).await {
        // It had been deleted before.
        Ok(written) if written.rv == 0 => find(handle, namespace, name).map(Some),
        Ok(written) => Ok(Some(at_version(handle, &pod, written.rv, grace_s))),
        Err(RequestError::Refused(WriteError::Conflict)) => Ok(None),
        Err(error) => Err(refusal(&error, PODS, namespace, name)),
    }
}

/// What may not be changed (kubernetes: `ValidatePodUpdate`; here nothing of the spec may).
const SPEC_IS_FIXED: &str = "pod updates may not change fields other than labels, annotations, ownerReferences and finalizers \
                             in this version of Coracle";

/// PATCH: a merge patch, or a strategic one that says the same.
pub(in crate::api) async fn patch(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Patch)?;
    let patch = MergePatch::read_as(&sent, &[MERGE_PATCH, STRATEGIC_MERGE_PATCH])?;
    change(PODS, &name, async || {
        let pod = find(&handle, &namespace, &name)?;
        let new = patch.apply(&rendered(|text| pod.render(text)))?;
        replace(&handle, &pod, &new, options.dry_run).await
    })
    .await
}

/// PUT, in JSON or YAML.
pub(in crate::api) async fn update(
    State(handle): Engine,
    Names([namespace, name]): Names<2>,
    query: Query,
    sent: Sent,
) -> Answered {
    let options = WriteOptions::read(&query, Verb::Update)?;
    let new = match MediaType::parse(sent.content_type())? {
        MediaType::Json => read_json(&sent.bytes),
        MediaType::Yaml => {
            let text = std::str::from_utf8(&sent.bytes).map_err(|error| Status::bad_request(error.to_string()))?;
            read_yaml(text)
        }
        MediaType::Protobuf => return Err(Status::unsupported_media_type(&["application/json", "application/yaml"])),
    };
    let new = new.map_err(|error| Status::bad_request(error.to_string()))?.value;
    change(PODS, &name, async || {
        let pod = find(&handle, &namespace, &name)?;
        replace(&handle, &pod, &new, options.dry_run).await
    })
    .await
}

/// Puts the metadata of `new` in the place of the pod's; `None` when it changed meanwhile.
async fn replace(handle: &Handle, pod: &PodObject, new: &Value, dry_run: bool) -> Result<Option<Response>, Status> {
    let old: Value =
        serde_json::from_str(&rendered(|text| pod.render(text))).map_err(|error| Status::internal(&error))?;
    let removes_gates = removes_gates(&old, new);
    let (new, names_version) = admit(pod, &old, new, removes_gates)?;
    let text = new.write();
    let base = pod.mark.as_deref().and_then(|mark| mark.meta.clone());
    let default = pod.template_meta().write();
    let is_same = text == *base.as_ref().unwrap_or(&default);
    if removes_gates && !is_same {
        let mut errors = FieldErrors::default();
        errors.forbidden("spec.schedulingGates", "not offered by this version of Coracle: together with other changes");
        return Err(Status::invalid(PODS.group, PODS.kind, &pod.name(), &errors.into_vec()));
    }
    if removes_gates && !dry_run {
        return ungate(handle, pod, names_version).await;
    }
    if dry_run || is_same {
        let shown = if dry_run { pod.with_meta(text) } else { pod.clone() };
        return Ok(Some(answer(StatusCode::OK, rendered(|out| shown.render(out)), &[])));
    }
    let seen = names_version.then(|| PodSeen::of(&pod.record));
    let (job, ordinal) = (pod.record.job, pod.record.ordinal);
    let change = PodChange::Meta(NewMeta { base, meta: text.clone(), default });
    match handle.change_pod(ChangePod { job, ordinal, seen, change }).await {
        Ok(written) => {
            let shown = object_at(handle, pod, written.rv).unwrap_or_else(|| {
                let mut shown = pod.with_meta(text);
                shown.record.rv = written.rv;
                shown
            });
            Ok(Some(answer(StatusCode::OK, rendered(|out| shown.render(out)), &[])))
        }
        Err(RequestError::Refused(WriteError::Conflict)) => Ok(None),
        Err(error) => Err(refusal(&error, PODS, &pod.job.key.namespace, &pod.name())),
    }
}

/// Whether the change is that all scheduling gates go.
fn removes_gates(old: &Value, new: &Value) -> bool {
    let without = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        spec.as_object_mut().map(|fields| fields.remove("schedulingGates"));
        spec
    };
    let has_gates = |pod: &Value| pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty());
    has_gates(old) && new["spec"].is_object() && !has_gates(new) && without(old) == without(new)
}

async fn ungate(handle: &Handle, pod: &PodObject, names_version: bool) -> Result<Option<Response>, Status> {
    let seen = names_version.then(|| PodSeen::of(&pod.record));
    let (job, ordinal, namespace) = (pod.record.job, pod.record.ordinal, &pod.job.key.namespace);
    let change = ChangePod { job, ordinal, seen, change: PodChange::Ungate };
    let shown = match handle.change_pod(change).await {
        Ok(written) => object_at(handle, pod, written.rv),
        Err(RequestError::Refused(WriteError::Conflict)) => return Ok(None),
        Err(error) => return Err(refusal(&error, PODS, namespace, &pod.name())),
    };
    let shown = shown.map_or_else(|| find(handle, namespace, &pod.name()), Ok)?;
    Ok(Some(answer(StatusCode::OK, rendered(|out| shown.render(out)), &[])))
}

/// Holds a changed pod against Kubernetes' rules. True when it names the version that it was made from.
fn admit(pod: &PodObject, old: &Value, new: &Value, removes_gates: bool) -> Result<(PodMeta, bool), Status> {
    let name = pod.name();
    let typed = |pod: &Value| serde_json::from_value::<ObjectMeta>(pod["metadata"].clone());
    let mut errors = FieldErrors::default();
    let metadata = typed(new).map_err(|error| Status::bad_request(format!("metadata: {error}")))?;
    let was = typed(old).map_err(|error| Status::internal(&error))?;
    check_name(&metadata, &name)?;
    check_uid(PODS, &metadata, &was, &name)?;
    let names_version = match metadata.resource_version.as_deref().unwrap_or("") {
        "" => false,
        version if Some(version) == was.resource_version.as_deref() => true,
        _ => return Err(Status::modified(PODS, &name)),
    };
    let filled = ObjectMeta {
        namespace: was.namespace.clone(),
        uid: was.uid.clone(),
        deletion_timestamp: was.deletion_timestamp.clone(),
        deletion_grace_period_seconds: was.deletion_grace_period_seconds,
        ..metadata
    };
    validate_meta_update(&filled, &was, format_args!("metadata"), &mut errors);
    let finalizers = filled.finalizers.as_deref().unwrap_or(&[]);
    validate_finalizers(finalizers, format_args!("metadata.finalizers"), &mut errors);
    if !new["spec"].is_null() && new["spec"] != old["spec"] && !removes_gates {
        errors.forbidden("spec", SPEC_IS_FIXED);
    }
    if !errors.is_empty() {
        return Err(Status::invalid(PODS.group, PODS.kind, &name, &errors.into_vec()));
    }
    let owners = filled.owner_references.unwrap_or_default().into_iter().map(|owner| OwnerReference {
        api_version: owner.api_version,
        kind: owner.kind,
        name: owner.name,
        uid: owner.uid,
        controller: owner.controller,
        block_owner_deletion: owner.block_owner_deletion,
    });
    let finalizers = filled.finalizers.unwrap_or_default();
    let meta = PodMeta {
        labels: filled.labels.unwrap_or_default(),
        annotations: filled.annotations.unwrap_or_default(),
        owner_references: owners.collect(),
        finalizers: finalizers.into_iter().filter(|finalizer| finalizer != TRACKING_FINALIZER).collect(),
    };
    Ok((meta, names_version))
}

/// kubernetes: `podStrategy.CheckGracefulDelete`.
fn grace_of(pod: &PodObject, deletion: &Deletion) -> u32 {
    if pod.record.is_terminal() || !pod.is_placed() {
        return 0;
    }
    match deletion.grace_s {
        None => pod.job.spec().template.grace_s,
        Some(..0) => 1,
        Some(grace_s) => u32::try_from(grace_s).unwrap_or(u32::MAX),
    }
}

/// The pod as it was when it was deleted at `rv`; it may have gone since.
fn at_version(handle: &Handle, pod: &PodObject, rv: u64, grace_s: u32) -> PodObject {
    let is_deleted = |pod: &PodObject| pod.mark.as_deref().is_some_and(|mark| mark.stop.is_some());
    match object_at(handle, pod, rv).filter(is_deleted) {
        Some(found) => found,
        // It had ended and went at once, or so much was written with it that the change is forgotten already.
        None => {
            let mut deleted = pod.deleted_at(now(), grace_s);
            deleted.record.rv = rv;
            deleted
        }
    }
}

/// The pod as it was at `rv`, if that is not forgotten.
fn object_at(handle: &Handle, pod: &PodObject, rv: u64) -> Option<PodObject> {
    let (view, filter) = (handle.view(), Filter { job: Some(pod.record.job), ..Filter::default() });
    let cursor = view.watch_from(Topic::Pods, filter, rv.saturating_sub(1));
    let changes = cursor.and_then(|mut cursor| view.poll(&mut cursor, 1)).unwrap_or_default();
    match changes.into_iter().next().map(|change| change.object) {
        Some(Object::Pod(found)) if found.record.rv == rv => Some(found),
        _ => None,
    }
}
