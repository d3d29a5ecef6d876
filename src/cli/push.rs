//! `coracle push`: gives a module to a server.

use super::error::{CliError, code};
use super::local::io_runtime;
use super::remote::{Connection, RemoteArgs, RemoteError, Server};
use super::{bytes_text, inspect, say};
use crate::api::{Answer, path_segment};
use crate::modules::ImageRef;
use bytes::Bytes;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `coracle push`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 the server has it, 2 wrong usage or no such file, 3 the server cannot be reached or does not know us, 4 the
module is refused.")]
pub(super) struct PushArgs {
    /// The module: a .wasm file
    file: PathBuf,

    /// The name that Jobs use as `image`: name or name:tag [default: the file's name without .wasm]
    name: Option<String>,

    #[command(flatten)]
    remote: RemoteArgs,
}

/// Checks, uploads, and prints what the server has now.
pub(super) fn push(args: &PushArgs) -> Result<u8, CliError> {
    let (bytes, inspection) = inspect::load(&args.file)?;
    if let Some(error) = inspect::refusal(&args.file, &inspection) {
        return Err(error);
    }
    let name = args.name.clone().unwrap_or_else(|| super::run::job_name(&args.file));
    let image = ImageRef::parse(&name).map_err(|error| {
        CliError::new(code::USAGE, error.to_string()).help("name it: coracle push prog.wasm team/prog:v1")
    })?;
    let server = Server::find(&args.remote)?;
    let answer = io_runtime()?.block_on(upload(&mut server.connection(), &image, bytes.into()))?;
    say(&format!("{}\n", line(&image, &answer)));
    Ok(code::DONE)
}

/// Uploads a module under `image`; with a digest in it, without a name.
pub(super) async fn upload(connection: &mut Connection, image: &ImageRef, bytes: Bytes) -> Result<Answer, CliError> {
    let answer = connection.upload(&module_path(&image.to_string()), "application/wasm", bytes).await;
    let answer = answer.map_err(RemoteError::told)?;
    match answer.status {
        200 | 201 => Ok(answer),
        status => Err(refused(status, &answer)),
    }
}

/// Where a module of this name is found.
pub(super) fn module_path(image: &str) -> String {
    let segments: Vec<String> = image.split('/').map(path_segment).collect();
    format!("/modules/{}", segments.join("/"))
}

fn refused(status: u16, answer: &Answer) -> CliError {
    let message = answer.body["message"].as_str().unwrap_or("refused without a reason");
    match status {
        413 | 422 => CliError::new(code::MODULE, message),
        404 | 405 => {
            CliError::new(code::ENGINE, format!("the server takes no modules: {message}")).help("is it coracle's?")
        }
        400..=403 => CliError::new(code::USAGE, message),
        _ => CliError::new(code::ENGINE, message),
    }
}

fn line(image: &ImageRef, answer: &Answer) -> String {
    let digest = answer.body["digest"].as_str().unwrap_or_default();
    let size = bytes_text(answer.body["size"].as_u64().unwrap_or_default());
    let compiled = match (answer.body["cached"].as_bool(), answer.body["compileMillis"].as_u64()) {
        (Some(false), Some(ms)) => format!("compiled in {ms} ms"),
        _ => "compiled before".to_owned(),
    };
    format!("{image}  {digest}  {size}, {compiled}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::remote::testing::{Reply, scripted};
    use serde_json::json;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
    }

    #[test]
    fn a_module_is_put_under_its_name_and_told_in_a_line() {
        block_on(async {
            let there = scripted(|asked| {
                let (digest, size) = ("sha256:2c26", asked.body.len());
                Reply::Json(201, json!({"digest": digest, "size": size, "cached": false, "compileMillis": 41}))
            })
            .await;
            let image = ImageRef::parse("team/hello").expect("a name");
            let answer = upload(&mut there.server.connection(), &image, vec![7; 188_000].into()).await.expect("taken");
            assert_eq!(there.paths(), ["PUT /modules/team/hello%3Alatest"]);
            assert_eq!(line(&image, &answer), "team/hello:latest  sha256:2c26  184 KiB, compiled in 41 ms");
        });
    }

    #[test]
    fn refusals_have_the_servers_words_and_an_exit_code() {
        block_on(async {
            let cases = [(422, 4), (413, 4), (400, 2), (403, 2), (404, 3), (429, 3), (500, 3)];
            for (status, code) in cases {
                let there =
                    scripted(move |_| Reply::Json(status, json!({"message": "`a` is no good\n  = help: x"}))).await;
                let image = ImageRef::parse("a").expect("a name");
                let error = upload(&mut there.server.connection(), &image, Bytes::new()).await.expect_err("refused");
                assert_eq!(error.code(), code, "{status}");
                assert!(format!("{error:?}").contains("is no good"), "{error:?}");
            }
        });
    }
}
