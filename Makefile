# Two commands for a newcomer: `make run` and `make test`. `make help` lists the others.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

LOCKS := layers/dependencies/requirements
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH := $(CURDIR)/layers/shared/python:$(CURDIR)
# Bytecode is what makes a second start quick.
unexport PYTHONDONTWRITEBYTECODE

# The registry's latest is 3.0.0, published by accident and too old to read today's assemblies.
CDK_CLI := 2.1148.1
ENV ?= dev

# The version that is deployed where it is installed, else any that is new enough. A pyenv shim may exist and not run.
CANDIDATES = $(PYTHON) python3.13 $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.13*/bin/python3.13) \
	python3.14 python3.12 python3.11 python3
PACKAGES := layers/shared/python/quintet functions infra tests

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: run
run: .venv/ready ## Run everything on this machine: http://127.0.0.1:8000 (PORT=... for another)
	@exec python -m infra.local

.PHONY: admin
admin: .venv/ready ## Make somebody an administrator of the running stand: make admin EMAIL=you@example.com
	@python -m infra.local.admin "$(EMAIL)"

.PHONY: test
test: check ## Check and test everything
	@# In the order of their files: the end-to-end ones take longest.
	@pytest -n 2 --no-loadscope-reorder

.PHONY: check
check: .venv/ready ## Lint, types, import contracts
	@ruff check --quiet .
	@ruff format --quiet --check .
	@mypy --no-error-summary $(PACKAGES)
	@lint-imports --no-cache > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

.PHONY: format
format: .venv/ready ## Write the code the way `check` wants it
	@ruff check --quiet --fix .
	@ruff format --quiet .

.PHONY: openapi
openapi: .venv/ready ## Write docs/openapi.json and docs/asyncapi.json anew
	@python -m infra.openapi
	@python -m infra.asyncapi

.PHONY: migration
migration: .venv/ready ## Begin a change of the schema: make migration NAME="Tasks"
	@alembic revision --message "$(NAME)" \
		--rev-id "$$(printf %04d $$(($$(ls functions/db_migrator/versions/[0-9]*.py | wc -l) + 1)))"

.PHONY: bench
bench: .venv/ready ## Measure: ratios inside one run, beside their gates and goals
	@python -m tests.load

.PHONY: synth
synth: .venv/ready ## Synthesise both environments, without credentials; fails on an open cdk-nag finding
	@python -m infra.app -c env=dev
	@python -m infra.app -c env=prod

.PHONY: rehearse
rehearse: .venv/ready ## Deploy both stacks into an AWS emulator, over the commit before, and use them (OVER=... for another)
	@python -m infra.local.rehearsal --env $(ENV) --over $(or $(OVER),HEAD^)

.PHONY: deploy
deploy: .venv/ready ## Deploy one environment: make deploy ENV=dev (an account bootstrapped for CDK, credentials at hand)
	@npx --yes aws-cdk@$(CDK_CLI) deploy --all --context env=$(ENV)

.PHONY: audit
audit: .venv/ready ## Look for known vulnerabilities in what the layer ships
	@pip-audit --strict --disable-pip --require-hashes --requirement $(LOCKS).txt

.PHONY: lock
lock: .venv/ready ## Resolve the dependencies of pyproject.toml anew (UPGRADE=--upgrade for newer ones)
	@compile="uv pip compile --quiet --python-version 3.11 --universal --generate-hashes \
		--no-emit-index-url --no-header --no-annotate $(UPGRADE)"; \
	$$compile pyproject.toml --group dev --output-file $(LOCKS)-dev.txt; \
	$$compile pyproject.toml --constraint $(LOCKS)-dev.txt --output-file $(LOCKS).txt

.PHONY: clean-local
clean-local: ## Forget everything the local run keeps
	@rm -rf .local

.venv/ready: $(LOCKS)-dev.txt
	@python=; for candidate in $(CANDIDATES); do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then python=$$candidate; break; fi; \
	done; \
	[ -n "$$python" ] || { echo "Quintet needs Python 3.11 or newer; set PYTHON to one." >&2; exit 1; }; \
	[ -x $(BIN)/python ] || "$$python" -m venv .venv; \
	$(BIN)/python -m pip --quiet install --disable-pip-version-check "$$(sed -nE 's/^(uv==[^ ]+).*/\1/p' $<)"; \
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode $<
	@touch $@
