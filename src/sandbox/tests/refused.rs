//! Modules that cannot be had, and what people read about it.

use super::{MEMORY_DEFAULT, World, bare};
use crate::exec::Runtime as _;
use crate::model::{PodTemplate, Reason};
use crate::modules::Modules;
use crate::sandbox::{Sandbox, SandboxConfig};
use std::sync::Arc;

fn refusal(text: &str) -> (Reason, String) {
    let world = World::shared();
    let digest = world.modules.add(&wat::parse_str(text).expect("good text")).expect("small");
    let error = world.load(&format!("app@{digest}"), None).expect_err("refused");
    (error.reason, error.message.replace(&format!("app@{digest}"), "app"))
}

#[test]
fn unknown_and_invalid_images_are_told_apart() {
    let world = World::shared();
    let unknown = world.load("helo", None).expect_err("unknown");
    assert_eq!(unknown.reason, Reason::ErrImagePull);
    assert!(unknown.message.starts_with("no module `helo:latest` here\n  = have: "), "{}", unknown.message);
    let invalid = world.load("He lo", None).expect_err("invalid");
    assert_eq!(invalid.reason, Reason::InvalidImageName);
    assert!(invalid.message.contains("`He lo`"), "{}", invalid.message);
}

#[test]
fn imports_that_are_not_offered_are_listed() {
    let (reason, message) = refusal(
        r#"(module (import "env" "host_log" (func (param i32))) (import "wasi_snapshot_preview1" "fd_write" (func))
            (func (export "_start")))"#,
    );
    assert_eq!(reason, Reason::CreateContainerError);
    assert_eq!(
        message,
        "`app` needs 2 imports that this server does not offer\n    \
         env.host_log                  unknown: built for another host\n    \
         wasi_snapshot_preview1.fd_write  declared as (func), it is (func (param i32 i32 i32 i32) (result i32))\n  \
         = note: nothing was started"
    );
}

#[test]
fn a_reactor_has_no_entry_point() {
    let (reason, message) = refusal(r#"(module (func (export "_initialize")) (func (export "add")))"#);
    assert_eq!(reason, Reason::CreateContainerError);
    assert!(
        message.starts_with("`app` has no entry point: it is a reactor (exports `_initialize`, `add`; no `_start`)\n"),
        "{message}"
    );
}

#[test]
fn every_refusal_of_a_module_is_told() {
    let (_, message) = refusal(r#"(module (import "env" "x" (func)) (memory i64 65537))"#);
    for part in ["`app` has no entry point", "`app` needs 1 import", "`app` needs a memory of 65537 pages"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn garbage_is_not_webassembly() {
    let world = World::shared();
    for (bytes, why) in
        [(&b"#!/bin/sh\n"[..], "is not WebAssembly: a script"), (b"\0asm\x01\0\0\0\xff", "is not valid")]
    {
        let digest = world.modules.add(bytes).expect("small");
        let error = world.load(&format!("app@{digest}"), None).expect_err("garbage");
        assert_eq!(error.reason, Reason::CreateContainerError);
        assert!(error.message.contains(why), "{}", error.message);
    }
}

#[test]
fn the_largest_module_that_is_not_refused_can_be_loaded() {
    let memories = "(memory i64 65536)".repeat(4);
    let tables = "(table 100000 funcref)".repeat(4);
    let world = World::shared();
    let image = world.image(&format!(r#"(module {memories} {tables} (func (export "_start")))"#));
    world.load(&image, None).unwrap_or_else(|error| panic!("{}", error.message));
    let outcome = world.run(&image, bare()).outcome;
    assert_eq!(outcome.reason, Reason::OomKilled, "it loads, and its limit ends it");
}

#[test]
fn only_what_was_loaded_is_cached() {
    let world = World::new(1);
    let template = PodTemplate { image: "coracle/hello".to_owned(), ..PodTemplate::default() };
    let counted = PodTemplate { fuel: Some(1), ..template.clone() };
    assert!(world.sandbox.cached(&template).is_none());
    world.sandbox.load(&template).expect("built in");
    assert!(world.sandbox.cached(&template).is_some());
    assert!(world.sandbox.cached(&counted).is_none(), "the engine that counts fuel has its own code");
    world.sandbox.load(&counted).expect("built in");
    assert!(world.sandbox.cached(&counted).is_some());
}

#[test]
fn compiled_code_survives_on_disk_and_a_broken_file_is_compiled_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let modules = Arc::new(Modules::open(None).expect("in memory"));
    let template = PodTemplate { image: "coracle/hello".to_owned(), ..PodTemplate::default() };
    let load = || {
        let config =
            SandboxConfig { cache_dir: Some(dir.path().to_owned()), memory_bytes_default: MEMORY_DEFAULT, slots: 1 };
        let sandbox = Sandbox::new(config, Arc::clone(&modules)).expect("an engine");
        sandbox.load(&template).expect("built in");
    };
    load();
    let engine_dir = std::fs::read_dir(dir.path()).expect("ours").next().expect("one engine").expect("ours").path();
    let files = || std::fs::read_dir(&engine_dir).expect("ours").map(|file| file.expect("ours").path());
    let file = files().next().expect("one module");
    assert_eq!(files().count(), 1);
    let whole = std::fs::read(&file).expect("ours");
    load();
    assert_eq!(std::fs::read(&file).expect("ours"), whole, "taken as it is");
    std::fs::write(&file, &whole[..whole.len() / 3]).expect("ours");
    load();
    assert_eq!(std::fs::read(&file).expect("ours").len(), whole.len(), "made again");
}
