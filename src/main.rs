//! The `coracle` command.

/// What a Job takes is given and freed on different threads, in small pieces (`docs/decisions/allocator.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    coracle::cli::main()
}
