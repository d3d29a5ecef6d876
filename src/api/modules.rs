//! `/modules`: what pods can run is uploaded, listed, described and removed.
//!
//! Not Kubernetes' API, but its manners: JSON, and a [`Status`] for every no. Refusals have the words of `coracle inspect`.
//!
//! | request | answer |
//! |---|---|
//! | `PUT` or `POST /modules/NAME[:TAG]`, the module as body | 201 or, when the name was there, 200, and the description; the tag is `latest` when there is none |
//! | `PUT /modules/NAME@sha256:…` | the same for a module without a name, which must have that digest |
//! | `GET /modules` | `{"kind":"ModuleList","items":[…]}` |
//! | `GET /modules/NAME[:TAG]`, `GET /modules/NAME@sha256:…` | the description |
//! | `DELETE` of the same | takes the name away, or by digest every name; a module goes with its last name |
//!
//! A description: `name`, `tag` (neither when it was asked for by digest), `digest`, `size` in bytes, `kind` (`command`),
//! `builtin`, `inUse` (whether a Job that has not ended would miss it), `imports` (`{module, name, type}`, at the most
//! [`LISTED_MAX`]) with their number `importCount`, `exportCount`, `memories` (`{minBytes, maxBytes}`), `languages`,
//! `lineTables`; after an upload `compileMillis` and `cached` as well. An item of the list ends with `inUse`.
//!
//! Invariant: a module has a name only when it was compiled and linked, and one that is refused leaves nothing behind.

use super::patience::Patience;
use super::router::{Answered, Engine, Names, json};
use super::status::StatusReason;
use super::{MODULES, Status};
use crate::engine::{CheckedModule, Handle};
use crate::exec::{Checked, LoadError};
use crate::modules::{
    ImageError, ImageRef, Inspection, Listed, MODULE_BYTES_MAX, Modules, ModulesError, Removal, Staged, Upload, inspect,
};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json as value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Pieces of a body that wait to be written.
const PIECES_MAX: usize = 8;

/// An upload may leave the server waiting this long in a row; then its place is given to another.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Bytes that earn one second of [`STALL_MAX`] back: an upload that stays slower than this ends, so the largest one that is taken
/// holds its place for little more than half an hour.
const UPLOAD_BYTES_PER_SECOND: u64 = 32 << 10;

/// A client that goes on sending what was refused is listened to for so long, and for [`MODULE_BYTES_MAX`] bytes.
const HEAR_OUT_MAX: Duration = Duration::from_secs(10);

/// Imports that a description lists.
const LISTED_MAX: usize = 1000;

/// A refused upload comes again after this many seconds.
const RETRY_AFTER_S: u32 = 1;

type Library = State<Arc<Modules>>;

pub(super) async fn upload(
    State(handle): Engine,
    State(modules): Library,
    Names([name]): Names<1>,
    headers: HeaderMap,
    mut body: Body,
) -> Answered {
    let (image, staged) = match take(Arc::clone(&modules), &name, &headers, &mut body).await {
        Ok(taken) => taken,
        Err(status) => {
            tokio::spawn(tokio::time::timeout(HEAR_OUT_MAX, hear_out(body)));
            return Err(status);
        }
    };
    // All of it is here: whether it is kept does not depend on whether the client waits for the answer.
    let admitted = tokio::spawn(admit(handle, modules, image, staged)).await;
    admitted.map_err(|error| Status::internal(&error))?
}

async fn take(
    modules: Arc<Modules>,
    name: &str,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<(ImageRef, Staged), Status> {
    let image = parse(name)?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MODULE_BYTES_MAX as u64) {
        return Err(Status::too_large(MODULE_BYTES_MAX));
    }
    let called = image.clone();
    let upload = blocking(move || modules.begin(&called)).await??;
    let staged = receive(upload, body, STALL_MAX).await?;
    Ok((image, staged))
}

