//! What a module may import.

/// The module name of WASI preview 1.
pub const WASI_MODULE: &str = "wasi_snapshot_preview1";

/// The functions of [`WASI_MODULE`] and their types, in order of name. All 46 are offered; `sandbox` tests that its linker
/// has these and no others.
pub const WASI_FUNCTIONS: [(&str, &str); 46] = [
    ("args_get", "(func (param i32 i32) (result i32))"),
    ("args_sizes_get", "(func (param i32 i32) (result i32))"),
    ("clock_res_get", "(func (param i32 i32) (result i32))"),
    ("clock_time_get", "(func (param i32 i64 i32) (result i32))"),
    ("environ_get", "(func (param i32 i32) (result i32))"),
    ("environ_sizes_get", "(func (param i32 i32) (result i32))"),
    ("fd_advise", "(func (param i32 i64 i64 i32) (result i32))"),
    ("fd_allocate", "(func (param i32 i64 i64) (result i32))"),
    ("fd_close", "(func (param i32) (result i32))"),
    ("fd_datasync", "(func (param i32) (result i32))"),
    ("fd_fdstat_get", "(func (param i32 i32) (result i32))"),
    ("fd_fdstat_set_flags", "(func (param i32 i32) (result i32))"),
    ("fd_fdstat_set_rights", "(func (param i32 i64 i64) (result i32))"),
    ("fd_filestat_get", "(func (param i32 i32) (result i32))"),
    ("fd_filestat_set_size", "(func (param i32 i64) (result i32))"),
    ("fd_filestat_set_times", "(func (param i32 i64 i64 i32) (result i32))"),
    ("fd_pread", "(func (param i32 i32 i32 i64 i32) (result i32))"),
    ("fd_prestat_dir_name", "(func (param i32 i32 i32) (result i32))"),
    ("fd_prestat_get", "(func (param i32 i32) (result i32))"),
    ("fd_pwrite", "(func (param i32 i32 i32 i64 i32) (result i32))"),
    ("fd_read", "(func (param i32 i32 i32 i32) (result i32))"),
    ("fd_readdir", "(func (param i32 i32 i32 i64 i32) (result i32))"),
    ("fd_renumber", "(func (param i32 i32) (result i32))"),
    ("fd_seek", "(func (param i32 i64 i32 i32) (result i32))"),
    ("fd_sync", "(func (param i32) (result i32))"),
    ("fd_tell", "(func (param i32 i32) (result i32))"),
    ("fd_write", "(func (param i32 i32 i32 i32) (result i32))"),
    ("path_create_directory", "(func (param i32 i32 i32) (result i32))"),
    ("path_filestat_get", "(func (param i32 i32 i32 i32 i32) (result i32))"),
    ("path_filestat_set_times", "(func (param i32 i32 i32 i32 i64 i64 i32) (result i32))"),
    ("path_link", "(func (param i32 i32 i32 i32 i32 i32 i32) (result i32))"),
    ("path_open", "(func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32))"),
    ("path_readlink", "(func (param i32 i32 i32 i32 i32 i32) (result i32))"),
    ("path_remove_directory", "(func (param i32 i32 i32) (result i32))"),
    ("path_rename", "(func (param i32 i32 i32 i32 i32 i32) (result i32))"),
    ("path_symlink", "(func (param i32 i32 i32 i32 i32) (result i32))"),
    ("path_unlink_file", "(func (param i32 i32 i32) (result i32))"),
    ("poll_oneoff", "(func (param i32 i32 i32 i32) (result i32))"),
    ("proc_exit", "(func (param i32))"),
    ("proc_raise", "(func (param i32) (result i32))"),
    ("random_get", "(func (param i32 i32) (result i32))"),
    ("sched_yield", "(func (result i32))"),
    ("sock_accept", "(func (param i32 i32 i32) (result i32))"),
    ("sock_recv", "(func (param i32 i32 i32 i32 i32 i32) (result i32))"),
    ("sock_send", "(func (param i32 i32 i32 i32 i32) (result i32))"),
    ("sock_shutdown", "(func (param i32 i32) (result i32))"),
];

/// Why an import is not offered; `None` when it is.
pub(super) fn refusal(module: &str, name: &str, ty: &str) -> Option<String> {
    if module == WASI_MODULE {
        return match WASI_FUNCTIONS.binary_search_by_key(&name, |(name, _)| name) {
            Ok(at) if WASI_FUNCTIONS[at].1 == ty => None,
            Ok(at) => Some(format!("declared as {ty}, it is {}", WASI_FUNCTIONS[at].1)),
            Err(_) => Some("unknown: WASI preview 1 has no such function".to_owned()),
        };
    }
    let why = match module {
        "wasi_unstable" => "built for WASI snapshot 0: compile with a current toolchain for wasm32-wasip1",
        "wasi" => "threads are not offered: compile without them",
        "wbg" | "__wbindgen_placeholder__" | "__wbindgen_externref_xform__" => {
            "built for a browser by wasm-bindgen: compile for wasm32-wasip1"
        }
        "go" | "gojs" => "built for a browser: compile with GOOS=wasip1",
        "env" if ty.starts_with("(memory") => "a memory of the host is not offered: let the module define its own",
        "env" if name.starts_with("emscripten_") => "built by emscripten for a browser: compile for wasm32-wasi",
        _ => "unknown: built for another host",
    };
    Some(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_so_that_a_search_finds_every_function() {
        assert!(WASI_FUNCTIONS.is_sorted());
        for (name, ty) in WASI_FUNCTIONS {
            assert_eq!(refusal(WASI_MODULE, name, ty), None, "{name}");
        }
    }

    #[test]
    fn imports_that_are_not_offered_have_a_reason() {
        let cases = [
            (WASI_MODULE, "fd_write", "(func (param i32))", "declared as (func (param i32)), it is (func"),
            (WASI_MODULE, "fd_frob", "(func)", "no such function"),
            ("wasi_unstable", "fd_write", "(func)", "snapshot 0"),
            ("env", "memory", "(memory 1)", "define its own"),
            ("env", "host_log", "(func)", "another host"),
        ];
        for (module, name, ty, why) in cases {
            let reason = refusal(module, name, ty).unwrap_or_default();
            assert!(reason.contains(why), "{module}.{name}: {reason}");
        }
    }
}
