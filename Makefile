# One verb per action. `make demo` and `make test` need only python3 (3.11 to 3.13) with venv and pip, and make.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.synced
WORKERS ?= 2

.PHONY: help demo test check fuzz fmt docs airflow airflow-celery bench bench-formats model concurrency crash mutants clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: $(READY)  ## show everything at work on this machine; ONCE=1 ends by itself
	@ONCE=$(ONCE) $(BIN)/stockfeed demo

test: $(READY)  ## all tests; skipped ones are counted and shown
	$(BIN)/pytest -n $(WORKERS)

fuzz: $(READY)  ## damaged EDI files at random through both readers (RUNS=10000 SEED=1 FIRST=0)
	@$(BIN)/python -m tests.fuzz.edi --runs $(or $(RUNS),10000) --seed $(or $(SEED),1) --first $(or $(FIRST),0)

check: $(READY)  ## lint, format, types, import rules, compose file, generated pages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/python docs/_generate.py --check

fmt: $(READY)  ## repair what ruff can repair
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(READY)  ## write the generated pages of docs/ again
	$(BIN)/python docs/_generate.py

airflow: $(READY)  ## Airflow on this machine with your config/ (PORT=8080)
	@PORT=$(PORT) $(BIN)/python -m stockfeed.demo.own_airflow

bench: $(READY)  ## measure on this machine, limits beside (ROUNDS=3 ONLY=sqlite,postgresql,small,channels)
	@ROWS=$(ROWS) ROUNDS=$(ROUNDS) ONLY=$(ONLY) $(BIN)/python bench/measure.py

bench-formats: $(READY)  ## measure each format's reader beside a public library (ROWS=100000 ROUNDS=5 ONLY=edi_x12,edifact)
	@ROWS=$(ROWS) ROUNDS=$(ROUNDS) ONLY=$(ONLY) $(BIN)/python bench/formats.py

model: $(READY)  ## random lives against an oracle (STEPS=50000 DATABASE=sqlite SEED=1)
	@$(BIN)/python -m tests.property.campaign --steps $(or $(STEPS),50000) --database $(or $(DATABASE),sqlite) --seed $(or $(SEED),1)

concurrency: $(READY)  ## real processes at once, on both databases (CASES=200 SEED=1)
	@$(BIN)/python -m tests.concurrency.campaign --cases $(or $(CASES),200) --seed $(or $(SEED),1)

crash: $(READY)  ## kill runs everywhere and judge what is left (CASES=280 SEED=1; CASE=points/1/17 repeats one)
	@$(BIN)/python -m tests.crash --cases $(or $(CASES),280) --seed $(or $(SEED),1) $(if $(FAMILIES),--families $(FAMILIES)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(FILE),--file $(FILE)) $(if $(CASE),--case $(CASE))

airflow-celery: $(READY)  ## the production shape here: FEEDS=40 at once, a Celery worker killed at its work; ends by itself
	@command -v redis-server >/dev/null || { echo "redis-server is not installed (Debian: apt-get install redis-server)" >&2; exit 1; }
	@FEEDS=$(FEEDS) $(BIN)/python tests/airflow_celery/prove.py

mutants: $(READY)  ## show that the tests catch each of the 15 seeded bugs (ONLY=07 for one of them)
	@$(BIN)/python tests/mutants/prove.py $(ONLY)

clean:  ## remove the environment, caches and the demo's folder; never your config or database
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .state/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv goes into the environment itself; --inexact, or it would remove itself as not part of the lock
$(READY): uv.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "stockfeed needs python3 3.11, 3.12 or 3.13, and found none: install one, or run make PYTHON=/path/to/it" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "python3 cannot make environments here: install its venv package (Debian: apt install python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_PROJECT_ENVIRONMENT=.venv VIRTUAL_ENV= $(BIN)/uv sync --frozen --all-extras --inexact --python $(BIN)/python
	@touch $(READY)
