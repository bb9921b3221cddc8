# The two commands of the README. Each makes its own virtual environment; python3 (3.10 or later) and make are enough.
PYTHON ?= python3
VENV ?= .venv
# Which pytest to test against, as CI's matrix sets it; empty is the newest.
PYTEST_VERSION ?=
BIN := $(VENV)/bin
TESTED := $(VENV)/installed-test-$(PYTEST_VERSION)
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test lint clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed-demo ## run the examples as a user's repository would
	$(BIN)/python benchmarks/simulation.py --differences
	$(BIN)/python -m pytest examples/

test: $(TESTED) lint ## what CI runs
	$(BIN)/python -m pytest

lint: $(TESTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/made: tools/make_venv.py
	$(PYTHON) tools/make_venv.py $(VENV)
	@touch $@

$(VENV)/installed-demo: $(VENV)/made pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(TESTED): $(VENV)/made pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]' $(if $(PYTEST_VERSION),'pytest==$(PYTEST_VERSION)')
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
