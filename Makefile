# `make demo` and `make test` need Python 3.11 or later and nothing else: they build .venv themselves.
PYTHON ?= python3.11
BIN := .venv/bin
# two OpenMP threads on a small machine are slower than one and vary from run to run
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint types unit clean

demo: id := demo-$(shell date +%Y%m%d-%H%M%S)
demo: .venv/installed
	$(BIN)/python cli.py fit --config configs/vae/digits.yaml --run.id $(id)
	$(BIN)/python cli.py test --run.id $(id)

test: lint types unit

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-dev
	$(BIN)/mypy

unit: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv
