//! The WebAssembly features that modules may use.

use wasmparser::WasmFeatures;

/// What the engine's build accepts: WebAssembly 3.0 without garbage collection, exceptions and threads. `sandbox` tests
/// that its engine says the same. Components are in it so that one can be recognised as valid.
#[must_use]
pub fn features() -> WasmFeatures {
    let left_out = WasmFeatures::GC_TYPES | WasmFeatures::EXCEPTIONS | WasmFeatures::THREADS;
    (WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL) - left_out
}
