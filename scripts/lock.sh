#!/bin/sh
# Resolves locks/*.txt again: requirements with hashes for amd64 and arm64, without any registry's address.
# usage: scripts/lock.sh [--upgrade]      run by `make lock`
set -eu
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
[ -x "$uv" ] || { echo "cerebrum: run make venv first: the lock is resolved with its uv" >&2; exit 1; }
unset PIP_FIND_LINKS UV_FIND_LINKS UV_INDEX_URL UV_DEFAULT_INDEX || true

compile() { # output, then uv's arguments
    out=$1; shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-annotate --custom-compile-command "make lock" \
        --no-emit-package cerebrum-kit --no-emit-package cerebrum-edge --no-emit-package cerebrum-inference \
        --no-emit-package cerebrum-cli --no-emit-package llama-cpp-python \
        "$@" --output-file "locks/$out"
}

# llama-cpp-python comes as a source archive that each CPU builds for itself, so it has locks of its own:
# the archive, and the tools that build it. scripts/llama_wheel.sh uses both.
compile dev.txt pyproject.toml --group dev "$@"
for service in edge inference cli; do
    compile "$service.txt" "services/$service/pyproject.toml" --constraint locks/dev.txt "$@"
done
compile llama-build.txt locks/llama-build.in "$@"
"$uv" pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-deps --no-annotate \
    --custom-compile-command "make lock" --no-binary llama-cpp-python locks/llama.in --output-file locks/llama.txt
# The compiler of the scenario tailnet.
compile go.txt locks/go.in "$@"
compile train.txt locks/train.in "$@"
# What writes the synthetic models, and what the benchmark's Python peers import.
compile bench.txt locks/bench.in "$@"
# Programs that the tests run from outside, each in a venv of its own (scripts/client_venv.sh).
for client in aider llm ssh-audit; do
    compile "client-$client.txt" "locks/client-$client.in" "$@"
done
