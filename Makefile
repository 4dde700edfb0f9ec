# Two commands do everything on a machine with python3, venv and make: `make test`, `make lint`.
PYTHON ?= python3
VENV := .venv

.PHONY: install test lint
install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	touch $@

test: install
	$(VENV)/bin/python -m pytest tests

lint: install
	$(VENV)/bin/ruff check src/ray/_core tests/_core
	$(VENV)/bin/mypy
