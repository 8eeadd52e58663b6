"""Logs: one JSON object a line on standard output, with the service, the request's id and the place in the trace.

`log = structlog.get_logger()` in a module is all that a caller needs; what libraries say through `logging` comes out
in the same form. `request_id` is the correlation id: in a consumer it is that of the request that caused the event.
"""

import logging
import sys
from types import TracebackType
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from alta_common.telemetry.context import correlation_id, current_place

_SECRETS = frozenset(
    {
        "password",
        "new_password",
        "current_password",
        "token",
        "access_token",
        "refresh_token",
        "secret",
        "authorization",
    }
)
# What these say at INFO repeats, line for line, what our own log lines say.
_CHATTY = ("aio_pika", "aiormq", "faststream", "httpx", "httpcore", "uvicorn.error", "alembic.runtime.migration")


def setup_logs(service: str, level: str = "INFO") -> None:
    """Send every log line of the process, ours and the libraries', as JSON to standard output."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Place(service),
    ]
    last: list[Processor] = [_redact, structlog.processors.format_exc_info, _render]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _StandardOutput(),
        cache_logger_on_first_use=False,
    )
    handler = _StandardOutputHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler, *(kept for kept in root.handlers if _is_foreign(kept))]
    root.setLevel(number)
    sys.excepthook = _say_why_it_ends
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(capture=True)


def _say_why_it_ends(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log what ends the process; a traceback on standard error would be the only lines that are not JSON."""
    structlog.get_logger().critical("process.crashed", exc_info=(kind, error, trace))


def _is_foreign(handler: logging.Handler) -> bool:
    # A test runner captures through handlers of its own; plain streams would print every line twice.
    return not isinstance(handler, _StandardOutputHandler) and type(handler) is not logging.StreamHandler


class _Place:
    """Adds where a line was written: service, request, trace."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = self._service
        request_id, place = correlation_id(), current_place()
        if request_id is not None:
            event.setdefault("request_id", request_id)
        if place is not None:
            event.setdefault("trace_id", place[0])
            event.setdefault("span_id", place[1])
        return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in _SECRETS & event.keys():
        event[name] = "[redacted]"
    return event


def _render(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()


class _StandardOutput:
    """Where structlog's lines go. Looks the stream up at each line: a test runner swaps it between tests."""

    def msg(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    debug = info = warning = error = critical = exception = log = fatal = warn = msg


class _StandardOutputHandler(logging.StreamHandler[TextIO]):
    """The same for lines of the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stdout)
        super().emit(record)
