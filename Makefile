# Every target works from a fresh clone: it makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed.stamp
NATIVE := $(shell find codesign/sim/csrc codesign/kernels/csrc codesign/costmodel/csrc -type f)

.PHONY: help install demo test test-all lint bench clean

help:
	@echo "make demo      train, compile, search and prove, start to end (about 10 minutes)"
	@echo "make test      the ordinary tests"
	@echo "make test-all  the long tests too"
	@echo "make lint      format, lint, import rules, types"
	@echo "make bench     every benchmark in its short form"
	@echo "make install   only the environment, in $(VENV)"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml $(NATIVE)
	@command -v g++ >/dev/null || { \
	  echo "codesign: a C++17 compiler is needed to build the simulator and none was found:" >&2; \
	  echo "codesign: install g++ (Debian, Ubuntu: sudo apt-get install g++), then run make again" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || { \
	  echo "codesign: Python 3.10 to 3.13 is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1)" >&2; \
	  echo "codesign: name another one: make PYTHON=python3.12" >&2; \
	  exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install torch==2.13.0
	$(BIN)/python -m pip install -e ".[test,zoo]"
	@touch $@

demo: $(INSTALLED)
	$(BIN)/python benchmarks/demo_digits.py
	$(BIN)/python benchmarks/demo_search.py

test: $(INSTALLED)
	$(BIN)/python -m pytest

test-all: $(INSTALLED)
	$(BIN)/python -m pytest -m "long or not long"

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright

bench: $(INSTALLED)
	@for script in $$(ls benchmarks/*.py); do \
	  grep -q '^if __name__' $$script || continue; \
	  echo "== $$script"; $(BIN)/python $$script --quick || exit 1; \
	done

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
