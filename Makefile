# Setup, tests and checks. `make help` lists the targets.
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENT := $(VENV)/project-installed
BENCH_ENVIRONMENT := $(VENV)/bench-installed

# `make PYTHON=python3.12 run` chooses an interpreter. Later calls keep the one that .venv was created with.
made_before := $(shell test -x $(BIN)/python && cat $(VENV)/made-for 2>/dev/null)
ifndef PYTHON
PYTHON := $(or $(firstword $(made_before)),python3)
endif
made_for := $(PYTHON) in $(CURDIR)

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))


# Running

.PHONY: run
run: $(ENVIRONMENT) ## Start the server with demo data, on SQLite (cinema.db in this folder)
	@exec $(BIN)/cinema serve --demo

.PHONY: dev
dev: $(ENVIRONMENT) ## Like run, but restart on code changes
	@exec $(BIN)/watchfiles --filter python '$(BIN)/cinema serve --demo' cinema_grpc generated

PORT ?= 8080
WEB_PACKAGES := examples/web/node_modules/.package-lock.json

.PHONY: demo-web
demo-web: $(ENVIRONMENT) $(WEB_PACKAGES) ## Start a page with a live seat map (examples/web) with server and Envoy; PORT=8080
	@exec $(BIN)/python examples/web/demo.py --port $(PORT)

$(WEB_PACKAGES): examples/web/package-lock.json
	@command -v npm >/dev/null || { echo "Node.js 20 or newer, with npm, is needed to build the page: https://nodejs.org" >&2; exit 1; }
	@cd examples/web && npm ci --silent --no-audit --no-fund
	@touch $@


# Working on the code

