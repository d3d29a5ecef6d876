//! Modules that are looked at before they are kept.

use super::MEMORY_DEFAULT;
use crate::exec::{Checked, Runtime as _};
use crate::model::{PodTemplate, Reason};
use crate::modules::{Digest, Modules};
use crate::sandbox::{Sandbox, SandboxConfig};
use std::path::Path;
use std::sync::Arc;

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir)
        .expect("there")
        .flatten()
        .map(|entry| std::fs::read_dir(entry.path()).expect("there").count())
        .sum()
}

fn sandbox(cache_dir: &Path, modules: &Arc<Modules>) -> Sandbox {
    let config =
        SandboxConfig { cache_dir: Some(cache_dir.to_owned()), memory_bytes_default: MEMORY_DEFAULT, slots: 2 };
    Sandbox::new(config, Arc::clone(modules)).expect("an engine")
}

#[test]
fn a_good_module_is_compiled_once_and_its_code_goes_when_it_is_forgotten() {
    let cache = tempfile::tempdir().expect("a directory");
    let modules = Arc::new(Modules::open(None).expect("in memory"));
    let bytes = wat::parse_str(r#"(module (func (export "_start")))"#).expect("good text");
    let first = sandbox(cache.path(), &modules);
    assert_eq!(first.check("app", &bytes), Ok(Checked::Compiled));
    assert_eq!((first.check("app", &bytes), files(cache.path())), (Ok(Checked::Cached), 1));
    let second = sandbox(cache.path(), &modules);
    assert_eq!(second.check("app", &bytes), Ok(Checked::Cached), "from the disk");
    second.forget(&Digest::of(&bytes).0);
    assert_eq!(files(cache.path()), 0);
    assert_eq!(second.check("app", &bytes), Ok(Checked::Compiled));
}

#[test]
fn a_pod_finds_the_code_of_a_module_that_was_checked() {
    let cache = tempfile::tempdir().expect("a directory");
    let modules = Arc::new(Modules::open(None).expect("in memory"));
    let bytes = wat::parse_str(r#"(module (func (export "_start")))"#).expect("good text");
    let sandbox = sandbox(cache.path(), &modules);
    sandbox.check("app", &bytes).expect("a program");
    let digest = modules.add(&bytes).expect("small");
    let template = PodTemplate { image: format!("app@{digest}"), ..PodTemplate::default() };
    assert!(sandbox.cached(&template).is_some());
}

#[test]
fn a_refused_module_leaves_nothing_behind() {
    let cache = tempfile::tempdir().expect("a directory");
    let sandbox = sandbox(cache.path(), &Arc::new(Modules::open(None).expect("in memory")));
    let bytes = wat::parse_str(r#"(module (import "env" "x" (func)) (func (export "_start")))"#).expect("good text");
    let error = sandbox.check("app:v1", &bytes).expect_err("refused");
    assert_eq!(error.reason, Reason::CreateContainerError);
    assert!(error.message.starts_with("`app:v1` needs 1 import that this server does not offer"), "{}", error.message);
    assert_eq!(files(cache.path()), 0);
}
