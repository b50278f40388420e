# What is on a host, a line each: its files but for logs, caches and what is in memory; accounts, units, ports, tables.
find / -xdev \( -path /dev -o -path /proc -o -path /run -o -path /sys -o -path /tmp -o -path /var/cache -o -path /var/log \
    -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/tmp -o -path /var/backups -o -path /var/lib/logrotate \
    -o -path /var/lib/systemd/timers -o -name __pycache__ \) -prune -o -printf 'file %p\n'
for base in passwd group; do
    getent "$base" | sed "s/^\([^:]*\):.*/$base \1/"
done
systemctl list-unit-files --plain --no-legend --no-pager | sed 's/^\([^ ]*\) *\([^ ]*\).*/unit \1 \2/'
ss -Htln | awk '{print "port " $4}'
nft list tables
