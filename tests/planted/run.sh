#!/usr/bin/env bash
# Shows that the seeded histories, or else the tables of control/tests, catch every planted bug.
#
# Each *.sed is one small wrong change: its first line names the file, its second says what is wrong. It is applied to a scratch
# copy of the rooms that take part, so that a build takes a minute at the most. Names as arguments plant only these.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
seeds=${PLANTED_SEEDS:-3000}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/planted}

mkdir "$scratch/src"
{
    printf '[package]\nname = "planted"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\n'
    grep -E '^(getrandom|jiff|postcard|roaring|rusqlite|serde|serde_json|tempfile|thiserror|tokio|tracing) = ' "$root/Cargo.toml"
    printf '\n[dev-dependencies]\n'
    grep -E '^proptest = ' "$root/Cargo.toml"
    # As in tests: assertions on. The histories need some speed.
    printf '\n[profile.release]\ndebug = "line-tables-only"\nopt-level = 2\ncodegen-units = 16\nincremental = true\ndebug-assertions = true\n'
    printf '[profile.release.package.planted]\nopt-level = 1\n'
    printf '\n[workspace]\n'
} >"$scratch/Cargo.toml"
cp "$root/Cargo.lock" "$scratch/"
mkdir "$scratch/tests"
cp -r "$root/tests/goldens" "$scratch/tests/goldens"
rooms='base model control store view sim'
for room in $rooms; do echo "pub mod $room;"; done >"$scratch/src/lib.rs"
cat >"$scratch/src/main.rs" <<'MAIN'
fn main() {
    let seeds: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("how many seeds");
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(failure) = (0..seeds).find_map(|seed| planted::sim::play(seed, false).err()) {
        println!("{failure}");
        std::process::exit(1);
    }
}
MAIN

copy() {
    for room in $rooms; do
        rm -rf "${scratch:?}/src/$room"
        cp -rp "$root/src/$room" "$scratch/src/$room"
    done
}
build() { (cd "$scratch" && cargo build --release --offline --quiet 2>"$scratch/errors") || { cat "$scratch/errors"; return 2; }; }
caught_by() {
    local said
    if ! said=$("$CARGO_TARGET_DIR/release/planted" "$seeds"); then
        echo "histories: $(head -n 1 <<<"$said" | cut -c1-150)"
    elif [ "$1" != clean ] && ! (cd "$scratch" && cargo test --release --offline --quiet --lib control:: -- --skip vectors:: >"$scratch/said" 2>&1); then
        grep -q '^test result: FAILED' "$scratch/said" || { cat "$scratch/said"; return 2; }
        echo "tables: $(grep -c '^    control::' "$scratch/said") tests fail"
    fi
}

copy
build
by=$(caught_by clean)
[ -z "$by" ] || { echo "without a planted bug: $by"; exit 1; }
echo "nothing planted: $seeds histories hold"

missed=0
for patch in "$here"/*.sed; do
    name=$(basename "$patch" .sed)
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    file=$(sed -n '1s/^# //p' "$patch")
    copy
    sed -i -f "$patch" "$scratch/$file"
    if cmp -s "$root/$file" "$scratch/$file"; then
        echo "$name: nothing to change in $file"
        missed=$((missed + 1))
        continue
    fi
    build
    by=$(caught_by "$name")
    echo "$name: ${by:-NOT CAUGHT}"
    [ -n "$by" ] || missed=$((missed + 1))
done
[ "$missed" -eq 0 ] || { echo "$missed planted bugs were missed"; exit 1; }
