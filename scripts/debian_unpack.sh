#!/bin/sh
# Unpacks Debian packages into the cache and prints where: for tests that want a program and not its service. Installed,
# prometheus and its kin would be enabled, and where systemd runs started, on every address of this machine. Needs no
# root, and does nothing when the version that apt would install is there already.
# usage: scripts/debian_unpack.sh PACKAGE...
set -eu
cache=${CEREBRUM_CACHE:-$HOME/.cache/cerebrum}/debian

# NAME=VERSION of each that apt knows.
candidates() { LC_ALL=C apt-cache policy "$@" | awk '/^[^ ]/ { name = substr($1, 1, length($1) - 1) } $1 == "Candidate:" && $2 != "(none)" { print name "=" $2 }'; }

wanted=$(candidates "$@")
if [ "$(echo "$wanted" | wc -w)" -lt $# ]; then # lists of packages were never fetched here
    apt-get update -qq >&2 || echo "apt-get update: some sources failed; going on with the rest" >&2
    wanted=$(candidates "$@")
    [ "$(echo "$wanted" | wc -w)" -eq $# ] || { echo "cerebrum: apt does not know all of: $*; as root: apt-get update" >&2; exit 1; }
fi

root=$cache/$(printf '%s' "$wanted" | sha256sum | cut -c1-16)
if [ -d "$root" ]; then echo "$root"; exit 0; fi
echo "unpacking" $wanted >&2
mkdir -p "$cache"
# Two test runs at once do it one after the other, and never use what is half there.
exec 9> "$root.lock"
flock 9
if [ ! -d "$root" ]; then
    rm -rf "$root.new"
    mkdir "$root.new"
    (cd "$root.new" && apt-get download -qq $wanted >&2) # warns of root's own folder; that does no harm
    for file in "$root.new"/*.deb; do
        dpkg-deb -x "$file" "$root.new"
        rm "$file"
    done
    mv "$root.new" "$root"
fi
echo "$root"
