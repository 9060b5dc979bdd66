#!/usr/bin/env bash
# Checks that the required tools are there, and prints the command that installs each missing one. Arguments add the
# tools of some targets: go; java and javascript, for the senders in these languages; openssl, with which the tests
# compare issuers; curl, as a plain client; wget, with which Compose checks Prometheus;
# taskset, for the benchmark in Envoy.
set -euo pipefail

missing=0

# need WHAT HOW COMMAND...: if COMMAND fails, HOW is how to install WHAT.
need() {
  local what=$1 how=$2
  shift 2
  "$@" >/dev/null 2>&1 && return
  printf 'missing: %s. Install it: %s\n' "$what" "$how" >&2
  missing=1
}

readonly rust="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
need cargo "$rust" cargo --version
need rustc "$rust" rustc --version
need rustfmt 'rustup component add rustfmt' cargo fmt --version
need clippy 'rustup component add clippy' cargo clippy --version
need 'a C compiler (cc)' 'sudo apt-get install gcc libc6-dev' cc --version
need 'a C++ compiler (c++)' 'sudo apt-get install g++' c++ --version
need python3 'sudo apt-get install python3' python3 --version
need 'pip for python3' 'sudo apt-get install python3-pip' python3 -m pip --version
need 'venv for python3' 'sudo apt-get install python3-venv' python3 -c 'import ensurepip, venv'
for language in "$@"; do
  case $language in
    go)
      # go.mod says which Go the senders in tests/e2e need, and distributions often have an older one. An older Go would
      # download a newer one by itself (GOTOOLCHAIN), but a build should only use what was installed before.
      need 'Go 1.26 or newer' 'https://go.dev/dl/ (a package of the distribution is often too old)' \
        env GOTOOLCHAIN=local go -C "$(dirname "${BASH_SOURCE[0]}")/../tests/e2e/collector" list -m
      ;;
    java)
      need 'a JDK, 17 or newer' 'sudo apt-get install openjdk-17-jdk-headless' javac --release 17 --version
      need Maven 'sudo apt-get install maven' mvn --version
      ;;
    javascript)
      need 'Node.js 20.6 or newer' 'https://nodejs.org/en/download (a package of the distribution is often too old)' \
        node --eval 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 6) ? 0 : 1)'
      need npm 'it comes with Node.js' npm --version
      ;;
    openssl)
      need openssl 'sudo apt-get install openssl' openssl version
      ;;
    curl)
      need 'a curl that speaks HTTP/2' 'sudo apt-get install curl' bash -c 'curl --version | grep -w HTTP2'
      ;;
    wget)
      need wget 'sudo apt-get install wget' wget --version
      ;;
    taskset)
      need taskset 'sudo apt-get install util-linux' taskset --version
      ;;
    *)
      echo "tools.sh: no such language: $language" >&2
      exit 2
      ;;
  esac
done
exit "$missing"
