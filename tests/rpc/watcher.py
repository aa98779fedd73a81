"""A client of WatchSeats, which folds the frames into the status of each seat."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from cinema.v1 import showtime_pb2, showtime_service_pb2_grpc
from cinema.v1 import showtime_service_pb2 as pb

from tests.rpc.app import App

SECONDS = 10


class Watcher:
    """A stream of frames.

    Attributes:
        seats: What the frames read so far say of each seat.
        latest: The latest frame.
    """

    def __init__(self, app: App, showtime_id: str, after_revision: int, channel: grpc.aio.Channel | None) -> None:
        self._app = app
        self._showtime_id = showtime_id
        request = pb.WatchSeatsRequest(showtime_id=showtime_id, after_revision=after_revision)
        stub = app.showtimes if channel is None else showtime_service_pb2_grpc.ShowtimeServiceStub(channel)
        self._call: Any = stub.WatchSeats(request)
        self.seats: dict[str, str] = {}
        self.latest = pb.WatchSeatsResponse()

    async def frame(self) -> pb.WatchSeatsResponse:
        """Read the next frame.

        Raises:
            AioRpcError: The stream ended with an error.
        """
        async with asyncio.timeout(SECONDS):
            frame = await self._call.read()
        assert frame is not grpc.aio.EOF, "the stream has ended"
        self.latest = frame
        if frame.snapshot:
            self.seats.clear()
        self.seats.update(self.names(frame))
        return self.latest

    async def read(self) -> pb.WatchSeatsResponse | None:
        """Read the next frame; None if the stream ended with an error."""
        try:
            return await self.frame()
        except grpc.aio.AioRpcError:
            return None

    async def until(self, revision: int) -> list[pb.WatchSeatsResponse]:
        """Read frames up to one of a revision, or of a later one."""
        frames = [await self.frame()]
        while frames[-1].revision < revision:
            frames.append(await self.frame())
        return frames

    async def end(self) -> grpc.StatusCode:
        """Return the status code of the end, which has to come without another frame."""
        async with asyncio.timeout(SECONDS):
            assert await self._call.read() is grpc.aio.EOF
            code: grpc.StatusCode = await self._call.code()
        return code

    async def check(self) -> None:
        """Check that the frames say what GetShowtime says, which has to have the same revision."""
        answer = await self._app.showtimes.GetShowtime(pb.GetShowtimeRequest(showtime_id=self._showtime_id))
        assert answer.showtime.revision == self.latest.revision
        assert self.seats == {each.seat: name_of(each) for each in answer.seats}
        assert self.latest.available_seats == answer.showtime.available_seats

    def close(self) -> None:
        """Hang up."""
        self._call.cancel()

    @staticmethod
    def names(frame: pb.WatchSeatsResponse) -> dict[str, str]:
        """Return the seats of a frame with the names of their statuses."""
        return {each.seat: name_of(each) for each in frame.seats}


def name_of(seat: showtime_pb2.Seat) -> str:
    """Return the name of a seat's status."""
    return showtime_pb2.SeatStatus.Name(seat.status).removeprefix("SEAT_STATUS_")


@asynccontextmanager
async def watching(
    app: App, showtime_id: str = "", after_revision: int = 0, channel: grpc.aio.Channel | None = None
) -> AsyncIterator[Watcher]:
    """Watch a showtime, on a channel of its own if one is given, and hang up at the end."""
    watcher = Watcher(app, showtime_id, after_revision, channel)
    try:
        yield watcher
    finally:
        watcher.close()
