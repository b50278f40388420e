#!/bin/sh
# Runs molecule's scenarios, two at a time, and fails if any did; with names, only those. One alone shows what it does;
# of several, a line each is shown and the whole output of those that failed.
# usage: scripts/molecule.sh [SCENARIO...]       MOLECULE_JOBS=1: one after the other
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "cerebrum: the roles are tested on real hosts, which takes root" >&2; exit 1; }
export PATH="$PWD/.venv/bin:$PATH" ANSIBLE_CONFIG="$PWD/ansible.cfg"

one() { # runs the scenario $1; 0 where it passed
    scenario=$1 log=$(mktemp)
    trap 'rm -f "$log" "$log.passed"' EXIT
    interrupted() { # leaves no host behind
        echo "== molecule: interrupted; removing the hosts of $scenario" >&2
        molecule -c .config/molecule/config.yml destroy -s "$scenario" >/dev/null 2>&1 || true
        exit 130
    }
    trap interrupted INT TERM
    { molecule -c .config/molecule/config.yml test -s "$scenario" 2>&1 && touch "$log.passed" || true; } | tee "$log"
    [ -e "$log.passed" ] || return 1
    if grep -Eq 'missing=[1-9]|no tests (found|ran)|collected 0 items' "$log"; then
        # Molecule calls a step successful whose playbook or tests it did not find.
        echo "cerebrum: scenario $scenario left out a playbook or found no tests" >&2
        return 1
    fi
}

if [ "${1:-}" = --of-several ]; then
    scenario=$3 began=$(date +%s) outcome=passed
    echo "== molecule: $scenario begins"
    "$0" "$scenario" > "$2/$scenario" 2>&1 || outcome=FAILED
    {
        flock 9 # outputs of two that end together are not mixed
        [ "$outcome" = passed ] || { cat "$2/$scenario"; echo "$scenario" >> "$2/.failed"; }
        echo "== molecule: $scenario $outcome in $(( $(date +%s) - began )) s: $(grep -Eoh '[0-9]+ passed' "$2/$scenario" | paste -sd, -)"
    } 9> "$2/.lock"
    exit 0
fi

[ $# -gt 0 ] || set -- $(for file in molecule/*/molecule.yml; do basename "$(dirname "$file")"; done)
if [ $# = 1 ]; then
    one "$1"
    exit
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
printf '%s\n' "$@" | xargs -P "${MOLECULE_JOBS:-2}" -n 1 "$0" --of-several "$logs"
[ ! -e "$logs/.failed" ] || { echo "cerebrum: failed: $(paste -sd' ' "$logs/.failed")" >&2; exit 1; }
echo "== molecule: all scenarios passed: $*"
