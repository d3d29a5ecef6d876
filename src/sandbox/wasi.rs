//! What a guest can call: WASI preview 1 with nothing of the host behind it.

use super::pod::Guest;
use crate::modules::WASI_MODULE;
use wasmtime::{Caller, Config, Engine, Error, Linker, Store, WasmBacktrace};
use wasmtime_wasi::p1;

/// The linker of one engine.
///
/// # Errors
/// wasmtime refuses a definition, which is a defect of this build.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    p1::add_to_linker_async(&mut linker, |guest: &mut Guest| &mut guest.wasi)?;
    // wasmtime-wasi refuses codes from 126 on; a pod's code is any number, of which the lowest byte counts.
    linker.allow_shadowing(true);
    let silent = silent_store()?;
    linker.func_wrap(
        WASI_MODULE,
        "proc_exit",
        move |mut caller: Caller<'_, Guest>, code: i32| -> wasmtime::Result<()> {
            caller.data_mut().exit = Some(code);
            Err(Error::msg(WasmBacktrace::capture(&silent)))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(linker)
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
    use crate::modules::WASI_FUNCTIONS;
    use crate::sandbox::engine::{Fuel, large};
    use crate::sandbox::stdio::Output;
    use wasmtime::ValType;

    #[test]
    fn the_linker_offers_exactly_what_modules_are_inspected_for() {
        let (engine, _) = large(1, Fuel::Free).expect("one slot");
        let linker = linker(&engine).expect("links");
        let guest = Guest::new(&[], &[], 0, Output::Nowhere, Output::Nowhere);
        let mut store = Store::new(&engine, guest);
        let text = |types: &mut dyn Iterator<Item = ValType>, word: &str| {
            let list: Vec<String> = types.map(|ty| ty.to_string()).collect();
            if list.is_empty() { String::new() } else { format!(" ({word} {})", list.join(" ")) }
        };
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
        let listed: Vec<(String, String)> = WASI_FUNCTIONS.map(|(name, ty)| (name.to_owned(), ty.to_owned())).into();
        assert_eq!(offered, listed);
    }
}
