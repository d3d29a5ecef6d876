//! `coracle inspect`: what a module is, without running it.

use super::error::{CliError, Place, code};
use super::{bytes_text, say};
use crate::modules::{Digest, InspectError, Inspection, MODULE_BYTES_MAX, ModuleKind, inspect as read};
use clap::Args;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Arguments of `coracle inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 it would run, 2 no such file, 4 it would be refused.")]
pub(super) struct InspectArgs {
    /// The module: a .wasm file
    file: PathBuf,
}

/// Prints kind, imports, exports and memory; a module that would be refused ends with exit code 4 and the reasons.
pub(super) fn inspect(args: &InspectArgs) -> Result<u8, CliError> {
    let (bytes, inspection) = load(&args.file)?;
    say(&render(&args.file, &bytes, &inspection));
    match refusal(&args.file, &inspection) {
        Some(error) => Ok(error.report()),
        None => Ok(code::DONE),
    }
}

/// Reads and validates a module file.
pub(super) fn load(file: &Path) -> Result<(Vec<u8>, Inspection), CliError> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file);
    opened
        .and_then(|opened| opened.take(MODULE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| cannot_read(file, &error))?;
    if bytes.len() > MODULE_BYTES_MAX {
        let what = format!("`{}` has more than the {} of a module", file.display(), size_text(MODULE_BYTES_MAX));
        return Err(CliError::new(code::MODULE, what).help("strip it: wasm-strip, or Rust's `strip = true`"));
    }
    let inspection = read(&bytes)
        .map_err(|error: InspectError| CliError::new(code::MODULE, format!("`{}` {error}", file.display())))?;
    Ok((bytes, inspection))
}

/// The error for a file that cannot be read.
pub(super) fn cannot_read(file: &Path, error: &std::io::Error) -> CliError {
    let place = Place::file(&file.display().to_string());
    CliError::new(code::USAGE, format!("cannot read the file: {error}")).at(place)
}

/// Why a module would be refused, if it would.
pub(super) fn refusal(file: &Path, inspection: &Inspection) -> Option<CliError> {
    let refusals = inspection.refusals();
    let what: Vec<String> = refusals.iter().map(|text| format!("`{}` {text}", file.display())).collect();
    (!what.is_empty()).then(|| CliError::new(code::MODULE, what.join("\nerror: ")))
}

fn size(bytes: &[u8]) -> String {
    size_text(bytes.len())
}

fn size_text(bytes: usize) -> String {
    bytes_text(u64::try_from(bytes).unwrap_or(u64::MAX))
}

fn render(file: &Path, bytes: &[u8], module: &Inspection) -> String {
    let kind = match module.kind {
        ModuleKind::Command => "command (WASI preview 1)",
        ModuleKind::Reactor => "reactor: a library, no `_start`",
        ModuleKind::NoEntry => "module without an entry point",
        ModuleKind::Component => "component",
    };
    let mut text = format!("module   {}  {}  {}\nkind     {kind}\n", file.display(), Digest::of(bytes), size(bytes));
    if !module.languages.is_empty() {
        _ = writeln!(text, "built    {}", module.languages.join(", "));
    }
    if let Some(start) = module.start {
        _ = writeln!(text, "start    function {start} runs before `_start`");
    }
    for memory in &module.memories {
        let page = 64 << 10;
        let max = match memory.max_pages {
            Some(max) => format!("at the most {}", bytes_text(max.saturating_mul(page))),
            None => "no maximum of its own".to_owned(),
        };
        let shared = if memory.is_shared { ", shared" } else { "" };
        _ = writeln!(
            text,
            "memory   {} at the start, {max}{shared}",
            bytes_text(memory.min_pages.saturating_mul(page))
        );
    }
    for table in &module.tables {
        let max = table.max.map_or(String::new(), |max| format!(", at the most {max}"));
        _ = writeln!(text, "table    {} {}{max}", table.min, table.element);
    }
    let lines = if module.has_dwarf() { "line tables: backtraces name file and line" } else { "no line tables" };
    _ = writeln!(text, "debug    {lines}");
    _ = writeln!(text, "imports  {}", module.imports.len());
    for import in &module.imports {
        let dot = if import.module.is_empty() { "" } else { "." };
        let (module, name) = (import.module.escape_debug(), import.name.escape_debug());
        _ = writeln!(text, "  {module}{dot}{name} {}", import.ty);
    }
    _ = writeln!(text, "exports  {}", module.exports.len());
    for export in &module.exports {
        _ = writeln!(text, "  {} {}", export.name.escape_debug(), export.ty);
    }
    text
}
