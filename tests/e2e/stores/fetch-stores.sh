#!/usr/bin/env bash
# Prints the path of a store's program: fetch-stores.sh prometheus | victoria-metrics
#
# This is the program that the variable PROMETHEUS or VICTORIA_METRICS names, or that of Debian's package with the same
# name, which is downloaded into .cache/stores if it is missing. Nothing is installed, and root is not needed: apt
# checks the package with the distribution's signed index, and the script unpacks it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly cache=$here/../../../.cache/stores
readonly package=${1-}
# Names another program in its place.
variable=
fail() {
  printf 'stores: %s\n' "$*" >&2
  exit 1
}

main() {
  case $package in
    prometheus) variable=PROMETHEUS ;;
    victoria-metrics) variable=VICTORIA_METRICS ;;
    *) fail "name one of prometheus and victoria-metrics, not '$package'" ;;
  esac
  local named=${!variable-}
  if [[ -n $named ]]; then
    type -P -- "$named" || fail "$variable=$named is not a program that can be run: correct it, or unset $variable"
    return
  fi
  local program=$cache/$package/usr/bin/$package
  [[ -x $program ]] || fetch
  realpath -s "$program"
}

# The whole folder is moved to its place at once, so an interrupted run or a second run at the same time does no harm.
fetch() {
  type -P apt-get dpkg-deb >/dev/null ||
    fail "Debian's packages are fetched with apt-get and dpkg-deb: install them, or name the program in $variable"
  mkdir -p "$cache"
  local work
  work=$(mktemp -d "$cache/$package.XXXXXX")
  # shellcheck disable=SC2064 # expand the folder's name now
  trap "rm -rf '$work'" EXIT
  printf "stores: fetching Debian's %s\n" "$package" >&2
  (download "$work") 2>/dev/null || (download "$work" index) ||
    fail "apt-get could not fetch $package: is the distribution's mirror within reach?"
  dpkg-deb --extract "$work"/"$package"_*.deb "$work/unpacked"
  "$work/unpacked/usr/bin/$package" --version >/dev/null 2>&1 || fail "what $package's package holds cannot be run here"
  mv -T "$work/unpacked" "$cache/$package" 2>/dev/null || [[ -x $cache/$package/usr/bin/$package ]] ||
    fail "cannot write to $cache"
}

# Downloads into the given folder. With a second argument, the index is downloaded too, into a separate folder, because
# the machine's own index may be old or missing, and must not be changed.
download() {
  local options=(--quiet -o APT::Sandbox::User=root)
  cd "$1"
  if [[ -n ${2-} ]]; then
    mkdir -p apt/lists/partial apt/archives/partial
    options+=(-o "Dir::State::lists=$1/apt/lists" -o "Dir::Cache=$1/apt" -o "Dir::Cache::archives=$1/apt/archives")
    apt-get update "${options[@]}" >/dev/null || return
  fi
  apt-get download "${options[@]}" "$package" >/dev/null
}

main
