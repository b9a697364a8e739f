# `make help` lists what this can do. PYTHON chooses the interpreter for .venv: any from 3.11 to 3.14.
# Recipes run each tool from .venv, so nothing has to be activated.

GOOD := (3, 11) <= sys.version_info[:2] <= (3, 14)
# Looked for once, and only where it is needed.
PYTHON ?= $(eval PYTHON := $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$name -c 'import sys; sys.exit(not ($(GOOD)))' 2>/dev/null && echo $$name && break; done))$(PYTHON)
NAMED := $(if $(filter undefined file,$(origin PYTHON)),,--named)
WANTED := Countless needs Python 3.11, 3.12, 3.13 or 3.14: name one, as in make PYTHON=/path/to/python3.12
BIN := .venv/bin
# Python's compiled files are kept: tests start processes by the dozen, each of which would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help setup run test check format bench prove browser script clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv with all that is needed here
	@$(call environment,everything)

# Says at once what is wrong with PYTHON; then has .venv made, or made anew, if it has to be.
environment = test -n "$(PYTHON)" || { echo "No Python was found that will do. $(WANTED)"; exit 1; }; \
	command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) here. $(WANTED)"; exit 1; }; \
	"$(PYTHON)" -c 'import sys; sys.exit(None if $(GOOD) else "This is Python " + sys.version.split()[0] + ".")' \
		|| { echo "$(PYTHON) will not do. $(WANTED)"; exit 1; }; \
	"$(PYTHON)" -I infrastructure/environment.py $(1) $(NAMED)

run: ## serve a demo account on http://127.0.0.1:8000 (PORT=8000), AWS simulated
	@$(call environment,serving)
	@exec $(BIN)/countless serve --port $(PORT)

test: setup ## run the tests, except the long ones and those in a browser
	$(BIN)/pytest -n auto --dist loadfile -m 'not prove and not browser'

check: setup ## lint, formatting, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: setup ## mend what lint and formatting can mend by themselves
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup ## measure, and compare with the budgets
	$(BIN)/python -m infrastructure.bench

prove: setup ## run the tests that take long, and have not passed yet (PART=model: some, FRESH=1: all)
	@$(BIN)/python -m infrastructure.prove $(PART) $(if $(FRESH),--fresh)

browser: setup ## run the tests in a headless Chromium, which has to be there
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group browser
	COUNTLESS_BROWSER=required $(BIN)/pytest -m browser tests/browser

script: setup ## make the tracking script that is served of its source
	cd chalicelib/pageviews/static && $(CURDIR)/$(BIN)/python -m rjsmin <count.js >count.min.js

clean: ## remove .venv and what tools have left
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .prove .chalice/deployments
