# Cerebrum. `make` or `make help` lists what there is to do.
# Needs: Debian 12, root, and two packages (apt-get install -y make python3-venv). The rest installs itself.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# Debian's own interpreter: what the hosts run is what is developed against.
PYTHON ?= $(shell test -x /usr/bin/python3 && echo /usr/bin/python3 || command -v python3)
CEREBRUM_CACHE ?= $(HOME)/.cache/cerebrum
# `su` without a dash keeps a PATH without the system's tools.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
export PYTHON CEREBRUM_CACHE LLAMA_SERVER

.PHONY: help venv up down status test test-all test-unit test-roles test-arm64 lint new-inventory bench-edge bench-inference bench-condense bench-metrics dev docs lock monitoring train bench-deploy

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## .venv with every service and the tools, from the hash-pinned locks
	@scripts/venv.sh

up: ## make two Debian hosts here, deploy to them, stream a completion through both
	@scripts/up.sh

down: venv ## remove the hosts that `make up` made, and all that belongs to them
	@.venv/bin/ansible-playbook -i inventories/lab playbooks/lab_down.yml

status: venv ## what the lab's edge says of itself and its backend
	@scripts/status.sh

# Words of the command line alone: some systems have a NAME in everybody's environment.
said = $(if $(findstring command line,$(origin $(1))),$($(1)))

new-inventory: venv ## an inventory of your own, asked for or given: NAME=home EDGE=pi@ADDRESS INFERENCE=root@ADDRESS TRANSPORT= MODELS= ARGS=--help
	@.venv/bin/python -m scripts.inventory $(if $(call said,NAME),"$(call said,NAME)") $(if $(call said,EDGE),--edge "$(call said,EDGE)") \
		$(if $(call said,INFERENCE),--inference "$(call said,INFERENCE)") $(if $(call said,TRANSPORT),--transport "$(call said,TRANSPORT)") \
		$(if $(call said,MODELS),--models "$(call said,MODELS)") $(call said,ARGS)

dev: venv ## both services as plain processes with the shipped model, no root; ends with Ctrl-C
	@scripts/dev.sh

test: ## lint, unit, end-to-end and repository tests, then the roles on real hosts (but for the scenarios that take longest)
	@scripts/test.sh

test-all: ## all of that, and the scenarios that are left out (hours on two cores)
	@scripts/test.sh all

test-unit: venv ## the tests that need no hosts and no root
	@.venv/bin/pytest -n 2 --dist loadfile

test-roles: venv ## molecule: the shipped site.yml on fresh Debian hosts (root)
	@scripts/molecule.sh

test-arm64: venv ## molecule: the edge on an arm64 Debian, as on a Pi, run by qemu (root)
	@scripts/molecule.sh arm64

lint: venv ## ruff, mypy --strict, ansible-lint (production)
	@scripts/lint.sh

bench-edge: venv ## what the edge adds, beside other gateways: LITELLM=venv, PEER="name=http://host:port", ARGS="--quick"
	@.venv/bin/python benchmarks/bench_edge.py $(if $(LITELLM),--litellm "$(LITELLM)") $(foreach peer,$(PEER),--peer "$(peer)") $(ARGS)

bench-inference: venv ## the inference service beside other servers: LLAMA_SERVER=path or BUILD_PEER=1, ARGS="--quick"
	@.venv/bin/python benchmarks/bench_inference.py $(if $(BUILD_PEER),--build-peer) $(ARGS)

bench-condense: venv ## what condensation keeps of real commits' lines: DATA=commits.jsonl
	@test -n "$(DATA)" || { echo "cerebrum: DATA=file is missing: one commit a line, see docs/condensation.md" >&2; exit 1; }
	@.venv/bin/python -m benchmarks.bench_condense "$(DATA)" $(ARGS)

bench-metrics: venv ## what it costs to be watched: a request, a token, a page of metrics: ARGS="--quick"
	@.venv/bin/python benchmarks/bench_metrics.py $(ARGS)

bench-deploy: venv ## from fresh hosts to the first token, a second run, `make up` again (root): ARGS="--rounds 3"
	@.venv/bin/python benchmarks/bench_deploy.py $(ARGS)

docs: venv ## write the roles' READMEs and docs/variables.md from the argument_specs, and inventories/example
	@.venv/bin/python scripts/role_readmes.py
	@.venv/bin/python -m scripts.variables_page
	@.venv/bin/python -m scripts.inventory.example

monitoring: venv ## write the rules, the alerts' ways, the table of faults and the dashboards from monitoring/
	@.venv/bin/python -m monitoring
	@.venv/bin/python -m monitoring.dashboards

lock: ## resolve locks/*.txt again
	@scripts/lock.sh $(if $(UPGRADE),--upgrade)

train: ## train a model like models/cerebrum-tiny.gguf again (about 40 minutes; OUT=file)
	@scripts/train.sh "$(OUT)"
