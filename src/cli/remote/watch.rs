//! A watch that is taken up again when it breaks.
//!
//! Knows events and versions, not what the objects are. Invariant: after a gap in which changes may have been lost, every
//! object that is there is given once more.

use super::backoff::Backoff;
use super::{RemoteError, Server};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The server ends a watch after this long, so that one whose connection died unheard is not waited for much longer.
const WATCH_S: u64 = 300;
const SILENCE_MAX: Duration = Duration::from_secs(WATCH_S + 30);

/// What a watch gives.
#[derive(Debug)]
pub(in crate::cli) enum Change {
    /// An object as it is now.
    Is(Value),
    /// An object as it was last.
    Gone(Value),
    /// Changes may have been lost: what is there comes again, what has gone does not.
    Again,
    /// The watch is given up.
    Lost(RemoteError),
}

/// How one attempt ended.
enum End {
    /// Nobody listens any more.
    Unheard,
    /// The server ended it, as it may.
    Closed,
    /// What came last is too old to go on from.
    Expired,
    /// Another attempt may do better.
    Failed(RemoteError),
    /// Another attempt would end the same way.
    Refused(RemoteError),
}

/// Follows the collection at `path`, which has a query, until the receiver is dropped.
pub(in crate::cli) async fn watch<T>(
    server: Arc<Server>,
    path: String,
    changes: mpsc::Sender<T>,
    wrap: fn(Change) -> T,
) {
    let (mut rv, mut backoff) = (None, Backoff::new());
    loop {
        let mut came = false;
        let end = attempt(&server, &path, &mut rv, &mut came, &changes, wrap).await;
        // A watch that broke off within its first events begins again, too.
        let begins_again = matches!(end, End::Expired) || (came && rv.is_none());
        match end {
            End::Unheard => return,
            End::Closed | End::Expired => {}
            End::Refused(error) => {
                _ = changes.send(wrap(Change::Lost(error))).await;
                return;
            }
            End::Failed(error) => {
                if !came && backoff.is_spent() {
                    _ = changes.send(wrap(Change::Lost(error))).await;
                    return;
                }
            }
        }
        if begins_again {
            rv = None;
            if changes.send(wrap(Change::Again)).await.is_err() {
                return;
            }
        }
        if came {
            backoff = Backoff::new();
        }
        backoff.wait().await;
    }
}

async fn attempt<T>(
    server: &Arc<Server>,
    path: &str,
    rv: &mut Option<String>,
    came: &mut bool,
    changes: &mpsc::Sender<T>,
    wrap: fn(Change) -> T,
) -> End {
    let from = rv.as_ref().map(|rv| format!("&resourceVersion={rv}")).unwrap_or_default();
    let query = format!("{path}&watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_S}{from}");
    let mut stream = match server.connection().stream(&query).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(answer)) if answer.status == 410 => return End::Expired,
        Ok(Err(answer)) => {
            let error = server.answered(&answer);
            return if answer.status >= 500 || answer.status == 429 { End::Failed(error) } else { End::Refused(error) };
        }
        Err(error) if error.is_passing() => return End::Failed(error),
        Err(error) => return End::Refused(error),
    };
    // The first events of a watch from nowhere come in order of their names; a bookmark says that they are all here.
    let mut is_in_order = rv.is_some();
    loop {
        let line = match tokio::time::timeout(SILENCE_MAX, stream.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) | Err(_) => return End::Closed,
            Ok(Err(error)) => return End::Failed(error),
        };
        *came = true;
        let Ok(mut event) = serde_json::from_slice::<Value>(&line) else {
            return End::Failed(RemoteError::Broken { url: server.url(), why: "a watch event is no JSON".to_owned() });
        };
        let object = event["object"].take();
        is_in_order |= event["type"] == "BOOKMARK";
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        if let Some(version) = version.filter(|_| is_in_order) {
            *rv = Some(version.to_owned());
        }
        let change = match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => Change::Is(object),
            Some("DELETED") => Change::Gone(object),
            Some("ERROR") => return of_error(server, &object),
            // BOOKMARK, or what later versions have.
            _ => continue,
        };
        if changes.send(wrap(change)).await.is_err() {
            return End::Unheard;
        }
    }
}