/// A client that is refused while it still sends hears of it only when its stream is not cut off (curl 7.88 on HTTP/2 ends
/// with error 92): what comes is thrown away for a while.
async fn hear_out(mut body: Body) {
    let mut left = MODULE_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

/// What the writer of an upload is told.
enum Piece {
    Bytes(Bytes),
    /// All of it is there. Without this word the upload has failed.
    End,
}

/// Writes the body, which never is in memory as a whole, on a thread that may wait for the disk. A file that is not kept goes
/// there, too.
async fn receive(mut upload: Upload, body: &mut Body, stall: Duration) -> Result<Staged, Status> {
    let (pieces, mut waiting) = mpsc::channel(PIECES_MAX);
    let writer = tokio::task::spawn_blocking(move || {
        while let Some(piece) = waiting.blocking_recv() {
            match piece {
                Piece::Bytes(bytes) => upload.write(&bytes)?,
                Piece::End => return Ok(Some(upload.finish())),
            }
        }
        Ok::<_, ModulesError>(None)
    });
    let end = send_on(body, &pieces, stall).await;
    if end.is_ok() {
        // A writer that has gone says why below.
        _ = pieces.send(Piece::End).await;
    }
    drop(pieces);
    let staged = writer.await.map_err(|error| Status::internal(&error))??;
    end?;
    staged.ok_or_else(|| Status::bad_request("the body ended early"))
}

/// Hands the body over piece by piece.
async fn send_on(body: &mut Body, pieces: &mpsc::Sender<Piece>, stall: Duration) -> Result<(), Status> {
    let mut patience = Patience::new(stall, UPLOAD_BYTES_PER_SECOND);
    let too_slow = || {
        let (stall, pace) = (stall.as_secs(), UPLOAD_BYTES_PER_SECOND >> 10);
        Status::bad_request(format!("no bytes came for {stall} s, or fewer than {pace} KiB a second"))
    };
    loop {
        // A timer of no time at all still waits for what comes within a millisecond.
        if patience.left().is_zero() {
            return Err(too_slow());
        }
        let since = Instant::now();
        match tokio::time::timeout(patience.left(), body.frame()).await {
            Err(_elapsed) => return Err(too_slow()),
            Ok(None) => return Ok(()),
            Ok(Some(Err(error))) => return Err(Status::bad_request(format!("the body ended early: {error}"))),
            Ok(Some(Ok(frame))) => {
                patience.received(since.elapsed(), frame.data_ref().map_or(0, Bytes::len));
                // Trailers say nothing. A writer that has gone has a reason.
                if let Ok(bytes) = frame.into_data()
                    && pieces.send(Piece::Bytes(bytes)).await.is_err()
                {
                    return Ok(());
                }
            }
        }
    }
}

/// Looks at an upload, compiles it, and gives it its name.
async fn admit(handle: Handle, modules: Arc<Modules>, image: ImageRef, staged: Staged) -> Answered {
    let _room = modules.room().await;
    let digest = staged.digest();
    let name = image.to_string();
    let called = name.clone();
    let (staged, bytes, inspection) = blocking(move || {
        let bytes = staged.bytes()?;
        let inspection = look(&called, &bytes)?;
        Ok::<_, Status>((staged, bytes, inspection))
    })
    .await??;
    let checked = match handle.check_module(&name, bytes).await {
        Ok(checked) => checked,
        Err(error) => {
            blocking(move || drop(staged)).await?;
            return Err(refused(&name, &error));
        }
    };
    blocking(move || {
        let is_new = modules.keep(staged, &image).inspect_err(|_| {
            // Another upload of the same module may have been kept meanwhile.
            if checked.checked == Checked::Compiled && !modules.holds(&digest) {
                handle.forget_module(&digest.0);
            }
        })?;
        let listed = Listed { name: named(&image), digest, bytes: inspection.bytes as u64, is_builtin: false };
        let mut description = describe(&listed, &inspection, &in_use(&handle));
        put_check(&mut description, checked);
        let code = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok(json(code, description.to_string(), &[]))
    })
    .await?
}

fn look(name: &str, bytes: &[u8]) -> Result<Inspection, Status> {
    let invalid = |message: String, causes| Status::worded(StatusReason::Invalid, MODULES, name, message, causes);
    let inspection = inspect(bytes).map_err(|error| invalid(format!("`{name}` {error}"), vec![error.to_string()]))?;
    let refusals = inspection.refusals();
    if refusals.is_empty() {
        return Ok(inspection);
    }
    let lines: Vec<String> = refusals.iter().map(|why| format!("`{name}` {why}")).collect();
    Err(invalid(lines.join("\n"), refusals))
}

fn refused(name: &str, error: &LoadError) -> Status {
    let message = error.message.to_string();
    Status::worded(StatusReason::Invalid, MODULES, name, message.clone(), vec![message])
}

/// Runs what reads files or whole modules where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Status::internal(&error))
}

