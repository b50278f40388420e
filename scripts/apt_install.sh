#!/bin/sh
# Installs Debian packages without asking. Package lists are fetched only when a package is not known yet, and a
# third-party source that fails to answer does not stop Debian's own from being used.
# usage: scripts/apt_install.sh PACKAGE...
set -eu
export DEBIAN_FRONTEND=noninteractive
# One at a time: apt waits for its own locks when it installs, and not when it fetches lists.
exec 9> /run/lock/cerebrum-apt.lock
flock 9
lock="-o DPkg::Lock::Timeout=300" # apt-daily holds it in a new machine's first minutes
{ # without the lock's descriptor, which a daemon that a package starts would keep
    if ! apt-get $lock install -y -qq --no-install-recommends "$@" >/dev/null 2>&1; then
        apt-get update -qq || echo "apt-get update: some sources failed; going on with the rest" >&2
        apt-get $lock install -y -qq --no-install-recommends "$@" >/dev/null
    fi
} 9>&-
