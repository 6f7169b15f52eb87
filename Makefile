# One command each, the same for you and for CI. Everything lives in .venv; nothing is installed outside the checkout.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEV_STAMP := .venv/.installed-dev
NODE_STAMP := tests/node/node_modules/.installed
EXPORTER_STAMP := .venv/rq-exporter/.installed
# Tests start some hundred processes: without compiled files each of them would compile everything that it imports.
unexport PYTHONDONTWRITEBYTECODE
# What does not need one another is set up side by side.
MAKEFLAGS += --jobs=3

.PHONY: help install demo test check lint types layers collected soak benchmark requirements clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## set up .venv with pinned, hash-checked dependencies

# Files are compiled when first used: half of the packages' modules never are.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
LOCKED := $(PIP) --require-hashes --only-binary :all:

$(STAMP): requirements/run.txt requirements/older-python.txt requirements/build.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(LOCKED) -r requirements/run.txt -r requirements/older-python.txt -r requirements/build.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): $(STAMP) requirements/dev.txt
	$(LOCKED) -r requirements/dev.txt
	@touch $@

# The Node client and the accessibility rules that tests use, where npm is present; elsewhere those tests skip and say so.
$(NODE_STAMP): tests/node/package-lock.json
	if command -v npm >/dev/null; then npm ci --silent --prefix tests/node; fi
	@mkdir -p $(@D) && touch $@

# rq-exporter needs RQ 2, so it has an environment of its own; a test holds its figures against ours.
$(EXPORTER_STAMP): $(STAMP) requirements/rq-exporter.txt requirements/older-python.txt
	$(PYTHON) -m venv .venv/rq-exporter
	.venv/rq-exporter/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --only-binary :all: -r requirements/rq-exporter.txt -r requirements/older-python.txt
	@touch $@

demo: install ## see the whole product work on this machine, with a simulated provider
	$(BIN)/imagequeue demo

check: lint types layers ## lint, types, direction of imports

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP)
	$(BIN)/mypy

layers: $(DEV_STAMP)
	$(BIN)/lint-imports

# While types are checked, the other core compiles what the tests import; else each test process would do it for itself.
collected: $(DEV_STAMP)
	@$(BIN)/pytest -n 0 --collect-only -qq > .venv/collected.log || { cat .venv/collected.log; exit 1; }

test: check collected $(NODE_STAMP) $(EXPORTER_STAMP) ## check, then all tests
	$(BIN)/pytest

soak: $(DEV_STAMP) ## kill workers 1,000 times under 100,000 jobs and check every cent; SERVER=redis|valkey LEDGER=sqlite|postgresql KILLS= JOBS= SEED=
	$(BIN)/python tests/soak/soak.py --kills $(or $(KILLS),1000) --jobs $(or $(JOBS),100000) --server $(or $(SERVER),valkey) --ledger $(or $(LEDGER),sqlite) $(if $(SEED),--seed $(SEED))
	SOAK_FULL=1 $(BIN)/pytest -n 0 tests/soak/test_soak_replies.py
	SOAK_FULL=1 LEDGER_HISTORIES=300 $(BIN)/pytest -n 0 tests/ledger/test_ledger_machine.py tests/ledger/test_ledger_cap_processes.py
	BACKLOG_JOBS=100000 $(BIN)/pytest -n 0 tests/queue/test_queue_claim_order.py
	FUZZED_BODIES=10000 FUZZED_HASHES=10000 $(BIN)/pytest -n 0 -s tests/door/test_door_fuzzed_bodies.py \
		tests/door/test_door_fuzzed_hashes.py tests/queue/test_queue_hostile.py

requirements: ## pin every dependency again, with hashes
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header -o requirements/run.txt pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header -c requirements/run.txt -o requirements/dev.txt pyproject.toml requirements/dev.in
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header -o requirements/rq-exporter.txt requirements/rq-exporter.in

clean: ## remove what the commands above made
	rm -rf .venv .imagequeue dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tests/node/node_modules
