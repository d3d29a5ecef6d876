//! What a guest can call: WASI preview 1 with nothing of the host behind it.

use super::p1;
use super::pod::{Guest, HostKind};
use crate::modules::WASI_MODULE;
use wasmtime::{Caller, Config, Engine, Error, InstancePre, Linker, Module, Store, WasmBacktrace};

/// The linkers of one engine.
pub(super) struct Linkers {
    lean: Linker<Guest>,
    full: Linker<Guest>,
}

impl Linkers {
    /// # Errors
    /// wasmtime refuses a definition, which is a defect of this build.
    pub(super) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut full = Linker::new(engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut full, Guest::full)?;
        // wasmtime-wasi refuses codes from 126 on; a pod's code is any number, of which the lowest byte counts.
        full.allow_shadowing(true);
        define_exit(&mut full)?;
        full.allow_shadowing(false);
        let mut lean = Linker::new(engine);
        p1::link(&mut lean)?;
        define_exit(&mut lean)?;
        Ok(Self { lean, full })
    }

    /// Links a module with the lean host if that has all it imports, else with wasmtime-wasi.
    ///
    /// # Errors
    /// An import that neither has.
    pub(super) fn link(&self, module: &Module) -> wasmtime::Result<(InstancePre<Guest>, HostKind)> {
        let kind = if p1::suffices(module) { HostKind::Lean } else { HostKind::Full };
        Ok((self.link_with(kind, module)?, kind))
    }

    /// # Errors
    /// An import that this host does not have.
    pub(super) fn link_with(&self, kind: HostKind, module: &Module) -> wasmtime::Result<InstancePre<Guest>> {
        match kind {
            HostKind::Lean => self.lean.instantiate_pre(module),
            HostKind::Full => self.full.instantiate_pre(module),
        }
    }
}

/// Defines `proc_exit` for both hosts.
fn define_exit(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let silent = silent_store()?;
    linker.func_wrap(
        WASI_MODULE,
        "proc_exit",
        move |mut caller: Caller<'_, Guest>, code: i32| -> wasmtime::Result<()> {
            caller.data_mut().exit = Some(code);
            Err(Error::msg(WasmBacktrace::capture(&silent)))
        },
    )?;
    Ok(())
}

/// A store that captures backtraces of no frames. An error that carries a backtrace is left as it is on its way out of a
/// guest, so an ordinary exit does not pay for walking its stack.
fn silent_store() -> wasmtime::Result<Store<()>> {
    let mut config = Config::new();
    config.wasm_backtrace_max_frames(None);
    Ok(Store::new(&Engine::new(&config)?, ()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Texts;
    use crate::modules::WASI_FUNCTIONS;
    use crate::sandbox::engine::{Fuel, large};
    use wasmtime::ValType;

    /// The names and types that a linker has.
    fn offered(linker: &Linker<Guest>, engine: &Engine) -> Vec<(String, String)> {
        let text = |types: &mut dyn Iterator<Item = ValType>, word: &str| {
            let list: Vec<String> = types.map(|ty| ty.to_string()).collect();
            if list.is_empty() { String::new() } else { format!(" ({word} {})", list.join(" ")) }
        };
        let guest = Guest::new(HostKind::Full, Texts::default(), Texts::default(), 0, None);
        let mut store = Store::new(engine, guest);
        let definitions: Vec<_> =
            linker.iter(&mut store).map(|(module, name, item)| (module.to_owned(), name.to_owned(), item)).collect();
        let mut offered: Vec<(String, String)> = Vec::new();
        for (module, name, item) in definitions {
            assert_eq!(module, WASI_MODULE);
            let ty = item.into_func().expect("a function").ty(&store);
            offered.push((
                name,
                format!("(func{}{})", text(&mut ty.params(), "param"), text(&mut ty.results(), "result")),
            ));
        }
        offered.sort();
        offered
    }

    #[test]
    fn the_linker_offers_exactly_what_modules_are_inspected_for() {
        let (engine, _) = large(1, Fuel::Free).expect("one slot");
        let linkers = Linkers::new(&engine).expect("links");
        let listed: Vec<(String, String)> = WASI_FUNCTIONS.map(|(name, ty)| (name.to_owned(), ty.to_owned())).into();
        assert_eq!(offered(&linkers.full, &engine), listed);
        let lean = offered(&linkers.lean, &engine);
        assert_eq!(lean.len(), 20);
        assert!(lean.iter().all(|function| listed.contains(function)), "of the same types: {lean:?}");
    }

    #[test]
    fn a_module_has_the_lean_host_unless_it_imports_more() {
        let (engine, _) = large(1, Fuel::Free).expect("one slot");
        let linkers = Linkers::new(&engine).expect("links");
        for (name, ty) in WASI_FUNCTIONS {
            let text = format!(r#"(module (import "{WASI_MODULE}" "{name}" {ty}))"#);
            let module = Module::new(&engine, wat::parse_str(text).expect("good text")).expect("a module");
            let is_lean = offered(&linkers.lean, &engine).iter().any(|(offered, _)| offered == name);
            let (_, kind) = linkers.link(&module).expect("offered");
            assert_eq!(kind == HostKind::Lean, is_lean, "{name}");
        }
    }
}
