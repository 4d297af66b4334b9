# Needs Python 3.11 to 3.13 and make. Everything is installed into .venv, nothing outside it.
#   make PYTHON=/path/to/python3.12   chooses the interpreter
#   make test TESTS=tests/eval        runs a part of the tests; WORKERS=0 in one process
#   make quickstart ARGS="--help"     passes words on to the command

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
TESTS ?= tests
# Compiling, which is most of the tests' time, keeps one core busy; a worker takes 2 GB.
WORKERS ?= 2
# Only tests need it. Not in the lock: PyPI's build for Linux would bring 3 GB of CUDA libraries.
TORCH ?= torch==2.13.0+cpu
ARGS ?=
# Folder or tar of EntityQuestions, for study-ssm; without it the study runs on the atlas alone.
ENTITY_QUESTIONS ?= $(wildcard ../shared/data/qa.tar.xz)
# Folder with LAMA and other data, or with tars of them, for study-lama and study-editing; likewise.
LAMA_DATA ?= $(wildcard ../shared/data)
# Folder or tar of WikiText-2, for study-memories and study-editing; without it the packaged models.
WIKITEXT ?= $(wildcard ../shared/data/text.tar.xz)
# A name such as python3.13 may stand on the path and yet not run, so each candidate is tried.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	$$python -c 'import sys, venv, ensurepip; assert (3, 11) <= sys.version_info[:2] <= (3, 13)' \
	2>/dev/null && echo $$python && break; done)

# pyenv's own folders are looked into as well: what it puts on the path need not run.
NEWEST ?= $(shell for python in python3.13 $(HOME)/.pyenv/versions/3.13*/bin/python python3.12 \
	$(HOME)/.pyenv/versions/3.12*/bin/python; do \
	$$python -c 'import sys, venv, ensurepip; assert (3, 11) <= sys.version_info[:2] <= (3, 13)' \
	2>/dev/null && echo $$python && break; done)
# What depends most on the versions of Python, NumPy and JAX: golden numbers of other
# implementations, models, vocabularies, reading of gin files and of predictions, the commands.
NEWEST_TESTS ?= tests/training/test_golden.py tests/models tests/vocabulary tests/eval/test_metrics.py \
	tests/eval/test_predictions.py tests/cli/gin_files tests/cli/test_closedbook.py

.PHONY: help setup quickstart study-ssm study-lama study-memories study-editing study-tracing study-capacity smollm2 test test-newest lint format types wheel-check clean

help: ## Shows this list
	@echo 'closedbook: knowledge in the parameters of a T5. Start with `make quickstart`.'
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(STAMP) ## Creates .venv with the locked packages (once; again when the lock changes)

# The lock is complete, so pip need not resolve; `pip check` proves that it is consistent.
$(STAMP): requirements.lock requirements-spacy.lock pyproject.toml setup.py
	@test -n '$(PYTHON)' || { echo 'No Python from 3.11 to 3.13 found that can make a virtual' \
		'environment; install one, or run: make $(MAKECMDGOALS) PYTHON=/path/to/python3' >&2; exit 2; }
	@test -x $(BIN)/python || { echo 'Creating $(VENV) with $(PYTHON)'; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip
	@echo 'Installing the locked packages into $(VENV): some minutes, 3.5 GB'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps \
		-r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps \
		--require-hashes -r requirements-spacy.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps $(TORCH) || echo \
		'$(TORCH) is not to be had here: tests against Hugging Face models will be skipped'
	@$(BIN)/python -m pip check
	@touch $@

quickstart: setup ## Fine-tunes the packaged model, asks it about facts it was never asked, and scores it
	@$(BIN)/closedbook atlas quickstart $(ARGS)

study-ssm: setup ## Does salient span masking put facts in? 54 small trainings, an hour on two cores; goes on if stopped
	@$(BIN)/python -m benchmarks.ssm_study $(addprefix --entity-questions ,$(ENTITY_QUESTIONS)) $(ARGS)

study-lama: setup ## What do models know that nobody taught to answer? LAMA and others, up to an hour on two cores; goes on if stopped
	@$(BIN)/python -m benchmarks.lama_study $(addprefix --data ,$(LAMA_DATA)) $(ARGS)

study-memories: setup ## Are feed-forward layers key-value memories? Up to an hour on two cores; goes on if stopped
	@$(BIN)/python -m benchmarks.memories_study $(addprefix --wikitext ,$(WIKITEXT)) $(ARGS)

study-editing: setup ## What does an edit cost, and how many does a model bear? About an hour on two cores; goes on if stopped
	@$(BIN)/python -m benchmarks.editing_study $(addprefix --data ,$(LAMA_DATA)) $(addprefix --wikitext ,$(WIKITEXT)) $(ARGS)

study-tracing: setup ## How far off are estimated causal traces? Two models, about an hour on two cores; goes on if stopped
	@$(BIN)/python -m benchmarks.tracing_estimates $(addprefix --data ,$(LAMA_DATA)) $(ARGS)

study-capacity: setup ## How many bits do T5s and decoder-only models hold? 64 small trainings, about 50 minutes on two cores; goes on if stopped
	@$(BIN)/python -m benchmarks.capacity_study $(ARGS)

smollm2: setup ## Fetches SmolLM2-135M-Instruct (Q4_1, 93 MB), the real model of some tests and studies, once
	@$(BIN)/python -m benchmarks.smollm2

test: setup ## Runs all tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(TESTS) $(ARGS)

test-newest: ## Runs a small part of the tests on the newest Python that is there, in .venv-newest
	@if test -z '$(NEWEST)'; then echo 'no Python 3.12 or 3.13 that runs: its tests are skipped'; \
	elif test "$$('$(NEWEST)' -V)" = "$$($(BIN)/python -V 2>&1)"; then \
		echo "$$('$(NEWEST)' -V) is what \`make test\` runs on"; \
	else $(MAKE) --no-print-directory test VENV=.venv-newest \
		PYTHON='$(NEWEST)' TESTS='$(NEWEST_TESTS)'; fi

lint: setup ## Checks style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: setup ## Formats the code, and mends what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

types: setup ## Checks types
	@$(BIN)/mypy

wheel-check: setup ## Builds wheel and sdist, and runs the commands from the wheel in a fresh environment
	@$(BIN)/python .ci/check_wheel.py $(ARGS)

clean: ## Removes .venv, build outputs and caches; runs/ stays
	rm -rf $(VENV) .venv-newest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
