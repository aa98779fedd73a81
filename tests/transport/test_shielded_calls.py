"""A call that goes on after its client has gone: nothing is logged of a refusal, and of a bug its error."""

import asyncio
import gc
from typing import cast

import grpc
import pytest
from structlog.testing import capture_logs

from cinema_grpc.domain.errors import MovieNotFound
from cinema_grpc.transport.call_counts import CallCounts
from cinema_grpc.transport.handlers import Context, Method, MethodTraits


@pytest.mark.parametrize(("error", "logged"), [(MovieNotFound("m1"), []), (ZeroDivisionError(), ["error"])])
async def test_what_is_logged_of_its_end(error: Exception, logged: list[str]) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()
    unretrieved: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unretrieved.append(context.get("exception")))

    async def fail(_request: object, _context: object) -> bytes:
        entered.set()
        await go_on.wait()
        raise error

    method = Method("/M", grpc.unary_unary_rpc_method_handler(fail), MethodTraits(shielded=True), CallCounts())
    with capture_logs() as logs:
        caller = asyncio.ensure_future(method.call(b"", cast("Context", None)))
        await entered.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go_on.set()
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
    assert error not in unretrieved
    assert [line["log_level"] for line in logs if line.get("exc_info") is error] == logged
