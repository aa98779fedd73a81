"""Writes log lines to a file descriptor in a thread, so that a slow or stuck reader never blocks the server."""

import asyncio
import io
import os
import select
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import TextIO

CAPACITY = 4 * 1024 * 1024
"""How much text may wait to be written, in characters: about 16,000 lines, more than a process has open calls."""
SECONDS_TO_DRAIN = 1.0
"""How long a process that ends waits for its last lines to be written."""


class LogWriter:
    """Takes text without blocking or failing. Lines that do not fit into the queue are dropped and counted.

    Lines of one turn of the event loop are written in one system call. Write errors are ignored, so a full disk never
    fails a request.
    """

    def __init__(
        self, descriptor: int, report_dropped: Callable[[int], None] = lambda _: None, capacity: int = CAPACITY
    ) -> None:
        """Start the thread.

        Args:
            descriptor: The file descriptor to write to. It may be in non-blocking mode.
            report_dropped: Called with the number of dropped lines when lines are being written again.
            capacity: How many characters may wait to be written.
        """
        self._descriptor = descriptor
        self._is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        self._report_dropped = report_dropped
        self._capacity = capacity
        self._texts: list[str] = []
        self._queue: SimpleQueue[str | threading.Event] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._dropped = 0
        # A daemon: the interpreter must be able to exit while a write blocks.
        threading.Thread(target=self._write_queued, name="log writer", daemon=True).start()

    def write(self, text: str) -> None:
        """Take text; `flush` queues it."""
        self._texts.append(text)

    def flush(self) -> None:
        """Queue the text at the end of this turn of the event loop, or at once if no loop runs in this thread."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._enqueue()
        else:
            if len(self._texts) == 1:
                loop.call_soon(self._enqueue)

    def drain(self, seconds: float = SECONDS_TO_DRAIN) -> bool:
        """Wait at most `seconds` until everything that was taken is written; return whether it is."""
        self._enqueue()
        written = threading.Event()
        self._queue.put(written)
        return written.wait(seconds)

    def _enqueue(self) -> None:
        texts, self._texts = self._texts, []
        text = "".join(texts)
        with self._lock:
            room = self._capacity - self._waiting
            if len(text) > room:
                fits = text.rfind("\n", 0, max(room, 0)) + 1
                self._dropped += text.count("\n", fits)
                text = text[:fits]
            self._waiting += len(text)
        if text:
            self._queue.put(text)

    def _write_queued(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            self._write_out(item.encode(errors="backslashreplace"))
            with self._lock:
                self._waiting -= len(item)
                dropped, self._dropped = self._dropped, 0
            if dropped:
                self._report_dropped(dropped)

    def _write_out(self, data: bytes) -> None:
        with suppress(OSError):
            for piece in _pieces(data) if self._is_pipe else [data]:
                self._write_piece(piece)

    def _write_piece(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                writable = select.poll()
                writable.register(self._descriptor, select.POLLOUT)
                writable.poll()


def _pieces(data: bytes) -> Iterator[bytes]:
    """Divide lines into pieces of whole lines that a pipe takes whole or not at all, as far as lines are that short.

    Several processes may write to one pipe, and parts of larger pieces would mix with lines of others (POSIX, write).
    """
    start = 0
    while start < len(data):
        stop = len(data)
        if stop - start > select.PIPE_BUF:
            stop = data.rfind(b"\n", start, start + select.PIPE_BUF) + 1 or data.find(b"\n", start) + 1 or stop
        yield data[start:stop]
        start = stop


class LogStream(io.TextIOBase):
    """A text stream on a LogWriter. It replaces `sys.stderr`, so that warnings and tracebacks don't block either."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, writer: LogWriter, original: TextIO) -> None:
        self._writer = writer
        self._original = original

    def write(self, text: str) -> int:
        """Queue text.

        Raises:
            TypeError: It is not text, which click uses to tell kinds of streams apart.
        """
        if not isinstance(text, str):
            raise TypeError("a text stream takes str")
        self._writer.write(text)
        self._writer.flush()
        return len(text)

    def drain(self) -> None:
        """Wait for the last lines to be written, for a bounded time."""
        self._writer.drain()

    def isatty(self) -> bool:
        """Return whether the original stream is a terminal."""
        return self._original.isatty()

    def fileno(self) -> int:
        """Return the file descriptor of the original stream."""
        return self._original.fileno()


def make_pipe_non_blocking(descriptor: int) -> None:
    """Have what native code writes to a full pipe fail instead of block, such as messages of gRPC's C core.

    The pipe is opened a second time for that: the mode of the first opening is shared with other processes. Anything
    but a pipe, and a pipe that this user may not open, stays as it is.
    """
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return
    with suppress(OSError):
        own = os.open(f"/dev/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK)
        os.dup2(own, descriptor)
        os.close(own)
