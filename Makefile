# Every target sets up what it needs: `make demo` and `make test` work in a fresh clone with Python 3.11-3.13, make and git.
PYTHON ?= python3
VENV := .venv/bin
LOCKED := --universal --python-version 3.11 --all-extras
AT_ONCE := --numprocesses auto --dist loadscope --no-loadscope-reorder
AIRFLOW2 := tests/models/airflow2/requirements
export UV_CUSTOM_COMPILE_COMMAND := make lock

.DEFAULT_GOAL := help
.PHONY: help setup lock up down status demo test check lint format types unit drawings integration test-distributed test-containers docs bench bench-gpu clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: ## install packages and build the native servers (every other target does so too)
	@$(PYTHON) stack/bootstrap.py

demo: setup ## run the pipeline on real data in a running stack, and show the result
	@$(VENV)/python -m stack.demo

up: setup ## start the stack and wait until all its parts are healthy
	@$(VENV)/python -m stack up

down: setup ## stop the stack
	@$(VENV)/python -m stack down

.PHONY: env sbom
env: ## write .env with strong secrets, for docker compose; needs no setup
	@$(PYTHON) -m stack.compose

sbom: setup ## list the contents of the container images, as CycloneDX JSON in sbom.json
	@$(VENV)/python -m stack.sbom

status: setup ## show every part and where it listens
	@$(VENV)/python -m stack status

test: lint types ## all checks and tests, including those with real servers
	@$(VENV)/pytest $(AT_ONCE)

check: lint types unit ## lint, types and the quick tests: about three minutes

lint: setup
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@PYTHONPATH=monitoring:. $(VENV)/lint-imports
	@$(VENV)/python -m tests.prose

format: setup ## format the code
	@$(VENV)/ruff check --fix .
	@$(VENV)/ruff format .

types: setup
	@$(VENV)/mypy

unit: setup ## tests that need no server and draw no figures
	@$(VENV)/pytest -m "not integration and not drawing" --numprocesses 3

drawings: setup ## tests of figures and of pages with figures
	@$(VENV)/pytest -m "drawing and not integration" --numprocesses 2

integration: setup ## tests with the real servers
	@$(VENV)/pytest -m "integration and not distributed and not containers" $(AT_ONCE)

test-distributed: setup ## several Celery workers over PostgreSQL and Redis, if the system has them
	@$(VENV)/pytest -m distributed

test-containers: setup ## the stack in containers, if an engine is available; TEST_ENGINE=start starts one
	@$(VENV)/pytest -m containers

docs: setup ## build the documentation as a site, in .site
	@NO_MKDOCS_2_WARNING=1 $(VENV)/mkdocs build --quiet --strict

bench: setup ## measure; prints a table and writes bench.json
	@$(VENV)/python -m tests.bench

bench-gpu: setup ## measure training on a GPU; prints a table
	@$(VENV)/python -m tests.bench.gpu

lock: setup ## resolve the pinned packages after a change in pyproject.toml
	@$(VENV)/uv pip compile -q pyproject.toml $(LOCKED) --group stack -o requirements.txt
	@$(VENV)/uv pip compile -q pyproject.toml $(LOCKED) --group dev -c requirements.txt -o requirements-dev.txt
	@$(VENV)/uv pip compile -q pyproject.toml $(AIRFLOW2).in --universal --python-version 3.11 --exclude-newer 2026-03-15 -o $(AIRFLOW2).txt

clean: ## remove what setup and checks have created, but not the stack's state in .catwalk
	@rm -rf .venv .tools .site .mypy_cache .pytest_cache .ruff_cache *.egg-info
