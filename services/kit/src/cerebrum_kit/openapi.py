"""The OpenAPI document with the errors that are sent; the framework knows only its own, which are not."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from cerebrum_kit.errors import errors_by_status

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "param", "request_id"],
            "properties": {
                "message": {"type": "string", "minLength": 1},
                "type": {"type": "string"},
                "code": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The field or header at fault."},
                "request_id": {"type": "string", "minLength": 1},
            },
        }
    },
}
_FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")
# What only a body can be wrong with.
_OF_BODIES = {"408", "413", "422"}


class DocumentedAPI(FastAPI):
    """See the module."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            _describe_errors(super().openapi())
        assert self.openapi_schema is not None, "the framework keeps what it made"
        return self.openapi_schema


def _describe_errors(document: dict[str, Any]) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _FRAMEWORKS_OWN:
        schemas.pop(name, None)
    schemas["Error"] = _ERROR
    statuses = {str(status): " or ".join(codes) for status, codes in errors_by_status().items()}
    components["responses"] = {f"Error{status}": _response(status, codes) for status, codes in statuses.items()}
    for operation in (one for path in document["paths"].values() for one in path.values()):
        answers = operation["responses"]
        answers.pop("422", None)
        for status in statuses:
            if "requestBody" in operation or status not in _OF_BODIES:
                answers.setdefault(status, {"$ref": f"#/components/responses/Error{status}"})


def _response(status: str, codes: str) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": f"error.code is {codes}",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    if status == "503":
        seconds = {"type": "integer", "minimum": 1}
        response["headers"] = {"Retry-After": {"schema": seconds, "description": "Seconds until another try."}}
    return response
