"""Errors of the event feed."""

from cinema_grpc.domain.errors import CinemaError, ErrorKind


class PositionTrimmed(CinemaError):
    """Events after the position are no longer kept."""

    kind = ErrorKind.OUT_OF_RANGE
    reason = "POSITION_TRIMMED"
    template = (
        "events after position {after_position} are no longer kept; the oldest is at {earliest_position}: rebuild what "
        "you derive from events, then read from there"
    )

    def __init__(self, after: int, earliest: int) -> None:
        super().__init__(after_position=after, earliest_position=earliest)
