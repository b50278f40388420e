"""What `make new-inventory` accepts, and what it writes: files that Ansible reads back as they were meant."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scripts.inventory import answers, catalogue, text
from scripts.inventory.answers import Answers, Host, Refused
from scripts.inventory.questions import questions, without_asking
from support.repo import ROLES, ROOT, load

KNOWN = catalogue.catalogue(load("models/manifest.yml"))
QUESTIONS = questions(KNOWN)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
# Words that YAML reads as something else than text are among them.
WORDS = st.sampled_from(["on", "yes", "null", "true", "1e3", "0x10", "12:30", "pi", "y", "_", "root"])
USERS = st.from_regex(r"[A-Za-z_][A-Za-z0-9._-]{0,31}", fullmatch=True) | WORDS.filter(lambda word: word[0].isalpha())
ADDRESSES = (
    st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(lambda address: f"[{address}]")
    | st.from_regex(r"[a-z0-9]{1,9}(\.[a-z]{2,5}){0,2}", fullmatch=True)
)
PORTS = st.none() | st.integers(1, 65535)


def written(user: str, address: str, port: int | None, name: str | None) -> str:
    return f"{f'{name}=' if name else ''}{user}@{address}{f':{port}' if port else ''}"


ONE_HOST = st.builds(written, USERS, ADDRESSES, PORTS, st.none() | NAMES)
MANY_HOSTS = st.lists(ONE_HOST, min_size=1, max_size=3).map(",".join)


def refusal(words: str, **texts: str) -> str:
    """The message for flags that are wrong in one."""
    good = {"edges": "pi@192.168.1.20", "inference": "root@203.0.113.7"}
    with pytest.raises(Refused, match=re.escape(words)) as caught:
        answers.joined("home", without_asking(QUESTIONS, {**good, **texts}))
    return str(caught.value)


def message(work: Callable[[], object]) -> str:
    """What it refuses with; empty where it does not."""
    try:
        work()
    except Refused as exc:
        return str(exc)
    return ""


def parsed(site: Answers, **more: Any) -> dict[str, Any]:
    return {path: yaml.safe_load(content) for path, content in text.files(site, **more).items()}


@settings(deadline=None, max_examples=50)  # PyYAML is slow
@given(
    edges=MANY_HOSTS,
    inference=MANY_HOSTS,
    transport=st.sampled_from(answers.TRANSPORTS),
    models=st.lists(st.sampled_from([model.id for model in KNOWN]), unique=True, min_size=1).map(",".join),
    accelerator=st.sampled_from(answers.ACCELERATORS),
    access=st.sampled_from(answers.ACCESS),
    port=st.integers(1, 65535).map(str),
    clients=st.lists(st.ip_addresses(v=4).map(lambda one: f"{one}/32"), unique=True).map(",".join),
)
def test_accepted_answers_are_read_back_from_the_files(edges: str, inference: str, transport: str, **rest: str) -> None:
    texts = {
        "edges": edges, "inference": inference, "transport": transport, "models": rest["models"],
        "accelerator": rest["accelerator"], "edge_open": rest["access"], "edge_port": rest["port"],
        "clients": rest["clients"] or "private",
    }  # fmt: skip
    if transport == "direct":
        texts["addresses"] = ",".join(f"10.0.0.{number}" for number in range(1, inference.count(",") + 2))
    try:
        site = answers.joined("home", without_asking(QUESTIONS, texts))
    except Refused:
        assume(False)
    found = parsed(site, key_line=f"me {'0' * 64} 2026-01-31T00:00:00Z", secrets={"edge_client_key": "word"})
    groups = found["hosts.yml"]["all"]["children"]
    of_hosts: dict[str, Any] = {}
    for group in ("edge", "inference"):
        for name, variables in groups[group]["hosts"].items():
            of_hosts.setdefault(name, {}).update(variables or {})
    for index, host in enumerate(site.inference):
        if transport == "direct":
            assert of_hosts[host.name].pop("inference_address") == site.addresses[index]
    for host in (*site.edges, *site.inference):
        expected = {"ansible_host": host.address, "ansible_user": host.user}
        assert of_hosts[host.name] == expected | ({} if host.port is None else {"ansible_port": host.port})
    assert list(groups["edge"]["hosts"]) == [host.name for host in site.edges]
    assert list(groups["inference"]["hosts"]) == [host.name for host in site.inference]
    assert found["group_vars/all/vars.yml"] == {"cerebrum_transport": transport}
    inference_vars = {"inference_models": list(site.models)}
    if site.accelerator != "none":
        inference_vars["cerebrum_inference_accelerator"] = site.accelerator  # type: ignore[assignment]  # a list and a text in one table
    assert found["group_vars/inference.yml"] == inference_vars
    edge_vars: dict[str, Any] = {"edge_open": True} if site.edge_open else {
        "edge_api_keys": [f"me {'0' * 64} 2026-01-31T00:00:00Z"]
    }  # fmt: skip
    edge_vars |= {} if site.edge_port == 7000 else {"edge_port": site.edge_port}
    edge_vars |= {"firewall_edge_clients": list(site.clients)} if site.clients else {}
    letters = re.compile("^[^:]*[A-Za-z]")
    names = [host.address for host in site.edges if letters.match(host.address) and ":" not in host.address]
    edge_vars |= {"edge_allowed_hosts": names} if names else {}
    assert found["group_vars/edge.yml"] == edge_vars
    assert found[text.VAULT]["vault_edge_client_key"] == "word"


@given(st.sampled_from(QUESTIONS), st.text(max_size=40))
def test_any_text_is_taken_or_refused_in_words(question: Any, typed: str) -> None:
    told = message(lambda: question.parse(typed))
    assert told.isprintable()
    assert told.endswith(".") or not told


@settings(deadline=None)
@given(st.text(alphabet=st.characters(min_codepoint=1, max_codepoint=0x17F), min_size=1, max_size=60))
def test_a_secret_is_read_back_as_it_is_or_refused_without_being_shown(typed: str) -> None:
    if told := message(lambda: answers.secret(typed, "The key")):
        assert typed not in told or len(typed) < 9
        return
    key = typed.strip(" \r\n")
    values = yaml.safe_load(text.files(Answers("home", (), ()), secrets={"tailscale_auth_key": key})[text.VAULT])
    assert values["vault_tailscale_auth_key"] == key


@pytest.mark.parametrize(
    ("field", "given", "words"),
    [
        ("edges", "192.168.1.20", "has no user: write USER@ADDRESS"),
        ("edges", "pi@192.168.1.256", "'192.168.1.256', which is no IP address"),
        ("edges", "pi@192.168.1.20:99999", "The port is '99999'; 1 to 65535"),
        ("edges", "pi@bücher.example", "xn--"),
        ("edges", "pi@-oProxyCommand=id", "names a host 'pi@-oProxyCommand'"),
        ("edges", "pi pi@10.0.0.1", "has user 'pi pi'"),
        ("edges", "a=x@10.0.0.1,a=x@10.0.0.2", "a is the name of two"),
        ("edges", "edge=x@10.0.0.1", "no group's name"),
        ("inference", "pi@192.168.1.20", "ssh_tunnel joins two"),
        ("inference", "root@192.168.1.20", "192.168.1.20 is the address of two"),
        ("inference", "", "At least one host"),
        ("transport", "pigeon", "'pigeon'; allowed are ssh_tunnel, tailscale, direct"),
        ("addresses", "10.0.0.2", "Addresses of inference hosts are for direct"),
        ("login_server", "https://h.example", "A login server is for tailscale"),
        ("models", "gpt-9", "known are cerebrum-tiny, qwen_0.5b"),
        ("models", "qwen_7b,qwen_7b", "qwen_7b is the model of two"),
        ("accelerator", "metal", "allowed are none, vulkan, cuda"),
        ("edge_open", "yes", "allowed are key, open"),
        ("clients", "10.0.0.5/24", "host bits set); write 10.0.0.0/24"),
        ("clients", "10.0.0.0/33", "no network"),
        ("edge_port", "0", "1 to 65535"),
        ("edge_port", "\u0667\u0660\u0660\u0660", "1 to 65535"),
    ],
)
def test_what_cannot_be_is_refused(field: str, given: str, words: str) -> None:
    assert refusal(words, **{field: given})


@pytest.mark.parametrize("name", ["", "a/b", "../home", "bücher", "-x", "lab", "example", "home\n", "a" * 41])
def test_names_that_are_no_folders_are_refused(name: str) -> None:
    with pytest.raises(Refused, match="NAME is"):
        answers.site_name(name)


def test_direct_wants_an_address_for_each_inference_host() -> None:
    refusal("--inference-address is missing", transport="direct")
    refusal("2 hosts, 1 addresses", transport="direct", inference="a@10.9.0.1,a@10.9.0.2", addresses="10.0.0.2")
    refusal("every address", transport="direct", addresses="0.0.0.0")


def test_one_machine_may_be_both() -> None:
    texts = {"edges": "box=me@10.0.0.2", "inference": "me@10.0.0.2", "transport": "direct", "addresses": "127.0.0.1"}
    site = answers.joined("home", without_asking(QUESTIONS, texts))
    groups = parsed(site, key_line="x")["hosts.yml"]["all"]["children"]
    assert groups["edge"]["hosts"] == {"box": {"ansible_host": "10.0.0.2", "ansible_user": "me"}}
    assert groups["inference"]["hosts"] == {"box": {"inference_address": "127.0.0.1"}}


def test_memory_that_is_shown_is_what_role_inference_will_ask_for() -> None:
    defaults = load("roles/inference/defaults/main.yml")
    assert defaults["inference_slots"] == catalogue.SLOTS
    assert defaults["inference_max_context"] == catalogue.CONTEXT
    assert defaults["inference_reserve_mib"] == catalogue.RESERVE_MIB
    seven = next(model for model in KNOWN if model.id == "qwen_7b")
    assert "5.9 GiB" in seven.line  # 4.9 in docs/models.md, and 1 that stays free


def test_every_variable_that_is_written_exists() -> None:
    options = [load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]["options"] for role in ROLES]
    known = {name for one in options for name in one} | {*load("roles/preflight/vars/main.yml")["preflight__site"]}
    templates = ROOT / "scripts/inventory/templates"
    for path in templates.rglob("*.j2"):
        content = path.read_text(encoding="utf-8")
        for name in re.findall(
            r"^(?:.*}})? *(?:# )?((?!vault_|ansible_)[a-z]+_[a-z_]+):(?: |$)", content, re.MULTILINE
        ):
            assert name in known or name == "ssh_tunnel", f"{path.name}: {name}"  # a sentence begins with it


def test_example_is_what_the_generator_writes() -> None:
    command = [sys.executable, "-m", "scripts.inventory.example", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_example_differs_from_what_its_answers_give_only_in_marks_and_the_vault() -> None:
    site = Answers("home", (Host("pi", "pi", "192.168.1.20"),), (Host("vps", "root", "203.0.113.7"),), edge_open=True)
    plain = parsed(site)
    del plain[text.VAULT]
    assert {path: yaml.safe_load(content) for path, content in text.example().items()} == plain
