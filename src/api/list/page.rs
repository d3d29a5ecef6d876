//! Lists: framing, pages, and the body that is rendered while it is read.
//!
//! Knows which version a list is of and where it was cut, not what is in it. Invariant: the pages of a list are of one
//! version; when that is gone, the client is told and may go on at the current one.

use super::CHUNK_BYTES;
use super::accept::Form;
use super::item::Item;
use super::items::{Items, Scope, Step, Walk, is_unchanged, key};
use super::kept::ListKey;
use super::kind::Listed;
use super::options::{Options, Version};
use super::token::Token;
use crate::api::Status;
use crate::api::router::{Answered, Served, json};
use crate::api::stream::chunks;
use crate::api::table::push_columns;
use crate::base::Time;
use crate::engine::now;
use crate::view::PodPlace;
use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use std::fmt::Write;
use std::sync::Arc;
use tokio::time::Instant;

/// Answers a list, or a page of one.
pub(super) async fn start(
    served: &Served,
    kind: &'static Listed,
    namespace: Option<String>,
    options: Options,
    form: Form,
) -> Answered {
    let selector = Arc::new(options.selector);
    let scope = Scope::of(kind, &selector);
    let mut list_key = ListKey { kind: kind.kind, namespace, scope, rv: 0 };
    let wanted = match (&options.token, options.version) {
        (Some(token), _) => token.rv(),
        (None, Version::Exact(rv)) => Some(rv),
        (None, _) => None,
    };
    let items = items(served, kind, &mut list_key, wanted).ok_or_else(|| gone(options.token.as_ref()))?;
    let place = options.token.as_ref().map_or_else(PodPlace::default, |token| items.place_behind(&token.start));
    let mut walk = Walk::new(items, selector, place);
    let more = match options.limit {
        Some(limit) => cut(&mut walk, limit, options.token.as_ref(), list_key.rv).await,
        None => None,
    };
    let head = head(kind, form, list_key.rv, more.as_ref());
    if more.is_some() {
        let objects = walk.items.count_from(PodPlace::default());
        served.reads.kept.put(list_key, Arc::clone(&walk.items), objects, Instant::now());
    }
    Ok(answer(Listing { walk, form, now: now(), text: head, is_first: true, is_over: false }).await)
}

/// The list of the version that is wanted, or the current one; the key then says which it is. `None` when it is gone.
fn items(served: &Served, kind: &Listed, key: &mut ListKey, wanted: Option<u64>) -> Option<Arc<Items>> {
    if let Some(rv) = wanted {
        key.rv = rv;
        if let Some(kept) = served.reads.kept.get(key, Instant::now()) {
            return Some(kept);
        }
    }
    let (view, namespace) = (served.handle.view(), key.namespace.as_deref());
    let (rv, items) = Items::read(view, &served.reads.node.read(&served.handle), kind, namespace, &key.scope);
    match wanted {
        Some(wanted) if wanted > rv || !is_unchanged(view, kind.topic, namespace, wanted) => return None,
        Some(_) => {}
        None => key.rv = rv,
    }
    Some(Arc::new(items))
}

fn gone(token: Option<&Token>) -> Status {
    match token {
        Some(token) => Status::continue_expired(Token::new(None, token.start.clone(), None).encode()),
        None => Status::expired("The resourceVersion for the provided list is too old."),
    }
}

/// Ends the walk after `limit` objects. A token when there are more.
async fn cut(walk: &mut Walk, limit: usize, token: Option<&Token>, rv: u64) -> Option<Token> {
    let mut ahead = walk.clone();
    let mut last = None;
    for _ in 0..limit {
        last = Some(next(&mut ahead).await?);
    }
    let end = ahead.place;
    next(&mut ahead).await?;
    walk.end = Some(end);
    let count = || match token.and_then(|token| token.left) {
        Some(left) => left.saturating_sub(limit),
        None => walk.items.count_from(end),
    };
    let left = walk.selector.is_empty().then(count);
    Some(Token::new(Some(rv), key(&last?), left))
}

async fn next(walk: &mut Walk) -> Option<Item> {
    loop {
        match walk.step() {
            Step::Found(item) => return Some(item),
            Step::Paused => tokio::task::yield_now().await,
            Step::Ended => return None,
        }
    }
}

/// A list that is being rendered.
#[derive(Debug)]
struct Listing {
    walk: Walk,
    form: Form,
    now: Time,
    /// What was rendered and not sent yet.
    text: String,
    is_first: bool,
    is_over: bool,
}

/// The first chunk is made at once: most lists end with it.
async fn answer(mut listing: Listing) -> Response {
    listing.fill().await;
    let text = std::mem::take(&mut listing.text);
    if listing.is_over {
        return json(StatusCode::OK, text, &[]);
    }
    listing.text = text;
    let mut response = Response::new(chunks(listing, chunk));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn chunk(mut listing: Listing) -> Option<(Bytes, Listing)> {
    if listing.text.is_empty() {
        if listing.is_over {
            return None;
        }
        listing.fill().await;
    }
    let bytes = Bytes::from(std::mem::take(&mut listing.text));
    Some((bytes, listing))
}

impl Listing {
    /// Renders up to a chunk.
    async fn fill(&mut self) {
        while self.text.len() < CHUNK_BYTES {
            let Some(item) = next(&mut self.walk).await else {
                self.text.push_str("]}");
                self.is_over = true;
                return;
            };
            if !std::mem::take(&mut self.is_first) {
                self.text.push(',');
            }
            item.render(self.form, self.now, &mut self.text);
        }
    }
}

/// The beginning of a list's body, up to its first item.
fn head(kind: &Listed, form: Form, rv: u64, more: Option<&Token>) -> String {
    let (list_kind, api_version) = match form {
        Form::Whole => (format!("{}List", kind.resource.kind), kind.api_version),
        Form::Table(meta, _) => ("Table".to_owned(), meta.as_str()),
        Form::Metadata(meta) => ("PartialObjectMetadataList".to_owned(), meta.as_str()),
    };
    let mut text =
        format!(r#"{{"kind":"{list_kind}","apiVersion":"{api_version}","metadata":{{"resourceVersion":"{rv}""#);
    if let Some(token) = more {
        put(&mut text, format_args!(r#","continue":"{}""#, token.encode()));
        if let Some(left) = token.left {
            put(&mut text, format_args!(r#","remainingItemCount":{left}"#));
        }
    }
    text.push_str("},");
    if let Form::Table(..) = form {
        text.push_str(r#""columnDefinitions":"#);
        push_columns(kind.kind, &mut text);
        text.push_str(r#","rows":["#);
    } else {
        text.push_str(r#""items":["#);
    }
    text
}

/// Appends one object as a Table of its own.
pub(super) fn push_table(item: &Item, kind: &Listed, form: Form, has_columns: bool, now: Time, out: &mut String) {
    let Form::Table(meta, _) = form else { return };
    put(out, format_args!(r#"{{"kind":"Table","apiVersion":"{}","metadata":{{"#, meta.as_str()));
    put(out, format_args!(r#""resourceVersion":"{}"}},"columnDefinitions":"#, item.rv()));
    if has_columns {
        push_columns(kind.kind, out);
    } else {
        out.push_str("null");
    }
    out.push_str(r#","rows":["#);
    item.render(form, now, out);
    out.push_str("]}");
}

/// Appends formatted text.
pub(super) fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}
