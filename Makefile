# Everything a fresh machine needs: Python 3.11 or newer, git and make. `make` alone lists the targets.
# Steps that are done are stamped inside .venv; they are done again only when what they depend on changed.

VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.done
# What an installation is made of: the code itself is installed editable and needs no reinstall.
PACKAGE := pyproject.toml hatch_build.py
ASSETS := $(shell find src/mailengine/web/assets src/mailengine/web/templates -name node_modules -prune -o -type f -print 2>/dev/null)

# Options for the program or the tests: `make demo ARGS="--exit --json"`, `make test ARGS="-k import"`.
ARGS ?=

# Each of the tests' many processes would compile the program anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check lint types bench chaos seed screenshots install man binary clean peers tests

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DONE)/runtime ## set everything up, run the main job on examples/, then serve until Ctrl-C
	@$(BIN)/mailengine demo $(ARGS)

# What Debian's packages wait for (downloads, disks) goes on beside what pip waits for.
test: $(DONE)/venv ## install missing peers (PostgreSQL, Redis, Postfix, Chromium) and do what `check` does
	@$(MAKE) --no-print-directory -j2 peers $(DONE)/dev
	@$(MAKE) --no-print-directory check

# mypy needs one core, and half a minute when it begins anew.
check: lint ## the gate: lint, format, types, layers, and all tests, with the peers that are there
	@$(MAKE) --no-print-directory -j2 types tests

lint: $(DONE)/dev ## ruff (rules and format) and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(DONE)/dev ## mypy --strict
	$(BIN)/mypy

bench: $(DONE)/dev ## measure import and send beside their baselines
	$(BIN)/python -m benchmarks $(ARGS)

chaos: $(DONE)/dev ## kill everything at random, hundreds of times, and count who got two or none
	$(BIN)/python -m benchmarks.chaos $(ARGS)

seed: $(DONE)/runtime ## fill the data directory with made-up contacts, templates and campaigns
	@$(BIN)/mailengine seed $(ARGS)

screenshots: $(DONE)/dev ## pictures of the pages of the installation in MAILENGINE_DATA_DIR, as MAILENGINE_USER
	cd tests && ../$(BIN)/python -m screenshots ../build/screenshots

install: $(DONE)/runtime ## only install into .venv

man: $(DONE)/runtime ## the manual page: dist/mailengine.1
	@mkdir -p dist
	$(BIN)/python -m mailengine.cli.manual > dist/mailengine.1

binary: $(DONE)/runtime ## one file with Python and everything in it, tested: dist/mailengine
	bash deploy/binary/build $(BIN)

clean: ## remove .venv, built assets and caches
	rm -rf $(VENV) src/mailengine/web/static/dist src/mailengine/web/assets/node_modules
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# Three on two cores: a test that waits (for a server, a page, a clock) leaves its core to another.
tests: $(DONE)/dev
	$(BIN)/pytest -n 3 --dist loadgroup $(ARGS)

peers:
	@bash .ci/peers

$(DONE)/venv:
	@bash .ci/venv $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/runtime: $(DONE)/venv $(PACKAGE) $(ASSETS)
	@echo "Installing mailengine into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --editable '.[all]'
	@touch $@

$(DONE)/dev: $(DONE)/runtime
	@echo "Installing the tools of the tests into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@
