# What of Cerebrum is on this host, a line each. Other roles need no entry here: their files say who manages them, and
# everything of ours has the name. What stays is what is older: packages, logs, and what was written by somebody else.
for folder in /opt/cerebrum /etc/cerebrum /var/lib/cerebrum; do
    [ ! -e "$folder" ] || find "$folder" -mindepth 0 -maxdepth 1 -printf '%p\n'
done
find /etc -xdev \( -path /etc/cerebrum -o -path /etc/ssl \) -prune -o \( -name '*cerebrum*' -o -type f -size -100k \
    -exec grep -qsE 'Managed by Ansible \(role [a-z_]+\)' {} \; \) -print
for base in passwd group; do
    getent "$base" | sed -n "s/^\(cerebrum-[^:]*\):.*/$base: \1/p"
done
systemctl list-units --all --plain --no-legend --no-pager 'cerebrum-*' | sed 's/ .*//; s/^/unit: /'
if command -v nft > /dev/null; then
    nft list tables | grep -w cerebrum || true
fi
