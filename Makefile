# One word for each thing a developer does. `make help` lists them.
#
#   PYTHON=python3.12   the interpreter to build the environments with (3.11 or later)
#   T=tests/unit        `make test` of a part
#   DATA=FILE           `make demo` on a corpus of your own

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(firstword $(foreach python,python3 python3.13 python3.12 python3.11,\
  $(shell $(python) -c '$(NEW_ENOUGH)' 2>/dev/null && echo $(python))) python3)
endif
T ?=
DATA ?=

VENV := .venv
LABEL_STUDIO_VENV := .venv-label-studio
LABEL_STUDIO := label-studio==1.23.2
TORCH := torch>=2.6,<2.14
BIN := $(VENV)/bin

# An environment is built again when what it is made of changes.
OURS := $(shell { $(PYTHON) --version; cat pyproject.toml; } 2>&1 | cksum | cut -d' ' -f1)
THEIRS := $(shell { $(PYTHON) --version; echo '$(LABEL_STUDIO)'; } 2>&1 | cksum | cut -d' ' -f1)
VENV_READY := $(VENV)/.ready-$(OURS)
LABEL_STUDIO_READY := $(LABEL_STUDIO_VENV)/.ready-$(THEIRS)

# Over an environment of another Python only --clear helps; otherwise keep what is there, torch takes minutes.
make_venv = $(PYTHON) -m venv $$([ "$$($(1)/bin/python --version 2>&1)" = "$$($(PYTHON) --version 2>&1)" ] || echo --clear) $(1)
PIP_INSTALL := -m pip install -qq --disable-pip-version-check
# A whole run is shared by two processes; a part runs in one, which is easier to read.
SPREAD = $(if $(T),,-n 2 --dist loadfile)

.DEFAULT_GOAL := help
.PHONY: help setup python browser demo test test-full check bench clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: python ## Build .venv and Label Studio's own environment (does nothing when they are up to date)
	@$(MAKE) --no-print-directory -j2 $(VENV_READY) $(LABEL_STUDIO_READY)
	@$(MAKE) --no-print-directory browser

python:
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "Assay needs Python 3.11 or later, and this is" \
	  "$$($(PYTHON) --version 2>&1): make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments:" \
	  "install its venv package (Debian: apt-get install python3-venv)"; exit 1; }

$(VENV_READY):
	@echo "Installing Assay into $(VENV) (about 3 minutes) ..."
	@$(call make_venv,$(VENV))
	@$(BIN)/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	@$(BIN)/python $(PIP_INSTALL) '$(TORCH)'
	@$(BIN)/python $(PIP_INSTALL) --editable '.[local,demo,experiment,encoder]' --group dev
	@rm -f $(VENV)/.ready-*
	@touch $@

# Label Studio must never share an environment with Assay: it has a package `tasks` of its own.
$(LABEL_STUDIO_READY):
	@echo "Installing Label Studio into $(LABEL_STUDIO_VENV) (about 3 minutes) ..."
	@$(call make_venv,$(LABEL_STUDIO_VENV))
	@$(LABEL_STUDIO_VENV)/bin/python $(PIP_INSTALL) '$(LABEL_STUDIO)'
	@rm -f $(LABEL_STUDIO_VENV)/.ready-*
	@touch $@

browser:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; \
	then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	  { apt-get update && apt-get install -y --no-install-recommends chromium; } >/dev/null 2>&1; then \
	  echo "Installed Chromium."; \
	else echo "No Chromium here: the browser tests will be skipped (install chromium to run them)."; fi

demo: setup ## Start everything and show the main job; DATA=FILE takes your own corpus
	@$(BIN)/assay demo $(if $(DATA),--data '$(DATA)')

test: setup ## Run the tests; T=path runs a part
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -m 'not full' $(SPREAD) $(T)

test-full: setup ## Run all tests, also the large and slow ones
	@$(BIN)/python -m pytest $(T)

check: setup ## Format, lint, types, import contracts, migration drift
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet tests/migrations

bench: setup ## Measure throughput, each figure beside its reference
	@$(BIN)/python -m tests.benchmarks

clean: ## Remove what was built; the data in .assay stays
	rm -rf $(VENV) $(LABEL_STUDIO_VENV) .cache build dist *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find plugin db tasks migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +
