from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from cerebrum_kit.settings import Alias, BadSettings, ServiceSettings, credential, load


class Backend(BaseModel):
    name: str
    url: str


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="CEREBRUM_TEST_", frozen=True, extra="ignore")
    aliases: ClassVar[tuple[Alias, ...]] = (Alias("OLD_PORT", "CEREBRUM_TEST_PORT"),)

    port: int = Field(7000, ge=0, le=65535)
    backends: tuple[Backend, ...] = ()
    secret: SecretStr | None = None


def test_defaults_need_nothing() -> None:
    settings, notes = load(Settings, {})
    assert (settings.port, notes) == (7000, [])


def test_json_lists_are_read() -> None:
    settings, _ = load(Settings, {"CEREBRUM_TEST_BACKENDS": '[{"name": "vps", "url": "http://x"}]'})
    assert settings.backends == (Backend(name="vps", url="http://x"),)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CEREBRUM_TEST_PORT", "99999", ["CEREBRUM_TEST_PORT", "65535", "'99999'"]),
        ("CEREBRUM_TEST_PORT", "seven", ["CEREBRUM_TEST_PORT", "integer", "'seven'"]),
        ("CEREBRUM_TEST_PROT", "7000", ["CEREBRUM_TEST_PROT", "did you mean CEREBRUM_TEST_PORT?"]),
        ("CEREBRUM_TEST_BACKENDS", '[{"name": "vps"}]', ["CEREBRUM_TEST_BACKENDS[0].url", "required"]),
        ("CEREBRUM_TEST_BACKENDS", "[{", ["CEREBRUM_TEST_BACKENDS"]),
    ],
)
def test_bad_value_names_the_variable_what_was_given_and_what_is_allowed(
    name: str, value: str, words: list[str]
) -> None:
    with pytest.raises(BadSettings) as caught:
        load(Settings, {name: value})
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadSettings) as caught:
        load(Settings, {"CEREBRUM_TEST_PORT": "-1", "CEREBRUM_TEST_NONE": "x"})
    assert len(str(caught.value).splitlines()) == 2


def test_secret_is_never_shown() -> None:
    class Strict(Settings):
        secret: SecretStr | None = Field(None, min_length=20)

    with pytest.raises(BadSettings) as caught:
        load(Strict, {"CEREBRUM_TEST_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(load(Settings, {"CEREBRUM_TEST_SECRET": "hunter2"})[0])


def test_old_name_is_read_with_a_note_and_the_new_one_wins() -> None:
    settings, notes = load(Settings, {"OLD_PORT": "7100"})
    assert settings.port == 7100
    assert notes == ["OLD_PORT is deprecated; use CEREBRUM_TEST_PORT"]
    settings, notes = load(Settings, {"OLD_PORT": "7100", "CEREBRUM_TEST_PORT": "7200"})
    assert (settings.port, notes) == (7200, [])


def test_empty_variable_is_an_unset_one() -> None:
    assert load(Settings, {"CEREBRUM_TEST_PORT": ""})[0].port == 7000


def test_credentials_directory_comes_first(tmp_path: Path) -> None:
    configured = Path("/etc/cerebrum/edge/keys/vps")
    assert credential(configured, {}) == configured
    assert credential(configured, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == configured
    (tmp_path / "vps").touch()
    assert credential(configured, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == tmp_path / "vps"


@pytest.mark.parametrize("service", ["edge", "inference"])
def test_service_ends_with_2_and_one_clear_line(service: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"cerebrum_{service}"],
        env={f"CEREBRUM_{service.upper()}_PORT": "99999", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"cerebrum-{service}: CEREBRUM_{service.upper()}_PORT: ")
