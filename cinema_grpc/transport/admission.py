"""Admission: how many calls a process takes at once, and how they are shared out among its clients.

A client is a connection. A client network is all connections from one IPv4 address or one IPv6 /64.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection
from itertools import islice

from cinema_grpc.transport.call import Call
from cinema_grpc.transport.errors import TooManyCalls
from cinema_grpc.transport.peers import Client

MOST_LOOKED_AT = 1_000
"""How many calls of a connection are looked at for one that may be ended early."""


class Budget:
    """Bounds how many calls are in some state at once.

    A client network may have as many as are free, so one network has half of all at most, and others always find some.
    A client that wants more than that, or one more when all are taken, gets one only in the place of another client's:
    the network that has most gives one up, and in it the connection that has most.
    """

    def __init__(self, name: str, capacity: int, evict: Callable[[Call], bool], reserved_share: float = 0) -> None:
        """Set up.

        Args:
            name: What is counted, as it stands in the error's metadata, such as "calls_at_once".
            capacity: How many there may be at once.
            evict: Ends a call early; returns False for one that has to go on.
            reserved_share: Which share of them is kept for `reserved` ones, from 0 to below 1.
        """
        self._name = name
        self._capacity = capacity
        self._evict = evict
        self._reserved = int(capacity * reserved_share)
        self._used = 0
        self._of_network: Counter[str] = Counter()
        self._networks: dict[str, dict[str, dict[Call, None]]] = {}

    @property
    def is_scarce(self) -> bool:
        """Whether no more than the reserve is free."""
        return self._capacity - self._used <= self._reserved

    def of(self, client: Client) -> Collection[Call]:
        """Return the calls of a connection that are counted."""
        return self._networks.get(client.network, {}).get(client.connection, {}).keys()

    def take(self, call: Call, *, reserved: bool = False) -> None:
        """Count a call.

        Args:
            call: One that is not counted yet.
            reserved: Whether it may use what is kept in reserve.

        Raises:
            TooManyCalls: The client may have no more, and no other client has one to give up.
        """
        client = call.client
        free = self._capacity - self._used - (0 if reserved else self._reserved)
        if (free <= 0 or self._of_network[client.network] > free) and not self._make_way(client):
            raise TooManyCalls(self._name, self._capacity)
        connections = self._networks.setdefault(client.network, {})
        connections.setdefault(client.connection, {})[call] = None
        self._of_network[client.network] += 1
        self._used += 1

    def release(self, call: Call) -> None:
        """Count a call no more; it may have been evicted before."""
        client = call.client
        connections = self._networks.get(client.network, {})
        calls = connections.get(client.connection, {})
        if call not in calls:
            return
        del calls[call]
        self._of_network[client.network] -= 1
        self._used -= 1
        if not calls:
            del connections[client.connection]
            if not connections:
                del self._networks[client.network], self._of_network[client.network]

    def _make_way(self, client: Client) -> bool:
        """End a call of the client that has most; return whether one was ended."""
        network = max(self._of_network, key=self._of_network.__getitem__)
        connections = self._networks.get(network, {})
        calls = max(connections.values(), key=len, default={})
        if network == client.network:
            has_most = len(connections.get(client.connection, ())) >= len(calls)
        else:
            has_most = self._of_network[client.network] >= self._of_network[network]
        if has_most:
            return False
        for call in islice(calls, MOST_LOOKED_AT):
            if self._evict(call):
                self.release(call)
                return True
        return False


class AnswerRoom:
    """Bounds how many bytes of answers are in memory, from when a call may make one until gRPC has sent it.

    A call for which there is no room waits. The calls of one connection wait in order, and hold up no other connection.
    """

    def __init__(self, per_connection: int, in_all: int) -> None:
        """Set up; both bounds are in bytes, and must have room for the largest answer."""
        self._per_connection = per_connection
        self._in_all = in_all
        self._used = 0
        self._connections: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[tuple[int, asyncio.Future[None]]]] = OrderedDict()

    @property
    def is_short(self) -> bool:
        """Whether calls wait for room."""
        return bool(self._waiting)

    def heaviest(self) -> str | None:
        """Return the connection that holds most bytes, if any holds some."""
        return max(self._connections, key=self._connections.__getitem__, default=None)

    async def take(self, connection: str, size: int, longest_wait: float) -> None:
        """Wait until there is room for so many bytes, and take it.

        Args:
            connection: For which the answer is.
            size: How many bytes.
            longest_wait: For how many seconds at most.

        Raises:
            TooManyCalls: There was no room in that time.
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
                self.release(connection, size)  # it was granted in the same moment
            else:
                granted.cancel()
                self._let_in()  # smaller ones may have waited behind it
            if isinstance(error, TimeoutError):
                if self._connections.get(connection, 0) + size > self._per_connection:
                    raise TooManyCalls("unsent_bytes_per_connection", self._per_connection) from None
                raise TooManyCalls("unsent_bytes", self._in_all) from None
            raise

    def add(self, connection: str, size: int) -> None:
        """Count bytes of an answer that is there already."""
        self._used += size
        self._connections[connection] = self._connections.get(connection, 0) + size

    def release(self, connection: str, size: int) -> None:
        """Count so many bytes less, and let in calls that wait for room."""
        self._used -= size
        left = self._connections[connection] - size
        if left:
            self._connections[connection] = left
        else:
            del self._connections[connection]
        if self._waiting:
            self._let_in()

    def _fits(self, connection: str, size: int) -> bool:
        held = self._connections.get(connection, 0)
        return held + size <= self._per_connection and self._used + size <= self._in_all

    def _let_in(self) -> None:
        """Serve the connections that wait; the one that got room last comes last."""
        for connection in list(self._waiting):
            queue, served = self._waiting[connection], False
            while queue and (queue[0][1].done() or self._fits(connection, queue[0][0])):
                size, granted = queue.popleft()
                if not granted.done():  # else the call has given up
                    self.add(connection, size)
                    granted.set_result(None)
                    served = True
            if not queue:
                del self._waiting[connection]
            elif served:
                self._waiting.move_to_end(connection)
