//! `coracle rerun`: has a server run parts of a Job again.

use super::error::{CliError, code};
use super::local::io_runtime;
use super::remote::{Connection, RemoteArgs, RemoteError, Server};
use super::say;
use crate::api::path_segment;
use clap::Args;
use serde_json::{Value, json};

/// Arguments of `coracle rerun`.
#[derive(Debug, Args)]
#[command(after_help = "\
A Job that has finished goes on: its conditions are taken back, its deadline and its limits begin anew, and what it has not
completed runs. Pods that have ended stay.

Exit codes: 0 it runs again, 2 wrong usage, no such Job or nothing to run, 3 the server cannot be reached or does not know us.")]
pub(super) struct RerunArgs {
    /// The Job: job/NAME or NAME
    job: String,

    /// Run again what has failed
    #[arg(long, conflicts_with = "indexes", required_unless_present = "indexes")]
    failed: bool,

    /// Run these completion indexes again that have succeeded or failed, such as 3,7-9
    #[arg(long, value_name = "LIST")]
    indexes: Option<String>,

    /// The Job's namespace [default: that of the context]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    #[command(flatten)]
    remote: RemoteArgs,
}

/// Asks, and prints which Job runs again.
pub(super) fn rerun(args: &RerunArgs) -> Result<u8, CliError> {
    let name = job_name(&args.job)?;
    let server = Server::find(&args.remote)?;
    let namespace = args.namespace.as_deref().unwrap_or_else(|| server.namespace());
    let body = match &args.indexes {
        Some(indexes) => json!({"indexes": indexes}),
        None => json!({"failed": true}),
    };
    io_runtime()?.block_on(ask(&mut server.connection(), namespace, name, &body))?;
    say(&format!("job.batch/{name} runs again\n"));
    Ok(code::DONE)
}

/// The name in what kubectl takes for a Job.
fn job_name(text: &str) -> Result<&str, CliError> {
    match text.split_once('/') {
        None if !text.is_empty() => Ok(text),
        Some(("job" | "jobs" | "job.batch" | "jobs.batch", name)) if !name.is_empty() => Ok(name),
        _ => Err(CliError::new(code::USAGE, format!("{text:?} names no Job")).help("coracle rerun job/pi --failed")),
    }
}

async fn ask(connection: &mut Connection, namespace: &str, name: &str, body: &Value) -> Result<(), CliError> {
    let (namespace, job) = (path_segment(namespace), path_segment(name));
    let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs/{job}/rerun");
    let answer = connection.post(&path, body).await.map_err(RemoteError::told)?;
    let message = answer.body["message"].as_str().unwrap_or("refused without a reason");
    match answer.status {
        200 => Ok(()),
        400..=403 | 404 | 409 | 422 => Err(CliError::new(code::USAGE, message)),
        405 => {
            Err(CliError::new(code::ENGINE, format!("the server runs nothing again: {message}"))
                .help("is it coracle's?"))
        }
        _ => Err(CliError::new(code::ENGINE, message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::remote::testing::{Reply, scripted};

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
    }

    #[test]
    fn a_job_is_named_as_for_kubectl() {
        for (text, name) in [("pi", "pi"), ("job/pi", "pi"), ("jobs.batch/pi", "pi")] {
            assert_eq!(job_name(text).ok(), Some(name));
        }
        for text in ["", "job/", "pod/pi"] {
            assert_eq!(job_name(text).expect_err(text).code(), code::USAGE);
        }
    }

    #[test]
    fn the_server_is_asked_once_and_its_words_are_told() {
        block_on(async {
            let cases = [(200, None), (404, Some(2)), (409, Some(2)), (422, Some(2)), (405, Some(3)), (500, Some(3))];
            for (status, wanted) in cases {
                let there = scripted(move |_| Reply::Json(status, json!({"message": "why"}))).await;
                let body = json!({"indexes": "3,7-9"});
                let told = ask(&mut there.server.connection(), "team", "pi", &body).await;
                assert_eq!(told.err().map(|error| error.code()), wanted, "{status}");
                assert_eq!(there.paths(), ["POST /apis/batch/v1/namespaces/team/jobs/pi/rerun"]);
            }
        });
    }
}
