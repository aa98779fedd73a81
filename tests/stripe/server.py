"""A stateful stand-in for Stripe: its API over HTTP, with idempotency keys, and faults on request."""

import asyncio
import copy
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.stripe.account import Account, Object, StripeRefusal, find
from tests.stripe.http import HttpServer, Request, Response

KEY = "sk_test_standin"
SECONDS_OF_A_KEY = 86_400
REQUIRED = {"payment_intents": {"amount", "currency"}, "refunds": {"payment_intent"}}


@dataclass
class Fault:
    """What goes wrong with requests of a kind.

    Attributes:
        method: Such as "POST".
        path: A pattern of the paths.
        kind: "before": the connection breaks, and nothing is done; "after": it breaks when all is done; "hang": all is
            done, and there is no answer; "late": it is done after `gate` opens, and there is no answer; "doubled": it
            arrives twice, and the second answer is received; "saved": nothing is done, and the status is 500, for any
            other request with its key, too; or the status of a response, such as 500, with nothing done.
        times: How often; -1 for always.
        headers: Of the response.
    """

    method: str
    path: str
    kind: str | int
    times: int = 1
    headers: Mapping[str, str] | None = None

    def hits(self, request: Request) -> bool:
        """Return whether it hits a request, and count it."""
        if self.times == 0 or request.method != self.method or not re.fullmatch(self.path, request.path):
            return False
        self.times -= 1
        return True


@dataclass
class _Saved:
    """The answer to a request with an idempotency key; none while it runs."""

    request: tuple[str, tuple[tuple[str, str], ...]]
    time: int
    response: Response | None = None


class StripeServer:
    """The stand-in.

    Attributes:
        account: Its state.
        requests: The requests that have arrived.
        faults: What goes wrong; the first one that hits a request counts.
        gate: Opens for "late" requests.
        keys: The secret keys that it accepts.
    """

    def __init__(self, now: Callable[[], int] = lambda: int(time.time())) -> None:
        self._now = now
        self.account = Account(now)
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.gate = asyncio.Event()
        self.keys = {KEY}
        self.url = ""
        self._saved: dict[str, _Saved] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._http = HttpServer(self._handle)

    async def start(self) -> "StripeServer":
        """Listen."""
        self.url = await self._http.start()
        return self

    async def close(self) -> None:
        """Stop."""
        for task in self._late:
            task.cancel()
        await self._http.close()

    def sent(self, method: str, path: str) -> list[Request]:
        """Return the requests of a kind that have arrived."""
        return [each for each in self.requests if each.method == method and re.fullmatch(path, each.path)]

    async def _handle(self, request: Request) -> Response:
        self.requests.append(request)
        fault = next((each for each in self.faults if each.hits(request)), None)
        kind = None if fault is None else fault.kind
        if kind == "late":
            task = asyncio.create_task(self._do_late(request))
            self._late.add(task)
        if kind in {"before", "late"}:
            return Response(0)
        if fault is not None and isinstance(kind, int):
            error = {"type": "api_error", "message": "A fault of the stand-in's."}
            return Response(kind, {"error": error}, {"request-id": "req_fault", **(fault.headers or {})})
        if kind == "saved":
            same = request.path, tuple(sorted(request.fields.items()))
            error = {"type": "api_error", "message": "A fault of the stand-in's."}
            self._saved[request.headers["idempotency-key"]] = _Saved(same, self._now(), Response(500, {"error": error}))
        if kind == "doubled":
            await self._answer(request)
        response = await self._answer(request)
        if kind == "hang":
            await asyncio.sleep(3_600)
        return Response(0) if kind == "after" else response

    async def _do_late(self, request: Request) -> None:
        await self.gate.wait()
        await self._answer(request)

    async def _answer(self, request: Request) -> Response:
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.keys:
            return _refused(StripeRefusal(401, "invalid_request_error"))
        key = request.headers.get("idempotency-key")
        if request.method != "POST" or key is None:
            return self._carry_out(request)
        same = request.path, tuple(sorted(request.fields.items()))
        saved = self._saved.get(key)
        if saved is not None and self._now() - saved.time < SECONDS_OF_A_KEY:
            if saved.request != same:
                return _refused(StripeRefusal(400, "idempotency_error"))
            if saved.response is None:
                return _refused(StripeRefusal(409, "idempotency_error", "idempotency_key_in_use"))
            return saved.response
        self._saved[key] = saved = _Saved(same, self._now())
        await asyncio.sleep(0)  # another request with the key may arrive meanwhile
        saved.response = self._carry_out(request)
        if saved.response.status in {400, 404}:  # Stripe saves no answer to what fails its validation
            del self._saved[key]
        return saved.response

    def _carry_out(self, request: Request) -> Response:
        try:
            body = self._route(request)
        except StripeRefusal as refusal:
            return _refused(refusal)
        return Response(200, copy.deepcopy(body), {"request-id": f"req_{len(self.requests):06}"})

    def _route(self, request: Request) -> Object:
        fields, path = request.fields, request.path.removeprefix("/v1/").split("/")
        return self._change(path, fields) if request.method == "POST" else self._read(path, fields)

    def _change(self, path: list[str], fields: Mapping[str, str]) -> Object:
        if missing := REQUIRED.get(path[-1], set()) - set(fields):
            raise StripeRefusal(400, "invalid_request_error", "parameter_missing", param=min(missing))
        match path:
            case ["payment_intents"]:
                return self.account.create_intent(fields)
            case ["payment_intents", name, "confirm"]:
                return self.account.confirm_intent(name)
            case ["payment_intents", name, "cancel"]:
                return self.account.cancel_intent(name)
            case ["refunds"]:
                return self.account.create_refund(fields)
        raise StripeRefusal(404, "invalid_request_error")

    def _read(self, path: list[str], fields: Mapping[str, str]) -> Object:
        account = self.account
        match path:
            case ["payment_intents", name]:
                return find(account.intents, name)
            case ["refunds", name]:
                return find(account.refunds, name)
            case ["refunds"]:
                of = fields.get("payment_intent")
                return _page([each for each in account.refunds.values() if each["payment_intent"] == of], fields)
            case ["balance_transactions"]:
                return _page(self._transactions(fields), fields)
        raise StripeRefusal(404, "invalid_request_error")

    def _transactions(self, fields: Mapping[str, str]) -> list[Object]:
        since, account = int(fields.get("created[gte]", 0)), self.account
        found = [dict(each) for each in account.transactions if each["created"] >= since]
        if "data.source" in fields.values():
            for each in found:
                sources = (account.charges, account.refunds, account.disputes)
                each["source"] = next(of[each["source"]] for of in sources if each["source"] in of)
        return found


def _page(objects: list[Object], fields: Mapping[str, str]) -> Object:
    """Return a page of a list, newest first."""
    newest = objects[::-1]
    after = fields.get("starting_after")
    if after is not None:
        newest = newest[[each["id"] for each in newest].index(after) + 1 :]
    limit = int(fields.get("limit", 10))
    return {"object": "list", "data": newest[:limit], "has_more": len(newest) > limit, "url": "/v1/list"}


def _refused(refusal: StripeRefusal) -> Response:
    error: dict[str, Any] = {name: value for name, value in refusal.error.items() if value is not None}
    return Response(refusal.status, {"error": error}, {"request-id": "req_refused"})
