//! What a client asks of a list or a watch (kubernetes: `metav1.ListOptions`).
//!
//! Knows the parameters, how they are written and which go together, not how they are answered. Invariant: combinations
//! that the reference refuses are refused here, in its words; parameters that it does not know are ignored.

use super::fields::Fields;
use super::item::Item;
use super::kind::Listed;
use super::labels::Labels;
use super::token::Token;
use crate::api::field::quoted;
use crate::api::router::Query;
use crate::api::{FieldErrors, Status};

/// Which objects are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Selector {
    pub(super) labels: Labels,
    pub(super) fields: Fields,
}

impl Selector {
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn takes(&self, item: &Item) -> bool {
        self.labels.takes(|key| item.label(key)) && self.fields.takes(|path| item.field(path))
    }
}

/// `resourceVersion` and `resourceVersionMatch`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    /// The newest.
    Latest,
    /// `0`: any will do.
    Any,
    /// This one or a newer one.
    NotOlderThan(u64),
    /// This one.
    Exact(u64),
}

/// How a list or a watch is asked for.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) selector: Selector,
    /// How many objects a page has; `None` is all.
    pub(super) limit: Option<usize>,
    pub(super) token: Option<Token>,
    pub(super) version: Version,
    pub(super) is_watch: bool,
    pub(super) send_initial_events: Option<bool>,
    pub(super) allow_bookmarks: bool,
    pub(super) timeout_s: Option<i64>,
}

impl Options {
    /// Reads the query of a list or a watch of a kind.
    ///
    /// # Errors
    /// 400 for what cannot be read, 422 for what does not go together.
    pub(super) fn read(query: &Query, kind: &Listed) -> Result<Self, Status> {
        check_timeout(query)?;
        let limit = integer(query, "limit")?.unwrap_or(0);
        let timeout_s = integer(query, "timeoutSeconds")?;
        let text = |name| query.get(name).unwrap_or("");
        let labels = Labels::parse(text("labelSelector")).map_err(Status::bad_request)?;
        let is_watch = query.flag("watch").unwrap_or(false);
        let send_initial_events = query.flag("sendInitialEvents");
        check_together(query, is_watch, send_initial_events)?;
        let fields = Fields::parse(text("fieldSelector"), kind).map_err(Status::bad_request)?;
        let token = Some(text("continue")).filter(|token| !token.is_empty() && !is_watch);
        let token = token.map(Token::decode).transpose()?;
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
        Ok(Self {
            selector: Selector { labels, fields },
            version: version(query, limit.is_some() && !is_watch, token.is_some())?,
            limit,
            token,
            is_watch,
            send_initial_events,
            allow_bookmarks: query.flag("allowWatchBookmarks").unwrap_or(false),
            timeout_s,
        })
    }
}

/// An integer parameter.
fn integer(query: &Query, name: &str) -> Result<Option<i64>, Status> {
    let Some(text) = query.get(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|error| Status::bad_request(format!("strconv.ParseInt: {}", why(text, &error))))
}

/// An error of a number in Go's words.
fn why(text: &str, error: &std::num::ParseIntError) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let why = if matches!(error.kind(), PosOverflow | NegOverflow) { "value out of range" } else { "invalid syntax" };
    format!("parsing {}: {why}", quoted(text))
}

/// A resourceVersion as a client writes it.
///
/// # Errors
/// 400; the reference says 500 with this message.
pub(super) fn parse_version(text: &str) -> Result<u64, Status> {
    let parsed = if text.starts_with('+') { "x".parse() } else { text.parse() };
    parsed.map_err(|error| {
        let value = quoted(text);
        Status::bad_request(format!(
            "resourceVersion: Invalid value: {value}: strconv.ParseUint: {}",
            why(text, &error)
        ))
    })
}

