# Everything on a machine with python3, venv and make.
PYTHON ?= python3
VENV := .venv

.PHONY: install quickstart test lint
install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	touch $@

quickstart: install
	$(VENV)/bin/python examples/map_reduce_stdlib.py

test: install
	$(VENV)/bin/python -m pytest tests

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy
