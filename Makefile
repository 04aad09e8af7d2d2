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
  make test                 every test but those of `make proof`
  make proof                tests of many faults, volume, whole captures: minutes more, in CI on each commit
  make killtest             kill the real host over and over (KILLS=500): nothing is lost or doubled
  make crashpoints          break every pair of requests of every script: nothing is lost or doubled
  make year                 a year of ledger: what a turn asks for on day 365, beside day 7
  make simulate SEEDS=200   the control plane under faults, seed by seed; violations come last
  make fuzz MINUTES=30      noise into every parser, for minutes each
  make mutants              plant a bug in each rule: which invariant tells, at which seed (SEEDS=2000)
  make check                format, lint, types, import rules: what a commit has to pass
  make flood                ten million findings by one bad threshold, through the whole product
  make soak MINUTES=30      export events without a pause: marks lost, rate, memory
  make bench-beacons        recall and false positives beside other detectors, on made logs
  make bench-hunts          one, five and twenty hunts in a job: JSON read, wall and CPU, as ratios
  make bench-read           reading JSON and its copy in every way, beside cat, Spark and DuckDB
  make bench-daily          a whole daily run, beside the same hunt on JSON
  make bench-growth         twice the days; rows x4 and x16 in 1 GB
  make bench-skew           one pair of ten million events; two million pairs of one
  make bench-startup        what starting Spark costs, with and without an archive of classes
  make docs                 write the generated parts of the docs again
  make lock                 resolve the pinned requirements again
  make clean                delete what `make hunt` and the tests left; $(VENV) stays

ARGS="..." is passed on: make hunt ARGS=--json, make test ARGS="-k beaconing".
SEEDS=n is how many worlds simulate lets happen, or mutants tries at most, and how many made logs
bench-beacons judges (3). DAYS and ROWS (a day) say how much bench-read, bench-daily and
bench-growth make and measure (21 and 50000).
VENV=<folder> and PYTHON=<interpreter> choose where and with what it is installed.
endef
export HELP

.PHONY: help hunt serve test proof simulate mutants killtest crashpoints fuzz flood soak year check bench-beacons bench-hunts bench-read bench-daily bench-growth bench-skew bench-startup docs lock clean local-set test-set

help:
	@printf '%s\n' "$$HELP"

hunt: local-set
	@$(VENV)/bin/tidehunt hunt $${LOGS:+--logs "$$LOGS"} $(ARGS)

serve: local-set
	@$(VENV)/bin/tidehunt serve $(ARGS)

test: test-set
	@$(PY) -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m "not proof" $(ARGS)

proof: test-set
	@$(PY) -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m proof $(ARGS)

killtest: test-set
	@$(PY) -m tests.killing --kills $${KILLS:-500} $(ARGS)

crashpoints: test-set
	@$(PY) -m tests.crashpoints $(ARGS)

simulate: test-set
	@$(PY) -m tests.simulation $(SEEDS) $(ARGS)

fuzz: test-set
	@$(PY) -m tests.fuzzing --minutes "$${MINUTES:-30}" $(ARGS)

mutants: test-set
	@$(PY) -m tests.simulation $${SEEDS:-2000} --mutants $(ARGS)

year: test-set
	@$(PY) -m tests.year $(ARGS)

check: test-set
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo

flood: test-set
	@$(PY) -m benchmarks.flood $(ARGS)

soak: test-set
	@$(PY) -m benchmarks.soak --minutes "$${MINUTES:-30}" $(ARGS)

bench-beacons: test-set
	@$(PY) -m benchmarks.beacons --seeds "$${SEEDS:-3}" $(ARGS)

bench-hunts: test-set
	@$(PY) -m benchmarks.hunts $(ARGS)

bench-read bench-daily bench-growth bench-skew bench-startup: test-set
	@$(PY) -m benchmarks.plane $(@:bench-%=%) --days "$${DAYS:-21}" --rows "$${ROWS:-50000}" $(ARGS)

docs: test-set
	@$(PY) -m workbench.docs
	@$(PY) -m tests.contract.wire_table

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
