#!/bin/sh
# Style, types and Ansible, each with no finding left over.
set -eu
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
ruff check .
ruff format --check .
mypy
# Offline: everything that is used comes with ansible-core, and nothing is fetched from Galaxy.
ansible-lint --offline --profile production --strict
