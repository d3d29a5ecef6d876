#!/usr/bin/env bash
# Builds the standard guests for wasm32-wasip1 and copies them to prebuilt/, or with --check compares them byte for byte
# with what is there.
#
# exit codes: 0 done, or all the same; 1 a file differs; 2 bad arguments, missing target or failed build;
# 3 another rustc than the one the prebuilt files come from, so that a comparison would say nothing.
set -euo pipefail

# The compiler of every file in prebuilt/, as `rustc --version` prints it. Who changes it rebuilds all of them.
RUSTC_OF_PREBUILT='rustc 1.95.0 (59807616e 2026-04-14)'
TARGET=wasm32-wasip1
GUESTS=(crash exit-code hello hog index pi sleep spin trivial)

die() { # exit code, message
    echo "build.sh: $2" >&2
    exit "$1"
}

check=false
case "$#:${1-}" in
    0:) ;;
    1:--check) check=true ;;
    *) die 2 'usage: build.sh [--check]' ;;
esac

# The rustc that rustup chooses depends on the directory, and cargo names sources relative to the workspace.
cd "$(dirname "${BASH_SOURCE[0]}")"
here=$(pwd -P)

# Flags, profiles and wrappers from the environment would change the bytes.
for name in "${!CARGO_@}"; do
    [[ $name == CARGO_HOME ]] || unset "$name"
done
unset RUSTC RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER RUSTC_BOOTSTRAP RUSTFLAGS

command -v cargo >/dev/null && command -v rustc >/dev/null || die 2 'cargo and rustc are needed'
rustc_here=$(rustc --version)
if [[ $rustc_here != "$RUSTC_OF_PREBUILT" ]]; then
    if $check; then
        die 3 "cannot compare: the prebuilt files come from $RUSTC_OF_PREBUILT, this is $rustc_here"
    fi
    die 3 "prebuilt/ is built with $RUSTC_OF_PREBUILT, this is $rustc_here; to move, first set RUSTC_OF_PREBUILT in here"
fi

has_target() { [[ -d $(rustc --print target-libdir --target "$TARGET") ]]; }
if ! has_target && $check && command -v rustup >/dev/null; then
    rustup target add "$TARGET" >&2 || true
fi
has_target || die 2 "the target $TARGET is missing; add it with: rustup target add $TARGET"

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# No path of this machine may reach the bytes, and without dependencies a build reads only from these. The last prefix
# that matches wins. The sources of std get the name they have where rust-src is not installed; the guests' own become
# relative to this directory.
commit=$(rustc --version --verbose | sed -n 's/^commit-hash: //p')
sysroot=$(rustc --print sysroot)
flags=(
    "--remap-path-prefix=$sysroot=/sysroot"
    "--remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rustc/$commit"
    "--remap-path-prefix=$out=/target"
    "--remap-path-prefix=$here="
)
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS

cargo build --quiet --release --locked --offline --target "$TARGET" --target-dir "$out" || die 2 'the build failed'

status=0
mkdir -p prebuilt
for guest in "${GUESTS[@]}"; do
    built=$out/$TARGET/release/$guest.wasm
    kept=prebuilt/$guest.wasm
    if ! $check; then
        install -m 644 "$built" "$kept"
        echo "built    $kept ($(wc -c <"$kept" | tr -d ' ') bytes)"
    elif cmp -s "$built" "$kept"; then
        echo "same     $kept"
    else
        echo "differs  $kept"
        status=1
    fi
done
if ((status != 0)); then
    echo 'build.sh: a prebuilt file is not what its source gives; rebuild with guest-examples/build.sh' >&2
fi
exit "$status"
