//! The sandbox as the workers see it.

use super::cache::{CACHE_BYTES_MAX, Cache};
use super::code::{Code, Variant, refused, unresolved};
use super::engine::Fuel;
use super::pod::{self, Guest};
use super::symbolise::Symbols;
use crate::exec::{Busy, Checked, LoadError, Outcome, PodLog, PodSetup, Runtime, Trace};
use crate::model::PodTemplate;
use crate::modules::{Digest, Modules};
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What a sandbox is made with.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where compiled code is kept; `None` compiles again at each start. A directory that others can write to is not
    /// used.
    pub cache_dir: Option<PathBuf>,
    /// Limit on the sum of a pod's memories and tables when its template gives none, bytes.
    pub memory_bytes_default: u64,
    /// How many pods can be alive at once; at the most [`SLOTS_MAX`](super::SLOTS_MAX), and fewer where the address
    /// space is short.
    pub slots: usize,
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// wasmtime refuses the engine's settings or cannot have the memory for a single pod.
    #[error("cannot start the WebAssembly engine: {why}")]
    Engine {
        /// Why.
        why: String,
    },
}

/// Runs guests with wasmtime.
pub struct Sandbox {
    pub(super) config: SandboxConfig,
    modules: Arc<Modules>,
    pub(super) plain: Variant,
    /// The engine that counts fuel: most servers never need it, and it reserves as much address space again.
    counting: OnceLock<Variant>,
    /// Held while `counting` is made, so that only one is.
    counting_making: Mutex<()>,
    symbols: Symbols,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("config", &self.config)
            .field("slots", &self.plain.slots)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Makes the engine and reserves its address space.
    ///
    /// # Errors
    /// wasmtime cannot start here.
    pub fn new(config: SandboxConfig, modules: Arc<Modules>) -> Result<Self, SandboxError> {
        let plain = Variant::new(config.slots, Fuel::Free, config.cache_dir.as_deref())
            .map_err(|error| SandboxError::Engine { why: format!("{error:#}") })?;
        let pagemap_scan = plain.engine.get_pooling_config().map(wasmtime::PoolingAllocationConfig::get_pagemap_scan);
        tracing::info!(slots = plain.slots, ?pagemap_scan, "the WebAssembly engine is ready");
        Ok(Self {
            config,
            modules,
            plain,
            counting: OnceLock::new(),
            counting_making: Mutex::new(()),
            symbols: Symbols::default(),
        })
    }

    fn counting(&self) -> wasmtime::Result<&Variant> {
        let _making = self.counting_making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(variant) = self.counting.get() {
            return Ok(variant);
        }
        let variant = Variant::new(self.plain.slots, Fuel::Counted, self.config.cache_dir.as_deref())?;
        Ok(self.counting.get_or_init(|| variant))
    }

    /// Removes compiled code of modules that are not here and what killed processes left in its directory. For the only process
    /// that has the directory, before the first pod.
    pub fn prune_cache(&self) {
        if let Some(root) = &self.config.cache_dir {
            Cache::prune(root, |digest| self.modules.holds(digest));
        }
    }

    /// Keeps the directory within its limit after a compilation.
    fn trim_cache(&self, checked: Checked) {
        if let Some(root) = self.config.cache_dir.as_ref().filter(|_| checked == Checked::Compiled) {
            let variants = || std::iter::once(&self.plain).chain(self.counting.get());
            Cache::trim(root, CACHE_BYTES_MAX, |digest| variants().any(|variant| variant.is_used(digest)));
        }
    }
}

impl Runtime for Sandbox {
    type Code = Code;

    fn cached(&self, template: &PodTemplate) -> Option<Code> {
        let variant = if template.fuel.is_some() { self.counting.get()? } else { &self.plain };
        variant.cached(&self.modules.find(&template.image)?)
    }

    fn load(&self, template: &PodTemplate) -> Result<Code, LoadError> {
        let image = &template.image;
        let digest = self.modules.resolve(image).map_err(|error| unresolved(&error))?;
        let variant = match template.fuel {
            None => &self.plain,
            Some(_) => self.counting().map_err(|error| {
                refused(image, &format!("cannot run with a fuel limit: no engine that counts fuel: {error:#}"))
            })?,
        };
        let (code, checked) = variant.load(&self.modules, image, &digest)?;
        if !self.modules.holds(&digest) {
            // It was removed meanwhile: nothing of it stays but what this pod needs.
            self.forget(&digest.0);
        }
        self.trim_cache(checked);
        Ok(code)
    }

    fn check(&self, name: &str, bytes: &[u8]) -> Result<Checked, LoadError> {
        let checked = self.plain.check(name, bytes)?;
        self.trim_cache(checked);
        Ok(checked)
    }

    fn forget(&self, sha256: &[u8; 32]) {
        let digest = Digest(*sha256);
        self.plain.forget(&digest);
        if let Some(counting) = self.counting.get() {
            counting.forget(&digest);
        }
        if let Some(root) = &self.config.cache_dir {
            Cache::forget(root, &digest);
        }
    }

    fn run(&self, code: Code, pod: PodSetup, log: PodLog) -> impl Future<Output = Result<Outcome, Busy>> + 'static {
        let memory_bytes_max = pod.memory_bytes_max.unwrap_or(self.config.memory_bytes_default);
        let guest = Guest::new(code.0.host, pod.args, pod.env, memory_bytes_max, Some(log));
        pod::run(code, guest, pod.fuel)
    }

    fn explain(&self, code: &Code, trace: &Trace) -> String {
        self.symbols.explain(&code.0.digest, trace, || self.modules.bytes(&code.0.digest))
    }

    fn tick(&self) {
        self.plain.engine.increment_epoch();
        if let Some(counting) = self.counting.get() {
            counting.engine.increment_epoch();
        }
    }

    fn slots(&self) -> usize {
        self.plain.slots
    }
}
