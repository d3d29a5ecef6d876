//! From an image name to code that can be instantiated.

use super::arena::Arena;
use super::cache::Cache;
use super::engine::{self, Fuel};
use super::pod::{Guest, HostKind};
use super::wasi::Linkers;
use crate::exec::LoadError;
use crate::model::{EngineKind, Reason};
use crate::modules::{Digest, ImageError, Inspection, inspect};
use dashmap::DashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use wasmtime::{Engine, InstancePre, Module, ModuleExport};

/// The most modules whose code is held at once, for each engine. One more lets go of another; pods that run keep theirs.
const CODES_MAX: usize = 1024;

/// A module compiled and linked. Cheap to clone.
#[derive(Clone)]
pub struct Code(pub(super) Arc<Loaded>);

pub(super) struct Loaded {
    pub(super) pre: InstancePre<Guest>,
    pub(super) start: ModuleExport,
    pub(super) digest: Digest,
    pub(super) fuel: Fuel,
    pub(super) host: HostKind,
    /// Where its pods get their memories and stacks; `None` on the large engine, which has a pool.
    pub(super) arena: Option<Arc<Arena>>,
}

impl Code {
    pub(super) fn kind(&self) -> EngineKind {
        if self.0.arena.is_some() { EngineKind::Small } else { EngineKind::Large }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut code = f.debug_struct("Code");
        code.field("digest", &self.0.digest).field("kind", &self.kind()).field("fuel", &self.0.fuel);
        code.finish_non_exhaustive()
    }
}

/// An engine with its linkers and its code.
pub(super) struct Variant {
    pub(super) engine: Engine,
    fuel: Fuel,
    arena: Option<Arc<Arena>>,
    linkers: Linkers,
    cache: Option<Cache>,
    codes: DashMap<Digest, Code>,
}

impl Variant {
    /// The small engine on this arena.
    pub(super) fn small(arena: &Arc<Arena>, fuel: Fuel, cache_dir: Option<&Path>) -> wasmtime::Result<Self> {
        Self::new(engine::small(arena, fuel)?, fuel, Some(Arc::clone(arena)), cache_dir)
    }

    /// The large engine with a pool of at the most so many slots.
    pub(super) fn large(slots: usize, fuel: Fuel, cache_dir: Option<&Path>) -> wasmtime::Result<Self> {
        let (engine, slots) = engine::large(slots, fuel)?;
        let pagemap_scan = engine.get_pooling_config().map(wasmtime::PoolingAllocationConfig::get_pagemap_scan);
        tracing::info!(slots, ?fuel, ?pagemap_scan, "the engine for large pods is ready");
        Self::new(engine, fuel, None, cache_dir)
    }

    fn new(engine: Engine, fuel: Fuel, arena: Option<Arc<Arena>>, cache_dir: Option<&Path>) -> wasmtime::Result<Self> {
        let linkers = Linkers::new(&engine)?;
        let cache = cache_dir.and_then(|root| Cache::open(root, &engine));
        Ok(Self { engine, fuel, arena, linkers, cache, codes: DashMap::new() })
    }

    pub(super) fn cached(&self, digest: &Digest) -> Option<Code> {
        self.codes.get(digest).map(|code| code.clone())
    }

    /// Whether a pod has a module's code, or is about to.
    pub(super) fn is_used(&self, digest: &Digest) -> bool {
        self.codes.get(digest).is_some_and(|code| Arc::strong_count(&code.0) > 1)
    }

    /// Lets go of a module's code.
    pub(super) fn forget(&self, digest: &Digest) {
        self.codes.remove(digest);
    }

    /// The code that was made before, in this process or in another.
    pub(super) fn kept(&self, image: &str, digest: &Digest) -> Result<Option<Code>, LoadError> {
        if let Some(code) = self.cached(digest) {
            return Ok(Some(code));
        }
        let Some(module) = self.cache.as_ref().and_then(|cache| cache.get(&self.engine, digest)) else {
            return Ok(None);
        };
        let code = self.link(image, digest, &module)?;
        self.hold(code.clone());
        Ok(Some(code))
    }

