# Two commands on a fresh machine: `make train` and `make test`. Both make .venv, install, and look for Java first.

# The first interpreter of 3.11 to 3.13; override with `make install PYTHON=/path/to/python`.
PYTHON ?= $(shell sh scripts/python.sh)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
TWO := --numprocesses=2 --dist=loadfile --no-loadscope-reorder

.PHONY: install java chromium train test test-all test-unit check bench notebooks docs clean
.DELETE_ON_ERROR:

install: $(INSTALLED)

# The stamp comes last, so that an install that was broken off is made again.
$(INSTALLED): requirements.txt setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: expected Python 3.11 to 3.13, found none" >&2; \
		echo "  to do: install one, or: make install PYTHON=/path/to/python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	touch $@

java:
	@bash scripts/java.sh

chromium:
	@bash scripts/chromium.sh

train: install java
	$(BIN)/tfspark-cnn train conf/digits.toml

# What waits more than it computes runs two files at a time, the longest first; what is held against a clock runs alone.
test: install java chromium
	$(PYTEST) -m "beside and not more" $(TWO) --durations=10
	$(PYTEST) -m "not beside and not more" --durations=10

# Also what shows in another form what other tests show: four notebooks, three programs of the README and those of the
# documentation's pages, TensorFlowOnSpark's own runs of the examples, large networks, the benchmarks at a tiny scale.
test-all: test
	$(PYTEST) -m more $(TWO) --durations=10

test-unit: install
	$(PYTEST) tests/unit

check: install
	$(BIN)/ruff check .
	$(BIN)/mypy --strict -p tfspark_cnn
	$(BIN)/lint-imports
	$(BIN)/codespell tfspark_cnn tests conf docs bench examples scripts README.md CHANGELOG.md CONTRIBUTING.md Makefile

# Also makes .venv-peer, for the ancestor that figures are compared with. Arguments: make bench BENCH="--dry --rounds 1".
bench: install java
	$(BIN)/python -m bench $(BENCH)

notebooks: install java chromium
	$(PYTEST) tests/notebooks

# Into build/site; open build/site/index.html, or for the search: make docs && .venv/bin/python -m http.server -d build/site
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) .venv-peer build dist runs spark-warehouse *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
