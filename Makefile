# Everything is installed into $(VENV) from files pinned by hash; see CONTRIBUTING.md.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

VENV ?= .venv
UV := uv==0.13.9
LOCK := --no-config pip compile --quiet --no-header --no-annotate --universal --python-version 3.11 --generate-hashes $(ARGS)
PY := $(VENV)/bin/python
export PYTHON

define HELP
Tidehunt: hands-off hunting on Microsoft Sentinel data. All of it on this machine:

  make hunt                 blobs land, Spark hunts, incidents open; then a report
  make hunt LOGS=<folder>   the same on your own exports (a folder of am-* containers)
  make serve                the local cloud and the app, until Ctrl-C
  make test                 every test
  make killtest             kill the real host over and over (KILLS=500): nothing is lost or doubled
  make check                format, lint, types, import rules: what a commit has to pass
  make docs                 write the generated parts of the docs again
  make lock                 resolve the pinned requirements again
  make clean                delete what `make hunt` and the tests left; $(VENV) stays

ARGS="..." is passed on: make hunt ARGS=--json, make test ARGS="-k beaconing".
VENV=<folder> and PYTHON=<interpreter> choose where and with what it is installed.
endef
export HELP

.PHONY: help hunt serve test killtest check docs lock clean local-set test-set

help:
	@printf '%s\n' "$$HELP"

hunt: local-set
	@$(VENV)/bin/tidehunt hunt $${LOGS:+--logs "$$LOGS"} $(ARGS)

serve: local-set
	@$(VENV)/bin/tidehunt serve $(ARGS)

test: test-set
	@$(PY) -m pytest $(ARGS)

killtest: test-set
	@$(PY) -m tests.killing --kills $${KILLS:-500} $(ARGS)

check: test-set
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo

docs: test-set
	@$(PY) -m workbench.docs

lock:
	@"$${PYTHON:-python3}" -m venv build/lock && build/lock/bin/python -m pip install --quiet $(UV)
	@build/lock/bin/uv $(LOCK) -o tests/requirements.txt --all-extras pyproject.toml
	@build/lock/bin/uv $(LOCK) -o workbench/requirements.txt --extra local -c tests/requirements.txt pyproject.toml
	@build/lock/bin/uv $(LOCK) -o requirements.txt -c tests/requirements.txt pyproject.toml
	@printf 'setuptools\n' | build/lock/bin/uv $(LOCK) -o workbench/requirements-build.txt -

clean:
	@[[ ! -x $(VENV)/bin/tidehunt ]] || $(VENV)/bin/tidehunt clean --all $(ARGS)
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache spark-warehouse

local-set test-set:
	@bash workbench/install.sh "$(VENV)" $(@:-set=)