fn version(query: &Query, is_paged: bool, is_continued: bool) -> Result<Version, Status> {
    let text = query.get("resourceVersion").unwrap_or("");
    if is_continued && !matches!(text, "" | "0") {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    Ok(match (text, query.get("resourceVersionMatch").unwrap_or("")) {
        ("", _) => Version::Latest,
        (text, matching) => match parse_version(text)? {
            0 => Version::Any,
            rv if matching == "Exact" || (matching.is_empty() && is_paged) => Version::Exact(rv),
            rv => Version::NotOlderThan(rv),
        },
    })
}

/// kubernetes: `ValidateListOptions`.
fn check_together(query: &Query, is_watch: bool, send_initial_events: Option<bool>) -> Result<(), Status> {
    let text = |name| query.get(name).unwrap_or("");
    let (matching, path) = (text("resourceVersionMatch"), "resourceVersionMatch");
    let mut errors = FieldErrors::default();
    if is_watch && send_initial_events.is_some() && matching != "NotOlderThan" {
        errors.forbidden(path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    if !matching.is_empty() {
        if is_watch && send_initial_events.is_none() {
            errors.forbidden(path, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
        }
        if !is_watch && text("resourceVersion").is_empty() {
            errors.forbidden(path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if !text("continue").is_empty() {
            errors.forbidden(path, "resourceVersionMatch is forbidden when continue is provided");
        }
        let known: &[&str] = if is_watch { &["NotOlderThan"] } else { &["Exact", "NotOlderThan", ""] };
        if !known.contains(&matching) {
            errors.not_supported(path, quoted(matching), known);
        }
        if !is_watch && matching == "Exact" && text("resourceVersion") == "0" {
            errors.forbidden(path, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
    }
    if !is_watch && send_initial_events.is_some() {
        errors.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors.into_vec())),
    }
}

/// `timeout`, which bounds the request on the client's side; only whether it can be read matters here.
///
/// # Errors
/// 400.
pub(super) fn check_timeout(query: &Query) -> Result<(), Status> {
    let text = query.get("timeout").unwrap_or("");
    if text.is_empty() {
        return Ok(());
    }
    let refuse = |why: String| Status::bad_request(format!("invalid timeout specified in the request URL - {why}"));
    duration(text).map_err(refuse)
}

/// Whether `text` is a duration as Go writes them, such as `1m30s` (Go: `time.ParseDuration`).
fn duration(text: &str) -> Result<(), String> {
    let invalid = || format!("time: invalid duration {}", quoted(text));
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(());
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        if number.parse::<f64>().is_err() {
            return Err(invalid());
        }
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        match unit {
            "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h" => rest = tail,
            "" => return Err(format!("time: missing unit in duration {}", quoted(text))),
            _ => return Err(format!("time: unknown unit {} in duration {}", quoted(unit), quoted(text))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::kind::JOBS;
    use super::*;

    fn read(query: &str) -> Result<Options, Status> {
        Options::read(&Query::of(query), &JOBS)
    }

    #[test]
    fn booleans_are_read_as_kubernetes_reads_them() {
        for (query, is_watch) in [
            ("", false),
            ("watch=0", false),
            ("watch=false", false),
            ("watch=FALSE", false),
            ("watch=1", true),
            ("watch=True", true),
            ("watch=", true),
            ("watch=no", true),
            ("watch=1&watch=0", true),
        ] {
            assert_eq!(read(query).expect(query).is_watch, is_watch, "{query}");
        }
    }

    #[test]
    fn versions_follow_kubernetes_table() {
        for (query, version) in [
            ("", Version::Latest),
            ("limit=5", Version::Latest),
            ("resourceVersion=", Version::Latest),
            ("resourceVersion=0", Version::Any),
            ("resourceVersion=0&limit=5", Version::Any),
            ("resourceVersion=7", Version::NotOlderThan(7)),
            ("resourceVersion=7&limit=5", Version::Exact(7)),
            ("resourceVersion=7&limit=5&resourceVersionMatch=NotOlderThan", Version::NotOlderThan(7)),
            ("resourceVersion=7&resourceVersionMatch=Exact", Version::Exact(7)),
            ("resourceVersion=0&resourceVersionMatch=NotOlderThan", Version::Any),
            ("resourceVersion=7&watch=1&limit=5", Version::NotOlderThan(7)),
        ] {
            assert_eq!(read(query).expect(query).version, version, "{query}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_kubernetes_words() {
        let prefix = "resourceVersionMatch: Forbidden: resourceVersionMatch";
        for (query, code, text) in [
            ("limit=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax".to_owned()),
            ("limit=99999999999999999999", 400, "strconv.ParseInt: parsing \"99999999999999999999\": value out of range".to_owned()),
            ("timeoutSeconds=", 400, "strconv.ParseInt: parsing \"\": invalid syntax".to_owned()),
            ("labelSelector=a%3Db%3Dc", 400, "found '=', expected: ',' or 'end of string'".to_owned()),
            ("fieldSelector=x%3Dy", 400, "field label \"x\" not supported for Job".to_owned()),
            ("timeout=x", 400, "invalid timeout specified in the request URL - time: invalid duration \"x\"".to_owned()),
            ("timeout=5", 400, "time: missing unit in duration \"5\"".to_owned()),
            ("timeout=5x", 400, "time: unknown unit \"x\" in duration \"5x\"".to_owned()),
            ("timeout=.s", 400, "time: invalid duration \".s\"".to_owned()),
            (
                "resourceVersion=abc",
                400,
                "resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax".to_owned(),
            ),
            ("resourceVersion=-1&watch=1", 400, "parsing \"-1\": invalid syntax".to_owned()),
            ("resourceVersion=%2B1", 400, "parsing \"+1\": invalid syntax".to_owned()),
            ("continue=!", 400, "invalid continue token: continue key is not valid: ".to_owned()),
            (
                "resourceVersionMatch=Exact",
                422,
                format!("ListOptions.meta.k8s.io \"\" is invalid: {prefix} is forbidden unless resourceVersion is provided"),
            ),
            ("resourceVersionMatch=Exact&resourceVersion=1&continue=x", 422, format!("{prefix} is forbidden when continue is provided")),
            (
                "resourceVersionMatch=Exact&resourceVersion=0",
                422,
                format!("{prefix} \"exact\" is forbidden for resourceVersion \"0\""),
            ),
            (
                "resourceVersionMatch=x&resourceVersion=1",
                422,
                "resourceVersionMatch: Unsupported value: \"x\": supported values: \"Exact\", \"NotOlderThan\", \"\"".to_owned(),
            ),
            ("sendInitialEvents=false", 422, "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list".to_owned()),
            (
                "watch=1&sendInitialEvents=true",
                422,
                "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan".to_owned(),
            ),
            (
                "watch=1&resourceVersionMatch=NotOlderThan",
                422,
                format!("{prefix} is forbidden for watch unless sendInitialEvents is provided"),
            ),
            (
                "watch=1&resourceVersionMatch=Exact&sendInitialEvents=1",
                422,
                "resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"".to_owned(),
            ),
        ] {
            let status = read(query).expect_err(query);
            assert_eq!(status.code(), code, "{query}: {status}");
            assert!(status.message.contains(&text), "{query}: {text:?} is not in {:?}", status.message);
        }
    }

    #[test]
    fn what_kubernetes_ignores_is_ignored() {
        for query in
            ["pretty=true", "nonsense=1", "timeout=32s", "timeout=6m45.5s", "timeout=0", "timeout=", "limit=-1"]
        {
            assert!(read(query).is_ok_and(|options| options.limit.is_none()), "{query}");
        }
    }
}
