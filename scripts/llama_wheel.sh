#!/bin/sh
# Builds llama-cpp-python's wheel for this CPU from the hash-pinned archive, once, and prints the wheel's path.
# usage: scripts/llama_wheel.sh OUTPUT_ROOT [LOCKS_DIR]     with WHERE_ONLY=1: prints the wheel's folder, builds nothing
#
# The wheel is compiled with -march=native, so its folder is named by the archive's hash and by the CPU's flags: a
# machine with another CPU, or a VPS that was moved to one, builds its own instead of dying with an illegal
# instruction. The same script runs on the controller and on the inference host.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$1
locks=${2:-$here/../locks}
python=${PYTHON:-python3}

archive=$(sed -n 's/.*--hash=sha256:\([0-9a-f]\{12\}\).*/\1/p' "$locks/llama.txt" | head -n 1)
cpu=$(sed -n 's/^\(flags\|Features\)[[:space:]]*: //p' /proc/cpuinfo | head -n 1 | tr ' ' '\n' | sort -u | sha256sum | cut -c1-12)
target=$root/llama-$archive-$cpu
if [ -n "${WHERE_ONLY:-}" ]; then echo "$target"; exit 0; fi
set -- "$target"/llama_cpp_python-*.whl
if [ -e "$1" ]; then echo "$1"; exit 0; fi

mkdir -p "$root"
work=$(mktemp -d "$root/.building.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
echo "building llama.cpp for this CPU (about 4 minutes on 2 cores, once) ..." >&2
export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1
unset PIP_FIND_LINKS || true
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --require-hashes --no-deps -r "$locks/llama-build.txt"
mkdir "$work/wheel"
# --no-build-isolation: the build tools are the pinned ones above, not whatever is newest today.
PATH="$work/venv/bin:$PATH" CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF" \
    CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" \
    "$work/venv/bin/pip" wheel --quiet --quiet --no-deps --no-build-isolation --no-binary llama-cpp-python \
    --require-hashes -r "$locks/llama.txt" --wheel-dir "$work/wheel" >&2
# Beside each other and atomic: two builders may finish at once, and the first one's wheel stays.
mv -T "$work/wheel" "$target" 2>/dev/null || [ -d "$target" ]
echo "$target"/llama_cpp_python-*.whl
