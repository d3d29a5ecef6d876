//! The sandbox as the workers see it.

use super::cache::{CACHE_BYTES_MAX, Cache};
use super::code::{Code, Variant, accepted, damaged, refused, unresolved};
use super::engine::Fuel;
use super::pod::{self, Guest};
use super::rule;
use super::symbolise::Symbols;
use super::variants::Variants;
use crate::exec::{Busy, Checked, LoadError, Outcome, PodLog, PodSetup, Runtime, Trace};
use crate::model::{EngineKind, PodTemplate};
use crate::modules::{Digest, Modules};
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

/// What a sandbox is made with.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where compiled code is kept; `None` compiles again at each start. A directory that others can write to is not
    /// used.
    pub cache_dir: Option<PathBuf>,
    /// Limit on the sum of a pod's memories and tables when its template gives none, bytes.
    pub memory_bytes_default: u64,
    /// How many pods can be alive at once on each engine: at the most [`SLOTS_MAX_S`](super::SLOTS_MAX_S) small ones and
    /// [`SLOTS_MAX_L`](super::SLOTS_MAX_L) large ones, and fewer where the address space is short.
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
    pub(super) variants: Variants,
    symbols: Symbols,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("config", &self.config).field("slots", &self.slots()).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Makes the engine for small pods and reserves its address space; the others are made when a pod wants them.
    ///
    /// # Errors
    /// wasmtime cannot start here.
    pub fn new(config: SandboxConfig, modules: Arc<Modules>) -> Result<Self, SandboxError> {
        let variants = Variants::new(config.slots, config.cache_dir.as_deref())
            .map_err(|error| SandboxError::Engine { why: format!("{error:#}") })?;
        let arena = variants.arena();
        tracing::info!(slots = arena.slots(), pagemap_scan = arena.scans(), "the engine for small pods is ready");
        Ok(Self { config, modules, variants, symbols: Symbols::default() })
    }

    fn slot_bytes(&self) -> u64 {
        u64::try_from(self.variants.arena().slot_bytes()).expect("a 64-bit system")
    }

    /// The engine that a template asks for; its module may still need the large one.
    fn asked_for(&self, template: &PodTemplate) -> (EngineKind, Fuel) {
        let kind = rule::asked_for(template, self.config.memory_bytes_default, self.slot_bytes());
        (kind, if template.fuel.is_some() { Fuel::Counted } else { Fuel::Free })
    }

    fn variant(&self, image: &str, kind: EngineKind, fuel: Fuel) -> Result<&Variant, LoadError> {
        let made = self.variants.get(kind, fuel);
        made.map_err(|error| refused(image, &format!("cannot run: its engine cannot be started here: {error:#}")))
    }

    /// The code of a module on the engine that is asked for, or on the large one when it does not fit.
    fn prepare<B: AsRef<[u8]>>(
        &self,
        image: &str,
        digest: &Digest,
        (kind, fuel): (EngineKind, Fuel),
        read: impl FnOnce() -> Result<B, LoadError>,
    ) -> Result<(Code, Checked), LoadError> {
        let asked = self.variant(image, kind, fuel)?;
        if let Some(code) = asked.kept(image, digest)? {
            return Ok((code, Checked::Cached));
        }
        let bytes = read()?;
        let bytes = bytes.as_ref();
        let inspection = accepted(image, bytes)?;
        if kind == EngineKind::Large || rule::fits_small(&inspection, self.slot_bytes()) {
            return Ok((asked.compile(image, digest, bytes)?, Checked::Compiled));
        }
        let large = self.variant(image, EngineKind::Large, fuel)?;
        let (code, checked) = match large.kept(image, digest)? {
            Some(code) => (code, Checked::Cached),
            None => (large.compile(image, digest, bytes)?, Checked::Compiled),
        };
        asked.hold(code.clone());
        Ok((code, checked))
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
            let is_used = |digest: &Digest| self.variants.each().any(|variant| variant.is_used(digest));
            Cache::trim(root, CACHE_BYTES_MAX, is_used);
        }
    }
}

impl Runtime for Sandbox {
    type Code = Code;

    fn cached(&self, template: &PodTemplate) -> Option<Code> {
        let (kind, fuel) = self.asked_for(template);
        self.variants.ready(kind, fuel)?.cached(&self.modules.find(&template.image)?)
    }

    fn load(&self, template: &PodTemplate) -> Result<Code, LoadError> {
        let image = &template.image;
        let digest = self.modules.resolve(image).map_err(|error| unresolved(&error))?;
        let read = || self.modules.bytes(&digest).ok_or_else(|| damaged(image, &digest));
        let (code, checked) = self.prepare(image, &digest, self.asked_for(template), read)?;
        if !self.modules.holds(&digest) {
            // It was removed meanwhile: nothing of it stays but what this pod needs.
            self.forget(&digest.0);
        }
        self.trim_cache(checked);
        Ok(code)
    }

    fn check(&self, name: &str, bytes: &[u8]) -> Result<Checked, LoadError> {
        let small = (EngineKind::Small, Fuel::Free);
        let (_, checked) = self.prepare(name, &Digest::of(bytes), small, || Ok(bytes))?;
        self.trim_cache(checked);
        Ok(checked)
    }

    fn forget(&self, sha256: &[u8; 32]) {
        let digest = Digest(*sha256);
        self.variants.each().for_each(|variant| variant.forget(&digest));
        if let Some(root) = &self.config.cache_dir {
            Cache::forget(root, &digest);
        }
    }

    fn engine(&self, code: &Code) -> EngineKind {
        code.kind()
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
        self.variants.each().for_each(|variant| variant.engine.increment_epoch());
    }

    fn slots(&self) -> usize {
        self.variants.arena().slots()
    }
}
