//! What a module is, read from its bytes without compiling it.
//!
//! Invariant: whatever the bytes are, this returns; it never panics and its work is linear in their number.

use super::features::features;
use super::work::{self, CompileWork};
use wasmparser::types::{EntityType, Types};
use wasmparser::{
    ComponentExternName, CustomSectionReader, KnownCustom, MemoryType, Parser, Payload, TableType, Validator,
    WasmFeatures,
};

/// What kind of program a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// A core module with `_start`: it can run as a pod.
    Command,
    /// A core module with `_initialize` and no `_start`: a library.
    Reactor,
    /// A core module with neither.
    NoEntry,
    /// A component (WASI preview 2 or 3).
    Component,
}

/// What a module needs from its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Module; empty for a component's import.
    pub module: String,
    /// Name in it.
    pub name: String,
    /// Its type in WebAssembly's text form, such as `(func (param i32) (result i32))`.
    pub ty: String,
}

/// What a module offers its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Name.
    pub name: String,
    /// Its type in WebAssembly's text form.
    pub ty: String,
}

/// A memory that a module defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleMemory {
    /// Size at the start, in pages of 64 KiB.
    pub min_pages: u64,
    /// Largest size in pages, if the module says one.
    pub max_pages: Option<u64>,
    /// Shared between threads.
    pub is_shared: bool,
    /// Addressed with 64 bits.
    pub is_64: bool,
}

/// A table that a module defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleTable {
    /// Elements at the start.
    pub min: u64,
    /// Most elements, if the module says a number.
    pub max: Option<u64>,
    /// What its elements are, such as `funcref`.
    pub element: String,
}

/// What [`inspect`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Kind.
    pub kind: ModuleKind,
    /// Size in bytes.
    pub bytes: usize,
    /// Imports in order; of a component, their names.
    pub imports: Vec<Import>,
    /// Exports in order; of a component, their names.
    pub exports: Vec<Export>,
    /// Memories that it defines.
    pub memories: Vec<ModuleMemory>,
    /// Tables that it defines.
    pub tables: Vec<ModuleTable>,
    /// The index of its start function, which runs before `_start`.
    pub start: Option<u32>,
    /// `producers`: languages and their versions.
    pub languages: Vec<String>,
    /// Custom sections: name and size in bytes.
    pub custom_sections: Vec<(String, usize)>,
    /// Features that it uses and that are not offered: `threads`, `exceptions`, `garbage collection`.
    pub missing_features: Vec<&'static str>,
    /// What compiling it costs; nothing of a component, which is not compiled.
    pub work: CompileWork,
}

/// Why bytes are no module. Each text follows the module's name in a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// They do not begin as WebAssembly does.
    #[error("is not WebAssembly: {looks_like}")]
    NotWasm {
        /// What they look like.
        looks_like: &'static str,
    },
    /// They break a rule of WebAssembly.
    #[error("is not valid WebAssembly: {why} (at byte {offset})")]
    Invalid {
        /// The rule.
        why: String,
        /// Where, in bytes from the start.
        offset: usize,
    },
}

impl From<wasmparser::BinaryReaderError> for InspectError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid { why: error.message().to_owned(), offset: error.offset() }
    }
}

impl Inspection {
    /// Whether it carries line tables that a backtrace can name files and lines from.
    #[must_use]
    pub fn has_dwarf(&self) -> bool {
        self.custom_sections.iter().any(|(name, _)| name == ".debug_line")
    }
}

/// Features that exist, that the engine is built without, and what people call them.
const LEFT_OUT: [(WasmFeatures, &str); 3] = [
    (WasmFeatures::THREADS, "threads"),
    (WasmFeatures::EXCEPTIONS, "exceptions"),
    (WasmFeatures::GC_TYPES, "garbage collection"),
];

/// Validates `bytes` and says what they are. Features that are not offered are reported, not refused:
/// [`Inspection::refusals`] does that.
///
/// # Errors
/// [`InspectError`] for what is not a valid module or component.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InspectError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(InspectError::NotWasm { looks_like: looks_like(bytes) });
    }
    let (types, missing_features) = validate(bytes)?;
    let mut found = Inspection {
        kind: if Parser::is_component(bytes) { ModuleKind::Component } else { ModuleKind::NoEntry },
        bytes: bytes.len(),
        imports: Vec::new(),
        exports: Vec::new(),
        memories: Vec::new(),
        tables: Vec::new(),
        start: None,
        languages: Vec::new(),
        custom_sections: Vec::new(),
        missing_features,
        work: CompileWork::default(),
    };
    // What stands for a missing feature has no place in what is counted, and is refused anyway.
    let mut work = (found.kind == ModuleKind::NoEntry && found.missing_features.is_empty()).then(work::Reader::default);
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        if let Some(work) = &mut work {
            work.read(&payload)?;
        }
        match payload {
            // What lies inside a component's modules is not the component's own.
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            payload if depth == 0 => found.read(payload, &types)?,
            _ => {}
        }
    }
    found.work = work.map(|work| work.work).unwrap_or_default();
    if found.kind == ModuleKind::NoEntry {
        let has = |name: &str| found.exports.iter().any(|export| export.name == name && export.ty.starts_with("(func"));
        if has("_start") {
            found.kind = ModuleKind::Command;
        } else if has("_initialize") {
            found.kind = ModuleKind::Reactor;
        }
    }
    Ok(found)
}

