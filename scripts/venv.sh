#!/bin/sh
# Makes .venv: every service (editable) and every tool, from the hash-pinned locks. Does nothing when it is current.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
cache=${CEREBRUM_CACHE:-$HOME/.cache/cerebrum}

missing=""
command -v "$python" >/dev/null 2>&1 || missing="python3-venv"
[ -n "$missing" ] || "$python" -c 'import ensurepip, venv' 2>/dev/null || missing="python3-venv"
if [ -n "$missing" ]; then
    echo "cerebrum: $missing is missing; install it with: apt-get install -y $missing" >&2
    exit 1
fi
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "cerebrum: $("$python" --version) is too old; 3.11 or newer is needed (Debian 12 has it)" >&2
    exit 1
}

wheel_folder=$(WHERE_ONLY=1 scripts/llama_wheel.sh "$cache/wheels")
stamp=$(basename "$wheel_folder")-$(cat locks/*.txt pyproject.toml services/*/pyproject.toml scripts/venv.sh | sha256sum | cut -c1-16)-$("$python" -c 'import sys; print(sys.version.split()[0])')
[ "$(cat .venv/.stamp 2>/dev/null)" = "$stamp" ] && exit 0

# llama-cpp-python is compiled: that takes a compiler, which is the one thing here that only root can add.
if ! ls "$wheel_folder"/*.whl >/dev/null 2>&1; then
    for tool in gcc:gcc g++:g++; do
        command -v "${tool%%:*}" >/dev/null 2>&1 || missing="$missing ${tool##*:}"
    done
    if [ -n "$missing" ]; then
        if [ "$(id -u)" != 0 ]; then
            echo "cerebrum:$missing missing; install with: apt-get install -y$missing" >&2
            exit 1
        fi
        echo "installing$missing (to compile llama.cpp)"
        DEBIAN_FRONTEND=noninteractive scripts/apt_install.sh $missing libc6-dev
    fi
fi
wheel=$(PYTHON=$python scripts/llama_wheel.sh "$cache/wheels")

echo "making .venv from locks/dev.txt"
export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1
unset PIP_FIND_LINKS || true
rm -rf .venv
"$python" -m venv .venv
.venv/bin/pip install --quiet --require-hashes --only-binary :all: --no-deps -r locks/dev.txt
.venv/bin/pip install --quiet --no-deps --no-index "$wheel"
.venv/bin/pip install --quiet --no-deps --no-index --no-build-isolation \
    --editable services/kit --editable services/edge --editable services/inference --editable services/cli
.venv/bin/pip check --quiet || .venv/bin/pip check
echo "$stamp" > .venv/.stamp
