# Every target sets up by itself; all that it needs is python3 (3.11 or newer), and Java 17 with Maven for the Kafka parts.
PYTHON ?= python3
ENGINE ?= $(shell command -v docker || command -v podman)
BIN := .venv/bin
READY := .venv/ready
UV := $(BIN)/uv
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --no-header $(if $(UPGRADE),--upgrade)

# Compiled modules are kept: torch compiled anew costs each process seconds, and the tests start many.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test setup lint check test-long fuzz kafka lock image clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## The machine that failed, told as it happens
	$(BIN)/plumbline demo

test: $(READY)  ## Every test that this machine can run; the skipped ones and why stand at the end
	$(BIN)/python -m pytest --numprocesses 2 -m "not long and not kafka and not prometheus"; alone=$$?; \
	$(BIN)/python -m pytest -m "not long and (kafka or prometheus)" && exit $$alone

setup: $(READY)  ## The environment in .venv, and nothing else

lint: $(READY)  ## Format, lint, types, import contract
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check: lint  ## The same and the fast tests
	$(BIN)/python -m pytest --quiet --numprocesses 2 -m "not slow and not long and not kafka and not prometheus"

test-long: $(READY)  ## The tests that take minutes, and the soak
	$(BIN)/python -m pytest -m long

fuzz: $(READY)  ## Decoders under a fuzzer, a minute each; PLUMBLINE_FUZZ_SECONDS says otherwise
	-$(UV) pip install --quiet --python $(BIN)/python --only-binary :all: --require-hashes --requirements requirements/fuzz.txt
	$(BIN)/python -m pytest tests/fuzz

kafka: $(READY)  ## A real Apache Kafka in the foreground, on a free port
	$(BIN)/plumbline kafka

lock: $(READY)  ## Write both locks again; UPGRADE=1 takes newer versions
	$(LOCK) --extra dev --extra bench --extra avro pyproject.toml --output-file requirements/all.txt
	$(LOCK) requirements/fuzz.in --output-file requirements/fuzz.txt
	$(LOCK) requirements/service.in --constraints requirements/all.txt --output-file requirements/service.txt

image:  ## The service's container image, by docker or podman
	BUILDAH_FORMAT=docker $(ENGINE) build --file deploy/docker/Dockerfile --tag plumbline .

clean:  ## Remove the environment and what tools left behind
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(READY): requirements/all.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"Plumbline needs Python 3.11 or newer, and $(PYTHON) is {sys.version.split()[0]}: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --requirements requirements/all.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
