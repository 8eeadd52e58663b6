# Alta Data: every command of the checkout. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON_IN := .venv/bin
STACK := $(PYTHON_IN)/python -m alta_stack
SOURCES := libs services tests tools benchmarks samples
# Tests to run: make test TESTS=services/projects; options: make test PYTEST_OPTIONS="-k upload -x"
TESTS ?= libs services tests tools
PYTEST_OPTIONS ?=
# Side by side, each worker with servers of its own: make test TEST_WORKERS=1. Servers that are named (ALTA_TEST_…) would
# be shared, and tests empty them: then there is one worker.
TEST_WORKERS ?= $(if $(ALTA_TEST_POSTGRES_DSN)$(ALTA_TEST_REDIS_URL)$(ALTA_TEST_RABBITMQ_URL),1,2)
# Less of everything: make bench BENCH_OPTIONS=--quick
BENCH_OPTIONS ?=
# The same faults again: make faults SEED=7; more of them: make faults FAULT_OPTIONS="--events 200000 --rounds 8"
SEED ?=
FAULT_OPTIONS ?=
# One service: make logs LOG=ocr, make restart NAME=gateway
LOG ?=
NAME ?=
# What operators do: make ops ARGS="outbox ls --status parked"; make admin EMAIL=ada@example.com
ARGS ?=
EMAIL ?=

.PHONY: help
help: ## list the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: env
env: ## make .venv and install what is missing (the other commands do it by themselves)
	@tools/bootstrap.sh

.PHONY: up
up: env ## start everything and leave it running; CLOUD=emulated: with Google's cloud emulated here
	@$(STACK) up

.PHONY: demo
demo: env ## start everything if needed and do the main job: documents and recordings in, text out
	@$(STACK) demo

.PHONY: down
down: env ## stop everything; the data stays
	@$(STACK) down

.PHONY: status
status: env ## show what runs where, with memory
	@$(STACK) status

.PHONY: logs
logs: env ## follow the logs of all services, or of one: make logs LOG=ocr
	@$(STACK) logs $(LOG)

.PHONY: restart
restart: env ## restart one service: make restart NAME=gateway
	@$(STACK) restart $(NAME)

.PHONY: ops
ops: env ## look at outboxes, queues and dead letters: make ops ARGS="outbox ls" (ARGS=--help)
	@$(STACK) ops -- $(ARGS)

.PHONY: admin
admin: env ## make an account an administrator of the platform: make admin EMAIL=ada@example.com
	@$(STACK) admin $(EMAIL)

.PHONY: reset
reset: env ## stop everything and delete its data
	@$(STACK) reset

.PHONY: test
test: env check ## check everything and run all tests on private servers
	@echo "== tests"
	$(PYTHON_IN)/pytest $(if $(filter-out 1,$(TEST_WORKERS)),-n $(TEST_WORKERS)) $(TESTS) $(PYTEST_OPTIONS)

.PHONY: faults
faults: env ## crash, freeze and cut off everything while events flow; nothing may be lost: SEED=7 does the same again
	@$(PYTHON_IN)/python tests/faults/run_faults.py $(if $(SEED),--seed $(SEED)) $(FAULT_OPTIONS)

.PHONY: check
check: lint types ## lint, format, types and the rules of the tree, without tests

.PHONY: lint
lint: env ## check style and the rules between packages
	@echo "== ruff, import-linter"
	$(PYTHON_IN)/ruff check .
	$(PYTHON_IN)/ruff format --check .
	$(PYTHON_IN)/lint-imports

.PHONY: types
types: env ## check types
	@echo "== mypy"
	$(PYTHON_IN)/mypy $(wildcard libs/*/src services/*/src) tools/alta_stack tools/alta_emulators benchmarks

.PHONY: format
format: env ## format the code and fix what ruff can fix
	@$(PYTHON_IN)/ruff check --fix-only --quiet .
	$(PYTHON_IN)/ruff format .

.PHONY: bench
bench: env ## measure the whole system, its engines and its messaging
	@$(PYTHON_IN)/python benchmarks/journey.py $(BENCH_OPTIONS)
	$(PYTHON_IN)/python benchmarks/engines.py $(BENCH_OPTIONS)
	$(PYTHON_IN)/python benchmarks/relay.py $(BENCH_OPTIONS)
	$(PYTHON_IN)/python benchmarks/consumer.py $(BENCH_OPTIONS)

.PHONY: lock
lock: env ## lock all requirements anew, with hashes
	@UV=$(PYTHON_IN)/uv sh requirements/lock.sh
	awk '/^uv==/ {on = 1} on && !/^(uv==|    --hash)/ {exit} on' requirements/dev.txt | sed '$$ s/ \\$$//' > requirements/uv.txt

.PHONY: env-example
env-example: env ## write env.example anew from the settings of all services
	@$(STACK) env-example > env.example.new
	mv env.example.new env.example

.PHONY: samples
samples: env ## make the sample documents and recordings anew
	@$(PYTHON_IN)/python samples/make_samples.py

.PHONY: clean
clean: ## delete caches
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