.PHONY: test
test: export PYTHONDONTWRITEBYTECODE := # otherwise each server that the tests start compiles all code again
test: $(ENVIRONMENT) ## Run all tests; fails below 95% coverage
	@# One worker more than processors, since many tests wait for processes.
	@$(BIN)/pytest --cov --numprocesses $$($(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)')

.PHONY: torture
torture: $(ENVIRONMENT) ## Run the long forms of the proofs in docs/reliability.md: an hour or more
	@$(BIN)/pytest -m torture

# CINEMA_TEST_COUNT=3 runs 3 promotions of each kind instead of 10.
.PHONY: test-failover
test-failover: $(ENVIRONMENT) ## Test failover with standbys and Patroni, PgBouncer and Envoy: 10 minutes
	@$(BIN)/pytest -m failover

STRIPE_MOCK := $(VENV)/stripe-mock
STRIPE_MOCK_VERSION := v0.203.0

.PHONY: test-stripe
test-stripe: $(ENVIRONMENT) $(STRIPE_MOCK) ## Check the requests to Stripe against stripe-mock, which Go installs
	@STRIPE_MOCK=$(STRIPE_MOCK) $(BIN)/pytest -m stripe tests/stripe

$(STRIPE_MOCK): $(VENV)/dependencies-installed
	@command -v go >/dev/null || { echo "Go is needed to install stripe-mock: https://go.dev/dl" >&2; exit 1; }
	@GOBIN=$(CURDIR)/$(VENV) go install github.com/stripe/stripe-mock@$(STRIPE_MOCK_VERSION)

.PHONY: test-examples
test-examples: $(ENVIRONMENT) $(BENCH_ENVIRONMENT) ## Generate, build and run the examples against a server, in each language that is installed
	@$(BIN)/pytest -m examples tests/examples

# CHROMIUM=/path/to/chromium chooses another one; PICTURES=docs/images takes screenshots.
.PHONY: test-web
test-web: $(ENVIRONMENT) $(WEB_PACKAGES) ## Test the page of examples/web: two Chromium browsers race for seats
	@cd examples/web && npm run --silent check && PYTHON=$(CURDIR)/$(BIN)/python $(if $(PICTURES),PICTURES=$(abspath $(PICTURES))) \
		npm test --silent

MINUTES ?= 60

.PHONY: soak
soak: $(ENVIRONMENT) ## Sell for MINUTES=60 on each database; memory must stay flat and nothing open
	@CINEMA_TEST_MINUTES=$(MINUTES) $(BIN)/pytest -m torture -s tests/proofs/test_endurance.py -k soak

# `make mutations BUG='page token'` runs only bugs with this in their name.
.PHONY: mutations
mutations: $(ENVIRONMENT) ## Reintroduce known bugs one at a time in a copy; a test must fail for each: 15 minutes
	@$(BIN)/python -m tests.mutations $(if $(BUG),'$(BUG)')

# `make bench SCENARIO=create-booking` runs one scenario. Without DATABASE it is SQLite, or what the scenario is for.
.PHONY: bench bench-quick
bench: $(ENVIRONMENT) $(BENCH_ENVIRONMENT) ## Benchmark against yardsticks, into bench-report: 40 minutes; SCENARIO=create-booking, DATABASE=postgresql
	@$(BIN)/python -m benchmarks $(addprefix --database ,$(DATABASE)) $(addprefix --scenario ,$(SCENARIO))

bench-quick: $(ENVIRONMENT) $(BENCH_ENVIRONMENT) ## Benchmark with fewer calls and without the long scenarios: 3 minutes
	@$(BIN)/python -m benchmarks --quick $(addprefix --database ,$(DATABASE)) $(addprefix --scenario ,$(SCENARIO))

# With DATABASE=postgresql the report is in a folder of its own.
.PHONY: on-sale-plot
on-sale-plot: ## Benchmark the on-sale, and draw the seats sold for the README: docs/on-sale.svg; DATABASE=postgresql
	@$(MAKE) bench SCENARIO=on-sale
	@cp bench-report/$(filter-out sqlite,$(DATABASE))/seats-sold.svg docs/on-sale.svg

.PHONY: format
format: $(ENVIRONMENT) ## Format Python code and protos, and apply the linter's fixes
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/buf format --write protos

proto_names = $(shell cd protos && find cinema -name '*.proto' | sort) buf/validate/validate.proto
service_names = $(filter %_service.proto,$(proto_names))
protoc = $(BIN)/python -m grpc_tools.protoc --proto_path=protos --proto_path=third_party \
	--plugin=$(BIN)/protoc-gen-mypy --plugin=$(BIN)/protoc-gen-mypy_grpc

# Only files with services get stubs and servicers. The rules of protovalidate move below `cinema`: a top-level package `buf` could
# be someone else's.
define generate_into
	@rm -rf $(1) && mkdir -p $(1)
	@$(protoc) --python_out=$(1) --mypy_out=quiet:$(1) $(proto_names)
	@$(protoc) --grpc_python_out=$(1) --mypy_grpc_out=quiet,only_async:$(1) $(service_names)
	@mv $(1)/buf $(1)/cinema/buf
	@find $(1) -name '*_pb2.py' -exec sed -i.before -e "s/^from buf\./from cinema.buf./" -e "s/'buf\.validate\./'cinema.buf.validate./" {} +
	@find $(1) -name '*.before' -delete
endef

client_package := clients/python/cinema_client

.PHONY: generate
generate: $(ENVIRONMENT) ## Regenerate generated/ and the client's stubs from the protos
	$(call generate_into,$(VENV)/generated)
	@rm -rf generated && mv $(VENV)/generated generated
	@rm -rf $(VENV)/client && $(BIN)/python clients/python/generate.py $(VENV)/client
	@rm -rf $(client_package)/cinema && cp -R $(VENV)/client/. $(client_package)

DIST := dist
PROTOSET ?= $(DIST)/cinema-v1.binpb

.PHONY: protoset
protoset: $(ENVIRONMENT) ## Write a descriptor set with comments, for tools without reflection: dist/cinema-v1.binpb
	@mkdir -p $(dir $(PROTOSET))
	@$(BIN)/buf build --as-file-descriptor-set --output $(PROTOSET)

.PHONY: dist
dist: protoset ## Build what a release has, into dist: the wheels of server and client, and the descriptor set
	@cd clients/python && $(abspath $(BIN))/python -m hatchling build --target wheel --directory $(abspath $(DIST))
	@$(BIN)/python -m hatchling build --target wheel --directory $(abspath $(DIST))

.PHONY: reference
reference: $(ENVIRONMENT) ## Regenerate docs/reference.md from the settings and the errors
	@$(BIN)/python docs/reference.py >$(VENV)/reference.md
	@mv $(VENV)/reference.md docs/reference.md

# The dev lock is constrained by the runtime lock, so the tested versions are the shipped ones. The client package is in no
# lock: it is installed from clients/python, or from its wheel.
compile_lock = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-package cinema-grpc-client $(LOCK_OPTIONS)

.PHONY: lock
lock: $(ENVIRONMENT) ## Rewrite the lock files from pyproject.toml; LOCK_OPTIONS=--upgrade updates versions
	@$(compile_lock) pyproject.toml --all-extras --output-file requirements.lock >/dev/null
	@$(compile_lock) pyproject.toml --all-extras --group dev --constraint requirements.lock --output-file requirements-dev.lock >/dev/null
	@$(compile_lock) --group build --constraint requirements-dev.lock --output-file requirements-build.lock >/dev/null
	@$(compile_lock) --group bench --constraint requirements-dev.lock --output-file requirements-bench.lock >/dev/null
	@$(compile_lock) clients/python/pyproject.toml --resolution lowest-direct --output-file clients/python/locks/oldest.lock >/dev/null
	@for major in 6 7; do echo "protobuf<$$((major + 1))" \
	| $(compile_lock) clients/python/pyproject.toml --constraint - --output-file clients/python/locks/protobuf$$major.lock >/dev/null; done

.PHONY: clean
clean: ## Remove .venv, caches and build output; the database stays
	rm -rf $(VENV) dist examples/web/dist examples/web/gen examples/web/node_modules htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +


# Checking

CHECKS := check-lint check-format check-types check-imports check-security check-dependencies check-protos check-breaking \
	check-generated check-reference check-dockerfile check-yaml check-alerts

.PHONY: check $(CHECKS)
check: $(ENVIRONMENT) ## Lint, format, types, imports, protos, security, CI and image files
	@$(MAKE) --keep-going $(CHECKS)

$(CHECKS): $(ENVIRONMENT)

check-lint:
	@echo "== $@"
	@$(BIN)/ruff check --quiet --output-format concise .

check-format:
	@echo "== $@"
	@$(BIN)/ruff format --check --quiet . || { echo "Run make format."; exit 1; }

check-types:
	@echo "== $@"
	@$(BIN)/mypy cinema_grpc clients/python tests docs examples/web $(wildcard benchmarks)

check-imports:
	@echo "== $@"
	@$(BIN)/lint-imports --no-logo

# ruff's S rules find bandit's minor issues too, so exemptions are written once, for ruff.
check-security:
	@echo "== $@"
	@$(BIN)/bandit --quiet --configfile pyproject.toml --severity-level medium --format custom \
		--msg-template "{relpath}:{line}: {test_id} {msg}" --recursive cinema_grpc $(client_package)

# Finds dependencies of pyproject.toml that the lock lacks or has in another version.
check-dependencies:
	@echo "== $@"
	@$(BIN)/python -m pip check

check-protos:
	@echo "== $@"
	@$(BIN)/buf lint
	@$(BIN)/buf format --diff --exit-code protos

# The protos must be compatible with those of the commit BREAKING_AGAINST, by default the main branch. A commit without protos
# has no callers.
ifndef BREAKING_AGAINST
BREAKING_AGAINST := $(shell for name in main origin/main HEAD; do git rev-parse --verify --quiet $$name 2>/dev/null && break; done)
endif

check-breaking:
	@echo "== $@"
	@test -n "$(BREAKING_AGAINST)" || { echo "No commit to compare with."; exit 0; }; \
	git rev-parse --verify --quiet '$(BREAKING_AGAINST)^{commit}' >/dev/null || { echo "git has no commit $(BREAKING_AGAINST)."; exit 1; }; \
	git cat-file -e '$(BREAKING_AGAINST):protos' 2>/dev/null || { echo "No protos at $(BREAKING_AGAINST)."; exit 0; }; \
	before=$$(mktemp -d); trap 'rm -rf "$$before"' EXIT; \
	git archive '$(BREAKING_AGAINST)' buf.yaml protos third_party | tar -x -C "$$before"; \
	$(BIN)/buf breaking --against "$$before"

check-generated:
	@echo "== $@"
	$(call generate_into,$(VENV)/generated)
	@rm -rf $(VENV)/client && $(BIN)/python clients/python/generate.py $(VENV)/client
	@{ diff --recursive --brief --exclude=__pycache__ generated $(VENV)/generated \
	&& diff --recursive --brief --exclude=__pycache__ $(client_package)/cinema $(VENV)/client/cinema \
	&& diff --brief $(client_package)/errors.py $(VENV)/client/errors.py \
	&& diff --brief $(client_package)/_pages.py $(VENV)/client/_pages.py; } || { echo "Run make generate."; exit 1; }

check-reference:
	@echo "== $@"
	@$(BIN)/python docs/reference.py >$(VENV)/reference.md
	@diff --brief docs/reference.md $(VENV)/reference.md || { echo "Run make reference."; exit 1; }

check-dockerfile:
	@echo "== $@"
	@$(BIN)/hadolint Dockerfile

check-yaml:
	@echo "== $@"
	@$(BIN)/yamllint --strict .
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	@$(BIN)/check-jsonschema --quiet --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yaml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml deploy/compose/compose.yaml
	@$(BIN)/kubernetes-validate --quiet --strict $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/*.yaml deploy/kubernetes/*/*.yaml))
	@if command -v kubectl >/dev/null; then for base in deploy/kubernetes deploy/kubernetes/migrate; do \
		kubectl kustomize $$base >$(VENV)/kustomized.yaml \
		&& $(BIN)/kubernetes-validate --quiet --strict $(VENV)/kustomized.yaml || exit; done; fi

# Prometheus 3.16. The Go compiler needs some minutes, once.
PROMTOOL := $(VENV)/promtool
PROMTOOL_VERSION := v0.316.0

.PHONY: promtool
promtool: $(PROMTOOL) ## Install promtool with Go, for make check; Debian's package prometheus has it too

$(PROMTOOL): $(VENV)/dependencies-installed
	@command -v go >/dev/null || { echo "Go is needed to install promtool: https://go.dev/dl" >&2; exit 1; }
	@GOBIN=$(CURDIR)/$(VENV) go install github.com/prometheus/prometheus/cmd/promtool@$(PROMTOOL_VERSION)

# promtool reads the configuration together with the rules that it names.
check-alerts:
	@echo "== $@"
	@PATH="$(CURDIR)/$(VENV):$$PATH"; \
	command -v promtool >/dev/null || { echo "The alert rules were not checked: make promtool installs promtool, with Go (Debian: apt-get install prometheus)."; exit 0; }; \
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; cp deploy/compose/prometheus.yaml deploy/prometheus/*.yaml "$$folder"; \
	promtool --version 2>&1 | head -n 1; \
	promtool check config "$$folder/prometheus.yaml" >"$$folder/log" || { cat "$$folder/log"; exit 1; }; \
	promtool test rules "$$folder/alerts.test.yaml" >"$$folder/log" || { cat "$$folder/log"; exit 1; }

.PHONY: audit
audit: $(ENVIRONMENT) ## Find known vulnerabilities in locked dependencies (queries the package index)
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements-dev.lock --requirement requirements-build.lock \
		--requirement requirements-bench.lock

.PHONY: wheel-check
wheel-check: $(ENVIRONMENT) ## Build the wheels, install them outside this folder, and buy seats from the server
	@.ci/check-wheel $(BIN)/python

ADDRESS ?= 127.0.0.1:50051

.PHONY: container-check
container-check: $(ENVIRONMENT) ## Buy a seat from the server at ADDRESS (with demo data)
	@$(BIN)/python tests/e2e/buy_a_seat.py $(ADDRESS)


# The environment. Stamps are written last and dependencies are installed into a new .venv, so the next call repairs an
# interrupted one.

ifneq ($(made_before),$(made_for))
.PHONY: $(VENV)/dependencies-installed
endif

# Of pip's many lines, one for every 20 packages.
SHOW_PROGRESS := -v all=$(shell grep -c '^[a-z].*==' requirements-dev.lock) \
	'/^Collecting/ && ++n % 20 == 0 { print "  " n " of about " all " packages are here"; fflush() } \
	/^Installing/ { print "  Installing them"; fflush() }'

# The lock files are complete. Without --no-deps, pip before 24 rejects "coverage[toml]" beside "coverage==7.17.3" as not pinned
# once a newer coverage is released (https://github.com/pypa/pip/issues/9644).
$(VENV)/dependencies-installed: requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	|| { echo "Python 3.11 or newer is needed, and '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not found)." \
		"Choose another one: make PYTHON=python3.12 run" >&2; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): about a minute, once"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip $(VENV)
	@pip="$(BIN)/python -m pip"; \
	$$pip --version >/dev/null 2>&1 || pip="$(PYTHON) -m pip --python $(BIN)/python"; \
	$$pip --version >/dev/null 2>&1 || { echo "'$(PYTHON)' has neither ensurepip nor pip: install one of them" >&2; exit 1; }; \
	rm -f $(VENV)/failed; \
	{ $$pip install --disable-pip-version-check --no-input --progress-bar off --no-deps --require-hashes \
		--requirement requirements-dev.lock || touch $(VENV)/failed; } | awk $(SHOW_PROGRESS); \
	test ! -e $(VENV)/failed
	@echo '$(made_for)' >$(VENV)/made-for
	@touch $@

$(BENCH_ENVIRONMENT): $(VENV)/dependencies-installed requirements-bench.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes \
		--requirement requirements-bench.lock
	@touch $@

$(ENVIRONMENT): $(VENV)/dependencies-installed pyproject.toml clients/python/pyproject.toml
	@rm -f $@
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable clients/python
	@touch $@
