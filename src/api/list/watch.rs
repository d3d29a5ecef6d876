//! Watches: one line of JSON for each change.
//!
//! Knows selections and their edges, bookmarks and when a watch ends, not what an object looks like. Invariant: a watcher
//! gets every change of its selection above its version once and in order, or an ERROR and the end; one that is far behind
//! may get the last change of a pod instead of each. While it does not read, it costs one rendered chunk.

use super::accept::Form;
use super::item::Item;
use super::items::{Items, Scope, Step, Walk, filter};
use super::kind::Listed;
use super::options::{Options, Selector, Version};
use super::pace::Allowance;
use super::page::{push_table, put};
use super::{CHUNK_BYTES, Reads};
use crate::api::Status;
use crate::api::router::{Answered, Served};
use crate::api::stream::chunks;
use crate::engine::{Handle, Health, now};
use crate::view::{Change, ChangeKind, Cursor, Expired, Filter, PodPlace, Topic, View};
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

/// How often a watcher is told how far it is (kubernetes: `bookmarkFrequency`, one minute).
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// How long a watch lasts without `timeoutSeconds`, at least and at most (kubernetes: `--min-request-timeout`, 1,800 s,
/// times 1 to 2).
const LASTS_S: std::ops::Range<u64> = 1800..3600;

/// `timeoutSeconds` beyond this is this.
const LASTS_MAX_S: u64 = 24 * 3600;

/// How many changes are looked at before others have their turn.
const LOOKS_MAX: usize = 1024;

/// When to try again after 429, s.
const RETRY_AFTER_S: u32 = 1;

