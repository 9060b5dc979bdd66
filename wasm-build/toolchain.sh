#!/usr/bin/env bash
# Finds a Rust toolchain that can build for wasm32-unknown-unknown, or installs one.
#
# Prints one line of three words: KIND CARGO RUSTC
#   ready      RUSTC has a standard library for the target
#   build-std  RUSTC has none, but has the library's source: cargo builds it along with the module
# Progress and reasons go to standard error.
set -euo pipefail

readonly target=wasm32-unknown-unknown
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
# Keeps the answer, so that a missing network is tried only once.
readonly remembered=$root/.cache/wasm-toolchain
# Debian and Ubuntu: a current Rust next to the distribution's old one, the source of its library, and wasm-ld.
readonly debian_packages=(rustc-web cargo-web rust-web-src lld)
readonly debian_rustc=/usr/bin/rustc
readonly debian_cargo=/usr/bin/cargo

say() { printf 'wasm-build: %s\n' "$*" >&2; }

main() {
  local answer
  answer=$(already_there || recall || from_rustup || from_debian) || no_way
  mkdir -p "$(dirname "$remembered")"
  printf '%s\n' "$answer" >"$remembered"
  printf '%s\n' "$answer"
}

# 1. A toolchain that has the target: the one on PATH (including rustup's active one), or the distribution's.
already_there() {
  local on_path cargo_on_path
  on_path=$(command -v rustc) && cargo_on_path=$(command -v cargo) && has_target "$on_path" &&
    printf 'ready %s %s\n' "$cargo_on_path" "$on_path" && return
  [[ -x $debian_cargo ]] && has_target "$debian_rustc" && printf 'ready %s %s\n' "$debian_cargo" "$debian_rustc"
}

# 2. The choice of an earlier run, if it still works.
recall() {
  local kind
  read -r kind _ 2>/dev/null <"$remembered" && [[ $kind == build-std ]] && debian_answer
}

# 3. The usual way on a developer's machine.
from_rustup() {
  command -v rustup >/dev/null || return
  say "the active toolchain has no $target: rustup target add $target"
  rustup target add "$target" >&2 || {
    say "rustup could not fetch $target (no network to its host?): trying the distribution's packages"
    return 1
  }
  already_there
}

# 4. Debian's packages: they do not have the library for the target, but its source, from which cargo builds it.
from_debian() {
  debian_answer && return
  command -v apt-get >/dev/null || return
  local as_root=()
  if [[ $(id -u) != 0 ]]; then
    as_root=(sudo -n)
    if ! sudo -n true 2>/dev/null; then
      say "cannot install packages: not root, and sudo asks for a password or is missing"
      return 1
    fi
  fi
  say "installing ${debian_packages[*]}: a Rust that can build its own standard library, and wasm-ld"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || return
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${debian_packages[@]}" >&2 || return
  debian_answer
}

debian_answer() {
  [[ -x $debian_cargo && -x $debian_rustc ]] && command -v wasm-ld >/dev/null || return
  local sysroot
  sysroot=$("$debian_rustc" --print sysroot) || return
  [[ -f $sysroot/lib/rustlib/src/rust/library/Cargo.lock ]] || return
  new_enough "$debian_rustc" || return
  printf 'build-std %s %s\n' "$debian_cargo" "$debian_rustc"
}

has_target() {
  local libraries
  libraries=$("$1" --print target-libdir --target "$target" 2>/dev/null) || return
  compgen -G "$libraries/libstd-*.rlib" >/dev/null && new_enough "$1"
}

# The workspace's `rust-version`: an older compiler would fail later, with a less clear message.
new_enough() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
  found=$("$1" --version | cut -d' ' -f2)
  [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1) == "$wanted" ]]
}

no_way() {
  say "no toolchain for $target. One of these will do, then run make wasm again:"
  say "  rustup target add $target                        (rustup itself: https://rustup.rs)"
  say "  sudo apt-get install ${debian_packages[*]}       (Debian 12 or newer)"
  exit 1
}

main
