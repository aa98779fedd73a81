"""How log lines are written: structlog, for people or as JSON; what libraries log goes the same way."""

import asyncio
import logging
import sys
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import orjson
import structlog

from cinema_grpc.transport.call import add_request_id


def set_up_logging(log_format: Literal["console", "json"], level: str) -> None:
    """Write log lines of at least `level` to standard error."""
    console = log_format == "console"
    processors: list[structlog.typing.Processor] = [
        add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: structlog.typing.Processor
    if console:
        # Plain tracebacks: richer ones would show the values of variables, passwords among them.
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    else:
        processors.append(structlog.processors.format_exc_info)
        render = structlog.processors.JSONRenderer(serializer=_to_json)
    structlog.configure(
        processors=[*processors, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.raiseExceptions = False
    # gRPC quotes metadata that it can't decode, an access token perhaps.
    logging.getLogger("grpc._cython.cygrpc").addFilter(lambda record: "Invalid encoding" not in record.getMessage())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class _Unfailing:
    """A stream to which a line can't be written in vain: nobody's booking fails because the log's disk is full.

    Lines of one turn of the event loop are written in one go, since each write is a call to the kernel.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._texts: list[str] = []

    def write(self, text: str) -> None:
        """Take what is to be written."""
        self._texts.append(text)

    def flush(self) -> None:
        """Write at the end of this turn of the event loop, or at once where none runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write_out()
        else:
            if len(self._texts) == 1:
                loop.call_soon(self._write_out)

    def _write_out(self) -> None:
        texts, self._texts = self._texts, []
        with suppress(OSError, ValueError):
            self._stream.write("".join(texts))
            self._stream.flush()


def _to_json(line: Any, **_options: Any) -> str:
    return orjson.dumps(line, default=repr).decode()
