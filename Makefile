# Everything a newcomer needs; each target sets up what it uses.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

LONG   := tests/crash tests/faults tests/guards tests/corpora tests/endpoint/test_limits_schedules.py \
          tests/stories/test_long_waits.py tests/stories/test_tails.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak bench bench-peers mutants check format clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(READY) ## make the virtual environment with the pinned tools

$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("vbatch needs Python 3.11 or newer, this is %d.%d; try: make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(READY)

demo: $(READY) ## caption the sample pictures with the built-in endpoint and show the answers
	@$(BIN)/vbatch run jobs/sample.toml
	@$(BIN)/python jobs/show.py runs/sample

test: $(READY) ## run every test, with branch coverage
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term --cov-fail-under=95

soak: $(READY) ## the long suites, about two hours; writes what they reached to docs/reliability.md
	rm -rf .evidence
	VBATCH_SOAK=1 VBATCH_EVIDENCE=.evidence $(BIN)/python -m pytest -n 2 --timeout=7200 $(LONG)
	VBATCH_EVIDENCE=.evidence $(BIN)/python -m tests.mutants
	$(BIN)/python -m tests.reliability .evidence

bench: $(READY) ## what a row costs beside a loop that only sends; writes benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

bench-peers: $(READY) ## the same rows by other tools, installed for it; writes benchmarks/PEERS.md
	$(BIN)/python -m benchmarks.peers

mutants: $(READY) ## sabotage vbatch in every way on the list and show which test notices
	$(BIN)/python -m tests.mutants

check: $(READY) ## lint, types, floors, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(READY) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* .evidence benchmarks/.peers
