//! A trap's frames as text: function, file and line, the guest's own frames first.
//!
//! The debug information is the guest's, so nothing of it is trusted: its size, the reads it causes, the frames and the
//! text that come of it are bounded. Invariant: [`Symbols::explain`] returns, whatever the module holds.

use super::metered::Metered;
use crate::exec::Trace;
use crate::modules::Digest;
use addr2line::gimli;
use dashmap::DashMap;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use wasmparser::{KnownCustom, Name, Parser, Payload};

/// The longest explanation, bytes (Kubernetes: `terminated.message`).
pub const EXPLAIN_BYTES_MAX: usize = 4096;
/// Debug information above this is not read; functions are named from the name section alone. Bytes, all sections.
pub const DWARF_BYTES_MAX: usize = 16 << 20;

/// Reads of debug information for one trace: 18 frames in 300 KB of it took 61,000. A row of a line table takes one read
/// and 24 bytes, so this is a limit on memory as well.
const READS_MAX: u64 = 4 << 20;
/// Frames of inlined functions at one offset.
const INLINED_MAX: usize = 16;
/// A function's or file's name is cut after this many characters.
const NAME_CHARS_MAX: usize = 240;
/// Offsets whose frames are kept. At the limit all are forgotten: traps of a fleet come from few places.
const KEPT_MAX: usize = 4096;

/// Frames that were looked up before.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    kept: DashMap<(Digest, Place), Arc<[Frame]>>,
}

/// Function index and offset in the module.
type Place = (u32, Option<u32>);

/// One line of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    text: String,
    /// Not of the language's runtime.
    is_own: bool,
}

impl Symbols {
    /// `bytes` is asked for the module only when a frame was not looked up before.
    pub(super) fn explain(&self, module: &Digest, trace: &Trace, bytes: impl FnOnce() -> Option<Arc<[u8]>>) -> String {
        let missing: Vec<Place> =
            trace.0.iter().copied().filter(|place| !self.kept.contains_key(&(*module, *place))).collect();
        let mut found = BTreeMap::new();
        if let Some(bytes) = (!missing.is_empty()).then(bytes).flatten() {
            found = look_up(&bytes, &missing, READS_MAX);
            if self.kept.len() + found.len() > KEPT_MAX {
                self.kept.clear();
            }
            for (place, frames) in &found {
                self.kept.insert((*module, *place), Arc::clone(frames));
            }
        }
        let frames_at = |place: &Place| {
            let frames = found.get(place).map(Arc::clone);
            let frames = frames.or_else(|| self.kept.get(&(*module, *place)).map(|frames| Arc::clone(&frames)));
            frames.unwrap_or_else(|| Arc::new([unnamed(*place)]))
        };
        render(&trace.0.iter().flat_map(|place| frames_at(place).to_vec()).collect::<Vec<_>>())
    }
}

/// The guest's own frames; all of them when none is.
fn render(frames: &[Frame]) -> String {
    let has_own = frames.iter().any(|frame| frame.is_own);
    let mut text = String::new();
    for frame in frames.iter().filter(|frame| frame.is_own || !has_own) {
        if text.len() + frame.text.len() + 1 > EXPLAIN_BYTES_MAX {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&frame.text);
    }
    text
}

fn unnamed((function, _): Place) -> Frame {
    Frame { text: format!("    at <wasm function {function}>"), is_own: true }
}

/// The parts of a module that say where its code comes from.
#[derive(Default)]
struct Sections<'a> {
    code_start: usize,
    dwarf: BTreeMap<&'a str, &'a [u8]>,
    names: BTreeMap<u32, &'a str>,
}

fn look_up(bytes: &[u8], places: &[Place], reads_max: u64) -> BTreeMap<Place, Arc<[Frame]>> {
    let sections = sections(bytes, places);
    // The parsers are not ours and what they parse is not either: a defect in them must not end the thread.
    let with_lines = catch_unwind(AssertUnwindSafe(|| with_lines(&sections, places, reads_max))).unwrap_or_default();
    let by_name = |place: &Place| match sections.names.get(&place.0) {
        Some(name) => Arc::new([frame(Some(name), None, None, None)]) as Arc<[Frame]>,
        None => Arc::new([unnamed(*place)]) as Arc<[Frame]>,
    };
    let found = |place: &Place| with_lines.get(place).map_or_else(|| by_name(place), Arc::clone);
    places.iter().map(|place| (*place, found(place))).collect()
}

fn sections<'a>(bytes: &'a [u8], places: &[Place]) -> Sections<'a> {
    let mut sections = Sections::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::CodeSectionStart { range, .. }) => sections.code_start = range.start,
            Ok(Payload::CustomSection(section)) if section.name().starts_with(".debug_") => {
                sections.dwarf.insert(section.name(), section.data());
            }
            Ok(Payload::CustomSection(section)) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    let functions = names.into_iter().flatten().filter_map(|name| match name {
                        Name::Function(functions) => Some(functions),
                        _ => None,
                    });
                    let wanted = |index: u32| places.iter().any(|(function, _)| *function == index);
                    let names = functions.flatten().flatten().filter(|naming| wanted(naming.index));
                    sections.names.extend(names.map(|naming| (naming.index, naming.name)));
                }
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    if sections.dwarf.values().map(|data| data.len()).sum::<usize>() > DWARF_BYTES_MAX {
        sections.dwarf.clear();
    }
    sections
}

