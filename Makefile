# Targets: make demo | test | test-git | test-real | bench | lint | docs | clean
# Requires Python 3.11 or newer, git and make. Everything else is installed into .venv/ (.real/ for test-git, test-real).

SHELL := /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:

# The first Python that is new enough and can create virtual environments; override it with `make PYTHON=... test`.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo "$$python"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
REAL := .real
SQLPARSE := 0.6.1
CODEX := 0.169.0
# The last version whose `codex cloud` accepts a service on the loopback interface.
CODEX_CLOUD := 0.150.0
HUSKY := 9.1.7
GEMINI := 0.61.0
INSPECTOR := 0.15.0
TOKENIZER := 4.0.0
DEMO ?=
PYTEST = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -rs
# ARGS may name a file that has no test of one of several calls.
OR_NONE = || [ $$? = 5 ]
SLOTS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
ARGS ?=

.PHONY: help demo test test-git test-real bench lint format docs clean

help:
	@sed -n '1,2s/^# //p' Makefile

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer with venv was found" >&2; \
	  echo "hint: install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamp is a copy of the installed pyproject.toml, so a changed timestamp alone (a checkout) does not reinstall.
$(VENV)/installed-%.toml: pyproject.toml | $(BIN)/python
	@if cmp -s pyproject.toml $@; then touch $@; else \
	  echo "$(BIN)/pip install -e '.[$*]'" && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]' && cp pyproject.toml $@; fi

demo: $(VENV)/installed-plot.toml
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/git-planner demo $(DEMO)

test: $(VENV)/installed-test.toml
	$(PYTEST) -m "not real" -n $(SLOTS) --dist worksteal $(ARGS)

# What depends on git's version, with the newest git.
test-git: $(VENV)/installed-test.toml $(REAL)/git/bin/git
	PATH="$(CURDIR)/$(REAL)/git/bin:$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -rs -m "not real" -n $(SLOTS) \
	  --dist worksteal tests/hooks tests/guard tests/gitio tests/sharing $(ARGS)

test-real: $(VENV)/installed-test.toml $(REAL)/sqlparse-$(SQLPARSE)/pyproject.toml $(REAL)/codex-$(CODEX) \
  $(REAL)/codex-cloud-$(CODEX_CLOUD) $(REAL)/husky-$(HUSKY) $(REAL)/gemini-$(GEMINI) $(REAL)/inspector-$(INSPECTOR) \
  $(REAL)/projects-fetched
	$(PYTEST) -m "real and not alone" -o timeout=3600 -n $(SLOTS) --dist worksteal $(ARGS) $(OR_NONE)
	$(PYTEST) -m "real and alone" -o timeout=3600 $(ARGS) $(OR_NONE)
	$(PYTEST) -m hypothesis --hypothesis-profile thorough -n $(SLOTS) --dist worksteal $(ARGS) $(OR_NONE)

bench: $(VENV)/installed-test.toml $(REAL)/sqlparse-$(SQLPARSE)/pyproject.toml
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.bench $(ARGS)

lint: $(VENV)/installed-lint.toml
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict git_planner

format: $(VENV)/installed-lint.toml
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/installed-test.toml
	$(BIN)/python -m git_planner.cli.reference

# Download the source distribution with pip: it contains the tests and benchmarks that the real loop measures.
$(REAL)/sqlparse-$(SQLPARSE)/pyproject.toml: | $(BIN)/python
	@mkdir -p $(REAL)
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
	  --dest $(REAL) sqlparse==$(SQLPARSE)
	tar -xzf $(REAL)/sqlparse-$(SQLPARSE).tar.gz -C $(REAL)
	@touch $@

$(REAL)/codex-$(CODEX):
	@command -v npm >/dev/null || { echo "error: npm is needed to fetch the codex CLI" >&2; \
	  echo "hint: install Node.js 18 or newer; 'make test' does without" >&2; exit 1; }
	npm install --silent --no-audit --no-fund --prefix $(REAL)/codex @openai/codex@$(CODEX)
	$(REAL)/codex/node_modules/.bin/codex --version
	@touch $@

$(REAL)/codex-cloud-$(CODEX_CLOUD): | $(REAL)/codex-$(CODEX)
	npm install --silent --no-audit --no-fund --prefix $(REAL)/codex-cloud @openai/codex@$(CODEX_CLOUD)
	$(REAL)/codex-cloud/node_modules/.bin/codex --version
	@touch $@

$(REAL)/husky-$(HUSKY): | $(REAL)/codex-$(CODEX)
	npm install --silent --no-audit --no-fund --prefix $(REAL)/husky husky@$(HUSKY)
	@touch $@

$(REAL)/gemini-$(GEMINI):
	@command -v npm >/dev/null || { echo "error: npm is needed to fetch the gemini CLI" >&2; \
	  echo "hint: install Node.js 20 or newer; 'make test' does without" >&2; exit 1; }
	npm install --silent --no-audit --no-fund --prefix $(REAL)/gemini @google/gemini-cli@$(GEMINI)
	$(REAL)/gemini/node_modules/.bin/gemini --version
	@touch $@

# The inspector of MCP, and a tokenizer that brings the vocabulary of o200k along.
$(REAL)/inspector-$(INSPECTOR): | $(REAL)/codex-$(CODEX)
	npm install --silent --no-audit --no-fund --prefix $(REAL)/inspector @modelcontextprotocol/inspector@$(INSPECTOR)
	npm install --silent --no-audit --no-fund --prefix $(REAL)/tokenizer gpt-tokenizer@$(TOKENIZER)
	@touch $@

# Projects of several languages as they were published; the script names their versions.
$(REAL)/projects-fetched: tests/support/fetch_projects.sh | $(BIN)/python
	sh tests/support/fetch_projects.sh $(REAL)/projects $(CURDIR)/$(BIN)/python
	@touch $@

$(REAL)/git/bin/git:
	sh tests/support/newest_git.sh $(REAL)/git
	$@ --version

clean:
	rm -rf $(VENV) $(REAL) build dist .hypothesis .mypy_cache .ruff_cache .pytest_cache
	find git_planner tests -name __pycache__ -type d -prune -exec rm -rf {} +
