//! `coracle serve`: the API, the controllers and the sandbox in one process, for kubectl.
//!
//! Owns the order of a start and of an end; `state.rs` has the data directory, `certificates.rs` what clients trust, `port.rs`
//! the address. The address is taken first, so that a second server says so at once; it is listened on after the recovery,
//! so that whoever can connect meets a server that is ready.

mod certificates;
mod port;
mod state;

use super::error::{CliError, code};
use super::local::{Local, StoreKind, io_runtime, make_data_dir, user_dir};
use super::{signals, tell};
use crate::api::serve::limits::{BACKLOG, CONNECTIONS_MAX};
use crate::api::serve::{Limits, Server, tls_config};
use crate::engine::Handle;
use certificates::Authority;
use clap::Args;
use state::DataDir;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::SignalKind;
use tokio::sync::Notify;

/// Open files that are not connections: the store, logs, modules, and the 20 of a
/// server that has just started.
const FILES_RESERVED: usize = 192;

/// A server with fewer places than this for connections does not start.
const CONNECTIONS_MIN: usize = 16;

/// A server that drains looks this often, at the most, whether pods still run.
const DRAIN_PACE: Duration = Duration::from_millis(100);

/// Arguments of `coracle serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
SIGTERM or ^C stops the server: watches end, open requests get two seconds, pods in flight end as after a crash and their
Jobs go on at the next start. A second signal ends it at once.

Exit codes: 0 stopped by a signal, 2 wrong usage, 3 the address or the data directory cannot be used, the engine or its
store does not work, 130 or 143 ended at once by a second signal.")]
pub(super) struct ServeArgs {
    /// Where everything is kept [default: $XDG_DATA_HOME/coracle or ~/.local/share/coracle]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Where Jobs, pods and logs are kept
    #[arg(long, value_enum, value_name = "STORE", default_value_t)]
    store: StoreKind,

    /// Address and port of the API; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6443")]
    listen: SocketAddr,

    /// At a stop, take no new Jobs and wait this long for running pods to end first: 30s, 5m
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    drain: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|_| "write a number with its unit: 0s, 30s, 5m".to_owned())?;
    Duration::try_from(parsed).map_err(|_| "it cannot be negative".to_owned())
}

/// Serves until a signal comes.
pub(super) fn serve(args: &ServeArgs) -> Result<u8, CliError> {
    let failed = |what: &str, error: &std::io::Error| CliError::new(code::ENGINE, format!("{what}: {error}"));
    let stop = signals::first_of(&[SignalKind::terminate(), SignalKind::interrupt()])
        .map_err(|error| failed("signals cannot be heard", &error))?;
    let dir = data_dir(args)?;
    make_data_dir(&dir)?;
    // What is printed and written can be used from any directory.
    let dir = dir.canonicalize().map_err(|error| super::local::unusable(&dir, &error))?;
    let state = DataDir::open(&dir)?;
    let limits = Limits { connections: connections_max()?, ..Limits::default() };
    let (socket, address) = port::take(args.listen)?;
    let authority = Authority::open(&state)?;
    let (chain, key) = authority.server_certificate(args.listen.ip())?;
    let tls = tls_config(chain, key)
        .map_err(|error| CliError::new(code::ENGINE, format!("TLS cannot be set up: {error}")))?;
    let local = Local::open_with(Some(&dir), args.store)?;
    let server = Server::new(&local.api, tls, state.token(), limits);
    let url = url(address);
    let runtime = io_runtime()?;
    let result = runtime.block_on(async {
        let listener = socket.listen(BACKLOG).map_err(|error| port::refused(address, &error))?;
        state.write_kubeconfig(&url, authority.pem())?;
        announce(&dir, &url, args.store);
        tokio::join!(server.run(listener), end(&server, local.handle(), &stop, args.drain));
        Ok(())
    });
    // A compilation that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    local.engine.stop();
    result.map(|()| code::DONE)
}

fn data_dir(args: &ServeArgs) -> Result<PathBuf, CliError> {
    let dir = args.data_dir.clone().or_else(|| user_dir("XDG_DATA_HOME", ".local/share"));
    dir.ok_or_else(|| {
        CliError::new(code::USAGE, "there is no data directory: neither XDG_DATA_HOME nor HOME is set")
            .help("name one: coracle serve --data-dir ./state")
    })
}

