"""A balancer comes between one edge and three inference hosts, all of which goes on under load."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import uuid
from pathlib import Path

import httpx
import pytest

from fleet import STREAM, Clients, Lab, metric, stream, that_streams, work
from nodes import Node
from plays import play
from support.waiting import eventually

# Plays and boots take as long as the machine needs; a test that hangs is what this is for.
pytestmark = pytest.mark.timeout(900)
HERE = Path(__file__).parents[1]
WHERE = ("-i", str(HERE / "three.ini"), "-i", str(HERE / "balanced.ini"))
HOSTS = ("vps1", "vps2", "vps3")
CONFIGURATION = "/etc/haproxy/haproxy.cfg"
KEY = "/etc/cerebrum/edge/keys/pool"
DIGESTS = "/etc/cerebrum/inference/api_keys"


def deploy(book: str, *words: str) -> subprocess.CompletedProcess[str]:
    return play(book, *WHERE, *words)


def told(balancer: Node, pattern: str) -> float:
    """A metric of the balancer, which shows them on its loopback only."""
    script = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8405/metrics').read().decode())"
    return metric(balancer.host.check_output(f'python3 -c "{script}"'), pattern)


def sent(balancer: Node) -> dict[str, float]:
    """Requests that each host was sent."""
    name = r'haproxy_server_sessions_total\{{proxy="inference",server="{}"\}}'
    return {host: told(balancer, name.format(host)) for host in HOSTS}


def state(balancer: Node, host: str) -> str:
    states = ("UP", "DOWN", "DRAIN", "NOLB", "MAINT")
    name = r'haproxy_server_status\{{proxy="inference",server="{}",state="{}"\}}'
    return next(one for one in states if told(balancer, name.format(host, one)))


def all_up(balancer: Node) -> None:
    eventually(lambda: {state(balancer, host) for host in HOSTS} == {"UP"}, "every host is up", seconds=60)


def each_has_its_share(balancer: Node, clients: Clients, *hosts: str) -> None:
    before = sent(balancer)

    def all_grew() -> bool:
        # What begins alike goes to one host, as long as that has no more than its share: it takes several.
        for number in range(12):
            stream(clients.url, {**STREAM, "prompt": f"def number_{number}(n):", "max_tokens": 4})
        now = sent(balancer)
        return all(now[host] > before[host] for host in hosts)

    eventually(all_grew, f"a share for each of {hosts}", seconds=120)
    clients.more()


def test_balancer_comes_between_and_nothing_is_lost(
    pi: Node, vps1: Node, vps2: Node, vps3: Node, balancer: Node
) -> None:
    with Clients(pi.url, gentle=True) as clients:
        done = deploy("site.yml")
        assert done.returncode == 0, done.stdout[-4000:]
        all_up(balancer)
        each_has_its_share(balancer, clients, *HOSTS)
    assert clients.failures == []
    # One key for the pool, which every host admits, and no other is left.
    assert pi.host.file("/etc/cerebrum/edge/keys").listdir() == ["pool"]
    digest = hashlib.sha256(pi.host.file(KEY).content).hexdigest()
    for host in (vps1, vps2, vps3):
        lines = host.host.file(DIGESTS).content_string.splitlines()
        assert [line.split()[:2] for line in lines] == [[f"pi.{digest[:8]}", digest]]


def test_second_run_changes_nothing() -> None:
    done = deploy("site.yml")
    assert done.returncode == 0, done.stdout[-4000:]
    assert done.stdout.count("changed=0") == 5, done.stdout[-1000:]


def test_balancer_is_in_a_sandbox_and_lets_only_edges_in(pi: Node, balancer: Node) -> None:
    said = balancer.host.check_output("systemd-analyze security --no-pager --threshold=12 haproxy.service")
    assert re.search(r"Overall exposure level for haproxy.service: (0|1)\.\d OK", said), said
    users = balancer.host.check_output("ps -C haproxy -o user=").split()
    assert users
    assert set(users) == {"haproxy"}
    with pytest.raises(httpx.ConnectTimeout):
        httpx.get(f"{balancer.url}/health", timeout=2, trust_env=False)
    ask = f"import urllib.request as r; print(r.urlopen('{balancer.url}/health').status)"
    assert pi.host.check_output(f'python3 -c "{ask}"') == "200"


def test_what_begins_alike_goes_to_one_host_which_has_computed_it(pi: Node, balancer: Node) -> None:
    # More than the edge looks at, which is the first 1000 characters.
    beginning = f"# {uuid.uuid4()}\n" + "def add(a, b):\n    return a + b\n\n\n" * 30
    before, cached = sent(balancer), []
    for number in range(6):
        body = {"prompt": f"{beginning}def last_{number}(", "max_tokens": 4, "temperature": 0}
        answer = httpx.post(f"{pi.url}/v1/completions", json=body, timeout=60, trust_env=False).json()
        cached.append(answer["usage"]["prompt_tokens_details"]["cached_tokens"])
    now = sent(balancer)
    # Edges ask for the models now and then, which goes anywhere.
    assert max(now[host] - before[host] for host in HOSTS) >= 6, (before, now)
    assert cached[0] < 50
    assert min(cached[1:]) > 100, cached


def test_streams_outlive_services_and_a_host_behind_the_balancer(
    pi: Node, vps1: Node, vps2: Node, vps3: Node, balancer: Node, lab: Lab
) -> None:
    with Clients(pi.url) as clients:
        for host in (vps1, vps2, vps3):
            clients.more(streams=2, shorts=2)
            host.host.check_output(f"systemctl kill --kill-who=main --signal=SIGKILL {host.instance()}")
        clients.until_resumed(0)
        all_up(balancer)
        resumed = clients.resumed
        busy = that_streams(pi, ("vps1", vps1), ("vps2", vps2), ("vps3", vps3), key="pool")
        lab.kill(busy)
        clients.until_resumed(resumed)
        clients.more(streams=6, shorts=6)
        assert state(balancer, busy) == "DOWN"
        lab.revive(busy)
        all_up(balancer)
        each_has_its_share(balancer, clients, busy)
    assert clients.failures == []


def test_drained_host_ends_idle_and_stays_so_over_a_reload(pi: Node, balancer: Node, vps2: Node) -> None:
    with Clients(pi.url, gentle=True) as clients:
        done = deploy("playbooks/drain.yml", "-e", "host=vps2", "-e", "state=drain")
        assert done.returncode == 0, done.stdout[-4000:]
        assert "vps2 gets no new requests and has 0 left" in " ".join(done.stdout.split())
        idle = work(pi, vps2, "pool")
        done = deploy("playbooks/balancer.yml", "-e", "haproxy_check_seconds=3")
        assert done.returncode == 0, done.stdout[-4000:]
        assert "changed=0" not in next(line for line in done.stdout.splitlines() if line.startswith("balancer  "))
        clients.more(streams=8)
        assert state(balancer, "vps2") == "DRAIN"
        assert work(pi, vps2, "pool") == idle
        done = deploy("playbooks/drain.yml", "-e", "host=vps2", "-e", "state=ready")
        assert done.returncode == 0, done.stdout[-4000:]
        each_has_its_share(balancer, clients, "vps2")
    assert clients.failures == []


def test_streams_outlive_reloads(pi: Node, balancer: Node) -> None:
    with Clients(pi.url) as clients:
        for _ in range(5):
            balancer.host.check_output("systemctl reload haproxy.service")
            clients.more(streams=1, shorts=2)
    assert clients.failures == []
    assert clients.resumed == 0, "a reload cuts nothing"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("frontend mine\n    nonsense", "unknown keyword 'nonsense'"),
        ("frontend mine\n    mode http\n    bind 0.0.0.0:22", "serves on and is put back"),
    ],
    ids=["refused before it is written", "refused when it is loaded"],
)
def test_wrong_configuration_changes_nothing(pi: Node, balancer: Node, extra: str, words: str) -> None:
    before = balancer.host.file(CONFIGURATION).content
    more = {"haproxy_check_seconds": 3, "haproxy_extra": extra}
    with Clients(pi.url, gentle=True) as clients:
        done = deploy("playbooks/balancer.yml", "-e", json.dumps(more))
        assert done.returncode == 2, done.stdout[-4000:]
        assert words in " ".join(done.stdout.split()), done.stdout[-4000:]
        clients.more()
    assert clients.failures == []
    assert balancer.host.file(CONFIGURATION).content == before
    done = deploy("playbooks/balancer.yml", "-e", "haproxy_check_seconds=3")
    assert done.stdout.count("changed=0") == 5, done.stdout[-1000:]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("cerebrum_transport=ssh_tunnel", "tunnels begin on edges"),
        ("haproxy_address=127.0.0.1", "pi reaches none of the balancers (balancer)"),
    ],
)
def test_balancer_where_nobody_reaches_it_is_refused(wrong: str, words: str) -> None:
    done = deploy("site.yml", "-e", wrong)
    assert done.returncode != 0, done.stdout[-1000:]
    assert words in " ".join(done.stdout.split())
    assert done.stdout.count("changed=0") == 5, "nothing was touched"


def test_keys_of_the_pool_are_rotated_and_nothing_is_lost(pi: Node, vps1: Node, vps2: Node, vps3: Node) -> None:
    old = pi.host.file(KEY).content
    with Clients(pi.url, gentle=True) as clients:
        done = deploy("playbooks/rotate_keys.yml", "--limit", "edge:haproxy:vps2:vps3")
        assert done.returncode == 2
        assert "whose keys vps1 makes, which is not in this run" in " ".join(done.stdout.split())
        done = deploy("playbooks/rotate_keys.yml")
        assert done.returncode == 0, done.stdout[-4000:]
        clients.more()
    assert clients.failures == []
    new = pi.host.file(KEY).content
    assert new != old
    for host in (vps1, vps2, vps3):
        admitted = host.host.file(DIGESTS).content_string
        assert hashlib.sha256(new).hexdigest() in admitted
        assert len(admitted.splitlines()) == 1


def test_balancer_says_in_json_that_nobody_is_there(pi: Node, balancer: Node) -> None:
    admin = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy/admin.sock'); "
        "s.sendall(b'{};{};{}\\n'); s.recv(99)"
    )
    ask = (
        f"import http.client as h; c = h.HTTPConnection('{balancer.address}', 9200); "
        "c.request('GET', '/v1/models', headers={'x-request-id': 'mine'}); a = c.getresponse(); "
        "print(a.status, a.headers['retry-after'], a.read().decode())"
    )

    def put(word: str) -> None:
        script = admin.format(*(f"set server inference/{host} state {word}" for host in HOSTS))
        balancer.host.check_output(f'python3 -c "{script}"')

    put("maint")
    try:
        said = pi.host.check_output(f'python3 -c "{ask}"')
    finally:
        put("ready")
    status, wait, body = said.split(" ", 2)
    assert (status, wait) == ("503", "2")
    error = json.loads(body)["error"]
    assert (error["code"], error["request_id"]) == ("upstream_unavailable", "mine")
    all_up(balancer)