/// The places that the debug information knows.
fn with_lines(sections: &Sections<'_>, places: &[Place], reads_max: u64) -> BTreeMap<Place, Arc<[Frame]>> {
    let mut found = BTreeMap::new();
    if sections.dwarf.is_empty() {
        return found;
    }
    let left = Cell::new(reads_max);
    let section = |id: gimli::SectionId| {
        let data = sections.dwarf.get(id.name()).copied().unwrap_or_default();
        Ok::<_, gimli::Error>(Metered::new(data, &left))
    };
    let Ok(context) = gimli::Dwarf::load(section).and_then(addr2line::Context::from_dwarf) else { return found };
    for place in places {
        // DWARF counts from the start of the code section (WebAssembly tool conventions: Debugging.md).
        let offset = place.1.and_then(|offset| usize::try_from(offset).ok());
        let address = offset.and_then(|offset| u64::try_from(offset.checked_sub(sections.code_start)?).ok());
        // The name section has whole paths where line tables alone have a function's last part.
        let whole_name = sections.names.get(&place.0).copied();
        let frames = address.and_then(|address| frames_at(&context, address, whole_name)).unwrap_or_default();
        if !frames.is_empty() {
            found.insert(*place, frames.into());
        }
    }
    found
}

/// Frames at `address`, innermost first; `None` when the debug information is broken. `outermost` is the name of the
/// function that the others are inlined into.
fn frames_at(context: &addr2line::Context<Metered<'_>>, address: u64, outermost: Option<&str>) -> Option<Vec<Frame>> {
    let mut frames = Vec::new();
    let mut found = context.find_frames(address).skip_all_loads().ok()?;
    let mut next = found.next().ok()?;
    while let Some(current) = next {
        next = if frames.len() < INLINED_MAX { found.next().ok()? } else { None };
        let name = current.function.as_ref().and_then(|function| function.raw_name().ok());
        let whole_name = outermost.filter(|_| next.is_none()).or(name.as_deref());
        let location = current.location.as_ref();
        frames.push(frame(
            whole_name,
            location.and_then(|location| location.file),
            location.and_then(|location| location.line),
            location.and_then(|location| location.column),
        ));
    }
    Some(frames)
}

fn frame(name: Option<&str>, file: Option<&str>, line: Option<u32>, column: Option<u32>) -> Frame {
    let name = name.map(|name| addr2line::demangle_auto(Cow::Borrowed(name), None));
    let is_own = !(name.as_deref().is_some_and(is_runtime_function) || file.is_some_and(is_runtime_file));
    let mut text = format!("    at {}", cut(name.as_deref().unwrap_or("<unnamed function>")));
    if let Some(file) = file {
        let numbers = [line, column.filter(|column| *column > 0)].into_iter().flatten();
        let numbers: String = numbers.map(|number| format!(":{number}")).collect();
        text.push_str(&format!(" ({}{numbers})", cut(file)));
    }
    Frame { text, is_own }
}

