#!/bin/sh
# Trains a model like models/cerebrum-tiny.gguf again, with tools of its own (PyTorch is large; nothing else needs it).
# usage: scripts/train.sh OUT.gguf [--minutes N]
set -eu
cd "$(dirname "$0")/.."
[ -n "${1:-}" ] || { echo "cerebrum: say where the model goes: make train OUT=new.gguf" >&2; exit 1; }
venv=${CEREBRUM_CACHE:-$HOME/.cache/cerebrum}/train-$(sha256sum locks/train.txt | cut -c1-12)
if [ ! -e "$venv/.complete" ]; then
    echo "installing PyTorch and the rest from locks/train.txt into $venv (once, several GB)" >&2
    PIP_CONFIG_FILE=/dev/null; export PIP_CONFIG_FILE
    "${PYTHON:-python3}" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --require-hashes --only-binary :all: --no-deps -r locks/train.txt
    touch "$venv/.complete"
fi
exec "$venv/bin/python" models/train.py "$@"
