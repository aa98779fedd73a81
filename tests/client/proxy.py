"""A proxy between a client and a server: it notes each call, and makes the next ones fail in chosen ways."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import grpc
from google.rpc.status_pb2 import Status

CODES = {code.value[0]: code for code in grpc.StatusCode}


class Fault(Enum):
    """How a call fails, although the server carries it out."""

    LOSE_RESPONSE = auto()
    END_AFTER_FIRST = auto()
    SILENCE_AFTER_FIRST = auto()


@dataclass(frozen=True)
class Call:
    """A call that reached the proxy."""

    method: str
    request: bytes
    authorization: str

    def read(self, message: Any) -> Any:
        """Return the request as a message of this class."""
        return message.FromString(self.request)


@dataclass
class Proxy(grpc.GenericRpcHandler):
    """What was called, what comes next, and what calls of a method wait for before they go on."""

    channel: grpc.aio.Channel
    calls: list[Call] = field(default_factory=list)
    faults: list[Fault | Status | None] = field(default_factory=list)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    address: str = ""

    def of(self, method: str) -> list[Call]:
        """Return the calls of a method, such as "CreateBooking"."""
        return [call for call in self.calls if call.method == method]

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Handle any method: one with a single response is a stream of one."""
        path = handler_call_details.method
        return grpc.unary_stream_rpc_method_handler(self._forwarding(path))

    def _forwarding(self, path: str) -> Callable[[bytes, Any], AsyncIterator[bytes]]:
        async def forward(request: bytes, context: Any) -> AsyncIterator[bytes]:
            metadata = tuple((key, value) for key, value in context.invocation_metadata() if key == "authorization")
            self.calls.append(Call(path.rpartition("/")[2], request, dict(metadata).get("authorization", "")))
            if gate := self.gates.get(self.calls[-1].method):
                await gate.wait()
            fault = self.faults.pop(0) if self.faults else None
            if isinstance(fault, Status):
                details = (("grpc-status-details-bin", fault.SerializeToString()),) if fault.details else ()
                await context.abort(CODES[fault.code], fault.message, details)
            stream: Any = self.channel.unary_stream(path)
            call = stream(request, metadata=metadata)
            try:
                async for response in call:
                    if fault is not Fault.LOSE_RESPONSE:
                        yield response
                    if fault is Fault.SILENCE_AFTER_FIRST:
                        await asyncio.Event().wait()
                    elif fault is not None:
                        await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was lost")
            except grpc.aio.AioRpcError as error:
                trailing = tuple(error.trailing_metadata())
                await context.abort(error.code(), error.details() or "", trailing)
            finally:
                call.cancel()

        return forward


@asynccontextmanager
async def proxying(target: str) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a server."""
    async with grpc.aio.insecure_channel(target) as channel:
        proxy = Proxy(channel)
        server = grpc.aio.server(handlers=[proxy])
        proxy.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield proxy
        finally:
            await server.stop(None)
