from __future__ import annotations

import pytest

from cerebrum_kit.errors import (
    CerebrumError,
    Internal,
    Overloaded,
    Unauthorized,
    error_for_code,
    error_for_status,
    render_anthropic,
    render_openai,
)


def subclasses(cls: type[CerebrumError]) -> list[type[CerebrumError]]:
    return [cls, *(sub for one in cls.__subclasses__() for sub in subclasses(one))]


def test_openai_shape() -> None:
    error = Overloaded("busy", param="model", retry_after=1.2)
    assert render_openai(error, "r1") == {
        "error": {"message": "busy", "type": "server_error", "code": "overloaded", "param": "model", "request_id": "r1"}
    }
    assert error.headers == {"retry-after": "2"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [(Overloaded("x"), "overloaded_error"), (Unauthorized("x"), "authentication_error"), (Internal(), "api_error")],
)
def test_anthropic_shape(error: CerebrumError, kind: str) -> None:
    assert render_anthropic(error, "r1") == {
        "type": "error",
        "error": {"type": kind, "message": error.message},
        "request_id": "r1",
    }


def test_retry_after_is_at_least_a_second() -> None:
    assert Overloaded("x", retry_after=0).headers == {"retry-after": "1"}


@pytest.mark.parametrize("cls", [cls for cls in subclasses(CerebrumError) if cls.__module__ == "cerebrum_kit.errors"])
def test_codes_lead_back_to_their_class(cls: type[CerebrumError]) -> None:
    found = error_for_code(cls.code)
    assert found is None or found.code == cls.code
    assert (found is None) == (cls.code == "internal")


@pytest.mark.parametrize(("status", "code"), [(418, "invalid_request"), (404, "not_found"), (500, "internal")])
def test_statuses_have_a_code(status: int, code: str) -> None:
    assert error_for_status(status, "x").code == code
