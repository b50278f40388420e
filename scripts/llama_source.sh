#!/bin/sh
# Unpacks llama-cpp-python's hash-pinned archive, which holds llama.cpp, and puts the tools that build it beside it.
# usage: scripts/llama_source.sh FOLDER [LOCKS_DIR]     makes FOLDER/source and FOLDER/venv; the benchmark's peers use it
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
locks=${2:-$here/../locks}

export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1
unset PIP_FIND_LINKS || true
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --require-hashes --no-deps -r "$locks/llama-build.txt"
# pip reads the archive's metadata with its build backend, so the pinned tools must be found.
PATH="$folder/venv/bin:$PATH" "$folder/venv/bin/pip" download --quiet --no-deps --no-build-isolation \
    --no-binary llama-cpp-python --require-hashes -r "$locks/llama.txt" --dest "$folder/archive" >&2
mkdir "$folder/source"
tar -xzf "$folder"/archive/llama_cpp_python-*.tar.gz -C "$folder/source" --strip-components=1 --no-same-owner
rm -r "$folder/archive"
