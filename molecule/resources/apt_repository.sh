#!/bin/sh
# Makes an apt repository of packages, signed by a key of its own, with what a role that trusts it needs to be told.
# usage: apt_repository.sh FOLDER CODENAME     (FOLDER/apt holds the packages; FOLDER gets key.asc and fingerprint as well)
set -eu
folder=$1 codename=$2
here=$(cd "$(dirname "$0")" && pwd)
command -v gpg >/dev/null || "$here/../../scripts/apt_install.sh" gnupg >&2
arch=$(dpkg --print-architecture)
# Flat to look at, with the paths that "CODENAME main" means.
cd "$folder/apt"
index=main/binary-$arch/Packages
mkdir -p "dists/$codename/main/binary-$arch"
for deb in *.deb; do
    dpkg-deb --field "$deb"
    printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
done > "dists/$codename/$index"
cat > "dists/$codename/Release" <<RELEASE
Suite: $codename
Codename: $codename
Components: main
Architectures: $arch
Date: $(date -u '+%a, %d %b %Y %H:%M:%S UTC')
SHA256:
 $(sha256sum "dists/$codename/$index" | cut -d' ' -f1) $(stat -c %s "dists/$codename/$index") $index
RELEASE
# gpg's agent has its socket in here, and sockets cannot have long names: below TMPDIR rather than FOLDER.
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT INT TERM
gpg --batch --quiet --passphrase '' --quick-generate-key 'Cerebrum tests' rsa3072 sign never
gpg --batch --quiet --clearsign --output "dists/$codename/InRelease" "dists/$codename/Release"
gpg --batch --quiet --armor --export > "$folder/key.asc"
gpg --batch --with-colons --list-keys | sed -n 's/^fpr:*\([0-9A-F]*\):$/\1/p' | head -n 1 > "$folder/fingerprint"
