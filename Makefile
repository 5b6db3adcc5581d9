# The commands of the project; `make help` lists them. Paths may have spaces: everything is relative to here.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
LOANS ?=
PY := .venv/bin/python

.PHONY: help setup run stop status demo-history demo-release test e2e check bench lock format

help: ## List the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: ## Make the environments that are missing, from their locks
	@$(PYTHON) -m local.environments

run: setup ## Start everything and take loans to decisions (LOANS=<file> for your own, LOANS=sample for generated ones)
	@$(PY) -m local run --loans "$(LOANS)"

stop: ## Stop everything that make run started
	@if [ -x $(PY) ]; then $(PY) -m local stop; else echo "Nothing was running."; fi

status: ## Tell what is up
	@if [ -x $(PY) ]; then $(PY) -m local status; else echo "Nothing is up: make run"; exit 1; fi

demo-history: setup ## Fill the month before today with a generated history, beside generated loans (make run LOANS=sample)
	@$(PY) -m local.demo_history

demo-release: setup ## Let a second version challenge the one in service for some minutes, beside generated loans; then abort it
	@$(PY) -m local.demo_release

test: setup ## Run the tests that need no running scheduler
	@$(PY) -m pytest -n 2 --dist loadfile -m "not alone"
	@$(PY) -m pytest -m alone

e2e: setup ## Run the tests of the whole system, through a real scheduler
	@$(PY) -m pytest tests/e2e --override-ini addopts="--import-mode=importlib --strict-markers --strict-config -ra"

check: setup ## Format, lint, types, import contracts
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@$(PY) -m mypy
	@$(PY) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"
	@$(PY) -m yamllint --strict .

bench: setup ## Measure the speed of each part (BENCH_LARGE=1 for the large sizes)
	@for file in tests/benchmarks/bench_*.py; do $(PY) -m "tests.benchmarks.$$(basename "$$file" .py)"; done

format: setup ## Put the code into its format
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

lock: setup ## Resolve the three locks anew, for Python 3.11 to 3.13
	@$(PY) -m local.lock
