"""The units that a panel may have. Grafana takes any word and shows one that it does not know as it stands."""

from __future__ import annotations

from enum import StrEnum


class Unit(StrEnum):
    """Grafana's ids; the name says what is measured. What stands behind `suffix:` is shown as it is."""

    COUNT = "short"
    BYTES = "bytes"
    BYTES_A_SECOND = "Bps"
    CELSIUS = "celsius"
    PER_SECOND = "suffix:/s"
    RATIO = "percentunit"
    SECONDS = "s"
    TOKENS_A_SECOND = "suffix:tok/s"
    STATE = "none"
