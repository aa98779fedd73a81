"""The first answer of a stream."""

from collections.abc import Generator
from typing import Any

import grpc


class FirstAnswer:
    """A call of a stream, which is cancelled after its first answer."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __await__(self) -> Generator[Any, None, bytes]:
        return self._read().__await__()

    async def code(self) -> grpc.StatusCode:
        """Return OK if an answer came, or the status code."""
        try:
            await self
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    async def _read(self) -> bytes:
        answer: bytes = await self._call.read()
        self._call.cancel()
        return answer
