# PYTHON=python3.12 selects an interpreter, TORCH_INDEX=URL a package index for torch (see docs/operations.md).

PY := .venv/bin/python
RUNTIME := .venv/.requirements
DEV := .venv/.requirements-dev
# Three processes on two cores, because tests often wait for servers. A process that runs out of tests steals some from
# another one (worksteal). A failed test is run once more; tests/support/second_tries.py reports and limits this.
PYTEST := $(PY) -m pytest -n 3 --dist worksteal --reruns 1
export PYTHON TORCH_INDEX

.PHONY: run demo test test-fast check faults bulk-faults coverage texts screenshots lock bundle clean help
.DEFAULT_GOAL := run

run: $(RUNTIME) ## Start the site on http://127.0.0.1:8000 [MODEL=resnet50]
# With exec, Ctrl-C reaches the server directly, without a shell in between.
ifdef MODEL
	@$(PY) -m catloader models fetch $(MODEL)
	@CATCHECK_MODEL=$(MODEL) exec $(PY) -m catloader serve
else
	@exec $(PY) -m catloader serve
endif

demo: $(RUNTIME) ## Upload and check sample photos in a terminal, in a temporary folder [MODEL=resnet50]
ifdef MODEL
	@$(PY) -m catloader models fetch $(MODEL)
	@CATCHECK_MODEL=$(MODEL) exec $(PY) -m catloader demo
else
	@exec $(PY) -m catloader demo
endif

test: check ## Run the quality gate and all tests (20 to 27 minutes on two cores)
	$(PYTEST)

test-fast: $(DEV) ## Run the tests that need no server and no browser (2 minutes on two cores)
	$(PYTEST) -m "not slow"

# mypy's workers must start within 3 s, which a busy machine can exceed; mypy then ends with the status 2.
check: $(DEV) ## Run the quality gate: format, lint, types, import contracts
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(PY) -m mypy --num-workers 2 || { [ $$? -eq 2 ] && $(PY) -m mypy; }
	.venv/bin/lint-imports

faults: $(DEV) ## Kill, stop and overload a site; write scripts/results/faults.json (hours) [FAULTS_SCALE=0.1]
	$(PY) -m tests.faults

bulk-faults: $(DEV) ## Kill bulk runs repeatedly, on both engines, and measure them (20 minutes) [JSON=FILE]
	$(PY) scripts/benchmark_bulk.py --photos 10000 --kills 10 $(if $(JSON),--json $(JSON))

coverage: $(DEV) ## Run all tests and write the branch coverage to scripts/results/coverage.json
	$(PYTEST) --cov --cov-report=
	$(PY) scripts/report_coverage.py

texts: $(DEV) ## Write the texts of the pages into the catalogues for translation
	$(PY) scripts/extract_texts.py

screenshots: $(DEV) ## Take the screenshots of the README on a temporary site, in Chromium (1 minute)
	$(PY) scripts/screenshot.py

lock: $(DEV) ## Write the requirements files from pyproject.toml [UPGRADE=1: newest versions]
	$(PY) scripts/lock.py $(if $(UPGRADE),--upgrade)

bundle: $(RUNTIME) ## Write an archive that installs without a network into build/ [TORCH=cpu|default|none]
	@$(PY) scripts/make_bundle.py $(if $(TORCH),--torch $(TORCH))

clean: ## Remove the environment and all caches; photos, users and fetched weights stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .coverage.* build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# These files are stamps: while they are newer than the requirements, nothing is installed.
$(RUNTIME): requirements.txt requirements-torch.txt
	@scripts/install requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	@scripts/install requirements-dev.txt
	@touch $@
