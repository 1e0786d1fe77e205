# The two commands: `make demo` and `make test`. Each target sets up its own virtual environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs docs-site bench constraints clean

demo: $(VENV)/demo
	$(BIN)/loader demo

# Otherwise glibc gives the memory of each of DuckDB's many small statements back to the system, and fetches it again.
test: export MALLOC_MMAP_THRESHOLD_ := 536870912
test: export MALLOC_TRIM_THRESHOLD_ := 536870912
test: $(VENV)/dev lint
	$(BIN)/pytest -n 2 --dist loadgroup

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --processes 2 models tests/dbt

docs: $(VENV)/dev
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/exposures.py
	$(BIN)/python docs/audit_answers.py

# dbt's documentation as one page, site/index.html. The project must have been built (`dbt build`).
docs-site: $(VENV)/dev
	$(BIN)/python docs/site_page.py

bench: $(VENV)/dev
	$(BIN)/python -m bench

# The newest versions that pyproject.toml admits, for `make demo`, `make test` and the next installation to use.
constraints: $(VENV)/dev
	$(BIN)/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[dev]'
	$(BIN)/python .ci/constraints.py constraints.txt
	touch $(VENV)/dev $(VENV)/demo

$(VENV)/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo]'
	touch $@

$(VENV)/dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/demo

clean:
	rm -rf $(VENV) target logs demo.duckdb
