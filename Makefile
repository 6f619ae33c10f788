# make run [MODEL=resnet50] | demo | test | check | clean
# PYTHON=python3.12 picks an interpreter; TORCH_INDEX=URL takes torch from that index (CPU-only wheels, 1 GB instead of 6).

PY := .venv/bin/python
RUNTIME := .venv/.requirements
DEV := .venv/.requirements-dev

.PHONY: run demo test check clean
.DEFAULT_GOAL := run

# exec: Ctrl-C goes straight to the server, with no shell between.
run: $(RUNTIME)
ifdef MODEL
	@$(PY) -m catloader models fetch $(MODEL)
	@CATCHECK_MODEL=$(MODEL) exec $(PY) -m catloader serve
else
	@exec $(PY) -m catloader serve
endif

demo: $(RUNTIME)
ifdef MODEL
	@$(PY) -m catloader models fetch $(MODEL)
	@CATCHECK_MODEL=$(MODEL) exec $(PY) -m catloader demo
else
	@exec $(PY) -m catloader demo
endif

test: check
	$(PY) -m pytest

check: $(DEV)
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(PY) -m mypy
	.venv/bin/lint-imports

# Your photos and users (data/) and fetched weights (models/weights/) stay.
clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp, so that a second run installs nothing.
$(RUNTIME): requirements.txt
	@PYTHON=$(PYTHON) TORCH_INDEX=$(TORCH_INDEX) scripts/install requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	@PYTHON=$(PYTHON) TORCH_INDEX=$(TORCH_INDEX) scripts/install requirements-dev.txt
	@touch $@
