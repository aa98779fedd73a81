"""Budgets: shares of calls and of memory among clients, so that none can keep the others out.

A client is a connection. A client network is all connections from one IPv4 address or one IPv6 /64.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from itertools import islice

from cinema_grpc.transport.call import Call, Client
from cinema_grpc.transport.errors import TooManyCalls

MAX_CANDIDATES = 1_000
"""Number of calls of a connection that are tried for eviction."""


class _Network:
    """The calls of a client network."""

    __slots__ = ("connections", "used")

    def __init__(self) -> None:
        self.used = 0
        self.connections: dict[str, dict[Call, None]] = {}  # oldest call first


class Budget:
    """Bounds the number of calls in some state.

    A client network may hold as many as are free, so one network gets at most half, and others always find some. A
    client that wants more than that, or one more when none is free, takes the place of another client's call: that of
    the network with most calls, and in it of the connection with most.
    """

    def __init__(
        self,
        name: str,
        capacity: int,
        evict: Callable[[Call], bool],
        reserved_share: float = 0,
        refusal: type[TooManyCalls] = TooManyCalls,
    ) -> None:
        """Set up.

        Args:
            name: Setting that bounds the calls, as in the error's metadata, such as "calls_at_once".
            capacity: Maximum number of calls.
            evict: Ends a call early. Returns False for a call that must go on.
            reserved_share: Share that only `reserved` calls may use, from 0 to below 1.
            refusal: The error of a call that gets no place.
        """
        self._name = name
        self._capacity = capacity
        self._evict = evict
        self._refusal = refusal
        self._reserved = int(capacity * reserved_share)
        self._used = 0
        self._networks: dict[str, _Network] = {}

    @property
    def is_scarce(self) -> bool:
        """Whether no more than the reserve is free."""
        return self._capacity - self._used <= self._reserved

    def of(self, client: Client) -> Collection[Call]:
        """Return the calls of a connection."""
        network = self._networks.get(client.network)
        return () if network is None else network.connections.get(client.connection, {}).keys()

    def take(self, call: Call, *, reserved: bool = False) -> None:
        """Count a call that is not counted yet.

        Raises:
            TooManyCalls: The client may hold no more, and no other client's call can be evicted.
        """
        client = call.client
        network = self._networks.get(client.network)
        held = 0 if network is None else network.used
        free = self._capacity - self._used - (0 if reserved else self._reserved)
        if free <= 0 or held > free:
            if not self._make_way(client, held):
                raise self._refusal(self._name, self._capacity)
            network = self._networks.get(client.network)  # its last call may have been evicted
        if network is None:
            network = self._networks[client.network] = _Network()
        network.connections.setdefault(client.connection, {})[call] = None
        network.used += 1
        self._used += 1

    def release(self, call: Call) -> None:
        """Stop counting a call, if it is counted: an evicted call is not."""
        client = call.client
        network = self._networks.get(client.network)
        calls = None if network is None else network.connections.get(client.connection)
        if network is None or calls is None or call not in calls:
            return
        del calls[call]
        network.used -= 1
        self._used -= 1
        if not calls:
            del network.connections[client.connection]
        if not network.used:
            del self._networks[client.network]

    def _make_way(self, client: Client, held: int) -> bool:
        """Evict a call of the client with most calls; return whether one was evicted.

        Args:
            client: The client that wants one more.
            held: Number of calls of its network.
        """
        if not self._networks:
            return False
        name, network = max(self._networks.items(), key=lambda item: item[1].used)
        calls = max(network.connections.values(), key=len)
        if name == client.network:
            has_most = len(network.connections.get(client.connection, ())) >= len(calls)
        else:
            has_most = held >= network.used
        if has_most:
            return False
        for call in islice(calls, MAX_CANDIDATES):
            if self._evict(call):
                self.release(call)
                return True
        return False


class ResponseMemory:
    """Bounds the bytes of responses, from before a call makes one until gRPC has sent it.

    A call waits until there is memory. The calls of one connection wait in order, and do not hold up other connections.
    """

    def __init__(self, per_connection: int, total: int) -> None:
        """Set up. Both bounds are in bytes and must have room for the largest response."""
        self._per_connection = per_connection
        self._total = total
        self._used = 0
        self._connections: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[tuple[int, asyncio.Future[None]]]] = OrderedDict()

    @property
    def is_short(self) -> bool:
        """Whether calls wait for memory."""
        return bool(self._waiting)

    def heaviest(self) -> str | None:
        """Return the connection that holds most bytes, if any holds some."""
        return max(self._connections, key=self._connections.__getitem__, default=None)

    async def take(self, connection: str, size: int, longest_wait: float) -> None:
        """Wait until `size` bytes are free for a connection, and take them.

        Raises:
            TooManyCalls: They were not free within `longest_wait` seconds.
        """
        if connection not in self._waiting and self._fits(connection, size):
            self.add(connection, size)
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(connection, deque()).append((size, granted))
        try:
            async with asyncio.timeout(longest_wait):
                await granted
        except BaseException as error:
            if granted.done() and not granted.cancelled():
                self.release(connection, size)  # it was granted at the same moment
            else:
                granted.cancel()
                self._grant()  # smaller requests may have waited behind it
            if isinstance(error, TimeoutError):
                if self._connections.get(connection, 0) + size > self._per_connection:
                    raise TooManyCalls("unsent_bytes_per_connection", self._per_connection) from None
                raise TooManyCalls("unsent_bytes", self._total) from None
            raise

    def add(self, connection: str, size: int) -> None:
        """Take bytes without waiting, for a response that is in memory already."""
        self._used += size
        self._connections[connection] = self._connections.get(connection, 0) + size

    def release(self, connection: str, size: int) -> None:
        """Return bytes, and grant them to calls that wait."""
        self._used -= size
        left = self._connections[connection] - size
        if left:
            self._connections[connection] = left
        else:
            del self._connections[connection]
        if self._waiting:
            self._grant()

    def _fits(self, connection: str, size: int) -> bool:
        held = self._connections.get(connection, 0)
        return held + size <= self._per_connection and self._used + size <= self._total

    def _grant(self) -> None:
        """Grant what is free to waiting connections; a connection that gets some goes to the back of the queue."""
        for connection in list(self._waiting):
            queue, served = self._waiting[connection], False
            while queue and (queue[0][1].done() or self._fits(connection, queue[0][0])):
                size, granted = queue.popleft()
                if not granted.done():  # else the call has stopped waiting
                    self.add(connection, size)
                    granted.set_result(None)
                    served = True
            if not queue:
                del self._waiting[connection]
            elif served:
                self._waiting.move_to_end(connection)