    /// Compiles and links a module that nothing speaks against. `image` is what the messages call it.
    pub(super) fn compile(&self, image: &str, digest: &Digest, bytes: &[u8]) -> Result<Code, LoadError> {
        let module = Module::from_binary(&self.engine, bytes)
            .map_err(|error| refused(image, &format!("cannot be compiled: {}", error.root_cause())))?;
        let code = self.link(image, digest, &module)?;
        // What cannot be linked leaves nothing behind.
        if let Some(cache) = &self.cache {
            cache.put(digest, &module);
        }
        self.hold(code.clone());
        Ok(code)
    }

    fn link(&self, image: &str, digest: &Digest, module: &Module) -> Result<Code, LoadError> {
        let start = module.get_export_index("_start").ok_or_else(|| refused(image, "has no entry point `_start`"))?;
        let (pre, host) = self
            .linkers
            .link(module)
            .map_err(|error| refused(image, &format!("cannot be linked: {}", error.root_cause())))?;
        let (fuel, arena) = (self.fuel, self.arena.clone());
        Ok(Code(Arc::new(Loaded { pre, start, digest: *digest, fuel, host, arena })))
    }

    /// The same code on wasmtime-wasi, whatever it imports.
    #[cfg(test)]
    pub(super) fn on_full_host(&self, code: &Code) -> Code {
        let Loaded { pre, start, digest, fuel, arena, .. } = &*code.0;
        let pre = self.linkers.link_with(HostKind::Full, pre.module()).expect("it has all that the lean host has");
        let (host, arena) = (HostKind::Full, arena.clone());
        Code(Arc::new(Loaded { pre, start: *start, digest: *digest, fuel: *fuel, host, arena }))
    }

    /// Holds code under its digest; also another engine's, for a module that does not fit this one.
    pub(super) fn hold(&self, code: Code) {
        if self.codes.len() >= CODES_MAX {
            // Which one goes does not matter much: its code comes back from the cache on disk in a millisecond.
            let other = self.codes.iter().next().map(|entry| *entry.key());
            other.and_then(|digest| self.codes.remove(&digest));
        }
        self.codes.insert(code.0.digest, code);
    }
}

/// What a module is, unless something speaks against running it.
pub(super) fn accepted(image: &str, bytes: &[u8]) -> Result<Inspection, LoadError> {
    let inspection = inspect(bytes).map_err(|error| refused(image, &error.to_string()))?;
    let refusals = inspection.refusals();
    if refusals.is_empty() { Ok(inspection) } else { Err(refused(image, &refusals.join(&format!("\n`{image}` ")))) }
}

/// kubelet: `ErrImagePull` and `InvalidImageName`.
pub(super) fn unresolved(error: &ImageError) -> LoadError {
    let reason = match error {
        ImageError::Invalid { .. } => Reason::InvalidImageName,
        ImageError::Unknown { .. } => Reason::ErrImagePull,
    };
    LoadError { reason, message: error.to_string().into() }
}

pub(super) fn damaged(image: &str, digest: &Digest) -> LoadError {
    let message =
        format!("`{image}` ({digest}) cannot be read back from disk\n  = help: push it again, or run it from its file");
    LoadError { reason: Reason::ErrImagePull, message: message.into() }
}

pub(super) fn refused(image: &str, why: &str) -> LoadError {
    LoadError { reason: Reason::CreateContainerError, message: format!("`{image}` {why}").into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_let_go_at_the_limit() {
        let variant = Variant::small(&Arena::new(1).expect("one slot"), Fuel::Free, None).expect("good settings");
        for n in 0..=CODES_MAX {
            let text = format!(r#"(module (func (export "_start") (drop (i32.const {n}))))"#);
            let bytes = wat::parse_str(text).expect("good text");
            variant.compile("m", &Digest::of(&bytes), &bytes).expect("a program");
            assert!(variant.codes.len() <= CODES_MAX);
        }
        assert_eq!(variant.codes.len(), CODES_MAX);
    }
}
