#!/bin/sh
# Makes the lab's base image, a folder named by what goes into it, once, and prints its path.
# usage: make_image.sh CACHE_DIR SUITE ARCHITECTURE [SOURCES_LINE...]     without lines: the suite's own, with security updates
#
# It is what a rented Debian host comes with and little more: what Cerebrum needs is installed by its roles.
set -eu
cache=$1 suite=$2 arch=$3
shift 3
packages=systemd,systemd-sysv,dbus,openssh-server,python3,ca-certificates,iproute2
bundle=/etc/ssl/certs/ca-certificates.crt
emulated=$(dirname "$0")/qemu-user.conf

# A quarter of a year in the name: packages of a cached image do not grow old without limit.
recipe=$({ cat "$0" "$emulated"; echo "$suite $* $packages $arch"; cat "$bundle"; date +%Y-; expr \( "$(date +%m | sed 's/^0//')" + 2 \) / 3; } | sha256sum | cut -c1-16)
image=$cache/debian-$suite-$arch-$recipe
if [ -d "$image" ]; then echo "$image"; exit 0; fi

mkdir -p "$cache"
# Two labs at once make it once.
exec 9> "$cache/.lock"
flock 9
if [ -d "$image" ]; then echo "$image"; exit 0; fi
work=$(mktemp -d "$cache/.making.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
# The machine's own certificates go in, so that hosts trust what the machine trusts (a company's proxy, for one).
# Host keys go out: every host makes its own.
mmdebstrap --quiet --arch="$arch" --variant=minbase --include="$packages" \
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/fstab; : > "$1"/etc/machine-id' \
    --customize-hook="copy-in $bundle /etc/ssl/certs" \
    "$suite" "$work/root" "$@" >&2
chmod 755 "$work/root"
if [ "$arch" != "$(dpkg --print-architecture)" ]; then
    install -D -m 644 "$emulated" "$work/root/etc/systemd/system/service.d/qemu-user.conf"
fi
mv -T "$work/root" "$image" 2>/dev/null || [ -d "$image" ]
echo "made $image" >&2
echo "$image"
