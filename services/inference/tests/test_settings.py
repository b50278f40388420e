from __future__ import annotations

import ipaddress

import pytest

from cerebrum_inference.settings import InferenceSettings
from cerebrum_kit.settings import BadSettings, load


def test_names_of_the_original_are_read() -> None:
    settings, notes = load(
        InferenceSettings,
        {
            "CEREBRUM_API_KEY": "a-key-of-the-original",
            "VPS_BIND_IP": "100.64.0.2",
            "CEREBRUM_VPS_PORT": "9001",
            "ALLOWED_CM4_IP": "100.64.0.1, 192.168.1.0/24",
            "CEREBRUM_N_THREADS": "1",
            "MAX_CPU_PERCENT": "70",
        },
    )
    assert (settings.host, settings.port, settings.threads) == ("100.64.0.2", 9001, 1)
    assert settings.api_key is not None
    assert settings.allowed_clients == (
        ipaddress.ip_network("100.64.0.1/32"),
        ipaddress.ip_network("192.168.1.0/24"),
    )
    assert len(notes) == 6
    assert settings.max_cpu_percent == 70
    assert all("a-key" not in note for note in notes)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SLOTS", "0", "greater than or equal to 1"),
        ("ALLOWED_CLIENTS", "192.168.1.1/24", "host bits"),
        ("LOG_LEVEL", "LOUD", "allowed are DEBUG, INFO, WARNING, ERROR"),
        ("MAX_CONTEX", "1", "did you mean CEREBRUM_INFERENCE_MAX_CONTEXT?"),
    ],
)
def test_bad_setting_is_refused(name: str, value: str, words: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load(InferenceSettings, {f"CEREBRUM_INFERENCE_{name}": value})
    assert words in str(caught.value)
