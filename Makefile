# Everything a newcomer types. Each target sets up .venv first; a second run finds it ready.
PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
OUTPUT ?= demo-output
# One process a core, each beginning with its own stretch of the tests.
PARALLEL ?= --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: help setup demo test test-fast lint docs bench clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## make .venv and install everything into it
	@$(PYTHON) tools/setup_venv.py

demo: setup  ## the whole road on the bundled speech, into $(OUTPUT) (4 core-minutes)
	@$(VENV_PYTHON) examples/demo/demo.py --out $(OUTPUT)

test: setup  ## all tests
	@$(VENV_PYTHON) -m pytest $(PARALLEL)

test-fast: setup  ## the tests that take seconds
	@$(VENV_PYTHON) -m pytest $(PARALLEL) -m "not slow"

lint: setup  ## ruff (check and format) and mypy on the offline rooms
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .
	@$(VENV_PYTHON) -m mypy

docs: setup  ## the documentation as a site, into site/
	@$(VENV_PYTHON) tools/build_docs.py

bench: setup  ## every ratio that has a goal, in one table (at most 15 minutes)
	@$(VENV_PYTHON) benchmarks/table.py

clean:  ## remove .venv, the site and the demo's output
	rm -rf .venv site $(OUTPUT)
