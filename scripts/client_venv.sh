#!/bin/sh
# Makes a venv of its own for a client that the tests run the edge with, and prints its path: what such clients need is
# not ours to have in .venv. Does nothing when it is current.
# usage: scripts/client_venv.sh NAME      from locks/client-NAME.txt
set -eu
cd "$(dirname "$0")/.."
name=$1
python=${PYTHON:-python3}
venv=${CEREBRUM_CACHE:-$HOME/.cache/cerebrum}/clients/$name

stamp=$(cat "locks/client-$name.txt" scripts/client_venv.sh | sha256sum | cut -c1-16)-$("$python" -c 'import sys; print(sys.version.split()[0])')
if [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp" ]; then echo "$venv"; exit 0; fi

echo "making the venv of $name from locks/client-$name.txt" >&2
mkdir -p "$(dirname "$venv")"
# Two test runs at once make it one after the other, and never use it half made.
exec 9> "$venv.lock"
flock 9
if [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$stamp" ]; then
    unset PIP_FIND_LINKS UV_FIND_LINKS || true
    rm -rf "$venv"
    "$python" -m venv --without-pip "$venv"
    ${UV:-.venv/bin/uv} pip install --quiet --python "$venv" --require-hashes --only-binary :all: --no-deps \
        -r "locks/client-$name.txt" >&2
    echo "$stamp" > "$venv/.stamp"
fi
echo "$venv"
