# make serve: the server on 127.0.0.1:8420. make test: the fast tests. The first run sets up.

VENV ?= .venv
BIN := $(VENV)/bin
export PYTHON ?= python3

.PHONY: serve test test-all lint format bench examples squire-data squire-train squire-eval clean

serve: $(VENV)/.installed
	@$(BIN)/limner serve $(ARGS)

# More processes than cores (tests/conftest.py) and one thread each: quicker than threads that
# wait for each other. Bytecode is kept, since the tests start interpreters by the hundred.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist loadfile

test: $(VENV)/.installed-test
	@$(PYTEST) -p no:schemathesis -m "not slow" $(ARGS)

test-all: $(VENV)/.installed-test
	@$(PYTEST) $(ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-test
	$(BIN)/python -m bench.mixed16

# Draws the sheets of docs/images again.
examples: $(VENV)/.installed
	$(BIN)/python -m examples

squire-data squire-train squire-eval: squire-%: $(VENV)/.installed-training
	$(BIN)/python -m training.$* $(ARGS)

$(VENV)/.installed: pyproject.toml constraints.txt
	@scripts/install.sh $(VENV)
	@touch $@

$(VENV)/.installed-%: pyproject.toml constraints.txt
	@scripts/install.sh $(VENV) $*
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
