"""Structured logs: JSON lines in production, readable ones in development."""

import logging
import sys
from contextlib import suppress
from typing import Any

import structlog
from structlog.typing import Processor, WrappedLogger


def configure(level: str, *, json: bool) -> None:
    """Send every line, ours and the libraries', to standard error in one form.

    *level* is for our own lines. The libraries never go below INFO: at DEBUG they write frames, headers with
    their cookies, and the values of statements.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks go without the values of local variables, for they hold tokens and codes. By default both
    # renderers show them, the readable one as soon as `rich` is installed.
    rendering: list[Processor] = [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]
    if json:
        trace = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        rendering = [
            structlog.processors.ExceptionRenderer(trace),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    # Ours do without the standard library's records, which cost more than all the rest of a line.
    structlog.configure(
        processors=[*shared, *rendering, _encode],
        logger_factory=_lines,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.INFO))
    # The request line is ours; the server's own would show paths, and these can carry a session_id.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").addFilter(_is_no_handshake)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


class _Lines(structlog.BytesLogger):
    """Writes the lines of one logger; a disk that is full, or nobody at the other end, harms no request."""

    def msg(self, message: bytes) -> None:
        """Write a line, or lose it."""
        with suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warning = error = critical = msg


def _lines(name: str) -> _Lines:
    return _Lines(sys.stderr.buffer, name=name)


def _encode(logger: WrappedLogger, method: str, line: Any) -> bytes:
    """The last processor: a line as it is written; what is no text (half a surrogate pair) is escaped."""
    encoded: bytes = line.encode(errors="backslashreplace")
    return encoded


def _is_no_handshake(record: logging.LogRecord) -> bool:
    """Tell whether a line of the server may be written.

    Of each handshake it has two beside ours, and one of them shows the socket's path.
    """
    text = str(record.msg)
    return text != "connection open" and '"WebSocket %s"' not in text
