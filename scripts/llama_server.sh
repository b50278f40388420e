#!/bin/sh
# Builds llama-server, the benchmark's strongest peer, for this CPU and prints its path. Built once and kept.
# usage: scripts/llama_server.sh OUTPUT_ROOT [LOCKS_DIR]     with WHERE_ONLY=1: prints the path, builds nothing
#
# The same sources and flags as the wheel that Cerebrum runs on (scripts/llama_wheel.sh), so that what is compared is
# the serving and not the compiler. One static file; no web page, no TLS, nothing fetched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$1
locks=${2:-$here/../locks}

wheel=$(LLAMA_BUILD=native WHERE_ONLY=1 "$here/llama_wheel.sh" "$root" "$locks")
target=$root/llama-server-${wheel##*/llama-}
if [ -n "${WHERE_ONLY:-}" ] || [ -x "$target/llama-server" ]; then echo "$target/llama-server"; exit 0; fi

mkdir -p "$root"
work=$(mktemp -d "$root/.building.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
echo "building llama-server for this CPU (about 9 CPU minutes, once) ..." >&2
"$here/llama_source.sh" "$work" "$locks"
# As scripts/llama_wheel.sh has it, which says why.
cflags=""
[ "$(uname -m)" != x86_64 ] || cflags="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
export PATH="$work/venv/bin:$PATH"
cmake -S "$work/source/vendor/llama.cpp" -B "$work/build" -G Ninja --log-level=WARNING \
    -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF \
    "-DCMAKE_C_FLAGS=$cflags" "-DCMAKE_CXX_FLAGS=$cflags" \
    -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF >&2
cmake --build "$work/build" --target llama-server --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" >"$work/log" 2>&1 || {
    tail -n 40 "$work/log" >&2
    exit 1
}
mkdir "$work/done"
mv "$work/build/bin/llama-server" "$work/done/llama-server"
mv -T "$work/done" "$target" 2>/dev/null || [ -d "$target" ]
echo "$target/llama-server"
