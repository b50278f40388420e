"""JSON lines on stdout, one object a line, with the request id of the request in work.

What is logged is chosen where it is logged: ids, counts, times and reasons, never a prompt, a completion or a key.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from cerebrum_kit.request_id import current_request_id


def _add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    request_id = current_request_id.get()
    if request_id:
        event.setdefault("request_id", request_id)
    return event


def configure_logging(service: str, level: str = "INFO", *, stream: TextIO | None = None) -> None:
    """Sends structlog's and the standard library's records through one JSON renderer.

    Args:
        service: stands in every line as `service`.
        level: a standard level name, in any case.
    """

    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_service,
        _add_request_id,
        # Text, and never structlog's dictionaries: those hold the frames' local variables, prompts among them.
        structlog.processors.format_exc_info,
    ]
    output = stream or sys.stdout
    # Ours go straight to the output: the way through the standard library's records costs more than a route.
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        logger_factory=structlog.WriteLoggerFactory(output),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # httpx tells every URL at INFO and uvicorn its life; our own lines say both, with the request id.
    for name in ("httpx", "httpcore", "uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("uvicorn.access").disabled = True


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger
