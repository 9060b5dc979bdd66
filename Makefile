# Everything is started from here. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .cache/venv
PYTHON_REQUIREMENTS := tests/e2e/python/requirements.txt
COLLECTOR := .cache/collector/collector
COLLECTOR_SOURCES := $(addprefix tests/e2e/collector/,go.mod go.sum) $(wildcard tests/e2e/collector/*.go)

.PHONY: help tools wasm envoy venv collector run demo test lint deny fuzz fuzz-smoke bench fmt clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS=$$'\t' read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done

tools: ## check that the tools which everything needs are there
	@wasm-build/tools.sh

wasm: tools ## build dist/sluice.wasm, installing a wasm toolchain where there is none
	@wasm-build/build.sh

envoy: tools ## fetch Envoy into .cache/envoy (or check the one that ENVOY names)
	@envoy-local/fetch-envoy.sh >/dev/null

venv: tools $(VENV)/.complete ## install the Python OpenTelemetry SDK into .cache/venv

# pip refuses whatever is not in the requirements file with its hash.
$(VENV)/.complete: $(PYTHON_REQUIREMENTS)
	python3 -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(PYTHON_REQUIREMENTS)
	touch $@

collector: tools $(COLLECTOR) ## build a sender from the OpenTelemetry Collector's exporters into .cache/collector

# Go takes no module that is not in go.sum with its hash.
$(COLLECTOR): $(COLLECTOR_SOURCES)
	CGO_ENABLED=0 go build -C tests/e2e/collector -mod=readonly -buildvcs=false -trimpath -ldflags='-s -w' -o "$(CURDIR)/$@" .

run: wasm envoy ## start the gate here: Envoy, stand-in backends, certificates (GRPC_PORT, HTTP_PORT, ... choose ports)
	@exec cargo run --quiet --package envoy-local --bin gate-local

demo: wasm envoy venv ## send from real OpenTelemetry SDKs and show what was stored, dropped and refused
	@cargo run --quiet --package sluice-e2e --bin demo

test: tools ## everything that must hold: format, lints, the module, unit and end-to-end tests
	cargo fmt --all --check
	@unformatted=$$(gofmt -l tests/e2e/collector); [[ -z $$unformatted ]] || { echo "not as gofmt has it, run make fmt: $$unformatted" >&2; exit 1; }
	$(MAKE) lint
	$(MAKE) wasm envoy venv collector
	cargo test
	$(MAKE) fuzz-smoke

lint: tools ## clippy over every crate, the module included, and vet over what is written in Go
	cargo clippy --workspace --all-targets -- -D warnings
	CGO_ENABLED=0 go vet -C tests/e2e/collector -mod=readonly ./...

deny: tools ## licences, sources and bans of everything that is depended on
	@cargo deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny --workspace check bans licenses sources

fuzz: tools ## give every reader of a stranger's bytes what libFuzzer comes up with (TARGET=one, DURATION=seconds each)
	@tests/fuzz/run.sh $(TARGET)

fuzz-smoke: tools ## the same for a moment, with the same inputs every time
	@rm -rf .cache/fuzz-smoke
	@FOUND=.cache/fuzz-smoke RUNS=20000 DURATION=10 SEED=1 tests/fuzz/run.sh $(TARGET)

bench: tools ## what reading a request costs, natively and in wasm, as one table (ROWS=a part of their names)
	@wasm-build/build.sh --package sluice-bench-guest --budget-kib 1024
	@cargo bench --quiet --package sluice-bench --bench table -- $(if $(ROWS),"$(ROWS)")

fmt: tools ## format the code
	cargo fmt --all
	gofmt -w tests/e2e/collector

clean: ## remove what was built and what was fetched
	rm -rf target dist .cache .run
