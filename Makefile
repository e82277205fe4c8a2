# Needs python3, make and git, nothing else. Every path is relative: the folder may have any name.
PYTHON ?= python3
BIN := .venv/bin
PREPARE := @$(PYTHON) tools/environment.py
DATA := if [ -z "$${ORCHESTRION_TEST_DATA:-}" ] && [ -d ../shared ]; then export ORCHESTRION_TEST_DATA="$$PWD/../shared"; fi

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-fraud console test soak check bench lock

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | while IFS='|' read -r target what; do printf '%-20s %s\n' "$$target" "$$what"; done

setup: ## install everything into .venv, with the command .venv/bin/orchestrion
	$(PREPARE) dev
	@echo "Ready: .venv/bin/orchestrion --help"

demo: ## a bank's service desk in seven scenes, killed in the middle on purpose, then in a browser (SEED=7 deals out other messages, SERVE=0 does without the browser)
	$(PREPARE) run
	@$(BIN)/python examples/customer-service/demo.py $(SEED)

demo-fraud: ## 10,000 card payments, killed five times on the way: what is caught, missed, and why
	$(PREPARE) run
	@$(BIN)/python examples/fraud-response/demo.py

console: ## build the pages for browsers anew, when their sources have changed
	$(PREPARE) dev
	@$(BIN)/python tools/console.py

test: ## the tests, within five minutes
	$(PREPARE) dev
	@$(DATA); $(BIN)/python -m pytest -n 2 -m "not soak"

soak: ## all tests, with the exhaustive ones; takes its time
	$(PREPARE) dev
	@$(DATA); $(BIN)/python -m pytest -n 2

check: ## format, lint, imports and types, within a minute
	$(PREPARE) dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright

bench: ## measure: make bench NAME=engine, NAME=peers or NAME=agents beside others (QUICK=1 for less)
	$(PREPARE) dev
	@if [ ! -f "benchmarks/$(NAME).py" ]; then echo "Say which: make bench NAME=..., one of:"; \
		for file in benchmarks/[a-z]*.py; do basename "$$file" .py; done; exit 2; fi
	@QUICK="$(QUICK)" $(BIN)/python "benchmarks/$(NAME).py"

COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 --system-certs

lock: ## pin the newest versions of all dependencies, by hash
	$(PREPARE) dev
	$(COMPILE) --upgrade pyproject.toml --group bootstrap --group build --group dev --output-file requirements-dev.lock
	$(COMPILE) --constraint requirements-dev.lock pyproject.toml --group build --output-file requirements.lock
	$(COMPILE) --constraint requirements-dev.lock --group bootstrap --output-file requirements-uv.lock
