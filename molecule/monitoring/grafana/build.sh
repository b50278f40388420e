#!/bin/sh
# An apt repository, signed by a key of its own, with a stand-in for Grafana: a package of that name whose program reads the
# settings that role grafana gives it and answers /api/health. What Grafana itself makes of them is not seen by it.
# usage: build.sh FOLDER     (gets apt/, key.asc, fingerprint)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
arch=$(dpkg --print-architecture)
root=$1/package
mkdir -p "$root/DEBIAN" "$root/usr/share/grafana/bin" "$root/lib/systemd/system" "$1/apt"
install -m 755 "$here/stand_in.py" "$root/usr/share/grafana/bin/grafana"
cat > "$root/lib/systemd/system/grafana-server.service" <<UNIT
[Unit]
Description=Grafana instance
[Service]
User=grafana
Group=grafana
ExecStart=/usr/share/grafana/bin/grafana server
[Install]
WantedBy=multi-user.target
UNIT
cat > "$root/DEBIAN/control" <<CONTROL
Package: grafana
Version: 99.0.0
Architecture: $arch
Maintainer: Cerebrum's tests <tests@cerebrum.invalid>
Depends: adduser, python3
Description: stand-in of the scenario monitoring
CONTROL
cat > "$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
adduser --quiet --system --group --no-create-home --home /usr/share/grafana grafana
POSTINST
chmod 755 "$root/DEBIAN/postinst"
dpkg-deb --root-owner-group --build "$root" "$1/apt/grafana_99.0.0_$arch.deb" >&2
"$here/../../resources/apt_repository.sh" "$1" stable
