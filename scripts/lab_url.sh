#!/bin/sh
# Prints the address of the lab's edge, or says in one line that there is no lab.
set -eu
cd "$(dirname "$0")/.."
address=$(.venv/bin/ansible -i inventories/lab pi -m ansible.builtin.debug -a 'var=ansible_host' 2>/dev/null | grep -o '[0-9]*\.[0-9]*\.[0-9]*\.[0-9]*' | head -n 1 || true)
case $address in
    [0-9]*) echo "http://$address:7000" ;;
    *) echo "cerebrum: this checkout has no lab; \`make up\` makes one" >&2; exit 1 ;;
esac
