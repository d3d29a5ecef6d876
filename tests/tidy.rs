//! The house rules that a compiler does not check. `docs/ARCHITECTURE.md` has the picture and the reasons.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Room, and the rooms that it may import.
const IMPORTS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("model", &["base"]),
    ("control", &["base", "model"]),
    ("store", &["base", "model"]),
    ("view", &["base", "model"]),
    ("modules", &["base", "model"]),
    ("exec", &["base", "model"]),
    ("sandbox", &["base", "model", "exec", "modules"]),
    ("engine", &["base", "model", "control", "store", "view", "exec", "modules"]),
    ("sim", &["base", "model", "control", "store", "view"]),
    ("api", &["base", "model", "engine", "view", "modules", "control", "exec"]),
    ("cli", &["base", "model", "control", "store", "view", "modules", "exec", "sandbox", "engine", "api", "sim"]),
];

/// Libraries that only one room may know.
const OWNED: &[(&str, &str)] =
    &[("wasmtime", "sandbox"), ("axum", "api"), ("rusqlite", "store"), ("k8s_openapi", "api")];

/// A file above this is probably two things.
const LINES_MAX: usize = 1000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a source folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The lines of a file that are code, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())).filter(|(_, line)| !line.starts_with("//"))
}

/// The words that follow each `prefix` in `line`.
fn words_after<'a>(line: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(prefix).map(move |(at, _)| {
        let rest = &line[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn imports_run_down_only() {
    let mut broken = Vec::new();
    for (room, allowed) in IMPORTS {
        for file in sources(&root().join("src").join(room)) {
            let text = fs::read_to_string(&file).expect("a source file");
            for (number, line) in code(&text) {
                for other in words_after(line, "crate::") {
                    let is_room = IMPORTS.iter().any(|(name, _)| *name == other);
                    if is_room && other != *room && !allowed.contains(&other) {
                        broken.push(format!("{}:{number}: {room} must not know {other}", file.display()));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A second opinion that reads the first one's mind is none.
#[test]
fn the_oracle_knows_nothing_of_what_it_judges() {
    for file in sources(&root().join("src/sim/oracle")) {
        let text = fs::read_to_string(&file).expect("a source file");
        for (number, line) in code(&text) {
            let rooms = words_after(line, "crate::").filter(|word| !["base", "model", "sim"].contains(word));
            // Beside its own files it may name only itself in its room: `pub(in crate::sim)`.
            let of_sim = words_after(line, "crate::sim::").chain(words_after(line, "super::super::"));
            let found: Vec<&str> = rooms.chain(of_sim).collect();
            assert!(found.is_empty(), "{}:{number}: the oracle must not know {found:?}", file.display());
        }
    }
}

#[test]
fn every_room_is_in_the_table() {
    let rooms: BTreeSet<String> = fs::read_dir(root().join("src"))
        .expect("src")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    let table: BTreeSet<String> = IMPORTS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(rooms, table);
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the map");
    for room in table {
        assert!(map.contains(&format!("`{room}/`")), "docs/ARCHITECTURE.md does not say what `{room}/` owns");
    }
}

#[test]
fn a_library_has_one_room() {
    let mut broken = Vec::new();
    for file in sources(&root().join("src")) {
        let text = fs::read_to_string(&file).expect("a source file");
        for (library, room) in OWNED {
            let is_home = file.starts_with(root().join("src").join(room));
            for (number, line) in code(&text).filter(|_| !is_home) {
                if words_after(line, "use ").any(|word| word.starts_with(library))
                    || line.contains(&format!("{library}::"))
                {
                    broken.push(format!("{}:{number}: only {room} may use {library}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn unsafe_code_stays_in_the_sandbox_and_says_why() {
    for file in sources(&root().join("src")) {
        let text = fs::read_to_string(&file).expect("a source file");
        for (number, line) in code(&text).filter(|(_, line)| words_after(line, "unsafe ").next().is_some()) {
            assert!(file.starts_with(root().join("src/sandbox")), "{}:{number}: unsafe: {line}", file.display());
        }
    }
}

#[test]
fn every_file_says_what_it_owns_and_is_one_thing() {
    for file in [sources(&root().join("src")), sources(&root().join("tests"))].concat() {
        let text = fs::read_to_string(&file).expect("a source file");
        assert!(text.starts_with("//!"), "{} does not open with //!", file.display());
        assert!(text.lines().count() <= LINES_MAX, "{} has more than {LINES_MAX} lines", file.display());
    }
}