fn of_error(server: &Server, status: &Value) -> End {
    if status["code"] == 410 || status["reason"] == "Expired" {
        return End::Expired;
    }
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
    let message = status["message"].as_str().unwrap_or("no reason given").to_owned();
    End::Failed(RemoteError::Answered { url: server.url(), status: code, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::remote::testing::{Reply, lines, scripted};
    use serde_json::json;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn event(kind: &str, rv: u64) -> Value {
        json!({"type": kind, "object": {"metadata": {"name": format!("o{rv}"), "resourceVersion": rv.to_string()}}})
    }

    /// What a watch of `script` gives, up to and with the first change for which `last` holds.
    fn given(
        script: impl Fn(u32) -> Reply + Send + Sync + 'static,
        last: fn(&Change) -> bool,
    ) -> (Vec<String>, Vec<String>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
            let count = AtomicU32::new(0);
            let there = scripted(move |_| script(count.fetch_add(1, Ordering::SeqCst))).await;
            let (sender, mut changes) = mpsc::channel(1);
            tokio::spawn(watch(Arc::clone(&there.server), "/pods?x=y".to_owned(), sender, |change| change));
            let mut given = Vec::new();
            loop {
                let change = changes.recv().await.expect("a change");
                given.push(match &change {
                    Change::Is(object) => format!("is {}", object["metadata"]["name"].as_str().unwrap_or("")),
                    Change::Gone(object) => format!("gone {}", object["metadata"]["name"].as_str().unwrap_or("")),
                    Change::Again => "again".to_owned(),
                    Change::Lost(error) => format!("lost: {error}"),
                });
                if last(&change) {
                    let from = |path: String| path.split_once("&resourceVersion=").map_or("", |(_, rv)| rv).to_owned();
                    return (given, there.paths().into_iter().map(from).collect());
                }
            }
        })
    }

    #[test]
    fn a_watch_that_ends_goes_on_from_its_last_version() {
        let script = |nth| match nth {
            0 => lines(&[event("ADDED", 3), event("MODIFIED", 5), event("BOOKMARK", 9)]),
            1 => Reply::Close,
            2 => lines(&[event("DELETED", 12)]),
            _ => Reply::Json(403, json!({"message": "no"})),
        };
        let (given, from) = given(script, |change| matches!(change, Change::Lost(_)));
        assert_eq!(given[..3], ["is o3", "is o5", "gone o12"]);
        assert!(given[3].contains("403") && given[3].contains("no"), "{given:?}");
        assert_eq!(from, ["", "9", "9", "12"]);
    }

    #[test]
    fn a_version_that_is_too_old_begins_again() {
        let expired = || json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}});
        let script = move |nth| match nth {
            0 => lines(&[event("ADDED", 3), expired()]),
            1 => Reply::Json(410, json!({})),
            2 => lines(&[event("ADDED", 20)]),
            _ => Reply::Json(404, json!({})),
        };
        let (given, from) = given(script, |change| matches!(change, Change::Lost(_)));
        assert_eq!(given[..4], ["is o3", "again", "again", "is o20"]);
        assert_eq!(from, ["", "", "", ""]);
    }

    #[test]
    fn a_watch_that_breaks_off_within_its_first_events_begins_again() {
        let script = |nth| match nth {
            0 => lines(&[event("ADDED", 100)]),
            1 => lines(&[event("ADDED", 100), event("ADDED", 40), event("BOOKMARK", 120)]),
            _ => Reply::Json(404, json!({})),
        };
        let (given, from) = given(script, |change| matches!(change, Change::Lost(_)));
        assert_eq!(given[..4], ["is o100", "again", "is o100", "is o40"]);
        assert_eq!(from, ["", "", "120"]);
    }
}