/// How clients of this machine reach `address`.
fn url(address: SocketAddr) -> String {
    let mut reached = address;
    if address.ip().is_unspecified() {
        reached.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("https://{reached}")
}

fn announce(dir: &Path, url: &str, store: StoreKind) {
    tell(&format!("  API         {url}"));
    tell(&format!("  data        {}", dir.display()));
    if store == StoreKind::Memory {
        tell("  store       memory: Jobs, pods, logs and namespaces are gone when this process ends");
    }
    tell("");
    tell("  next, in another terminal:");
    tell(&format!("  export KUBECONFIG={}", shell_word(&dir.join(state::KUBECONFIG).display().to_string())));
    tell("  coracle push hello.wasm");
    tell("  kubectl create job hi --image=hello -- world");
}

/// `text` as a shell reads it back.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@%:,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Waits for the signal, drains, and ends the server.
async fn end(server: &Server, handle: &Handle, stop: &Notify, drain: Duration) {
    stop.notified().await;
    if !drain.is_zero() {
        server.drain();
        handle.drain();
        tell("stopping: no new Jobs are taken; waiting for running pods (a second signal ends it at once)");
        if tokio::time::timeout(drain, no_pods(handle)).await.is_err() {
            tell("stopping: pods still run; they end now, and their Jobs go on at the next start");
        }
    }
    server.stop();
}

/// Resolves once no guest runs; pods that have not started stay as they are.
async fn no_pods(handle: &Handle) {
    let view = handle.view();
    loop {
        let rv = view.rv();
        let (_, jobs) = view.jobs(None);
        if jobs.iter().all(|job| job.status.ready == 0 && job.status.terminating == 0) {
            return;
        }
        tokio::join!(view.shown(rv + 1), tokio::time::sleep(DRAIN_PACE));
    }
}

/// As many connections as open files allow, at the most [`CONNECTIONS_MAX`].
fn connections_max() -> Result<usize, CliError> {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(files) = soft_file_limit(&limits) else { return Ok(CONNECTIONS_MAX) };
    let left = files.saturating_sub(FILES_RESERVED);
    if left < CONNECTIONS_MIN {
        return Err(CliError::new(code::ENGINE, format!("{files} open files are not enough for a server"))
            .help(format!("ulimit -n {}", CONNECTIONS_MAX + FILES_RESERVED)));
    }
    if left < CONNECTIONS_MAX {
        tracing::warn!(
            "this process may have {files} open files: at the most {left} connections at once instead of {CONNECTIONS_MAX} \
             (raise it before the start: ulimit -n {})",
            CONNECTIONS_MAX + FILES_RESERVED
        );
    }
    Ok(left.min(CONNECTIONS_MAX))
}

/// The soft limit of open files in the text of `/proc/self/limits`; `None` when there is none.
fn soft_file_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let cases = [("0s", Some(0)), ("30s", Some(30)), ("5m", Some(300)), ("1h30m", Some(5400))];
        for (text, seconds) in cases {
            assert_eq!(duration(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
        for text in ["", "30", "-5s", "x"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn clients_of_this_machine_get_an_address_that_they_can_reach() {
        let cases = [
            ("127.0.0.1:6443", "https://127.0.0.1:6443"),
            ("0.0.0.0:1", "https://127.0.0.1:1"),
            ("[::]:2", "https://[::1]:2"),
            ("[::1]:3", "https://[::1]:3"),
            ("10.1.2.3:4", "https://10.1.2.3:4"),
        ];
        for (listen, reached) in cases {
            assert_eq!(url(listen.parse().expect("an address")), reached);
        }
    }

    #[test]
    fn paths_are_printed_as_a_shell_reads_them() {
        let cases = [("/a/b-c.d", "/a/b-c.d"), ("/a b", "'/a b'"), ("it's", r"'it'\''s'"), ("", "''"), ("$x", "'$x'")];
        for (text, word) in cases {
            assert_eq!(shell_word(text), word);
        }
    }

    #[test]
    fn the_limit_of_open_files_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 1048576              files     \n";
        assert_eq!(soft_file_limit(text), Some(1024));
        assert_eq!(soft_file_limit("Max open files            unlimited            unlimited            files"), None);
        assert_eq!(soft_file_limit(""), None);
    }
}
