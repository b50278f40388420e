#!/bin/sh
# Builds tailscale and headscale from source, once, and prints the folder that holds them: an apt repository with
# tailscale as its makers package it, the key that signs it, and headscale.
# usage: molecule/tailnet/packages/build.sh CACHE_DIR
#
# Modules are pinned by go.sum, the compiler by locks/go.txt; both come through their package proxies, and are gone when
# the programs are built, unless GOPATH and GOCACHE name folders that stay. The target is named by what it is made from.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../../.." && pwd)
cache=$1
version=$(sed -n 's/^require tailscale.com v//p' "$here/tailscale/go.mod")
arch=$(dpkg --print-architecture)
recipe=$(cat "$0" "$project/molecule/resources/apt_repository.sh" "$here"/*/go.mod "$here"/*/go.sum "$project/locks/go.txt" | sha256sum | cut -c1-16)
target=$cache/tailnet-$recipe-$arch
if [ -d "$target" ]; then echo "$target"; exit 0; fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/.building.XXXXXX")
# Go keeps its modules read-only.
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT INT TERM
echo "building tailscale $version and headscale (5 to 10 minutes on 2 cores, once) ..." >&2

export PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --require-hashes --no-deps -r "$project/locks/go.txt" >&2
export PATH="$work/venv/bin:$PATH" GOPATH="${GOPATH:-$work/go}" GOCACHE="${GOCACHE:-$work/cache}" GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0
export GOFLAGS="-mod=readonly -trimpath"
# Left out: what neither the role nor its tests use and what brings the largest dependencies.
omit=ts_omit_aws,ts_omit_kube,ts_omit_ssh,ts_omit_drive,ts_omit_webclient,ts_omit_systray,ts_omit_desktop_sessions
mkdir -p "$work/bin" "$work/out/apt"
(cd "$here/tailscale" && go build -tags "$omit" -ldflags '-s -w' -o "$work/bin/" tailscale.com/cmd/tailscale tailscale.com/cmd/tailscaled)
(cd "$here/headscale" && go build -ldflags '-s -w' -o "$work/out/headscale" github.com/juanfont/headscale/cmd/headscale)

# The package: the makers' own unit, defaults and scripts around the programs.
source=$(cd "$here/tailscale" && go list -m -f '{{.Dir}}' tailscale.com)
root=$work/package
mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/usr/sbin" "$root/lib/systemd/system" "$root/etc/default"
install -m 755 "$work/bin/tailscale" "$root/usr/bin/"
install -m 755 "$work/bin/tailscaled" "$root/usr/sbin/"
install -m 644 "$source/cmd/tailscaled/tailscaled.service" "$root/lib/systemd/system/"
install -m 644 "$source/cmd/tailscaled/tailscaled.defaults" "$root/etc/default/tailscaled"
for script in postinst prerm postrm; do install -m 755 "$source/release/deb/debian.$script.sh" "$root/DEBIAN/$script"; done
echo /etc/default/tailscaled > "$root/DEBIAN/conffiles"
# A second, newer one with the same programs: what a role that takes the latest would install, and what one upgrades to.
for number in "$version" "$version+newer"; do
    cat > "$root/DEBIAN/control" <<CONTROL
Package: tailscale
Version: $number
Architecture: $arch
Maintainer: Cerebrum's tests <tests@cerebrum.invalid>
Depends: iptables
Section: net
Priority: extra
Description: tailscale as the scenario tailnet builds it
CONTROL
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$root" "$work/out/apt/tailscale_${number}_$arch.deb" >&2
done

"$project/molecule/resources/apt_repository.sh" "$work/out" bookworm >&2
echo "$version" > "$work/out/version"
chmod 755 "$work/out"
mv -T "$work/out" "$target" 2>/dev/null || [ -d "$target" ]
echo "$target"
