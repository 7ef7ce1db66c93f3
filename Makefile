PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs
# Tests run in this number of processes, each file in one of them.
JOBS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

.PHONY: demo test test-fast test-full lint docs benchmark clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/icefront demo --out demo --overwrite

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Lint, types, units and recorded outputs of others: under a minute.
test-fast: lint
	$(PYTEST) tests/unit tests/reference

# All but the slow layer: at most five minutes on two cores.
test: lint
	$(PYTEST)

# The slow layer alone: servers, browsers, clusters, long fuzzing and kills; under 30 minutes.
test-full: $(STAMP)
	$(BIN)/python -m pytest tests/full

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $(DOCS_STAMP)

# Nothing is fetched once the tools are installed; every warning is an error.
docs: $(DOCS_STAMP)
	$(BIN)/sphinx-build -b html -W --keep-going -q -j auto docs docs/_build/html
	@echo "Look at docs/_build/html/index.html"

benchmark: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) demo docs/_build docs/api docs/examples
