//! The query of `pods/log` (kubernetes: `PodLogOptions`).

use crate::api::field::quoted;
use crate::api::router::Query;
use crate::api::{FieldErrors, Status};
use crate::base::Time;
use k8s_openapi::jiff::Timestamp;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogOptions {
    pub(super) container: Option<String>,
    pub(super) follow: bool,
    pub(super) previous: bool,
    /// Each line begins with its time.
    pub(super) timestamps: bool,
    /// Lines from before are left out.
    pub(super) since: Option<Time>,
    /// Only so many lines of what is there.
    pub(super) tail_lines: Option<u64>,
    /// So many bytes at the most, times included.
    pub(super) bytes_max: Option<u64>,
}

impl LogOptions {
    /// Reads the query of the pod called `name`; `now` is what `sinceSeconds` counts back from. `pretty` and
    /// `insecureSkipTLSVerifyBackend` change nothing here.
    ///
    /// # Errors
    /// 400 for what is no number or time, 422 with every other fault, in the reference's order.
    pub(super) fn read(query: &Query, name: &str, now: Time) -> Result<Self, Status> {
        let since_seconds = number(query, "sinceSeconds")?;
        let since_time = time(query, "sinceTime")?;
        let (tail_lines, limit_bytes) = (number(query, "tailLines")?, number(query, "limitBytes")?);
        let mut errors = FieldErrors::default();
        if let Some(negative) = tail_lines.filter(|lines| *lines < 0) {
            errors.invalid("tailLines", negative.to_string(), "must be greater than or equal to 0");
        }
        let mut at_least_1 = |path: &str, value: Option<i64>| {
            if let Some(value) = value.filter(|value| *value < 1) {
                errors.invalid(path, value.to_string(), "must be greater than 0");
            }
        };
        at_least_1("limitBytes", limit_bytes);
        match since_time {
            None => at_least_1("sinceSeconds", since_seconds),
            // The reference's path is an index without a number.
            Some(_) if since_seconds.is_some() => {
                errors.forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified");
            }
            Some(_) => {}
        }
        if query.get("stream").is_some() {
            errors.forbidden("stream", "may not be specified");
        }
        if !errors.is_empty() {
            return Err(Status::invalid("", "PodLogOptions", name, &errors.into_vec()));
        }
        let unsigned = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let back = unsigned(since_seconds).map(|seconds| Time(now.0.saturating_sub(seconds.saturating_mul(1000))));
        Ok(Self {
            container: query.get("container").filter(|name| !name.is_empty()).map(str::to_owned),
            follow: query.flag("follow").unwrap_or(false),
            previous: query.flag("previous").unwrap_or(false),
            timestamps: query.flag("timestamps").unwrap_or(false),
            since: since_time.or(back),
            tail_lines: unsigned(tail_lines),
            bytes_max: unsigned(limit_bytes),
        })
    }
}

fn number(query: &Query, name: &str) -> Result<Option<i64>, Status> {
    let why = |text: &str| format!("strconv.ParseInt: parsing {}: invalid syntax", quoted(text));
    query.get(name).map(|text| text.parse().map_err(|_| Status::bad_request(why(text)))).transpose()
}

/// An empty text and `null` are no time (kubernetes: `Time.UnmarshalQueryParameter`).
fn time(query: &Query, name: &str) -> Result<Option<Time>, Status> {
    let Some(text) = query.get(name).filter(|text| !matches!(*text, "" | "null")) else { return Ok(None) };
    let time: Timestamp = text
        .parse()
        .map_err(|_| Status::bad_request(format!("parsing time {}: not a time of RFC 3339", quoted(text))))?;
    Ok(Some(Time(u64::try_from(time.as_millisecond()).unwrap_or(0))))
}
