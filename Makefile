# The two commands of the README. Each makes its own virtual environment; python3 (3.10 or later) and make are enough.
PYTHON ?= python3
VENV ?= .venv
# Which pytest to test against, as CI's matrix sets it; empty is the newest.
PYTEST_VERSION ?=
# Tests wait for processes more than they compute, so two cores are kept busy by four of them.
WORKERS ?= 4
# What `make mutants` changes.
FOLDER ?= pytest_precgate/analysis
BIN := $(VENV)/bin
# Where `make demo` writes its pages, and the exit status of the gates that it shows failing.
PAGES := .precgate/demo
FAILED := 1
# The tests that `make test` leaves out.
EDGES := real_server or benchmarks or browser or docs
TESTED := $(VENV)/installed-test-$(PYTEST_VERSION)
# A real server for the tests and for examples/test_llama_cpp.py, and the exit status that says it cannot be had here.
LLAMA := .llama
UNAVAILABLE := 69
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-edges docs report-page coverage mutants llama lint clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed-demo ## run the examples as a user's repository would: gates that pass, then gates that fail
	@mkdir -p $(PAGES)
	$(BIN)/python benchmarks/simulation.py --differences
	$(BIN)/python -m pytest -v examples/ --ignore examples/test_llama_cpp.py --precgate-html=$(PAGES)/passed.html # that one measures this machine, see its head
	@echo; echo "The same gates on a release whose FP4 is 8% slower. They must fail:"
	$(BIN)/python -m pytest examples_blocked/ --precgate-html=$(PAGES)/blocked.html; [ $$? -eq $(FAILED) ]
	@echo; echo "Both runs as a page, to open in a browser:"; printf '  file://%s\n' "$$(cd $(PAGES) && pwd)/passed.html" "$$(cd $(PAGES) && pwd)/blocked.html"

test: $(TESTED) lint ## everything but test-edges
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'not ($(EDGES))'

test-edges: $(TESTED) ## a real server, the page in a browser, the docs, the benchmarks, one at a time; what is missing here is skipped, and says so
	@$(BIN)/python tools/fetch_llama_server.py $(LLAMA) || [ $$? -eq $(UNAVAILABLE) ]
	@! command -v npm >/dev/null || (cd tools/report && npm ci --ignore-scripts --silent) || echo "no packages for axe-core"
	$(BIN)/python -m pytest -rs -m '$(EDGES)'

docs: $(TESTED) ## build the documentation into docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx -n -W --keep-going -q docs docs/_build/html
	@echo docs/_build/html/index.html

report-page: $(TESTED) ## build the script of the HTML report from tools/report, which needs npm, and the pictures of the docs
	cd tools/report && npm ci --ignore-scripts && node build.mjs
	$(BIN)/python tools/report_screenshots.py docs/images

mutants: $(TESTED) ## change the code in every small way and name the changes no test notices: a folder in minutes
	$(BIN)/python tools/mutants.py $(FOLDER)

llama: $(TESTED) ## fetch llama-server and a random model in 4 and 8 bits: 12 MB, some 10 seconds, no root
	$(BIN)/python tools/fetch_llama_server.py $(LLAMA)

coverage: $(TESTED) ## which lines and branches the tests of `make test` run; what runs in processes of its own is not counted
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'not ($(EDGES))' --cov --cov-report term:skip-covered

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
	$(BIN)/python -m pip install --quiet --editable '.[dev,browser,docs]' $(if $(PYTEST_VERSION),'pytest==$(PYTEST_VERSION)')
	@touch $@

clean:
	rm -rf $(VENV) $(LLAMA) .mypy_cache .ruff_cache .pytest_cache .hypothesis
