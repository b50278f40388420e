from __future__ import annotations

import json
from pathlib import Path

import pytest

from cerebrum_edge.settings import EdgeSettings, refuse_unguarded
from cerebrum_kit.settings import BadSettings, load


def test_without_settings_the_local_backend_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    settings, _ = load(EdgeSettings, {})
    (backend,) = settings.backends
    assert (backend.url, backend.api_key_file) == ("http://127.0.0.1:9000", tmp_path / "cerebrum" / "inference-key")


def test_names_of_the_original_are_read() -> None:
    settings, notes = load(
        EdgeSettings,
        {
            "VPS_ENDPOINT": "http://127.0.0.1:9000/",
            "VPS_API_KEY": "the-key\n",
            "CEREBRUM_HOST": "0.0.0.0",
            "CEREBRUM_PORT": "7001",
            "LOG_LEVEL": "debug",
        },
    )
    assert settings.backends[0].url == "http://127.0.0.1:9000"
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "the-key"
    assert (settings.host, settings.port, settings.log_level) == ("0.0.0.0", 7001, "DEBUG")
    assert len(notes) == 5


def test_originals_key_alone_means_its_usual_backend() -> None:
    settings, _ = load(EdgeSettings, {"VPS_API_KEY": "the-key"})
    (backend,) = settings.backends
    assert (backend.url, backend.api_key_file) == ("http://127.0.0.1:9000", None)


def test_server_that_is_not_ours_may_serve_behind_a_path_and_have_other_names() -> None:
    rows = [
        {"name": "a", "kind": "openai", "url": "http://gpu:8000/v1/", "models": {"coder": "org/model"}},
        {"name": "b", "kind": "openai", "url": "https://ray.example/llm", "models": {"c": {"name": "m", "context": 9}}},
    ]
    settings, _ = load(EdgeSettings, {"CEREBRUM_EDGE_BACKENDS": json.dumps(rows)})
    one, other = settings.backends
    assert (one.url, one.models["coder"].name, one.models["coder"].languages) == ("http://gpu:8000", "org/model", ())
    assert (other.url, other.models["c"].context) == ("https://ray.example/llm", 9)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('[{"name": "a", "url": "http://x/v1"}]', "BACKENDS[0].url: write http://HOST:PORT, without a path"),
        (
            '[{"name": "a", "kind": "openai", "url": "http://u:secret@x"}]',
            "http://HOST:PORT[/PATH], without a password",
        ),
        ('[{"name": "a", "kind": "openai", "url": "http://x/v1?k=v"}]', "BACKENDS[0].url"),
        ('[{"name": "a", "kind": "vllm", "url": "http://x"}]', "BACKENDS[0].kind"),
        ('[{"name": "a", "url": "http://x", "models": {"m": "n"}}]', "models are for kind openai"),
        (
            '[{"name": "a", "kind": "openai", "url": "http://x", "models": {"m": {"name": "n", "x": 1}}}]',
            "BACKENDS[0].models",
        ),
        ('[{"name": "a", "kind": "openai", "url": "http://x", "models": ["m"]}]', "BACKENDS[0].models"),
        ('[{"name": "a", "url": "ftp://x"}]', "BACKENDS[0].url: write http://HOST:PORT"),
        ('[{"name": "a", "url": "http://user:secret@x"}]', "BACKENDS[0].url"),
        ('[{"name": "a b", "url": "http://x"}]', "BACKENDS[0].name"),
        ('[{"name": "a", "url": "http://x", "key": "k"}]', "BACKENDS[0].key"),
        ('[{"name": "a", "url": "http://x:abc"}]', "BACKENDS[0].url"),
        ('[{"name": "a", "url": "http://[::1"}]', "BACKENDS[0].url"),
        ("[]", "at least 1"),
        ('[{"name": "a", "url": "http://x"}, {"name": "a", "url": "http://y"}]', "two backends have the name a"),
        ("http://x", "BACKENDS"),
    ],
)
def test_bad_backends_are_refused(value: str, words: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load(EdgeSettings, {"CEREBRUM_EDGE_BACKENDS": value})
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["sch\u00f6n", "two words"])
def test_key_that_is_none_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(BadSettings, match="expected one key") as caught:
        load(EdgeSettings, {"VPS_API_KEY": key})
    assert key not in str(caught.value)


def test_empty_old_name_is_an_unset_one() -> None:
    assert load(EdgeSettings, {"VPS_ENDPOINT": ""})[1] == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_word_about_who_may_come(address: str) -> None:
    refuse_unguarded(EdgeSettings(), [address])


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.4", "pi.home"])
def test_elsewhere_it_must_be_said_who_may_come(address: str) -> None:
    with pytest.raises(BadSettings, match=r"CEREBRUM_EDGE_API_KEYS_FILE: .* `open`"):
        refuse_unguarded(EdgeSettings(), ["127.0.0.1", address])
    for said in ("open", "/etc/cerebrum/edge/client_keys"):
        refuse_unguarded(EdgeSettings(api_keys_file=Path(said)), [address])
