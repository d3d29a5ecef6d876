//! From an image name to code that can be instantiated.

use super::cache::Cache;
use super::engine::{Fuel, engine};
use super::pod::{Guest, HostKind};
use super::wasi::Linkers;
use crate::exec::{Checked, LoadError};
use crate::model::Reason;
use crate::modules::{Digest, ImageError, Modules, inspect};
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
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("digest", &self.0.digest).field("fuel", &self.0.fuel).finish_non_exhaustive()
    }
}

/// An engine with its linkers and its code.
pub(super) struct Variant {
    pub(super) engine: Engine,
    pub(super) slots: usize,
    fuel: Fuel,
    linkers: Linkers,
    cache: Option<Cache>,
    codes: DashMap<Digest, Code>,
}

impl Variant {
    pub(super) fn new(slots: usize, fuel: Fuel, cache_dir: Option<&Path>) -> wasmtime::Result<Self> {
        let (engine, slots) = engine(slots, fuel)?;
        let linkers = Linkers::new(&engine)?;
        let cache = cache_dir.and_then(|root| Cache::open(root, &engine));
        Ok(Self { engine, slots, fuel, linkers, cache, codes: DashMap::new() })
    }

    pub(super) fn cached(&self, digest: &Digest) -> Option<Code> {
        self.codes.get(digest).map(|code| code.clone())
    }

    /// Compiles and links what is not there yet. `image` is what the messages call the module.
    pub(super) fn load(&self, modules: &Modules, image: &str, digest: &Digest) -> Result<(Code, Checked), LoadError> {
        self.prepare(image, digest, || modules.bytes(digest).ok_or_else(|| damaged(image, digest)))
    }

    /// As [`Variant::load`], for a module that is not kept yet.
    pub(super) fn check(&self, image: &str, bytes: &[u8]) -> Result<Checked, LoadError> {
        Ok(self.prepare(image, &Digest::of(bytes), || Ok(bytes))?.1)
    }

    /// Whether a pod has a module's code, or is about to.
    pub(super) fn is_used(&self, digest: &Digest) -> bool {
        self.codes.get(digest).is_some_and(|code| Arc::strong_count(&code.0) > 1)
    }

    /// Lets go of a module's code.
    pub(super) fn forget(&self, digest: &Digest) {
        self.codes.remove(digest);
    }

    fn prepare<B: AsRef<[u8]>>(
        &self,
        image: &str,
        digest: &Digest,
        read: impl FnOnce() -> Result<B, LoadError>,
    ) -> Result<(Code, Checked), LoadError> {
        if let Some(code) = self.cached(digest) {
            return Ok((code, Checked::Cached));
        }
        let (module, checked) = match self.cache.as_ref().and_then(|cache| cache.get(&self.engine, digest)) {
            Some(module) => (module, Checked::Cached),
            None => (self.compile(image, read()?.as_ref())?, Checked::Compiled),
        };
        let code = self.link(image, digest, &module)?;
        // What cannot be linked leaves nothing behind.
        if let Some(cache) = self.cache.as_ref().filter(|_| checked == Checked::Compiled) {
            cache.put(digest, &module);
        }
        self.hold(code.clone());
        Ok((code, checked))
    }

    fn compile(&self, image: &str, bytes: &[u8]) -> Result<Module, LoadError> {
        let inspection = inspect(bytes).map_err(|error| refused(image, &error.to_string()))?;
        let refusals = inspection.refusals();
        if !refusals.is_empty() {
            return Err(refused(image, &refusals.join(&format!("\n`{image}` "))));
        }
        Module::from_binary(&self.engine, bytes)
            .map_err(|error| refused(image, &format!("cannot be compiled: {}", error.root_cause())))
    }

    fn link(&self, image: &str, digest: &Digest, module: &Module) -> Result<Code, LoadError> {
        let start = module.get_export_index("_start").ok_or_else(|| refused(image, "has no entry point `_start`"))?;
        let (pre, host) = self
            .linkers
            .link(module)
            .map_err(|error| refused(image, &format!("cannot be linked: {}", error.root_cause())))?;
        Ok(Code(Arc::new(Loaded { pre, start, digest: *digest, fuel: self.fuel, host })))
    }

    /// The same code on wasmtime-wasi, whatever it imports.
    #[cfg(test)]
    pub(super) fn on_full_host(&self, code: &Code) -> Code {
        let Loaded { pre, start, digest, fuel, .. } = &*code.0;
        let pre = self.linkers.link_with(HostKind::Full, pre.module()).expect("it has all that the lean host has");
        Code(Arc::new(Loaded { pre, start: *start, digest: *digest, fuel: *fuel, host: HostKind::Full }))
    }

    fn hold(&self, code: Code) {
        if self.codes.len() >= CODES_MAX {
            // Which one goes does not matter much: its code comes back from the cache on disk in a millisecond.
            let other = self.codes.iter().next().map(|entry| *entry.key());
            other.and_then(|digest| self.codes.remove(&digest));
        }
        self.codes.insert(code.0.digest, code);
    }
}

/// kubelet: `ErrImagePull` and `InvalidImageName`.
pub(super) fn unresolved(error: &ImageError) -> LoadError {
    let reason = match error {
        ImageError::Invalid { .. } => Reason::InvalidImageName,
        ImageError::Unknown { .. } => Reason::ErrImagePull,
    };
    LoadError { reason, message: error.to_string().into() }
}

fn damaged(image: &str, digest: &Digest) -> LoadError {
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
        let modules = Modules::open(None).expect("in memory");
        let variant = Variant::new(1, Fuel::Free, None).expect("one slot");
        let text = |n: usize| format!(r#"(module (func (export "_start") (drop (i32.const {n}))))"#);
        let mut first = None;
        for n in 0..=CODES_MAX {
            let digest = modules.add(&wat::parse_str(text(n)).expect("good text")).expect("small");
            let (code, _) = variant.load(&modules, "m", &digest).expect("a program");
            first.get_or_insert(code);
            assert!(variant.codes.len() <= CODES_MAX);
        }
        assert_eq!(variant.codes.len(), CODES_MAX);
    }
}
