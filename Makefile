# Everything a person or CI does with EQN. `make help` lists it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help install run ui up status down deploy test test-stack test-servers test-team test-faults test-model audit sbom lint clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## make .venv with everything pinned in constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in {(3, 11), (3, 12)})' \
	  || { echo "expected Python 3.11 or 3.12, got $$($(PYTHON) --version 2>&1). Install it, or call: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) \
	  || { echo "expected Python's venv module. On Debian: apt-get install python3-venv, then the same command again."; exit 2; }
	@echo "Installing EQN and what it needs into $(VENV), once; this takes a minute or two."
	@$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed --constraint constraints.txt --editable '.[pipeline,dev]'
	@touch $(STAMP)

run: $(STAMP)  ## the main job: check, train, promote, annotate the inbox, publish (on GoEmotions: EQN_GOEMOTIONS=DIR make run)
	@$(BIN)/python -m flows.pipeline

ui: $(STAMP)  ## Prefect's and MLflow's pages on the state of `make run`, until Ctrl-C
	@$(BIN)/python infra/ui.py

TEAM := $(VENV)/.installed-team

$(TEAM): $(STAMP)
	@$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed --constraint constraints.txt --editable '.[pipeline,dev,team]'
	@touch $@

up: $(TEAM)  ## a team's servers and workers on this machine: PostgreSQL, S3, MLflow, Prefect (UP=--help for their ports)
	@$(BIN)/python -m infra.stack up $(UP)

status: $(TEAM)  ## what of `make up` runs, where, and since when
	@$(BIN)/python -m infra.stack status

down: $(TEAM)  ## end what `make up` started; its data is kept
	@$(BIN)/python -m infra.stack down

deploy: $(TEAM)  ## register deployments, work pools and automations at the Prefect server of PREFECT_API_URL
	@$(BIN)/python -m flows.deploy

test: $(STAMP)  ## all tests, formatting and types (with GoEmotions: EQN_GOEMOTIONS=DIR make test)
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

$(VENV)/.installed-stack: $(STAMP)
	@$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed --constraint constraints.txt --editable '.[pipeline,dev,stack]'
	@touch $@

test-stack: $(VENV)/.installed-stack  ## the tests against real servers, the long ones on races, crashes and faults, and a team's
	@infra/services/prepare.sh
	@echo "Two rows of tests at once, half an hour; each is printed when it ends."
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going test-servers test-team

test-servers: $(VENV)/.installed-stack
	@$(BIN)/python -m pytest -m "stack and not faults"

test-team: $(VENV)/.installed-stack  # of the servers, workers and pages of `make up`: mostly waiting
	@$(BIN)/python -m pytest -m "team and not faults"

test-faults: $(VENV)/.installed-stack  ## every promise of tests/faults/README.md as often as it says (hours), and their table
	@infra/services/prepare.sh
	@$(BIN)/python -m pytest -m promise

test-model: $(STAMP)  ## how a trained model behaves (the champion; another: EQN_MODEL=a package, a version or an alias)
	@$(BIN)/python -m pytest -m behaviour tests/model/behaviour

audit: $(STAMP)  ## hold every pinned package against the published advisories (asks OSV)
	@$(BIN)/python -m infra.audit

sbom: $(STAMP)  ## what is installed, as CycloneDX in build/sbom.cdx.json
	@$(BIN)/python -m infra.sbom

lint: $(STAMP)  ## repair formatting, then report what is left
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .
	@$(BIN)/mypy

clean:  ## remove the environment and caches; the state folder .eqn stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
