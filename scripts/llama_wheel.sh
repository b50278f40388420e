#!/bin/sh
# Builds llama-cpp-python's wheel for this CPU from the hash-pinned archive, once, and prints the wheel's path.
# usage: scripts/llama_wheel.sh OUTPUT_ROOT [LOCKS_DIR]     with WHERE_ONLY=1: prints the wheel's folder, builds nothing
#
# The wheel is compiled with -march=native, so its folder is named by the archive's hash, by the CPU's flags and by how it
# is compiled: a machine with another CPU, or a VPS that was moved to one, builds its own instead of dying with an
# illegal instruction. LLAMA_BUILD=portable compiles for every x86-64-v3 CPU (2013 and later) instead, for machines
# that are moved about or too small to compile. LLAMA_ACCELERATOR=vulkan or cuda compiles for a GPU as well; such a wheel
# has a folder of its own. With COMMAND_ONLY=1: prints what cmake is told, and builds nothing. The same script runs on the controller and on the inference host.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$1
locks=${2:-$here/../locks}
python=${PYTHON:-python3}

archive=$(sed -n 's/.*--hash=sha256:\([0-9a-f]\{12\}\).*/\1/p' "$locks/llama.txt" | head -n 1)
cpu=$(sed -n 's/^\(flags\|Features\)[[:space:]]*: //p' /proc/cpuinfo | head -n 1 | tr ' ' '\n' | sort -u | sha256sum | cut -c1-12)
build=${LLAMA_BUILD:-native}
flags="-DLLAVA_BUILD=OFF"
machine=$(uname -m)
case $build-$machine in
    native-*) flags="$flags -DGGML_NATIVE=ON" ;;
    portable-x86_64)
        cpu=x86-64-v3
        flags="$flags -DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON" ;;
    portable-aarch64)
        cpu=armv8.2-a
        flags="$flags -DGGML_NATIVE=OFF -DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod" ;;
    *) echo "cerebrum: LLAMA_BUILD=$build on $machine: allowed are native and portable (on x86_64 and aarch64)" >&2; exit 2 ;;
esac
# Debian 12's gcc 12 drops the stores that fill AMX's tile configuration, and the first matrix product then ends the
# process with SIGSEGV, on every Xeon since Sapphire Rapids. AVX-512 does the work instead.
cc="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
[ "$machine" = x86_64 ] || cc=""
accelerator=${LLAMA_ACCELERATOR:-none}
gpu="" with="" stamp=""
case $accelerator in
    none) ;;
    vulkan)
        gpu=-vulkan flags="$flags -DGGML_VULKAN=ON"
        # Debian 12's Vulkan headers lack a type that llama.cpp names. Where this file is must not change the folder's name.
        with=" -include \"$here/vulkan_compat.hpp\"" stamp=" $(sha256sum <"$here/vulkan_compat.hpp")" ;;
    cuda)
        gpu=-cuda flags="$flags -DGGML_CUDA=ON"
        PATH=$PATH:/usr/local/cuda/bin ;;
    *) echo "cerebrum: LLAMA_ACCELERATOR=$accelerator: allowed are none, vulkan and cuda" >&2; exit 2 ;;
esac
named="$flags${cc:+ '-DCMAKE_C_FLAGS=$cc' '-DCMAKE_CXX_FLAGS=$cc'}$stamp"
target=$root/llama-$archive-$cpu$gpu-$(echo "$named" | sha256sum | cut -c1-6)
if [ -n "${WHERE_ONLY:-}" ]; then echo "$target"; exit 0; fi
flags="$flags${cc:+ '-DCMAKE_C_FLAGS=$cc'}"
[ -z "$cc$with" ] || flags="$flags '-DCMAKE_CXX_FLAGS=$cc$with'"
if [ -n "${COMMAND_ONLY:-}" ]; then printf '%s\n' "$flags"; exit 0; fi
set -- "$target"/llama_cpp_python-*.whl
if [ -e "$1" ]; then echo "$1"; exit 0; fi

if [ "$accelerator" = cuda ] && ! command -v nvcc >/dev/null; then
    echo "cerebrum: LLAMA_ACCELERATOR=cuda needs nvcc, NVIDIA's compiler: install the CUDA toolkit (docs/gpu.md)" >&2
    exit 1
fi
mkdir -p "$root"
work=$(mktemp -d "$root/.building.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
echo "building llama.cpp for this CPU (about 4 minutes on 2 cores, once) ..." >&2
export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1
unset PIP_FIND_LINKS || true
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --require-hashes --no-deps -r "$locks/llama-build.txt"
mkdir "$work/wheel"
# --no-cache-dir: pip's cache of built wheels knows neither the CPU nor the flags, and would hand out another machine's.
# --no-build-isolation: the build tools are the pinned ones above, not whatever is newest today.
PATH="$work/venv/bin:$PATH" CMAKE_ARGS="$flags" \
    CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" \
    "$work/venv/bin/pip" wheel --quiet --quiet --no-cache-dir --no-deps --no-build-isolation --no-binary llama-cpp-python \
    --require-hashes -r "$locks/llama.txt" --wheel-dir "$work/wheel" >&2
# Beside each other and atomic: two builders may finish at once, and the first one's wheel stays.
mv -T "$work/wheel" "$target" 2>/dev/null || [ -d "$target" ]
echo "$target"/llama_cpp_python-*.whl
