# `make demo` and `make test` set up what they need in .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin

# Hundreds of processes import the same files: once one has compiled them, the others need not.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-recording test test-figures test-upgrade compat compat-smoke lint format openapi bench bench-full bench-sqlite bench-rules \
	bench-laws bench-scaling bench-startup bench-status soak update-names dist clean

help:
	@echo "make demo           a real Synapse with the module: clients come and go; KEEP=1 stays for looking"
	@echo "make demo-recording the demo's text and picture in docs/ anew"
	@echo "make test           all tests but the figures"
	@echo "make test-figures   the docs' tables and forecasts against simulations and real paces; three minutes"
	@echo "make test-upgrade   those of whole upgrades, from the old versions that are there"
	@echo "make compat         the tests on each version of Synapse; VERSIONS=1.60 for one; an hour"
	@echo "make compat-smoke   a few of them on the oldest version"
	@echo "make lint           ruff, mypy, and what may import what"
	@echo "make openapi        the API's description anew, from the records in schema/"
	@echo "make format         what ruff can mend"
	@echo "make bench          what updates do to clients, by controller; ten minutes"
	@echo "make bench-full     the same with all updates, loads and arms; about an hour"
	@echo "make bench-sqlite   the same on SQLite; ten minutes"
	@echo "make bench-rules    are limits kept, and what does the module cost; six minutes"
	@echo "make bench-laws     laws compared on a modelled server, docs/laws.md anew; six minutes"
	@echo "make bench-scaling  the tables of docs/scaling.md anew, by forecast; a second"
	@echo "make bench-startup  how long the command takes to start; a minute"
	@echo "make bench-status   how long a status takes with 200 updates pending; a minute"
	@echo "make soak           faults, kills, 10^5 iterations and configurations, to the end; three hours"
	@echo "make update-names   adds the installed Synapse's updates to the list that the package ships"
	@echo "make dist           sdist and wheel, checked"
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

# Tables of the docs and forecasts, against whole simulations of the same, and against real servers,
# which need the machine for themselves.
test-figures: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 -m figures
	$(BIN)/python -m pytest -n 2 -m alone tests/end_to_end

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

# What is measured is kept in .bench: blocks as JSON, tables as Markdown, the front as SVG.
BENCH_RESULT := .bench/result
STOCK_SWEEP := stock "stock 300/100" "stock 100/100" "stock 50/50" "stock 100/25"
SHORT_SWEEP := stock "stock 100/100"

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.latency.run --output $(BENCH_RESULT).json
	$(BIN)/python -m benchmarks.plots.front $(BENCH_RESULT).json $(BENCH_RESULT).svg

bench-sqlite: $(VENV)/.test
	$(BIN)/python -m benchmarks.latency.run --database sqlite --output $(BENCH_RESULT)-sqlite.json

bench-full: $(VENV)/.test
	$(BIN)/python -m benchmarks.latency.run --output $(BENCH_RESULT)-full.json --rounds 14 \
		--loads idle steady light burst saturation \
		--arms control unthrottled $(STOCK_SWEEP) nice gentle balanced fast finish
	$(BIN)/python -m benchmarks.plots.front $(BENCH_RESULT)-full.json $(BENCH_RESULT)-full.svg
	$(BIN)/python -m benchmarks.latency.run --output $(BENCH_RESULT)-updates.json --rounds 8 \
		--updates event_resign events_populate_state_key_rejections --loads idle steady \
		--arms control unthrottled $(SHORT_SWEEP) nice gentle balanced fast
	$(BIN)/python -m benchmarks.cost.one_shot
	$(BIN)/python -m benchmarks.cost.module_cost

bench-rules: $(VENV)/.test
	$(BIN)/python -m benchmarks.cost.rules

bench-laws: $(VENV)/.test
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

clean:
	rm -rf $(VENV) .demo dist build *.egg-info

$(VENV)/.test: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,browser]'
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,browser,dev]'
	touch $@
