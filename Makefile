# make setup demo check test test-unit test-all bench lock
# PYTHON chooses the interpreter (3.10 to 3.13); VENV the virtual environment; JOBS how many tests run at
# once, each with models of its own.
PYTHON ?= python3
JOBS ?= 2
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadfile
TAG := $(shell $(PYTHON) -c 'import sys; print("py%d%d" % sys.version_info[:2])')
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes
PROFILE ?= cpu-en
OUT ?= out

.PHONY: setup demo check format test test-unit test-all bench lock clean

setup: $(VENV)/.demo

$(VENV)/.venv:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: locks/$(TAG).txt pyproject.toml | $(VENV)/.venv
	$(PIP) -r locks/$(TAG).txt
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: locks/$(TAG)-dev.txt $(VENV)/.demo
	$(PIP) -r locks/$(TAG)-dev.txt
	touch $@

demo: $(VENV)/.demo
	$(BIN)/halfsecond models fetch $(PROFILE)
	$(BIN)/halfsecond demo --out demo.mp4

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(VENV)/.dev
	$(BIN)/halfsecond models fetch all-tests
	$(PYTEST) -m "not slow and not gpu"

# What needs no models, for another interpreter: make test-unit PYTHON=python3.13 VENV=.venv-3.13
test-unit: $(VENV)/.dev
	$(PYTEST) -m "not models and not slow and not gpu"

test-all: $(VENV)/.dev
	$(BIN)/halfsecond models fetch all-tests
	$(PYTEST)

bench: $(VENV)/.demo
	$(BIN)/halfsecond models fetch $(PROFILE)
	mkdir -p $(OUT)
	$(BIN)/halfsecond bench latency --json $(OUT)/latency.json --html $(OUT)/latency.html \
	  --history bench/results/history
	$(BIN)/halfsecond bench stages --json $(OUT)/stages.json

# One lock per Python: what the demo needs, and what tests and linters add.
lock: $(VENV)/.venv
	$(BIN)/python -m pip install --quiet uv
	for version in 3.10 3.11 3.12 3.13; do \
	  tag=py$$(echo $$version | tr -d .); \
	  $(BIN)/uv pip compile pyproject.toml --extra demo --group build --python-version $$version --universal \
	    --generate-hashes --no-header --quiet --upgrade -o locks/$$tag.txt && \
	  $(BIN)/uv pip compile pyproject.toml --extra demo --extra gateway --group build --python-version $$version \
	    --universal --generate-hashes --no-header --quiet --upgrade -c locks/$$tag.txt \
	    -o locks/$$tag-gateway.txt && \
	  $(BIN)/uv pip compile pyproject.toml --extra demo --extra gateway --extra voice --extra zh --group test \
	    --group lint --python-version $$version --universal --generate-hashes --no-header --quiet --upgrade \
	    -c locks/$$tag-gateway.txt -o locks/$$tag-dev.txt || exit 1; \
	done

clean:
	rm -rf $(VENV) out demo.*
