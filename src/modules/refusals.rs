//! Why a module cannot run as a pod.

use super::inspect::{Inspection, ModuleKind};
use super::wasi;
use std::fmt::Write as _;

/// The most that one memory of a pod can have: 4 GiB.
pub const MEMORY_BYTES_MAX: u64 = 4 << 30;
/// The most memories that a module may define.
pub const MEMORIES_MAX: usize = 4;
/// The most tables that a module may define.
pub const TABLES_MAX: usize = 4;
/// The most elements that a table can have. CPython's has 13,000.
pub const TABLE_ELEMENTS_MAX: u64 = 100_000;

/// How many imports or exports a text lists.
const LISTED_MAX: usize = 20;
const PAGE_BYTES: u64 = 64 << 10;

impl Inspection {
    /// What stands in the way of running it as a pod; empty when nothing does. Each text follows the module's name in a
    /// message (`lib.wasm` *has no entry point …*) and may have more lines.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let found = [
            self.kind_refusal(),
            self.features_refusal(),
            self.imports_refusal(),
            self.memories_refusal(),
            self.tables_refusal(),
            self.work_refusal(),
        ];
        found.into_iter().flatten().collect()
    }

    fn kind_refusal(&self) -> Option<String> {
        let has_no_entry = |what: &str| {
            let mut listed: Vec<String> =
                self.exports.iter().take(LISTED_MAX).map(|export| format!("`{}`", export.name)).collect();
            if self.exports.len() > LISTED_MAX {
                listed.push(format!("{} more", self.exports.len() - LISTED_MAX));
            }
            let exports = if listed.is_empty() { "nothing".to_owned() } else { listed.join(", ") };
            format!(
                "has no entry point: {what} (exports {exports}; no `_start`)\n  = help: build a program, not a library: \
                 Rust `src/main.rs`; C without -mexec-model=reactor"
            )
        };
        match self.kind {
            ModuleKind::Component => Some(
                "is a component, and only modules are offered so far\n  = help: compile for WASI preview 1: Rust \
                 --target wasm32-wasip1; C -target wasm32-wasi; Go GOOS=wasip1"
                    .to_owned(),
            ),
            ModuleKind::Reactor => Some(has_no_entry("it is a reactor")),
            ModuleKind::NoEntry => Some(has_no_entry("it is neither a program nor a reactor")),
            ModuleKind::Command => {
                let start = self.exports.iter().find(|export| export.name == "_start")?;
                (start.ty != "(func)")
                    .then(|| format!("has an entry point of the wrong type: `_start` is {}, not (func)", start.ty))
            }
        }
    }

    fn features_refusal(&self) -> Option<String> {
        let missing = self.missing_features.join(", ");
        (!missing.is_empty()).then(|| {
            format!("uses a feature of WebAssembly that is not offered: {missing}\n  = help: compile without it")
        })
    }

    fn imports_refusal(&self) -> Option<String> {
        if self.kind == ModuleKind::Component {
            return None;
        }
        let refusal = |import: &super::Import| wasi::refusal(&import.module, &import.name, &import.ty);
        let refused: Vec<_> = self.imports.iter().filter_map(|import| Some((import, refusal(import)?))).collect();
        let count = match refused.len() {
            0 => return None,
            1 => "1 import".to_owned(),
            more => format!("{more} imports"),
        };
        let mut text = format!("needs {count} that this server does not offer");
        for (import, why) in refused.iter().take(LISTED_MAX) {
            let name = format!("{}.{}", import.module, import.name);
            write!(text, "\n    {name:<28}  {why}").expect("a String takes everything");
        }
        if refused.len() > LISTED_MAX {
            write!(text, "\n    and {} more", refused.len() - LISTED_MAX).expect("a String takes everything");
        }
        text.push_str("\n  = note: nothing was started");
        Some(text)
    }

    fn memories_refusal(&self) -> Option<String> {
        if self.memories.len() > MEMORIES_MAX {
            return Some(format!("defines {} memories, a module may have {MEMORIES_MAX}", self.memories.len()));
        }
        let pages_max = MEMORY_BYTES_MAX / PAGE_BYTES;
        let largest = self.memories.iter().map(|memory| memory.min_pages).max()?;
        (largest > pages_max)
            .then(|| format!("needs a memory of {largest} pages to start, a pod can have {pages_max} (4 GiB)"))
    }

    fn tables_refusal(&self) -> Option<String> {
        if self.tables.len() > TABLES_MAX {
            return Some(format!("defines {} tables, a module may have {TABLES_MAX}", self.tables.len()));
        }
        let largest = self.tables.iter().map(|table| table.min).max()?;
        (largest > TABLE_ELEMENTS_MAX)
            .then(|| format!("needs a table of {largest} elements to start, a pod can have {TABLE_ELEMENTS_MAX}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::inspect;

    fn refusals(text: &str) -> Vec<String> {
        inspect(&wat::parse_str(text).expect("good text")).expect("valid").refusals()
    }

    #[test]
    fn a_command_is_not_refused() {
        let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
            (memory 1) (func (export "_start")))"#;
        assert_eq!(refusals(text), Vec::<String>::new());
    }

    #[test]
    fn a_reactor_is_refused_with_what_it_exports() {
        let text = r#"(module (func (export "_initialize")) (func (export "add")) (func (export "render")))"#;
        assert_eq!(
            refusals(text),
            ["has no entry point: it is a reactor (exports `_initialize`, `add`, `render`; no `_start`)\n  \
              = help: build a program, not a library: Rust `src/main.rs`; C without -mexec-model=reactor"]
        );
    }

    #[test]
    fn imports_are_refused_each_with_a_reason() {
        let text = r#"(module (import "env" "host_log" (func)) (import "wasi_unstable" "fd_write" (func))
            (import "wasi_snapshot_preview1" "sched_yield" (func (result i32))) (func (export "_start")))"#;
        assert_eq!(
            refusals(text),
            ["needs 2 imports that this server does not offer\n    \
              env.host_log                  unknown: built for another host\n    \
              wasi_unstable.fd_write        built for WASI snapshot 0: compile with a current toolchain for wasm32-wasip1\n  \
              = note: nothing was started"]
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let imports: String = (0..LISTED_MAX + 5).map(|n| format!("(import \"env\" \"f{n}\" (func))")).collect();
        let exports: String = (0..LISTED_MAX + 5).map(|n| format!("(func (export \"e{n}\"))")).collect();
        let found = refusals(&format!("(module {imports} {exports})"));
        assert!(found[0].contains("`e19`, 5 more; no `_start`"), "{}", found[0]);
        assert!(found[1].contains("needs 25 imports") && found[1].contains("\n    and 5 more\n"), "{}", found[1]);
    }

    #[test]
    fn what_does_not_fit_a_pod_is_refused() {
        let start = r#"(func (export "_start"))"#;
        let cases = [
            ("(component)".to_owned(), "is a component"),
            (
                format!("(module {start})").replace("\")", "\") (param i32)"),
                "wrong type: `_start` is (func (param i32))",
            ),
            (format!("(module (memory 1 1 shared) {start})"), "not offered: threads"),
            (format!("(module (memory i64 65537) {start})"), "65537 pages to start, a pod can have 65536"),
            (format!("(module {} {start})", "(memory 1)".repeat(MEMORIES_MAX + 1)), "defines 5 memories"),
            (format!("(module (table 100001 funcref) {start})"), "a table of 100001 elements"),
            (format!("(module {} {start})", "(table 1 funcref)".repeat(TABLES_MAX + 1)), "defines 5 tables"),
        ];
        for (text, why) in cases {
            let found = refusals(&text);
            assert!(found.len() == 1 && found[0].contains(why), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_just_fits_a_pod_is_not_refused() {
        let memories = "(memory i64 65536)".repeat(MEMORIES_MAX);
        let tables = "(table 100000 funcref)".repeat(TABLES_MAX);
        let text = format!(r#"(module {memories} {tables} (func (export "_start")))"#);
        assert_eq!(refusals(&text), Vec::<String>::new());
    }
}
