PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FULL_STAMP := $(VENV)/.installed-servers
DOCS_STAMP := $(VENV)/.installed-docs
# Tests run in this number of processes, each file in one of them.
JOBS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

.PHONY: demo test test-fast test-full lint docs floors benchmark clean

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
test-full: $(FULL_STAMP)
	$(BIN)/python -m pytest tests/full
	$(PYTEST) -m slow

$(FULL_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[servers]'
	touch $(FULL_STAMP)

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $(DOCS_STAMP)

# Nothing is fetched once the tools are installed; every warning is an error.
docs: $(DOCS_STAMP)
	$(BIN)/sphinx-build -b html -W --keep-going -q -j auto docs docs/_build/html
	@echo "Look at docs/_build/html/index.html"

# The fast layers with the lowest direct versions that pyproject.toml allows, in a venv of their own.
# PyTorch is installed first and kept: any other build would be a CUDA one.
floors:
	$(PYTHON) -m venv $(VENV)-floors
	$(VENV)-floors/bin/python -m pip install --quiet --disable-pip-version-check uv -r constraints.txt
	$(VENV)-floors/bin/uv pip install --quiet --python $(VENV)-floors/bin/python \
		--resolution lowest-direct --override constraints.txt -e '.[dev]'
	$(VENV)-floors/bin/python -m pytest tests/unit tests/reference

benchmark: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) $(VENV)-floors demo docs/_build docs/api docs/examples
