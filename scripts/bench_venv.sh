#!/bin/sh
# Makes the benchmark's own venv and prints its path: what writes the synthetic models, and llama-cpp-python's two
# servers as peers. Apart from .venv, which stays small. Does nothing when it is current.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
cache=${CEREBRUM_CACHE:-$HOME/.cache/cerebrum}
venv=$cache/bench/venv

wheel=$(PYTHON=$python scripts/llama_wheel.sh "$cache/wheels")
stamp=$(basename "$(dirname "$wheel")")-$(cat locks/bench.txt locks/llama.txt scripts/bench_venv.sh | sha256sum | cut -c1-16)-$("$python" -c 'import sys; print(sys.version.split()[0])')
if [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp" ]; then echo "$venv"; exit 0; fi

echo "making the benchmark's venv from locks/bench.txt" >&2
mkdir -p "$cache/bench"
export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1
unset PIP_FIND_LINKS || true
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --require-hashes --only-binary :all: --no-deps -r locks/bench.txt
"$venv/bin/pip" install --quiet --no-deps --no-index "$wheel"
"$venv/bin/pip" check --quiet || "$venv/bin/pip" check >&2
# The archive's example server is a file of its own and not in the wheel.
work=$(mktemp -d "$cache/bench/.unpacking.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
PYTHON=$python scripts/llama_source.sh "$work"
cp "$work/source/examples/server/server.py" "$venv/example_server.py"
echo "$stamp" > "$venv/.stamp"
echo "$venv"
