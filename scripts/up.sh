#!/bin/sh
# Makes the lab's hosts, deploys site.yml to them, and streams a completion through both. Again: changes nothing.
set -eu
cd "$(dirname "$0")/.."
began=$(date +%s)
[ "$(id -u)" = 0 ] || { echo "cerebrum: make up makes hosts on this machine, which takes root; make dev does not" >&2; exit 1; }
scripts/venv.sh
.venv/bin/ansible-playbook -i inventories/lab playbooks/lab_up.yml
.venv/bin/ansible-playbook -i inventories/lab site.yml
url=$(scripts/lab_url.sh)
prompt='def fibonacci(n):'

printf '\n$ cerebrum ask %s\n%s' "'$prompt'" "$prompt"
.venv/bin/cerebrum ask --url "$url" --max-tokens 48 --seed 7 --temperature 0.7 "$prompt"
echo
.venv/bin/cerebrum status --url "$url"
lab=$(.venv/bin/ansible -i inventories/lab pi -m ansible.builtin.debug -a 'var=lab_folder' | grep -o '/var/[^"]*')
cat <<END

The words above are a 5-million-parameter demonstration model's: it shows that the pipeline works and writes no useful code.

  edge        $url          try: curl -N $url/v1/complete/stream -H 'content-type: application/json' -d '{"prompt": "import "}'
  metrics     $url/metrics
  terminal    CEREBRUM_URL=$url .venv/bin/cerebrum ask 'class Stack:'
  the hosts   ssh -F $lab/ssh_config pi     (or vps)
  remove      make down

make up took $(( $(date +%s) - began )) s.
END