fn looks_like(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "the file is empty",
        [0x7f, b'E', b'L', b'F', ..] => "an ELF program or library; compile it for wasm32-wasip1",
        [b'#', b'!', ..] => "a script",
        [0x1f, 0x8b, ..] => "a gzip archive",
        [b'(', ..] => "WebAssembly text; turn it into a module with `wat2wasm` or `wasm-tools parse`",
        _ => "it does not begin with `\\0asm`",
    }
}

fn validate(bytes: &[u8]) -> Result<(Types, Vec<&'static str>), InspectError> {
    let with = |features| Validator::new_with_features(features).validate_all(bytes);
    let refused = match with(features()) {
        Ok(types) => return Ok((types, Vec::new())),
        Err(refused) => refused,
    };
    let every = LEFT_OUT.iter().fold(features(), |all, (feature, _)| all | *feature);
    let Ok(types) = with(every) else { return Err(refused.into()) };
    let is_needed = |(feature, _): &&(WasmFeatures, &'static str)| with(every - *feature).is_err();
    Ok((types, LEFT_OUT.iter().filter(is_needed).map(|(_, name)| *name).collect()))
}

impl Inspection {
    fn read(&mut self, payload: Payload<'_>, types: &Types) -> Result<(), InspectError> {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let ty = types.as_ref().entity_type_from_import(&import).map(|ty| type_text(&ty, types));
                    self.imports.push(Import {
                        module: import.module.to_owned(),
                        name: import.name.to_owned(),
                        ty: ty.unwrap_or_default(),
                    });
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    let ty = types.as_ref().entity_type_from_export(&export).map(|ty| type_text(&ty, types));
                    self.exports.push(Export { name: export.name.to_owned(), ty: ty.unwrap_or_default() });
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.memories.push(memory_of(memory?));
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    self.tables.push(table_of(table?.ty));
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let name = import?.name;
                    self.imports.push(Import { module: String::new(), name: component_name(name), ty: String::new() });
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.exports.push(Export { name: component_name(export?.name), ty: String::new() });
                }
            }
            Payload::CustomSection(section) => self.read_custom(&section),
            _ => {}
        }
        Ok(())
    }

    /// A custom section may hold anything; one that cannot be read says nothing.
    fn read_custom(&mut self, section: &CustomSectionReader<'_>) {
        self.custom_sections.push((section.name().to_owned(), section.data().len()));
        let KnownCustom::Producers(producers) = section.as_known() else { return };
        let languages = producers.into_iter().flatten().filter(|field| field.name == "language");
        for value in languages.flat_map(|field| field.values.into_iter().flatten()) {
            self.languages.push(format!("{} {}", value.name, value.version).trim_end().to_owned());
        }
    }
}

fn component_name(name: ComponentExternName<'_>) -> String {
    name.name.to_owned()
}

fn memory_of(memory: MemoryType) -> ModuleMemory {
    ModuleMemory {
        min_pages: memory.initial,
        max_pages: memory.maximum,
        is_shared: memory.shared,
        is_64: memory.memory64,
    }
}

fn table_of(table: TableType) -> ModuleTable {
    ModuleTable { min: table.initial, max: table.maximum, element: table.element_type.to_string() }
}

fn type_text(ty: &EntityType, types: &Types) -> String {
    let bounds = |min: u64, max: Option<u64>| max.map_or_else(|| min.to_string(), |max| format!("{min} {max}"));
    match ty {
        EntityType::Func(id) | EntityType::FuncExact(id) => types[*id].to_string(),
        EntityType::Tag(id) => format!("(tag {})", types[*id]),
        EntityType::Table(table) => {
            format!("(table {} {})", bounds(table.initial, table.maximum), table.element_type)
        }
        EntityType::Memory(memory) => {
            let index = if memory.memory64 { "i64 " } else { "" };
            let shared = if memory.shared { " shared" } else { "" };
            format!("(memory {index}{}{shared})", bounds(memory.initial, memory.maximum))
        }
        EntityType::Global(global) if global.mutable => format!("(global (mut {}))", global.content_type),
        EntityType::Global(global) => format!("(global {})", global.content_type),
    }
}

#[cfg(test)]
mod tests {
    use super::super::builtin::BUILTIN;
    use super::*;

    fn wat(text: &str) -> Vec<u8> {
        wat::parse_str(text).expect("good text")
    }

