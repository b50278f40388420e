#!/bin/sh
# What the lab's edge says of itself, its backend and the models.
set -eu
cd "$(dirname "$0")/.."
url=$(scripts/lab_url.sh) || exit 1
exec .venv/bin/cerebrum status --url "$url"
