"""How much clients may ask of a server at once, in bytes, calls, connections and pings; gRPC holds most of it."""

from dataclasses import dataclass

GRACE_SECONDS = 60.0
"""How long calls may go on, on a connection that has become too old."""
PUNCTUALITY = 0.9
"""Which share of the interval may have passed when a ping comes: the network makes some come early."""
PING_STRIKES = 2
"""How many pings that come too early are forgiven."""
SECONDS_FOR_PONG = 20.0
SECONDS_FOR_HANDSHAKE = 20.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what clients may do.

    The number of connections has none of its own: gRPC 1.83 never counts down what
    grpc.max_allowed_incoming_connections bounds, so a server would go deaf after that many. Open files bound it.

    Attributes:
        request_bytes: How large a request may be. A larger one is refused unread, with RESOURCE_EXHAUSTED.
        metadata_bytes: How large the metadata of a call may be. More is refused with RESOURCE_EXHAUSTED.
        calls_at_once: How many calls may be open. The next gets OVERLOADED.
        streams_at_once: How many streams and health checks may be open. The next gets OVERLOADED.
        sales_reserve: The share of the calls that is kept for changes by callers who are signed in.
        calls_per_connection: How many calls may run on one connection. Clients hold back the next until one has ended.
        receiving_at_once: How many messages may be awaited at once. The next call gets OVERLOADED.
        receive_timeout: Seconds that a message may take to come. Then the call gets INVALID_REQUEST.
        late_requests_per_connection: How many calls of one connection may be ended within `receive_timeout` because
            their message has not come. Then the connection is closed.
        send_timeout: Seconds that a client may take to read an answer. Then the call is reset.
        unsent_bytes_per_connection: How many bytes of answers may wait to be sent on one connection.
        unsent_bytes: How many bytes of answers may wait to be sent in all.
        largest_page_bytes: How large a page of a list may be. A larger one has fewer entries.
        longest_wait: Seconds that a call may wait for room for its answer. Then it gets OVERLOADED.
        connection_age: Seconds until a connection is to be made anew, which clients do by themselves. Calls that run
            have a minute to end.
        connection_idle: Seconds until a connection without calls is closed; the next call opens another.
        ping_interval: Seconds that clients have to leave between two pings. A client that pings more often is cut off,
            with UNAVAILABLE.
        keepalive: Seconds of silence until a client is asked for a sign of life. Its connection is closed if none comes
            in as long again, or in 20 seconds.
    """

    request_bytes: int = 1024 * 1024
    metadata_bytes: int = 16 * 1024
    calls_at_once: int = 10_000
    streams_at_once: int = 4_000
    sales_reserve: float = 0.1
    calls_per_connection: int = 1_000
    receiving_at_once: int = 256
    receive_timeout: float = 10
    late_requests_per_connection: int = 16
    send_timeout: float = 30
    unsent_bytes_per_connection: int = 8 * 1024 * 1024
    unsent_bytes: int = 32 * 1024 * 1024
    largest_page_bytes: int = 256 * 1024
    longest_wait: float = 5
    connection_age: float = 3_600
    connection_idle: float = 300
    ping_interval: float = 10
    keepalive: float = 60

    def options(self) -> list[tuple[str, int]]:
        """Write the limits as gRPC takes them: as options of a server."""
        pong = _milliseconds(min(self.keepalive, SECONDS_FOR_PONG))
        return [
            ("grpc.max_receive_message_length", self.request_bytes),
            # Between the two, gRPC would refuse by chance.
            ("grpc.max_metadata_size", self.metadata_bytes),
            ("grpc.absolute_max_metadata_size", self.metadata_bytes),
            # Calls that have arrived and that we have not looked at yet. gRPC sheds more with CANCELLED, which tells
            # nobody to come back, and it begins at 1,000; an OVERLOADED of ours does tell.
            ("grpc.server.max_pending_requests", self.calls_at_once),
            ("grpc.server.max_pending_requests_hard_limit", self.calls_at_once),
            ("grpc.max_concurrent_streams", self.calls_per_connection),
            ("grpc.max_connection_age_ms", _milliseconds(self.connection_age)),
            ("grpc.max_connection_age_grace_ms", _milliseconds(GRACE_SECONDS)),
            ("grpc.max_connection_idle_ms", _milliseconds(self.connection_idle)),
            ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(self.ping_interval * PUNCTUALITY)),
            ("grpc.http2.max_ping_strikes", PING_STRIKES),
            ("grpc.keepalive_permit_without_calls", 1),  # or pings without a call would be due two hours apart
            ("grpc.keepalive_time_ms", _milliseconds(self.keepalive)),
            ("grpc.keepalive_timeout_ms", pong),
            ("grpc.http2.ping_timeout_ms", pong),  # a minute else, whatever the one above says
            ("grpc.server_handshake_timeout_ms", _milliseconds(SECONDS_FOR_HANDSHAKE)),
        ]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
