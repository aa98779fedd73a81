"""Limits on what clients may do. gRPC enforces those that are options of its servers, the call pipeline the others."""

from dataclasses import dataclass

GRACE_SECONDS = 60.0
"""Time for running calls to end on a connection that has reached its maximum age."""
PING_TOLERANCE = 0.9
"""Share of the ping interval after which a ping is accepted: the network lets some arrive early."""
PING_STRIKES = 2
"""Number of early pings that are tolerated."""
SECONDS_FOR_PONG = 20.0
SECONDS_FOR_HANDSHAKE = 20.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on what clients may do. The settings of the same names describe each.

    Open files bound the number of connections. gRPC 1.83 never decreases the count that
    grpc.max_allowed_incoming_connections bounds, so a server would accept none after that many.
    """

    largest_request_bytes: int = 1024 * 1024
    largest_metadata_bytes: int = 16 * 1024
    calls_at_once: int = 10_000
    streams_at_once: int = 4_000
    watches_at_once: int = 4_000
    sales_reserve: float = 0.1
    calls_per_connection: int = 1_000
    receiving_at_once: int = 256
    receive_seconds: float = 10
    late_requests_per_connection: int = 16
    send_seconds: float = 30
    unsent_bytes_per_connection: int = 8 * 1024 * 1024
    unsent_bytes: int = 32 * 1024 * 1024
    largest_page_bytes: int = 256 * 1024
    longest_wait_seconds: float = 5
    connection_age_seconds: float = 3_600
    connection_idle_seconds: float = 300
    ping_seconds: float = 10
    keepalive_seconds: float = 60

    def options(self) -> list[tuple[str, int]]:
        """Return the options of a gRPC server."""
        pong = _milliseconds(min(self.keepalive_seconds, SECONDS_FOR_PONG))
        return [
            ("grpc.max_receive_message_length", self.largest_request_bytes),
            # Metadata of a size between these two would be refused at random.
            ("grpc.max_metadata_size", self.largest_metadata_bytes),
            ("grpc.absolute_max_metadata_size", self.largest_metadata_bytes),
            # Calls that the pipeline has not taken yet. By default gRPC sheds those beyond 1,000 with CANCELLED, which
            # clients do not retry; the pipeline sheds them with OVERLOADED.
            ("grpc.server.max_pending_requests", self.calls_at_once),
            ("grpc.server.max_pending_requests_hard_limit", self.calls_at_once),
            ("grpc.max_concurrent_streams", self.calls_per_connection),
            ("grpc.max_connection_age_ms", _milliseconds(self.connection_age_seconds)),
            ("grpc.max_connection_age_grace_ms", _milliseconds(GRACE_SECONDS)),
            ("grpc.max_connection_idle_ms", _milliseconds(self.connection_idle_seconds)),
            ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(self.ping_seconds * PING_TOLERANCE)),
            ("grpc.http2.max_ping_strikes", PING_STRIKES),
            ("grpc.keepalive_permit_without_calls", 1),  # else they are permitted every two hours
            ("grpc.keepalive_time_ms", _milliseconds(self.keepalive_seconds)),
            ("grpc.keepalive_timeout_ms", pong),
            ("grpc.http2.ping_timeout_ms", pong),  # else a minute, regardless of the option above
            ("grpc.server_handshake_timeout_ms", _milliseconds(SECONDS_FOR_HANDSHAKE)),
        ]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
