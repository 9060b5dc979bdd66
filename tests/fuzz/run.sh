#!/usr/bin/env bash
# Builds the libFuzzer programs and runs them one after the other, each for RUNS executions (-1: no limit) or for
# DURATION seconds. What they find is in FOUND/<target> (.cache/fuzz), where several runs may add to it at once; each
# writes a log of its own, and removes it if it finds nothing. The first failure stops the run.
#
#   tests/fuzz/run.sh [TARGET...]      every target if none is named
#
# With MERGE=1 nothing is searched. Instead, inputs that were found before are added to the corpus if they reach
# something that no committed input reaches. COVERAGE says what counts: 1 a function, 2 a block, 4 an edge between
# blocks.
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

# The flags of cargo-fuzz, but without a sanitizer, because the tested code is safe Rust. Naming the host keeps the
# flags away from build scripts and procedural macros.
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/fuzz
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=${COVERAGE:-4} \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0"
cargo build --quiet --release --manifest-path "$here/libfuzzer/Cargo.toml" --target "$host"

# A backtrace needs more memory than the programs may use.
export RUST_BACKTRACE=0

# fuzz TARGET FOUND LOG: new inputs are written to the first folder; the committed ones are only read.
fuzz() {
  echo "fuzzing $1" >&2
  "$CARGO_TARGET_DIR/$host/release/$1" "$2/corpus" "$here/corpus/$1" -artifact_prefix="$2/crashes/" \
    -max_len=4096 -timeout="${TIMEOUT:-10}" -rss_limit_mb=512 -seed="${SEED:-0}" -runs="${RUNS:--1}" \
    -max_total_time="${DURATION:-3600}" -print_final_stats=1 >"$3" 2>&1 || return
  grep -E '^(Done|stat::(slowest_unit_time_sec|peak_rss_mb))' "$3" >&2
}

# merge TARGET FOUND LOG: adds the smallest set of found inputs that reach more than the committed ones.
merge() {
  "$CARGO_TARGET_DIR/$host/release/$1" -set_cover_merge=1 -use_counters=0 -max_len=1024 \
    "$here/corpus/$1" "$2/corpus" >"$3" 2>&1 || return
  grep '^MERGE-OUTER: .*new files' "$3" >&2
}

for target in "${targets[@]}"; do
  found=${FOUND:-$root/.cache/fuzz}/$target
  mkdir -p "$found/corpus" "$found/crashes"
  log=$(mktemp "$found/log.XXXXXX")
  if ! "$([ -n "${MERGE:-}" ] && echo merge || echo fuzz)" "$target" "$found" "$log"; then
    tail -n 40 "$log" >&2
    echo "$target: see $log and $found/crashes, and tests/fuzz/README.md for what to do with it" >&2
    exit 1
  fi
  rm "$log"
done
