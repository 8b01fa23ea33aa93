# Every target makes what it needs: the virtual environment is built on first use, and again when pyproject.toml changes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help demo run test test-real faults fuzz bench soak check fmt clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(STAMP) ## the whole story in a minute: no key, no network; ARGS=--serve keeps it up
	@$(BIN)/sidestep demo $(ARGS)

run: $(STAMP) ## serve routes.yaml on 127.0.0.1:8080
	@$(BIN)/sidestep run $(ARGS)

test: $(STAMP) ## all tests that need no network; ARGS="-k stream" picks some
	@$(BIN)/python -m pytest -q -n auto --ignore=tests/real $(ARGS)

test-real: $(STAMP) ## a real model: two llama.cpp servers, one of them killed (compiles for eight minutes, once)
	@$(BIN)/python tests/real/run.py $(ARGS)

faults: $(STAMP) ## the fault laboratory: break everything, hold it to its promises; ARGS="--only stream --json out.json"
	@PYTHONPATH=tests $(BIN)/python -m lab.laboratory $(ARGS)

fuzz: $(STAMP) ## a hundred thousand mutated inputs for every reader of foreign bytes; ARGS="--cases 1000000 --only sse"
	@PYTHONPATH=tests $(BIN)/python -m lab.fuzz $(ARGS)

bench: $(STAMP) ## side by side with a bare aiohttp pass-through, and with what else is installed: needs a C compiler
	@$(BIN)/python -m bench $(ARGS)

soak: $(STAMP) ## two million mixed requests to one sidestep: memory, descriptors, lag; ARGS="--requests 100000"
	@$(BIN)/python -m bench.soak $(ARGS)

check: $(STAMP) ## lint, formatting, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fmt: $(STAMP) ## format, and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove the virtual environment, caches and builds
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