/// Nothing but one line of at most [`NAME_CHARS_MAX`] characters: names are whatever the module says.
fn cut(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn is_runtime_function(name: &str) -> bool {
    const CRATES: [&str; 5] = ["std::", "core::", "alloc::", "panic_abort::", "dlmalloc::"];
    const PREFIXES: [&str; 6] = ["rust_", "__rust", "__rg_", "__rdl_", "__wasi_", "__wasm_"];
    const NAMES: [&str; 8] =
        ["_start", "__main_void", "__main_argc_argv", "__original_main", "abort", "_Exit", "__assert_fail", "exit"];
    // `<alloc::vec::Vec<T> as core::ops::Index>::index` is std's as well; a trait implemented for a type of the guest
    // is the guest's.
    let path = name.trim_start_matches(['<', '&']);
    CRATES.iter().any(|krate| path.starts_with(krate))
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || NAMES.contains(&name)
}

fn is_runtime_file(file: &str) -> bool {
    ["/rustc/", "library/std/", "library/core/", "library/alloc/", "wasi-libc", "libc-bottom-half", "libc-top-half"]
        .iter()
        .any(|part| file.starts_with(part) || (part.len() > 7 && file.contains(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(text: &str, places: &[Place]) -> String {
        let bytes: Arc<[u8]> = wat::parse_str(text).expect("good text").into();
        Symbols::default().explain(&Digest::of(&bytes), &Trace(places.to_vec()), || Some(Arc::clone(&bytes)))
    }

    #[test]
    fn functions_are_named_from_the_name_section_or_by_number() {
        let text = r#"(module (func) (func $_ZN5crash5third17h0123456789abcdefE))"#;
        assert_eq!(explain(text, &[(1, Some(40)), (0, None)]), "    at crash::third\n    at <wasm function 0>");
    }

    #[test]
    fn frames_of_the_runtime_are_left_out_unless_there_is_nothing_else() {
        let text = r#"(module (func $rust_panic) (func $abort) (func $mine) (func $_start))"#;
        assert_eq!(explain(text, &[(0, None), (1, None), (2, None), (3, None)]), "    at mine");
        assert_eq!(explain(text, &[(0, None), (3, None)]), "    at rust_panic\n    at _start");
    }

    #[test]
    fn runtime_frames_are_told_by_name_and_by_file() {
        for name in ["std::process::abort", "<alloc::vec::Vec<T> as core::ops::Index>::index", "__rust_start_panic"] {
            assert!(!frame(Some(name), None, None, None).is_own, "{name}");
        }
        for name in ["crash::third", "<crash::Shelf as core::fmt::Display>::fmt", "main", "standard::run"] {
            assert!(frame(Some(name), None, None, None).is_own, "{name}");
        }
        for file in ["/rustc/abc/library/std/src/panicking.rs", "library/core/src/option.rs", "/x/wasi-libc/malloc.c"] {
            assert!(!frame(None, Some(file), None, None).is_own, "{file}");
        }
        assert!(frame(None, Some("my/library/start.rs"), None, None).is_own);
    }

    #[test]
    fn a_frame_is_one_short_line() {
        let shown = frame(Some(&"x\n".repeat(500)), Some("a.c"), Some(3), Some(0)).text;
        assert!(shown.ends_with(" (a.c:3)") && !shown.contains('\n'), "{shown}");
        assert_eq!(shown.len(), "    at  (a.c:3)".len() + NAME_CHARS_MAX);
    }

    #[test]
    fn an_explanation_ends_at_its_limit() {
        let places: Vec<Place> = (0..1000).map(|function| (function, None)).collect();
        let shown = explain("(module)", &places);
        assert!(shown.len() <= EXPLAIN_BYTES_MAX && shown.len() > EXPLAIN_BYTES_MAX - 64, "{}", shown.len());
        assert!(shown.lines().all(|line| line.ends_with('>')), "only whole lines");
    }

    #[test]
    fn a_place_is_looked_up_once() {
        let symbols = Symbols::default();
        let module = Digest::of(b"m");
        let bytes: Arc<[u8]> = wat::parse_str("(module (func $f))").expect("good text").into();
        let trace = Trace(vec![(0, None)]);
        assert_eq!(symbols.explain(&module, &trace, || Some(bytes)), "    at f");
        assert_eq!(symbols.explain(&module, &trace, || panic!("asked again")), "    at f");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let symbols = Symbols::default();
        let bytes: Arc<[u8]> = wat::parse_str("(module)").expect("good text").into();
        for n in 0..=u32::try_from(KEPT_MAX).expect("small") {
            symbols.explain(&Digest::of(b"m"), &Trace(vec![(n, None)]), || Some(Arc::clone(&bytes)));
            assert!(symbols.kept.len() <= KEPT_MAX);
        }
    }

    #[test]
    fn debug_information_above_its_limit_is_not_read() {
        let names = r#"(func $f)"#;
        let big = format!(r#"(module {names} (@custom ".debug_info" "{}"))"#, "x".repeat(DWARF_BYTES_MAX + 1));
        let bytes = wat::parse_str(&big).expect("good text");
        assert!(sections(&bytes, &[]).dwarf.is_empty());
        assert_eq!(explain(&big, &[(0, Some(30))]), "    at f");
    }

    const CRASH: &[u8] = include_bytes!("../../guest-examples/prebuilt/crash.wasm");

    fn some_places() -> Vec<Place> {
        (0..40).map(|n| (n, Some(3000 + 500 * n))).collect()
    }

    #[test]
    fn debug_information_that_takes_too_many_reads_leaves_the_names() {
        let places = some_places();
        let with_lines = |reads_max| {
            let found = look_up(CRASH, &places, reads_max);
            assert_eq!(found.len(), places.len());
            found.values().flat_map(|frames| frames.iter()).filter(|frame| frame.text.contains(".rs:")).count()
        };
        assert_eq!(with_lines(1000), 0, "not even its units could be read");
        let (some, all) = (with_lines(20_000), with_lines(READS_MAX));
        assert!(some < all && all >= places.len() / 2, "{some} of {all}");
    }

    #[test]
    fn broken_debug_information_is_survived() {
        let places = some_places();
        let mut bytes = CRASH.to_vec();
        let start = bytes.windows(11).position(|part| part == b".debug_info").expect("it has debug information");
        let mut rng = crate::base::Rng::new(1);
        for _ in 0..60 {
            let room = u64::try_from(bytes.len() - start).expect("small");
            let at = start + usize::try_from(rng.next_u64() % room).expect("small");
            bytes[at] = rng.next_u64().to_le_bytes()[0];
            assert_eq!(look_up(&bytes, &places, READS_MAX).len(), places.len());
        }
    }
}
