#!/bin/sh
# Lint, the tests without hosts, then the roles on real hosts. Stops at the first part that fails, and ends with the
# summaries of the parts.
# usage: scripts/test.sh [all]       all: the scenarios too that take longest (`later`, below)
set -u
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "cerebrum: make test makes hosts on this machine, which takes root; make test-unit does not" >&2; exit 1; }
began=$(date +%s)
summary=""
# Many whole plays (firewall, keys, machines, models, monitoring, operations, upgrade), programs that are compiled first (tailnet, upstream), a host
# that is emulated.
later="arm64 firewall keys machines models monitoring operations tailnet upgrade upstream"
scenarios=$(for file in molecule/*/molecule.yml; do basename "$(dirname "$file")"; done)
[ "${1:-}" = all ] || scenarios=$(printf '%s\n' $scenarios | grep -vxF "$(printf '%s\n' $later)")

part() { # a name, then a command
    name=$1; shift
    echo "== $name"
    started=$(date +%s)
    if "$@"; then
        summary="$summary
  passed  $(printf '%4d' $(( $(date +%s) - started ))) s  $name"
    else
        printf '\n== make test: FAILED in: %s%s\n' "$name" "$summary" >&2
        exit 1
    fi
}

part "environment from the locks" scripts/venv.sh
part "lint: ruff, mypy --strict, ansible-lint production" scripts/lint.sh
part "unit, property, end-to-end and repository tests" .venv/bin/pytest -n 2 --dist loadfile # a fixture of a module is made once
part "molecule: the shipped site.yml on fresh Debian hosts" scripts/molecule.sh $scenarios
[ "${1:-}" = all ] || echo "== left for make test-all: the scenarios $later"
printf '\n== make test: all passed in %d s%s\n' $(( $(date +%s) - began )) "$summary"
