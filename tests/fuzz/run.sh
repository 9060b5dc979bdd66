#!/usr/bin/env bash
# Builds the libFuzzer programs and runs them one after the other, each until it has done RUNS executions (-1: no end)
# or has run for DURATION seconds. What it finds is left in FOUND/<target> (.cache/fuzz); the first that fails ends it.
#
#   tests/fuzz/run.sh [TARGET...]      every target if none is named
#
# With MERGE=1 nothing is searched: of what was found before, the inputs that reach something which no committed one
# reaches are added to the corpus. COVERAGE says what counts: 1 a function, 2 a block, 4 an edge between blocks.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

if ! c++ --version >/dev/null 2>&1; then
  echo 'missing: a C++ compiler (c++), which builds libFuzzer. Install it: sudo apt-get install g++' >&2
  exit 1
fi

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for folder in "$here"/corpus/*/; do targets+=("$(basename "$folder")"); done
fi
for target in "${targets[@]}"; do
  if [ ! -f "$here/libfuzzer/targets/$target.rs" ]; then
    echo "$target is no target: see tests/fuzz/libfuzzer/targets" >&2
    exit 1
  fi
done

# What cargo-fuzz passes too, without a sanitizer: the code under test is safe Rust. Naming the host keeps the flags
# from build scripts and procedural macros.
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/fuzz
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=${COVERAGE:-4} \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0"
cargo build --quiet --release --manifest-path "$here/libfuzzer/Cargo.toml" --target "$host"

# A trace needs more memory than the programs allow themselves.
export RUST_BACKTRACE=0

# fuzz TARGET FOUND: new inputs go to the first folder; the committed ones are only read.
fuzz() {
  echo "fuzzing $1" >&2
  "$CARGO_TARGET_DIR/$host/release/$1" "$2/corpus" "$here/corpus/$1" -artifact_prefix="$2/crashes/" \
    -max_len=4096 -timeout="${TIMEOUT:-10}" -rss_limit_mb=512 -seed="${SEED:-0}" -runs="${RUNS:--1}" \
    -max_total_time="${DURATION:-3600}" -print_final_stats=1 >"$2/log" 2>&1 || return
  grep -E '^(Done|stat::(slowest_unit_time_sec|peak_rss_mb))' "$2/log" >&2
}

# merge TARGET FOUND: the smallest set of found inputs that add to what the committed ones reach.
merge() {
  "$CARGO_TARGET_DIR/$host/release/$1" -set_cover_merge=1 -use_counters=0 -max_len=1024 \
    "$here/corpus/$1" "$2/corpus" >"$2/log" 2>&1 || return
  grep '^MERGE-OUTER: .*new files' "$2/log" >&2
}

for target in "${targets[@]}"; do
  found=${FOUND:-$root/.cache/fuzz}/$target
  mkdir -p "$found/corpus" "$found/crashes"
  if ! "$([ -n "${MERGE:-}" ] && echo merge || echo fuzz)" "$target" "$found"; then
    tail -n 40 "$found/log" >&2
    echo "$target: see $found/crashes, and tests/fuzz/README.md for what to do with it" >&2
    exit 1
  fi
done
