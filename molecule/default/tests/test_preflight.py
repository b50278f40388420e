"""Bad input for the last role is refused before the first one has begun."""

from __future__ import annotations

import re

from plays import play


def refused(*words: str) -> str:
    done = play("site.yml", *words)
    assert done.returncode != 0, done.stdout
    assert "changed=0" in done.stdout
    assert "changed=1" not in done.stdout
    assert "Base | Packages" not in done.stdout, "a role had begun"
    return done.stdout


def test_a_value_out_of_range_is_refused_first() -> None:
    said = refused("-e", "edge_max_queue=99999")
    assert "edge_max_queue 99999 (0-10000)" in said
    assert re.search(r"^vps .* failed=0 ", said, re.MULTILINE), "the other host was looked at and has no fault"


def test_a_variable_that_nobody_reads_is_refused_first() -> None:
    assert "variables that no role reads: inference_slts" in refused("-e", "inference_slts=3")


def test_a_value_of_another_type_is_refused_first() -> None:
    assert "inference_slots" in refused("-e", "inference_slots=many")
