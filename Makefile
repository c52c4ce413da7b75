# Everything needs Python >= 3.11 with venv; the environment is made when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test unit check demo bench texts accuracy soak

$(VENV)/.installed: lock.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r lock.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

run: $(VENV)/.installed
	$(BIN)/shixiang up

# Two at a time, file by file; whole systems, races and crashes after all that needs no server, folders with long files first.
SYSTEMS := tests/faults tests/whole tests/flows tests/upgrade

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile $(SYSTEMS:%=--ignore=%)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(SYSTEMS)

unit: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: $(VENV)/.installed
	$(BIN)/python -m deployments.demo

# PART="latency burst large rounds waiting peers": some of it; all of it takes about an hour. KEEP=1 keeps it in docs/.
bench: $(VENV)/.installed
	$(BIN)/python -m tests.bench $(PART) $(if $(KEEP),--write)

texts: $(VENV)/.installed
	$(BIN)/python -m portal.texts

accuracy: $(VENV)/.installed
	$(BIN)/python -m tests.accuracy

# The long trials, an hour and more; figures go to docs/soak.json.
soak: $(VENV)/.installed
	$(BIN)/python -m tests.soak
