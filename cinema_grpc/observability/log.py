"""Log output: structlog, for people or as JSON. Libraries log through it too."""

import atexit
import logging
import os
import sys
from typing import Any, Literal, TextIO, cast

import orjson
import structlog

from cinema_grpc.observability.log_writer import LogStream, LogWriter, make_pipe_non_blocking
from cinema_grpc.transport.call import add_request_id

STANDARD_ERROR = 2
"""Its file descriptor."""


def set_up_logging(log_format: Literal["console", "json"], level: str) -> None:
    """Write log lines of at least `level` to standard error by a LogWriter, which never blocks.

    Replaces `sys.stderr`, so that everything that Python writes to it takes the same way.
    """
    if sys.stderr is None:  # it was closed; its number must not become that of another file
        while (null := os.open(os.devnull, os.O_WRONLY)) < STANDARD_ERROR:
            pass
        sys.stderr = os.fdopen(null, "w")
    console = log_format == "console"
    colors = sys.stderr.isatty()
    make_pipe_non_blocking(sys.stderr.fileno())
    writer = LogWriter(sys.stderr.fileno(), _report_dropped)
    atexit.register(writer.drain)
    stream = cast("TextIO", LogStream(writer, sys.stderr))
    processors: list[structlog.typing.Processor] = [
        add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: structlog.typing.Processor
    if console:
        # Plain tracebacks: rich ones show the values of variables, passwords among them.
        render = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    else:
        processors.append(structlog.processors.format_exc_info)
        render = structlog.processors.JSONRenderer(serializer=_to_json)
    structlog.configure(
        processors=[*processors, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", writer)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.raiseExceptions = False
    # gRPC quotes metadata that it can't decode, which may be an access token.
    logging.getLogger("grpc._cython.cygrpc").addFilter(lambda record: "Invalid encoding" not in record.getMessage())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    sys.stderr = stream


def _report_dropped(lines: int) -> None:
    structlog.get_logger().warning("log lines were dropped: standard error was not read in time", lines=lines)


def _to_json(line: Any, **_options: Any) -> str:
    return orjson.dumps(line, default=repr).decode()
