#!/usr/bin/env bash
# Builds dist/sluice.wasm and checks it. Arguments go to the check (wasm-build/check): build.sh --budget-kib 700
# build.sh --package NAME builds another plugin of the workspace the same way into dist/NAME.wasm.
set -euo pipefail

readonly target=wasm32-unknown-unknown
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
readonly here root
# Separate from the native build: with another compiler and other flags, each would make cargo rebuild the other's
# files.
readonly target_dir=${CARGO_TARGET_DIR:-$root/target}/wasm
package=sluice-module
module=$root/dist/sluice.wasm
if [[ ${1-} == --package ]]; then
  package=$2
  module=$root/dist/$package.wasm
  shift 2
fi
readonly package module
readonly built=$target_dir/$target/release/${package//-/_}.wasm
readonly cargo_home=${CARGO_HOME:-$HOME/.cargo}

main() {
  local toolchain kind cargo rustc
  toolchain=$("$here/toolchain.sh")
  read -r kind cargo rustc <<<"$toolchain"
  build "$kind" "$cargo" "$rustc"
  mkdir -p "$(dirname "$module")"
  # The module is put into dist/ only after the check, so that every module in dist/ can be loaded.
  check "$@" --output "$module.new"
  mv "$module.new" "$module"
}

build() {
  local kind=$1 cargo=$2 rustc=$3 sysroot settings=() arguments=()
  sysroot=$("$rustc" --print sysroot)
  if [[ $kind == build-std ]]; then
    # Building the standard library is still unstable in cargo, hence the bootstrap switch.
    settings=(RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld)
    arguments=(-Z "build-std=std,panic_abort")
  fi
  local flags=(
    # Envoy's V8 supports SIMD, and searching a body for its fields is faster with it.
    -C target-feature=+simd128
    # No path of the machine stays in the module, and two machines build the same bytes.
    "--remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rust"
    "--remap-path-prefix=$cargo_home=/cargo"
    "--remap-path-prefix=$root=/sluice"
  )
  # Only encoded flags work when a path contains a space.
  local IFS=$'\x1f'
  settings+=("RUSTC=$rustc" "CARGO_TARGET_DIR=$target_dir" "CARGO_ENCODED_RUSTFLAGS=${flags[*]}")
  env "${settings[@]}" "$cargo" build --manifest-path "$root/Cargo.toml" --package "$package" --release \
    --target "$target" "${arguments[@]}"
}

check() {
  cargo run --quiet --manifest-path "$root/Cargo.toml" --package wasm-check -- \
    "$built" --forbid-text "$root/" --forbid-text "$cargo_home/" "$@"
}

main "$@"
