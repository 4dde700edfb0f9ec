# Everything on a machine with python3, venv and make.
PYTHON ?= python3
VENV := .venv

.PHONY: install quickstart test lint simulate
install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@echo 'Installing into $(VENV), with the tools of tests and lint: one or two minutes, once …'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	touch $@

quickstart: install
	$(VENV)/bin/python examples/quickstart.py

test: install
	$(VENV)/bin/python -m pytest tests

# Every process that listens, for SECONDS each; then the frame decoder, guided by coverage.
SECONDS ?= 60
.PHONY: fuzz fuzz-codec
fuzz: install
	FUZZ_SECONDS=$(SECONDS) $(VENV)/bin/python -m pytest -q -p no:logging tests/fuzz

fuzz-codec: install
	$(VENV)/bin/pip install --quiet atheris
	cd tests/fuzz && PYTHONPATH=../../src ../../$(VENV)/bin/python atheris_codec.py $${TMPDIR:-/tmp}/pure-ray-corpus corpus -max_total_time=$(SECONDS)

# SEEDS=7: the history of one seed. COUNT=1000: so many seeds from SEEDS on (drawn, if it is not given), on all cores.
COUNT ?= 0
simulate: install
	cd tests && PYTHONPATH=../src ../$(VENV)/bin/python -m simulation $(SEEDS) --count $(COUNT)

# 100,000 puts and frees from four processes, one of which is killed again and again: the memory must end empty.
.PHONY: churn
churn: install
	RAY_TEST_PUTS=100000 $(VENV)/bin/python -m pytest -s --timeout 3600 tests/faults/test_store_churn.py

# What is skipped, or shortened, in `test`. RAY_ORIGINAL_PYTHON: a Python with Ray 2.60 installed.
.PHONY: test-client-long
test-client-long: install
	RAY_TEST_FREEZE_S=10 $(VENV)/bin/python -m pytest tests/util/client/test_reconnect.py tests/util/client/test_with_an_original.py tests/dashboard/test_originals_sdk.py -rs

# Ten minutes of random operations against a model of what must come of them. KILLS=2: the GCS is killed every 2 s.
KILLS ?= 0
MODEL_SECONDS ?= 600
.PHONY: model
model: install
	RAY_MODEL_SECONDS=$(MODEL_SECONDS) RAY_MODEL_GCS_KILLS=$(KILLS) $(VENV)/bin/python -m pytest tests/randomized

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy

# This tree against a commit, pair by pair: make bench BASE=HEAD~3 ONLY='actor calls'
BASE ?= HEAD
ONLY ?= tasks|calls
.PHONY: bench
bench: install
	$(VENV)/bin/python benchmarks/pairs.py '$(BASE)' --only '$(ONLY)'

# The committed code of ray_client.proto, by an old protoc: what it writes runs on every protobuf from 4.21 on.
.PHONY: proto
proto:
	$(PYTHON) -m venv .venvs/proto && .venvs/proto/bin/pip install --quiet grpcio-tools==1.51.3
	cd src && ../.venvs/proto/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. ray/protobuf/ray_client.proto
	cd src/ray && for file in protobuf/ray_client_pb2*; do sed 's/^from ray.protobuf import/from ray.core.generated import/' $$file > core/generated/$$(basename $$file) && rm $$file; done

# The faults of CI that are drawn at random, for SECONDS, from another seed each time.
.PHONY: faults
faults: install
	FAULTS_SECONDS=$(SECONDS) $(VENV)/bin/python -m pytest -q tests/faults/test_gcs_dies_often.py tests/faults/test_quickstart_without_gcs.py
