# `make demo` and `make test` set up what they need in .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test lint format bench bench-full bench-sqlite bench-rules dist clean

help:
	@echo "make demo         a real Synapse with the module, and its pending updates"
	@echo "make test         all tests"
	@echo "make lint         ruff and mypy"
	@echo "make bench        what updates do to clients, by controller; ten minutes"
	@echo "make bench-full   the same with all updates, loads and arms; about an hour"
	@echo "make bench-sqlite the same on SQLite; ten minutes"
	@echo "make bench-rules  are limits kept, and what does the module cost; six minutes"
	@echo "make bench-laws   the same laws on a modelled server, in virtual time; a minute"
	@echo "make dist         sdist and wheel, checked"

demo: $(VENV)/.test
	$(BIN)/python -m demo

test: $(VENV)/.test
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test
	$(BIN)/python -m bench.run

bench-rules: $(VENV)/.test
	$(BIN)/python -m bench.rules

bench-laws: $(VENV)/.test
	$(BIN)/python -m bench.laws

dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

clean:
	rm -rf $(VENV) .demo dist build *.egg-info

$(VENV)/.test: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,dev]'
	touch $@
