# Everything a developer does here. `make help` lists it; nothing needs root, Docker or Java.

SHELL := /bin/sh
.DEFAULT_GOAL := help
# Compiled modules start faster, which a mesh of six processes feels.
unexport PYTHONDONTWRITEBYTECODE
export NAME

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ATLAS := $(BIN)/atlas
PACKAGES := $(wildcard libs/* contexts/* services/*) infra/local
PROJECTS := $(PACKAGES:%=%/pyproject.toml)
CODE := libs contexts services infra tests examples
# What they import of their own folder is found there.
# What a context needs beside the packages of Atlas, such as data to show.
OF_CONTEXTS := $(wildcard contexts/*/requirements.txt)
EXAMPLES := $(patsubst %/,%,$(sort $(dir $(wildcard $(addprefix examples/,*/*.py */*/*.py */*/*/*.py)))))
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
LOCAL := $(VENV)/.stamp-local
DEV := $(VENV)/.stamp-dev
EMPTY :=
SPACE := $(EMPTY) $(EMPTY)
TESTS ?= tests $(wildcard contexts/*/tests)
# Without this make's own flags, which a test that calls make would take for its.
PYTEST := MAKEFLAGS= $(BIN)/python -m pytest
# Most tests on servers wait most of the time, so lots of them run at once, each on servers of its own, and those that
# compute beside them: three lots at a time, the long ones first. What breaks a mesh, and what measures how long a loop is held, has the machine to itself.
TESTS_ALONE := chaos or alone
TESTS_BESIDE := $(addprefix tests/,unit architecture)
TESTS_OF_ALL := tests/e2e $(filter-out tests,$(TESTS))
TESTS_ON_SERVERS := tests/conformance \
	$(addprefix tests/integration/,archive examples gateway http outbox postgres projector readmodel relay)
TESTS_ON_OTHERS := $(filter-out $(TESTS_BESIDE) $(TESTS_OF_ALL) $(TESTS_ON_SERVERS) tests/integration %/__pycache__, \
	$(patsubst %/,%,$(wildcard tests/*/ tests/integration/*/)))

.PHONY: help up dev down demo status logs shell db-shell lint style fmt type check \
	test test-on-servers test-on-others test-beside test-of-all test-alone test-unit test-integration test-cov \
	chaos bench batch mine dist migrate migration seed db-reset metrics dashboards lock clean clean-all

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-18s %s\n", $$1, $$2} /^##@ /{printf "\n%s\n", substr($$0, 5)}' $(MAKEFILE_LIST)

##@ The mesh
up: $(LOCAL) ## Start the mesh, or find the running one; returns when all of it is ready; TRACES=1 with a store for traces
	@$(if $(TRACES),ATLAS_TRACES=$(TRACES) )$(ATLAS) up

dev: $(LOCAL) ## Start the mesh, and have what you edit run in it as soon as it is saved
	@$(ATLAS) dev

down: $(LOCAL) ## Stop the mesh and leave no process
	@$(ATLAS) down

demo: $(LOCAL) ## Run the mesh on what contexts have to show and prove the result; EXIT=1 stops it afterwards
	@$(ATLAS) up && { $(ATLAS) demo; code=$$?; [ -z "$(EXIT)" ] || $(ATLAS) down; exit $$code; }

status: $(LOCAL) ## Show every part of the mesh
	@$(ATLAS) status

logs: $(LOCAL) ## Follow the logs; PART=gateway for one
	@$(ATLAS) logs --follow $(PART)

metrics: $(LOCAL) ## Print what the services measure; PART=gateway for one
	@$(ATLAS) metrics $(PART)

shell: $(LOCAL) ## Open a shell with the virtual environment and the addresses of the mesh
	@eval "$$($(ATLAS) env)"; PATH="$(CURDIR)/$(BIN):$$PATH" exec "$${SHELL:-/bin/sh}"

seed: $(LOCAL) ## Send a little of what contexts have to show
	@$(ATLAS) seed

##@ The database
db-shell: $(LOCAL) ## Open psql on the database of the mesh
	@$(ATLAS) db shell

migrate: $(LOCAL) ## Apply the migrations that are missing
	@$(ATLAS) db migrate

migration: $(DEV) ## Begin a new migration of a context, or of a lib that has tables: make migration CONTEXT=bookings NAME="add a column"
	@test -n "$$NAME" || { echo 'give it a name: make migration CONTEXT=bookings NAME="add a column"' >&2; exit 2; }
	@$(BIN)/python -m atlas_runtime.new_migration "$(CONTEXT)" "$$NAME"

db-reset: $(LOCAL) ## Drop the database and make it anew; YES=1 does not ask
	@$(ATLAS) db reset $(if $(YES),--yes)

##@ The code
lint: $(DEV) ## Everything that is checked without running it
	@$(MAKE) --no-print-directory --jobs=2 type style

# Beside the types, which take as long as all of this together.
style: $(DEV)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	PRE_COMMIT_HOME=$(CURDIR)/$(VENV)/pre-commit $(BIN)/pre-commit run --all-files --hook-stage manual
	$(BIN)/lint-imports
	$(BIN)/bandit -q -c pyproject.toml -r libs contexts services infra examples
	$(ATLAS) schemas check
	$(BIN)/python -m atlas_projector.declared schemas

fmt: $(DEV) ## Format, and mend what can be mended
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

type: $(DEV) ## Check the types
	MYPYPATH=$(subst $(SPACE),:,$(PACKAGES) $(EXAMPLES) tests/contexts) $(BIN)/mypy $(filter-out contexts/%,$(PACKAGES)) $(wildcard contexts/*/atlas_*) $(dir $(wildcard tests/contexts/atlas_*/__init__.py)) tests/bench tests/chaos tests/conformance infra/observability/dashboards examples

check: lint test-unit ## What to run before a commit

test: $(DEV) ## Run every test, on real servers of their own; TESTS=tests/unit/kafka for some
ifeq ($(filter tests,$(TESTS)),)
	$(PYTEST) $(TESTS)
else
	@$(MAKE) --no-print-directory --keep-going --jobs=3 test-of-all test-on-servers test-on-others test-beside; beside=$$?; \
		$(MAKE) --no-print-directory test-alone && exit $$beside
endif

test-on-servers: $(DEV)
	$(PYTEST) -m "not ($(TESTS_ALONE))" $(TESTS_ON_SERVERS)

# What these print is shown at their end: several that print dots at once can't be read.
define SHOWN_AT_THE_END
@said=$$(mktemp); $(PYTEST) -m "not ($(TESTS_ALONE))" $(1) >"$$said" 2>&1; code=$$?; \
	cat "$$said"; rm "$$said"; exit $$code
endef

test-on-others: $(DEV)
	$(call SHOWN_AT_THE_END,$(TESTS_ON_OTHERS))

test-beside: $(DEV)
	$(call SHOWN_AT_THE_END,$(TESTS_BESIDE))

test-of-all: $(DEV)
	$(call SHOWN_AT_THE_END,$(TESTS_OF_ALL))

test-alone: $(DEV)
	$(PYTEST) -m "$(TESTS_ALONE)" $(TESTS)

test-unit: $(DEV) ## Run the tests that need no server
	$(PYTEST) $(if $(filter tests,$(TESTS)),tests/unit tests/architecture $(wildcard contexts/*/tests),$(TESTS))

test-integration: $(DEV) ## Run the tests on real servers
	$(PYTEST) tests/integration tests/contract tests/e2e

test-cov: $(DEV) ## Run all tests and measure what they cover
	$(PYTEST) --cov --cov-report=term-missing:skip-covered --cov-report=html $(TESTS)

chaos: $(DEV) ## Kill and stop things under load; WHAT=relay ROUNDS=50 for one part, with a JSON summary
	$(if $(WHAT),$(BIN)/python -m tests.chaos.$(WHAT) --rounds $(or $(ROUNDS),50),$(PYTEST) tests/chaos)

bench: $(DEV) ## Measure on real servers and write .atlas/bench/*.json; WHAT=mesh, or one of tests/bench
	$(BIN)/python -m tests.bench.$(or $(WHAT),mesh)

##@ The workshop
dashboards: $(DEV) ## Write the dashboards of Grafana anew from infra/observability/dashboards
	$(BIN)/python -m infra.observability.dashboards

lock: $(DEV) ## Resolve the requirements anew into the hashed locks
	for name in requirements-uv requirements requirements-local requirements-dev requirements-batch \
		$(basename $(wildcard contexts/*/requirements.in)); do \
		$(UV) pip compile --quiet --generate-hashes --no-emit-index-url --python-version 3.11 \
			--override overrides.txt $$name.in --output-file $$name.txt || exit 1; \
	done
	$(BIN)/python -m atlas_local.jars
	$(BIN)/python -m tests.conformance.avro_java

dist: $(DEV) ## Build a wheel of every lib and of the test servers into dist/, for use without the rest of Atlas
	rm -rf dist
	for lib in libs/* infra/local; do \
		(cd $$lib && $(CURDIR)/$(BIN)/python -m hatchling build --target wheel --directory $(CURDIR)/dist) || exit 1; \
	done

mine: $(LOCAL) ## Take the samples out and begin your own: make mine NAME=acme; YES=1 does not ask
	@test -n "$$NAME" || { echo 'give it a name: make mine NAME=acme' >&2; exit 2; }
	@$(ATLAS) mine "$$NAME" $(if $(YES),--yes)

batch: $(LOCAL) ## Install what `atlas batch --engine spark` needs beside a Java: 480 MB
	$(INSTALL) --no-deps --require-hashes -r requirements-batch.txt

clean: ## Remove what tools leave behind
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean ## Stop the mesh, remove its data and the virtual environment
	[ ! -x $(ATLAS) ] || $(ATLAS) down --purge --yes
	rm -rf .atlas $(VENV)

# The virtual environment: what the locks say and nothing else decides, then our own packages as they are in the tree.
$(UV): requirements-uv.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $@

$(LOCAL): requirements-local.txt $(OF_CONTEXTS) $(PROJECTS) | $(UV)
	$(INSTALL) --no-deps --compile-bytecode --require-hashes -r requirements-local.txt $(OF_CONTEXTS:%=-r %)
	$(INSTALL) --no-deps --no-build-isolation $(PACKAGES:%=-e ./%)
	$(BIN)/python -m atlas_local.prefetch
	@touch $@

$(DEV): requirements-dev.txt $(LOCAL)
	$(INSTALL) --no-deps --compile-bytecode --require-hashes -r requirements-dev.txt
	@touch $@
