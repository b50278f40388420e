#!/bin/sh
# Runs molecule's scenarios one after the other and fails if any did; with names, only those.
# usage: scripts/molecule.sh [SCENARIO...]
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "cerebrum: the roles are tested on real hosts, which takes root" >&2; exit 1; }
[ $# -gt 0 ] || set -- $(for file in molecule/*/molecule.yml; do basename "$(dirname "$file")"; done)
export PATH="$PWD/.venv/bin:$PATH" ANSIBLE_CONFIG="$PWD/ansible.cfg"
log=$(mktemp)
trap 'rm -f "$log" "$log.rc"' EXIT
interrupted() { # leaves no host behind
    echo "== molecule: interrupted; removing the hosts of $scenario" >&2
    .venv/bin/molecule -c .config/molecule/config.yml destroy -s "$scenario" >/dev/null 2>&1 || true
    exit 130
}
trap interrupted INT TERM
failed=""
for scenario in "$@"; do
    echo "== molecule: $scenario"
    if ! { .venv/bin/molecule -c .config/molecule/config.yml test -s "$scenario" 2>&1; echo $? > "$log.rc"; } | tee "$log" || [ "$(cat "$log.rc")" != 0 ]; then
        failed="$failed $scenario"
    elif grep -Eq 'missing=[1-9]|no tests (found|ran)|collected 0 items' "$log"; then
        # Molecule calls a step successful whose playbook or tests it did not find.
        echo "cerebrum: scenario $scenario left out a playbook or found no tests" >&2
        failed="$failed $scenario"
    fi
    rm -f "$log.rc"
done
[ -z "$failed" ] || { echo "cerebrum: failed:$failed" >&2; exit 1; }
echo "== molecule: all scenarios passed: $*"
