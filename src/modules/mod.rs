//! Modules by content, names for them, and what can be said of a module without running it.
//!
//! Owns the bytes of every module and the table from image names to digests. Knows nothing of running them: `sandbox`
//! compiles what [`Modules::bytes`] serves. Start with `library`. Invariant: bytes are served only under the SHA-256
//! that they have at that moment.

mod builtin;
mod digest;
mod features;
mod image;
mod inspect;
mod library;
mod refusals;
mod upload;
mod wasi;
mod work;

pub use digest::Digest;
pub use features::features;
pub use image::{ImageError, ImageRef};
pub use inspect::{Export, Import, InspectError, Inspection, ModuleKind, ModuleMemory, ModuleTable, inspect};
pub use library::{
    DESCRIBED_MAX, Listed, MODULE_BYTES_MAX, MODULES_MAX, Modules, ModulesError, NAMES_MAX, Removal, WHOLE_MAX,
};
pub use refusals::{MEMORIES_MAX, MEMORY_BYTES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};
pub use upload::{Staged, UPLOADS_MAX, Upload};
pub use wasi::{WASI_FUNCTIONS, WASI_MODULE};
pub use work::{
    CompileWork, FUNCTION_BYTES_MAX, FUNCTION_MERGES_MAX, LOCALS_MAX, LOOPED_USES_MAX, MERGES_MAX, MULTI_VALUES_MAX,
};
