# `make demo` and `make test` set up what they need in .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin

# Hundreds of processes import the same files: once one has compiled them, the others need not.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-recording test test-figures test-alone test-upgrade compat compat-smoke lint format openapi bench bench-full bench-tables bench-rules \
	bench-laws bench-scaling bench-startup bench-status soak update-names dist clean

help:
	@echo "make demo           a real Synapse with the module: clients come and go; KEEP=1 stays for looking"
	@echo "make demo-recording the demo's text and picture in docs/ anew"
	@echo "make test           all tests but the figures"
	@echo "make test-figures   the docs' tables and forecasts against simulations; three minutes"
	@echo "make test-alone     real servers with nothing beside them: paces, and faults of minutes; 20 minutes"
	@echo "make test-upgrade   those of whole upgrades, from the old versions that are there"
	@echo "make compat         the tests on each version of Synapse; VERSIONS=1.60 for one; an hour"
	@echo "make compat-smoke   a few of them on the oldest version"
	@echo "make lint           ruff, mypy, and what may import what"
	@echo "make openapi        the API's description anew, from the records in schema.py"
	@echo "make format         what ruff can mend"
	@echo "make bench          what updates do to clients, by controller; 20 minutes"
	@echo "make bench-full     the same with all updates, loads and arms; many hours"
	@echo "make bench-tables   the tables of docs/benchmarks anew, of the runs that there are"
	@echo "make bench-rules    are limits kept, and what does the module cost; six minutes"
	@echo "make bench-laws     the adaptive pace on a modelled server, docs/laws.md anew; a quarter of an hour"
	@echo "make bench-scaling  the tables of docs/scaling.md anew, by forecast; a second"
	@echo "make bench-startup  how long the command takes to start; a minute"
	@echo "make bench-status   how long a status takes with 200 updates pending; a minute"
	@echo "make soak           faults, kills, 10^5 iterations and configurations, to the end; three hours"
	@echo "make update-names   adds the installed Synapse's updates to the list that the package ships"
	@echo "make dist           sdist and wheel, checked, and the wheel tried on a server"
	@echo "make clean          removes .venv, the demo and what was built"

demo: $(VENV)/.test
	$(BIN)/python -m demo $(if $(KEEP),--keep)

# docs/demo.md and docs/images/demo.svg anew.
demo-recording: $(VENV)/.test
	$(BIN)/python -m demo.recording

# Real servers mostly wait, so that seven files at a time suit two cores, and they come first, or the
# longest of them would be waited for at the end.
WORKERS ?= 7

test: $(VENV)/.test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not alone and not figures"

# Tables of the docs and forecasts, against whole simulations of the same.
test-figures: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 -m figures

# Not in CI: real servers that need the machine for themselves, one after the other.
test-alone: $(VENV)/.test
	$(BIN)/python -m pytest -m alone tests/end_to_end

# Of the databases that old versions make, for which `make compat` or `compat-smoke` made environments.
test-upgrade: $(VENV)/.test
	$(BIN)/python -m pytest tests/end_to_end/server/test_upgrade.py

# Restartable: what has run is kept in .compat, and is run again with FRESH=1.
compat: $(VENV)/.test
	nice -n 10 $(BIN)/python -m compatibility $(if $(FRESH),--fresh) $(VERSIONS)

compat-smoke: $(VENV)/.test
	$(BIN)/python -m compatibility --smoke $(or $(VERSIONS),1.60)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Not in place: an error must not leave half of it.
openapi: $(VENV)/.test
	$(BIN)/python -m testbed.openapi.describe > openapi.new
	mv openapi.new synapse_bgthrottle/api/openapi.json

# Each run is a file in .bench/runs, and is not run again without FRESH=1: it can be stopped at any
# time. `bench-tables` makes the docs' tables of those that are there.
RUN_LATENCY := $(BIN)/python -m benchmarks.latency.run $(if $(FRESH),--fresh)

bench: $(VENV)/.test
	$(RUN_LATENCY) --cell event_resign-15 --arms control stock balanced
	$(RUN_LATENCY) --cell waits-15 --arms balanced
	$(BIN)/python -m benchmarks.latency.report

bench-full: $(VENV)/.test
	$(RUN_LATENCY) --rounds 2 --minutes 8
	$(BIN)/python -m benchmarks.latency.report
	$(BIN)/python -m benchmarks.latency.paces
	$(BIN)/python -m benchmarks.cost.module_cost

bench-tables: $(VENV)/.test
	$(BIN)/python -m benchmarks.latency.report --docs docs

bench-rules: $(VENV)/.test
	$(BIN)/python -m benchmarks.cost.rules

bench-laws: $(VENV)/.test
	$(BIN)/python -m benchmarks.model.scorecard docs/laws.md
	$(BIN)/python -m benchmarks.model.laws docs/laws.md

bench-scaling: $(VENV)/.test
	$(BIN)/python -m benchmarks.model.scaling docs/scaling.md

bench-startup: $(VENV)/.test
	$(BIN)/python -m benchmarks.cost.startup

bench-status: $(VENV)/.test
	$(BIN)/python -m benchmarks.cost.status_time

# What is seen is kept in .soak, as JSON and as tables in Markdown. Each part is run, whatever became
# of those before; at the end it tells which were not well.
soak: $(VENV)/.test
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[soak]'
	$(BIN)/python -m soak

# SYNAPSES="folder ..." adds those of further versions, each the folder `synapse` of its wheel.
update-names: $(VENV)/.test
	$(BIN)/python -m compatibility.update_names $(SYNAPSES)

dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m testbed.servers.wheel dist/*.whl

clean:
	rm -rf $(VENV) .demo dist build *.egg-info

$(VENV)/.test: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	@echo "Installing Synapse and what tests need into $(VENV). This takes a few minutes, and prints nothing."
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,browser]'
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,browser,dev]'
	touch $@
