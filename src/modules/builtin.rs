//! The modules that every build carries: the guests of `guest-examples/`.

/// What their names begin with. Nobody else may take a name that begins so.
pub(super) const PREFIX: &str = "coracle/";

/// Name after [`PREFIX`] and bytes.
pub(super) const BUILTIN: [(&str, &[u8]); 9] = [
    ("crash", include_bytes!("../../guest-examples/prebuilt/crash.wasm")),
    ("exit-code", include_bytes!("../../guest-examples/prebuilt/exit-code.wasm")),
    ("hello", include_bytes!("../../guest-examples/prebuilt/hello.wasm")),
    ("hog", include_bytes!("../../guest-examples/prebuilt/hog.wasm")),
    ("index", include_bytes!("../../guest-examples/prebuilt/index.wasm")),
    ("pi", include_bytes!("../../guest-examples/prebuilt/pi.wasm")),
    ("sleep", include_bytes!("../../guest-examples/prebuilt/sleep.wasm")),
    ("spin", include_bytes!("../../guest-examples/prebuilt/spin.wasm")),
    ("trivial", include_bytes!("../../guest-examples/prebuilt/trivial.wasm")),
];