pub(super) async fn list(State(handle): Engine, State(modules): Library) -> Answered {
    // The names may be locked until a disk has synced.
    let list = blocking(move || {
        let used = in_use(&handle);
        let items: Vec<Value> = modules.list().iter().map(|listed| Value::Object(item(listed, &used))).collect();
        value!({"kind": "ModuleList", "items": items}).to_string()
    });
    Ok(json(StatusCode::OK, list.await?, &[]))
}

pub(super) async fn read(State(handle): Engine, State(modules): Library, Names([name]): Names<1>) -> Answered {
    let image = parse(&name)?;
    let _room = modules.description_room().await;
    blocking(move || {
        let (listed, inspection) = find(&modules, &image)?;
        Ok(json(StatusCode::OK, describe(&listed, &inspection, &in_use(&handle)).to_string(), &[]))
    })
    .await?
}

fn find(modules: &Modules, image: &ImageRef) -> Result<(Listed, Inspection), Status> {
    let name = image.to_string();
    let digest = modules.resolve(&name).map_err(ModulesError::from)?;
    let damaged = || {
        let message = format!("`{name}` ({digest}) cannot be read back from disk\n  = help: push it again");
        Status::worded(StatusReason::InternalError, MODULES, &name, message, Vec::new())
    };
    let bytes = modules.bytes(&digest).ok_or_else(damaged)?;
    let inspection = look(&name, &bytes)?;
    let is_builtin = modules.is_builtin(&digest);
    Ok((Listed { name: named(image), digest, bytes: bytes.len() as u64, is_builtin }, inspection))
}

pub(super) async fn remove(State(handle): Engine, State(modules): Library, Names([name]): Names<1>) -> Answered {
    let image = parse(&name)?;
    blocking(move || {
        let allow = |removal: &Removal| unused(&handle, removal);
        let removal = modules.remove(&image, allow, |digest| handle.forget_module(&digest.0))?;
        let details = value!({
            "name": image.to_string(), "kind": MODULES.plural,
            "names": removal.names, "digest": removal.digest.to_string(), "moduleRemoved": removal.takes_module,
        });
        let status =
            value!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
        Ok(json(StatusCode::OK, status.to_string(), &[]))
    })
    .await?
}

/// A Job that has not ended and would miss what goes keeps it here.
fn unused(handle: &Handle, removal: &Removal) -> Result<(), Status> {
    let jobs = handle.view().jobs_unfinished();
    let Some(job) = jobs.iter().find(|job| removal.hits(&job.spec().template.image)) else { return Ok(()) };
    let (key, image) = (&job.doc.key, &job.spec().template.image);
    let message = format!(
        "`{image}` is in use: Job {}/{} has not ended\n  = help: kubectl delete job {} -n {}, or wait for its end",
        key.namespace, key.name, key.name, key.namespace
    );
    Err(Status::worded(StatusReason::Conflict, MODULES, image, message.clone(), vec![message]))
}

