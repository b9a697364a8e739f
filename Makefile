# `make help` lists what this can do. PYTHON chooses the interpreter for .venv: any from 3.11 to 3.13.
# Recipes run each tool from .venv, so nothing has to be activated.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(if $(shell \
	$(name) -c 'import sys; print(*[1] * ((3, 11) <= sys.version_info < (3, 14)))' 2>/dev/null),$(name))))
BIN := .venv/bin
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help setup run test check format bench prove browser script clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/installed ## make .venv with all that is needed here

.venv/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python from 3.11 to 3.13 was found; say make PYTHON=/path/to/python"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1,<26.3'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[service,local]' --group dev
	@touch $@

run: setup ## serve a demo account on http://127.0.0.1:8000 (PORT=8000), AWS simulated
	@exec $(BIN)/countless serve --port $(PORT)

test: setup ## run the tests, except the long ones and those in a browser
	$(BIN)/pytest -n auto -m 'not prove and not browser'

check: setup ## lint, formatting, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: setup ## mend what lint and formatting can mend by themselves
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup ## measure, and compare with the budgets
	$(BIN)/python -m infrastructure.bench

prove: setup ## run the tests that take long
	$(BIN)/pytest -n auto -m prove

browser: setup ## run the tests in a headless Chromium, which has to be there
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group browser
	COUNTLESS_BROWSER=required $(BIN)/pytest -m browser tests/browser

script: setup ## make the tracking script that is served of its source
	cd chalicelib/pageviews/static && $(CURDIR)/$(BIN)/python -m rjsmin <count.js >count.min.js

clean: ## remove .venv and what tools have left
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .chalice/deployments