    #[test]
    fn a_module_is_described() {
        let found = inspect(&wat(r#"(module
                (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (import "env" "base" (global (mut i32)))
                (memory (export "memory") 2 3) (memory i64 1)
                (table 4 5 funcref)
                (func $s) (start $s)
                (func (export "_start"))
                (func (export "add") (param i32 i64) (result f32) unreachable)
                (@custom ".debug_line" "xyz")
                (@producers (language "Rust" "2024") (language "C" "") (processed-by "rustc" "1.95")))"#))
        .expect("valid");
        assert_eq!(found.kind, ModuleKind::Command);
        let imports: Vec<_> =
            found.imports.iter().map(|i| (i.module.as_str(), i.name.as_str(), i.ty.as_str())).collect();
        assert_eq!(
            imports,
            [("wasi_snapshot_preview1", "proc_exit", "(func (param i32))"), ("env", "base", "(global (mut i32))")]
        );
        let exports: Vec<_> = found.exports.iter().map(|e| (e.name.as_str(), e.ty.as_str())).collect();
        assert_eq!(
            exports,
            [("memory", "(memory 2 3)"), ("_start", "(func)"), ("add", "(func (param i32 i64) (result f32))")]
        );
        assert_eq!(
            found.memories[0],
            ModuleMemory { min_pages: 2, max_pages: Some(3), is_shared: false, is_64: false }
        );
        assert!(found.memories[1].is_64);
        assert_eq!(found.tables, [ModuleTable { min: 4, max: Some(5), element: "funcref".to_owned() }]);
        assert_eq!(found.start, Some(1));
        assert_eq!(found.languages, ["Rust 2024", "C"]);
        assert!(found.has_dwarf());
        assert!(found.custom_sections.contains(&(".debug_line".to_owned(), 3)));
    }

    #[test]
    fn kinds_are_told_apart() {
        let cases = [
            ("(module)", ModuleKind::NoEntry),
            (r#"(module (func (export "_initialize")))"#, ModuleKind::Reactor),
            (r#"(module (func (export "_initialize")) (func (export "_start")))"#, ModuleKind::Command),
            (r#"(module (global (export "_start") i32 (i32.const 0)))"#, ModuleKind::NoEntry),
            (r#"(component (core module (func (export "_start"))))"#, ModuleKind::Component),
        ];
        for (text, kind) in cases {
            assert_eq!(inspect(&wat(text)).expect(text).kind, kind, "{text}");
        }
    }

    #[test]
    fn a_components_imports_are_its_own_and_not_its_modules() {
        let found = inspect(&wat(r#"(component (core module (import "a" "b" (func)))
                (import "wasi:sockets/tcp@0.2.3" (instance)))"#))
        .expect("valid");
        let names: Vec<_> = found.imports.iter().map(|import| import.name.as_str()).collect();
        assert_eq!(names, ["wasi:sockets/tcp@0.2.3"]);
    }

    #[test]
    fn features_that_are_left_out_are_named() {
        let cases = [
            ("(module (memory 1 2 shared))", vec!["threads"]),
            ("(module (tag))", vec!["exceptions"]),
            ("(module (type (struct (field i32))) (func (param anyref)))", vec!["garbage collection"]),
            ("(module (memory 1))", vec![]),
        ];
        for (text, missing) in cases {
            assert_eq!(inspect(&wat(text)).expect(text).missing_features, missing, "{text}");
        }
    }

    #[test]
    fn what_is_not_wasm_is_called_by_its_name() {
        let cases: [(&[u8], &str); 5] = [
            (b"", "empty"),
            (b"\x7fELF\x02", "ELF"),
            (b"#!/bin/sh", "script"),
            (b"(module)", "text"),
            (b"hello", "does not begin with"),
        ];
        for (bytes, what) in cases {
            let error = inspect(bytes).expect_err(what);
            assert!(matches!(&error, InspectError::NotWasm { looks_like } if looks_like.contains(what)), "{error}");
        }
        let error = inspect(b"\0asm\x01\0\0\0\x01\x05").expect_err("cut off");
        assert!(matches!(error, InspectError::Invalid { .. }), "{error}");
    }

    #[test]
    fn every_built_in_module_is_a_command_that_nothing_speaks_against() {
        for (name, bytes) in BUILTIN {
            let found = inspect(bytes).expect(name);
            assert_eq!(found.kind, ModuleKind::Command, "{name}");
            assert_eq!(found.refusals(), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn truncated_and_flipped_modules_are_told_without_a_panic() {
        let (_, module) = BUILTIN.iter().find(|(name, _)| *name == "hello").expect("built in");
        let mut refused = 0;
        for cut in (0..module.len()).step_by(997).chain(0..64) {
            refused += usize::from(inspect(&module[..cut]).map(|found| found.refusals()).is_err());
        }
        assert!(refused > 64, "a module that ends early is mostly no module");
        let mut bytes = module.to_vec();
        let mut rng = crate::base::Rng::new(1);
        for _ in 0..300 {
            let at = usize::try_from(rng.next_u64() % u64::try_from(bytes.len()).expect("small")).expect("small");
            let bit = 1 << (rng.next_u64() % 8);
            bytes[at] ^= bit;
            let _ = inspect(&bytes).map(|found| found.refusals());
            bytes[at] ^= bit;
        }
    }
}
