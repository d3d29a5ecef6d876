//! An engine in this process, and the router in front of it.

use super::error::{CliError, Place, code};
use super::machine;
use crate::api::Api;
use crate::engine::{Engine, EngineConfig, EngineError, Handle};
use crate::exec::LOG_BYTES_MAX_DEFAULT;
use crate::modules::Modules;
use crate::sandbox::{SLOTS_MAX_S, Sandbox, SandboxConfig};
use crate::store::{Sqlite, Store, StoreError};
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Memory of a pod that sets no limit, bytes.
const MEMORY_BYTES_DEFAULT: u64 = 256 << 20;

/// Where Jobs, pods and logs are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum StoreKind {
    /// In the data directory: what was answered survives any crash
    #[default]
    Disk,
    /// In this process: nothing of them survives it; for tests and benchmarks
    Memory,
}

impl StoreKind {
    /// As it is written on a command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }
}

/// A running engine with its doors.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) engine: Engine,
    pub(super) api: Api,
    pub(super) modules: Arc<Modules>,
    pub(super) sandbox: Arc<Sandbox>,
}

impl Local {
    /// Boots. With `data_dir` everything is kept there; without, it is gone at the end.
    pub(super) fn open(data_dir: Option<&Path>) -> Result<Self, CliError> {
        Self::open_with(data_dir, StoreKind::Disk)
    }

    /// As [`Local::open`]; with a store in memory only modules and compiled code are kept.
    pub(super) fn open_with(data_dir: Option<&Path>, kind: StoreKind) -> Result<Self, CliError> {
        if let Some(dir) = data_dir {
            make_data_dir(dir)?;
        }
        let within = |name: &str| data_dir.map(|dir| dir.join(name));
        // The directory may be one that others can read; what is in it they cannot.
        if let Some(dir) = data_dir {
            make_files(dir, kind).map_err(|error| unusable(dir, &error))?;
        }
        let store_dir = data_dir.filter(|_| kind == StoreKind::Disk);
        let modules = Modules::open(within("modules").as_deref())
            .map_err(|error| CliError::new(code::ENGINE, format!("the modules cannot be opened: {error}")))?;
        let modules = Arc::new(modules);
        let config = SandboxConfig {
            cache_dir: within("cache").or_else(user_cache),
            memory_bytes_default: MEMORY_BYTES_DEFAULT,
            slots: SLOTS_MAX_S,
        };
        let sandbox = Sandbox::new(config, Arc::clone(&modules))
            .map_err(|error| CliError::new(code::ENGINE, format!("the sandbox cannot be set up: {error}")))?;
        let sandbox = Arc::new(sandbox);
        let store: Box<dyn Store> = match store_dir {
            Some(dir) => Box::new(Sqlite::open(&dir.join("store.db")).map_err(|error| store_error(dir, &error))?),
            None => Box::new(Sqlite::in_memory().map_err(|error| store_error(Path::new("memory"), &error))?),
        };
        // Without a data directory others share the cache, and have other modules.
        if data_dir.is_some() && modules.is_alone() {
            sandbox.prune_cache();
        }
        let log_dir = store_dir.map(|dir| dir.join("logs"));
        let config = EngineConfig { workers: machine::cores(), log_dir, log_bytes_max: LOG_BYTES_MAX_DEFAULT };
        let engine = Engine::start(&config, store, Arc::clone(&sandbox)).map_err(|error| match (error, store_dir) {
            (EngineError::Store(error), Some(dir)) => store_error(dir, &error),
            (error, _) => CliError::new(code::ENGINE, format!("the engine cannot start: {error}")),
        })?;
        let api = Api::new(engine.handle().clone(), Arc::clone(&modules));
        Ok(Self { engine, api, modules, sandbox })
    }

    pub(super) fn handle(&self) -> &Handle {
        self.engine.handle()
    }
}

fn make_files(dir: &Path, kind: StoreKind) -> std::io::Result<()> {
    let make = |name: &str| DirBuilder::new().recursive(true).mode(0o700).create(dir.join(name));
    make("modules")?;
    if kind == StoreKind::Memory {
        return Ok(());
    }
    make("logs")?;
    OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join("store.db")).map(drop)
}

/// The runtime on which this process speaks to its own router.
pub(super) fn io_runtime() -> Result<Runtime, CliError> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| CliError::new(code::ENGINE, format!("the io runtime cannot start: {error}")))
}

/// Where compiled modules are kept when there is no data directory.
fn user_cache() -> Option<PathBuf> {
    user_dir("XDG_CACHE_HOME", ".cache")
}

/// This user's directory for coracle: in the one that the environment names, or else in `within_home`.
pub(super) fn user_dir(variable: &str, within_home: &str) -> Option<PathBuf> {
    let given = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = given(variable).or_else(|| given("HOME").map(|home| home.join(within_home)))?;
    Some(base.join("coracle"))
}

/// Makes the data directory, for its owner alone, where it is not there.
pub(super) fn make_data_dir(dir: &Path) -> Result<(), CliError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| unusable(dir, &error))
}

/// The error for a data directory, or a file in it, that cannot be used.
pub(super) fn unusable(path: &Path, error: &std::io::Error) -> CliError {
    let help = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room and run the same command again",
        _ => "name one that you may write to: --data-dir ./state",
    };
    CliError::new(code::ENGINE, format!("the data directory cannot be used: {error}"))
        .at(Place::file(&path.display().to_string()))
        .help(help)
}

fn store_error(dir: &Path, error: &StoreError) -> CliError {
    let what = CliError::new(code::ENGINE, error.to_string()).at(Place::file(&dir.display().to_string()));
    match error {
        StoreError::Locked => what.help("wait for the other run, or name another --data-dir"),
        StoreError::Format { .. } => what.help("use the coracle that wrote it, or name another --data-dir"),
        StoreError::Corrupt(_) | StoreError::Codec(_) => {
            what.help("restore it from a copy, or name another --data-dir; nothing was changed")
        }
        StoreError::Full => what.help("make room and run the same command again: it goes on where it was"),
        StoreError::Sqlite(_) => what.help("check that the directory can be written to, or name another --data-dir"),
    }
}
