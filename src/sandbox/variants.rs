//! The engines of a sandbox: small and large, each with and without fuel.
//!
//! Owns when each is made: the small one at once, the others when the first pod wants them, because each costs address space
//! and a linker. Invariant: of each there is one.

use super::arena::Arena;
use super::code::Variant;
use super::engine::Fuel;
use crate::model::EngineKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The engines.
pub(super) struct Variants {
    slots: usize,
    cache_dir: Option<PathBuf>,
    arena: Arc<Arena>,
    small: Variant,
    small_counting: OnceLock<Variant>,
    large: OnceLock<Variant>,
    large_counting: OnceLock<Variant>,
    /// Held while one of them is made, so that only one is.
    making: Mutex<()>,
}

impl Variants {
    /// With room for `slots` pods on each of the small and the large engine, as far as the system allows.
    pub(super) fn new(slots: usize, cache_dir: Option<&Path>) -> wasmtime::Result<Self> {
        let arena = Arena::new(slots)?;
        let small = Variant::small(&arena, Fuel::Free, cache_dir)?;
        Ok(Self {
            slots,
            cache_dir: cache_dir.map(Path::to_owned),
            arena,
            small,
            small_counting: OnceLock::new(),
            large: OnceLock::new(),
            large_counting: OnceLock::new(),
            making: Mutex::new(()),
        })
    }

    pub(super) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    /// An engine, if it is there already.
    pub(super) fn ready(&self, kind: EngineKind, fuel: Fuel) -> Option<&Variant> {
        match (kind, fuel) {
            (EngineKind::Small, Fuel::Free) => Some(&self.small),
            (kind, fuel) => self.place(kind, fuel).get(),
        }
    }

    /// An engine, made if it is not there yet.
    pub(super) fn get(&self, kind: EngineKind, fuel: Fuel) -> wasmtime::Result<&Variant> {
        if let Some(variant) = self.ready(kind, fuel) {
            return Ok(variant);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.place(kind, fuel);
        if let Some(variant) = place.get() {
            return Ok(variant);
        }
        let cache_dir = self.cache_dir.as_deref();
        let variant = match kind {
            EngineKind::Small => Variant::small(&self.arena, fuel, cache_dir),
            EngineKind::Large => Variant::large(self.slots, fuel, cache_dir),
        }?;
        Ok(place.get_or_init(|| variant))
    }

    fn place(&self, kind: EngineKind, fuel: Fuel) -> &OnceLock<Variant> {
        match (kind, fuel) {
            (EngineKind::Small, _) => &self.small_counting,
            (EngineKind::Large, Fuel::Free) => &self.large,
            (EngineKind::Large, Fuel::Counted) => &self.large_counting,
        }
    }

    /// Those that are there.
    pub(super) fn each(&self) -> impl Iterator<Item = &Variant> {
        let others = [&self.small_counting, &self.large, &self.large_counting];
        std::iter::once(&self.small).chain(others.into_iter().filter_map(OnceLock::get))
    }
}
