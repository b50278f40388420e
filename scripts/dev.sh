#!/bin/sh
# Both services as plain processes with the shipped model: the embedded default, no settings, no root.
set -eu
cd "$(dirname "$0")/.."
inference="" edge=""
stop() {
    trap - EXIT INT TERM
    for pid in $edge $inference; do kill -TERM "$pid" 2>/dev/null || true; done
    wait || true
}
trap stop EXIT
trap 'exit 130' INT TERM
.venv/bin/cerebrum-inference & inference=$!
.venv/bin/cerebrum-edge & edge=$!
echo "edge http://127.0.0.1:7000, inference http://127.0.0.1:9000; in another terminal: .venv/bin/cerebrum ask 'def fibonacci(n):'" >&2
# The first of the two that ends takes the other with it.
while kill -0 "$inference" 2>/dev/null && kill -0 "$edge" 2>/dev/null; do sleep 1; done
exit 1