/// The images of the Jobs that have not ended.
fn in_use(handle: &Handle) -> Vec<ImageRef> {
    let jobs = handle.view().jobs_unfinished();
    let mut images: Vec<&str> = jobs.iter().map(|job| job.spec().template.image.as_str()).collect();
    images.sort_unstable();
    images.dedup();
    images.into_iter().filter_map(|image| ImageRef::parse(image).ok()).collect()
}

fn is_used(listed: &Listed, used: &[ImageRef]) -> bool {
    used.iter().any(|image| match image.digest {
        Some(digest) => digest == listed.digest,
        None => listed.name.as_deref() == Some(image.tagged().as_str()),
    })
}

fn parse(name: &str) -> Result<ImageRef, Status> {
    ImageRef::parse(name).map_err(|error| Status::bad_request(error.to_string()))
}

/// `name:tag`; nothing for what is called by its digest.
fn named(image: &ImageRef) -> Option<String> {
    image.digest.is_none().then(|| image.tagged())
}

fn item(listed: &Listed, used: &[ImageRef]) -> serde_json::Map<String, Value> {
    let mut item = serde_json::Map::new();
    let mut put = |key: &str, value: Value| _ = item.insert(key.to_owned(), value);
    if let Some((name, tag)) = listed.name.as_deref().and_then(|name| name.rsplit_once(':')) {
        put("name", name.into());
        put("tag", tag.into());
    }
    put("digest", listed.digest.to_string().into());
    put("size", listed.bytes.into());
    // Nothing else is ever kept.
    put("kind", "command".into());
    put("builtin", listed.is_builtin.into());
    put("inUse", is_used(listed, used).into());
    item
}

fn describe(listed: &Listed, inspection: &Inspection, used: &[ImageRef]) -> Value {
    let page = |pages: u64| pages.saturating_mul(64 << 10);
    let imports: Vec<Value> = inspection
        .imports
        .iter()
        .take(LISTED_MAX)
        .map(|import| value!({"module": import.module, "name": import.name, "type": import.ty}))
        .collect();
    let memories: Vec<Value> = inspection
        .memories
        .iter()
        .map(|memory| value!({"minBytes": page(memory.min_pages), "maxBytes": memory.max_pages.map(page)}))
        .collect();
    let mut object = item(listed, used);
    object.insert("imports".to_owned(), imports.into());
    object.insert("importCount".to_owned(), inspection.imports.len().into());
    object.insert("exportCount".to_owned(), inspection.exports.len().into());
    object.insert("memories".to_owned(), memories.into());
    object.insert("languages".to_owned(), inspection.languages.clone().into());
    object.insert("lineTables".to_owned(), inspection.has_dwarf().into());
    object.into()
}

fn put_check(description: &mut Value, checked: CheckedModule) {
    description["compileMillis"] = checked.ms.into();
    description["cached"] = (checked.checked == Checked::Cached).into();
}

impl From<ModulesError> for Status {
    fn from(error: ModulesError) -> Self {
        let message = error.to_string();
        let worded = |reason, name: &str| Self::worded(reason, MODULES, name, message.clone(), Vec::new());
        match &error {
            ModulesError::TooLarge { .. } => Self::too_large(MODULE_BYTES_MAX),
            ModulesError::TooManyUploads => Self::too_many_requests(RETRY_AFTER_S),
            ModulesError::Name(ImageError::Unknown { image, .. }) => worded(StatusReason::NotFound, image),
            ModulesError::Name(ImageError::Invalid { .. }) => Self::bad_request(message),
            ModulesError::Reserved { name } | ModulesError::Builtin { name } => worded(StatusReason::Forbidden, name),
            ModulesError::TooManyNames | ModulesError::TooManyModules => worded(StatusReason::Forbidden, ""),
            ModulesError::WrongDigest { wanted, .. } | ModulesError::UnknownDigest { digest: wanted } => {
                worded(StatusReason::Invalid, &wanted.to_string())
            }
            ModulesError::Open { .. } | ModulesError::Names { .. } | ModulesError::Write { .. } => {
                Self::internal(&error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