/// Answers a watch.
pub(super) fn start(
    served: &Served,
    kind: &'static Listed,
    namespace: Option<&str>,
    options: Options,
    form: Form,
) -> Answered {
    let mut response = Response::new(chunks(Watching::new(served, kind, namespace, options, form)?, chunk));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn lasts(timeout_s: Option<i64>) -> Duration {
    let seconds = match timeout_s {
        Some(seconds) if seconds != 0 => u64::try_from(seconds).unwrap_or(0).min(LASTS_MAX_S),
        // Clients that came at the same time shall not all come again at the same time.
        _ => LASTS_S.start + getrandom::u64().unwrap_or(0) % (LASTS_S.end - LASTS_S.start),
    };
    Duration::from_secs(seconds)
}

/// A watch.
#[derive(Debug)]
struct Watching {
    view: Arc<View>,
    kind: &'static Listed,
    form: Form,
    selector: Arc<Selector>,
    /// What existed and was not told yet.
    initial: Option<Walk>,
    /// `None` for the node.
    cursor: Option<Cursor>,
    reads: Arc<Reads>,
    /// What it may be told before it waits for its turn; `None` when it never has to.
    allowance: Option<Allowance>,
    /// What the node is read from, until it was told that it is no longer ready: nothing changes after that.
    node: Option<Handle>,
    /// What clients write of the node.
    written: Option<Cursor>,
    /// The node was in the selection when it was told last.
    has_node: bool,
    /// The watch cannot go on.
    expired: Option<Expired>,
    /// The version from which changes are told.
    from: u64,
    allow_bookmarks: bool,
    bookmark_at: Instant,
    ends_at: Instant,
    shutdown: watch::Receiver<bool>,
    /// The columns of a Table are due: they come with the first event only.
    has_columns: bool,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

/// What there is to do after a look at the changes.
enum Found {
    /// Perhaps more.
    Some,
    /// Nothing at the moment.
    None,
}

async fn chunk(mut watching: Watching) -> Option<(Bytes, Watching)> {
    let mut text = String::new();
    while text.is_empty() && !watching.is_over {
        if watching.must_end() {
            watching.end(&mut text);
            break;
        }
        if watching.must_wait() {
            watching.wait_for_turn().await;
            if watching.is_over || watching.must_end() {
                continue;
            }
        }
        match watching.fill(&mut text) {
            Found::Some if text.is_empty() => tokio::task::yield_now().await,
            Found::None if text.is_empty() => watching.wait().await,
            Found::Some | Found::None => {}
        }
    }
    (!text.is_empty()).then(|| (Bytes::from(text), watching))
}

impl Watching {
    fn new(
        served: &Served,
        kind: &'static Listed,
        namespace: Option<&str>,
        options: Options,
        form: Form,
    ) -> Result<Self, Status> {
        let permit = Arc::clone(&served.reads.watches).try_acquire_owned();
        let permit = permit.map_err(|_| Status::too_many_requests(RETRY_AFTER_S))?;
        let view = Arc::clone(served.handle.view());
        let selector = Arc::new(options.selector);
        let (mut from, is_anywhere) = match options.version {
            Version::NotOlderThan(rv) | Version::Exact(rv) => (rv, false),
            Version::Latest | Version::Any => (view.rv(), true),
        };
        let mut initial = None;
        let was_ready = served.handle.health() == Health::Ok;
        if options.send_initial_events.unwrap_or(is_anywhere) {
            let scope = Scope::of(kind, &selector);
            let node = served.reads.node.read(&served.handle);
            let (rv, items) = Items::read(&view, &node, kind, namespace, &scope);
            from = rv;
            initial = Some(Walk::new(Arc::new(items), Arc::clone(&selector), PodPlace::default()));
        }
        let filter = filter(kind, namespace, &selector, &view);
        let started = Instant::now();
        let allowance = filter.merges.then(|| Allowance::new(started));
        let cursor = kind.topic.map(|topic| view.watch_from(topic, filter, from));
        let (cursor, expired) = match cursor.transpose() {
            Ok(cursor) => (cursor, None),
            Err(expired) => (None, Some(expired)),
        };
        // Its version does not tell whether a watcher that comes again has heard of it: it may be told twice.
        let is_node_due = kind.topic.is_none() && (was_ready || initial.is_none());
        let started = Instant::now();
        let written = if kind.topic.is_none() {
            view.watch_from(Topic::Nodes, Filter::default(), from.max(view.rv())).ok()
        } else {
            None
        };
        let has_node = selector.takes(&Item::Node(served.reads.node.read(&served.handle)));
        Ok(Self {
            written,
            has_node,
            view,
            kind,
            form,
            selector,
            initial,
            cursor,
            reads: Arc::clone(&served.reads),
            allowance,
            node: is_node_due.then(|| served.handle.clone()),
            expired,
            from,
            allow_bookmarks: options.allow_bookmarks,
            bookmark_at: started + BOOKMARK_EVERY,
            ends_at: started + lasts(options.timeout_s),
            shutdown: served.shutdown.subscribe(),
            has_columns: true,
            is_over: false,
            _permit: permit,
        })
    }

    fn must_end(&self) -> bool {
        *self.shutdown.borrow() || Instant::now() >= self.ends_at
    }

    /// The last chunk: how far the watch came.
    fn end(&mut self, out: &mut String) {
        if self.allow_bookmarks && self.initial.is_none() && self.expired.is_none() {
            self.push_bookmark(self.rv(), false, out);
        }
        self.is_over = true;
    }

    /// Everything up to this version was told.
    fn rv(&self) -> u64 {
        self.cursor.as_ref().map_or(self.from, Cursor::rv)
    }

    /// Renders up to a chunk of what is there.
    fn fill(&mut self, out: &mut String) -> Found {
        if self.expired.is_none() && self.initial.is_some() {
            self.fill_initial(out);
            return Found::Some;
        }
        let found = self.fill_changes(out);
        if let Some(expired) = self.expired {
            let status = serde_json::to_string(&Status::expired(expired.to_string()));
            let status = status.expect("texts and numbers are always JSON");
            put(out, format_args!("{{\"type\":\"ERROR\",\"object\":{status}}}\n"));
            self.is_over = true;
        } else if self.allow_bookmarks && Instant::now() >= self.bookmark_at {
            self.push_bookmark(self.rv(), false, out);
        }
        found
    }

    fn fill_initial(&mut self, out: &mut String) {
        while out.len() < CHUNK_BYTES {
            match self.initial.as_mut().map_or(Step::Ended, Walk::step) {
                Step::Found(item) => self.push("ADDED", &item, out),
                Step::Paused => return,
                Step::Ended => {
                    self.initial = None;
                    if self.allow_bookmarks {
                        self.push_bookmark(self.from, true, out);
                    }
                    return;
                }
            }
        }
    }

    fn fill_changes(&mut self, out: &mut String) -> Found {
        let view = Arc::clone(&self.view);
        for _ in 0..LOOKS_MAX {
            let Some(cursor) = &mut self.cursor else { return self.fill_node(out) };
            match view.poll(cursor, 1) {
                Ok(changes) => {
                    let Some(change) = changes.into_iter().next() else { return Found::None };
                    if let Some((kind, item)) = event(change, &self.selector) {
                        self.push(kind.as_str(), &item, out);
                        self.allowance.iter_mut().for_each(Allowance::take);
                    }
                }
                Err(expired) => {
                    self.expired = Some(expired);
                    return Found::None;
                }
            }
            if out.len() >= CHUNK_BYTES {
                break;
            }
        }
        Found::Some
    }

    fn fill_node(&mut self, out: &mut String) -> Found {
        let Some(handle) = self.node.clone() else { return Found::None };
        let is_ready = handle.health() == Health::Ok;
        let is_written = self.written.as_mut().is_some_and(|cursor| match self.view.poll(cursor, LOOKS_MAX) {
            Ok(changes) => !changes.is_empty(),
            // So much was written that some of it is forgotten: what counts is how the node is now.
            Err(_) => {
                let now = self.view.watch_from(Topic::Nodes, Filter::default(), self.view.rv());
                now.is_ok_and(|now| std::mem::replace(cursor, now).rv() > 0)
            }
        });
        if is_ready && !is_written {
            return Found::None;
        }
        if !is_ready {
            self.node = None;
        }
        let item = Item::Node(self.reads.node.read(&handle));
        self.from = self.from.max(handle.view().rv());
        let had_node = std::mem::replace(&mut self.has_node, self.selector.takes(&item));
        match (had_node, self.has_node) {
            (true, true) => self.push("MODIFIED", &item, out),
            (false, true) => self.push("ADDED", &item, out),
            (true, false) => self.push("DELETED", &item, out),
            (false, false) => {}
        }
        Found::Some
    }

    /// It has been told much, and pods go first.
    fn must_wait(&mut self) -> bool {
        let has_some = self.allowance.as_mut().is_none_or(|allowance| allowance.has_some(Instant::now()));
        !has_some && self.initial.is_none() && self.reads.pace.is_fast(&self.view)
    }

    /// Waits until it may go on, or for the end.
    async fn wait_for_turn(&mut self) {
        tokio::select! {
            () = self.reads.pace.turn(&self.view) => {}
            () = tokio::time::sleep_until(self.ends_at) => {}
            _ = self.shutdown.wait_for(|is_down| *is_down) => {}
        }
        self.is_over |= self.shutdown.has_changed().is_err();
    }

    /// Waits for a change, a bookmark or the end.
    async fn wait(&mut self) {
        let due = if self.allow_bookmarks { self.bookmark_at.min(self.ends_at) } else { self.ends_at };
        let changed = async {
            match (&self.cursor, &self.node) {
                (Some(cursor), _) => self.view.changed(cursor).await,
                (None, Some(handle)) => match &self.written {
                    Some(written) => tokio::select! {
                        () = handle.failed() => {}
                        () = self.view.changed(written) => {}
                    },
                    None => handle.failed().await,
                },
                (None, None) => std::future::pending().await,
            }
        };
        // Each of these only waits, so nothing is lost with those that are dropped.
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep_until(due) => {}
            _ = self.shutdown.wait_for(|is_down| *is_down) => {}
        }
        // Without a server there is nobody left to say so.
        self.is_over |= self.shutdown.has_changed().is_err();
    }

    fn push(&mut self, kind: &str, item: &Item, out: &mut String) {
        put(out, format_args!(r#"{{"type":"{kind}","object":"#));
        if let Form::Table(..) = self.form {
            push_table(item, self.kind, self.form, std::mem::take(&mut self.has_columns), now(), out);
        } else {
            item.render(self.form, now(), out);
        }
        out.push_str("}\n");
    }

    /// Appends a BOOKMARK: an object that has nothing but a version, in the form of the others.
    fn push_bookmark(&mut self, rv: u64, ends_initial: bool, out: &mut String) {
        self.bookmark_at = Instant::now() + BOOKMARK_EVERY;
        let note = if ends_initial { r#","annotations":{"k8s.io/initial-events-end":"true"}"# } else { "" };
        let metadata = format!(r#""metadata":{{"resourceVersion":"{rv}"{note}}}"#);
        let partial = r#""kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1""#;
        out.push_str(r#"{"type":"BOOKMARK","object":{"#);
        match self.form {
            Form::Whole => {
                let (kind, version) = (self.kind.resource.kind, self.kind.api_version);
                put(out, format_args!(r#""kind":"{kind}","apiVersion":"{version}",{metadata}"#));
            }
            Form::Metadata(_) => put(out, format_args!("{partial},{metadata}")),
            Form::Table(meta, _) => {
                put(out, format_args!(r#""kind":"Table","apiVersion":"{}","metadata":{{"#, meta.as_str()));
                put(out, format_args!(r#""resourceVersion":"{rv}"}},"columnDefinitions":null,"rows":["#));
                put(out, format_args!(r#"{{"cells":[],"object":{{{partial},{metadata}}}}}]"#));
            }
        }
        out.push_str("}}\n");
    }
}

/// What a change means for a selection: an object that comes into it is added, one that leaves it is deleted.
fn event(change: Change, selector: &Selector) -> Option<(ChangeKind, Item)> {
    let Change { rv, kind, object, before } = change;
    let (after, before) = (Item::Object(object), before.map(Item::Object));
    let was_taken = before.as_ref().is_some_and(|before| selector.takes(before));
    if kind == ChangeKind::Deleted {
        // One that is deleted without a state before was never shown otherwise.
        return (was_taken || before.is_none() && selector.takes(&after)).then_some((kind, after));
    }
    match (was_taken, selector.takes(&after)) {
        (false, true) => Some((ChangeKind::Added, after)),
        (true, true) => Some((ChangeKind::Modified, after)),
        (true, false) => Some((ChangeKind::Deleted, before?.with_rv(rv))),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::JOBS;
    use super::super::tests::{Server, with_server};
    use super::*;
    use crate::api::router::Query;

    #[test]
    fn a_bookmark_comes_when_it_is_due_and_the_watch_goes_on() {
        with_server(async |server: &Server| {
            let rv = server.engine.handle().view().rv();
            let query = Query::of(&format!("watch=1&allowWatchBookmarks=1&resourceVersion={rv}"));
            let options = Options::read(&query, &JOBS).expect("options");
            let mut watching = Watching::new(&server.served, &JOBS, None, options, Form::Whole).expect("a watch");
            assert!(watching.ends_at >= Instant::now() + Duration::from_secs(LASTS_S.start - 60));
            watching.bookmark_at = Instant::now();
            let (bytes, watching) = chunk(watching).await.expect("it goes on");
            let object = format!(r#"{{"kind":"Job","apiVersion":"batch/v1","metadata":{{"resourceVersion":"{rv}"}}}}"#);
            assert_eq!(bytes, format!("{{\"type\":\"BOOKMARK\",\"object\":{object}}}\n"));
            assert!(watching.bookmark_at > Instant::now() && !watching.is_over);
        });
    }
}
