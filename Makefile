# The front door. `make help` explains itself. Everything slow is cached outside the checkout, under a key of
# its inputs, in $XDG_CACHE_HOME/mediakit (default ~/.cache/mediakit).

SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.ready
JUNIT := out/junit
PYTEST := $(PY) -m pytest

.PHONY: help setup demo test lint format unit vm vm-core bench bare clean
.DEFAULT_GOAL := help

help: ## this list
	@echo "Engine boot media and installer. On Debian 12 each target sets up what it needs (packages, .venv)."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## install packages (apt, as root or through sudo) and the virtual environment; seconds when done before
	@tools/setup

demo: setup ## build the reference Engine, write sticks, install and upgrade it in QEMU, tell where everything is
	@$(PY) -m mediakit.reference.demo --out out/demo

test: setup ## everything that must pass: lint, unit tests, the core VM tests
	@tools/test

lint: setup ## ruff (lint and format) and mypy --strict
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

format: setup ## let ruff format the tree
	@$(VENV)/bin/ruff check --fix . ; $(VENV)/bin/ruff format .

unit: setup ## the fast tests only
	@$(PYTEST) tests -m "not long" -n auto --dist loadfile

vm-core: setup ## the VM tests that `make test` runs
	@$(PYTEST) vm-tests -m core

vm: setup ## the long tests and the long VM matrix (hours without KVM)
	@$(PYTEST) tests vm-tests -m "long or vm"

bench: setup ## how fast, beside xorriso, cp, dd and sha256sum in the same run (ONLY="inspect verify"; 8 GiB in /var/tmp)
	@$(PY) tools/bench $(if $(ONLY),--only $(ONLY)) $(BENCH)

bare: ## run `make test` (or TARGET=demo) in a bare Debian 12 tree: nothing installed by hand (root)
	@tools/bare-tree $(or $(TARGET),test)

clean: ## remove what was built in the checkout (caches stay)
	@rm -rf out build .mypy_cache .ruff_cache .pytest_cache
