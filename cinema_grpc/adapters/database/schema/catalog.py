"""Movies, cinemas, auditoriums and showtimes."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, UniqueConstraint

from cinema_grpc.adapters.database.column_types import Duration, ExactText, Instant
from cinema_grpc.adapters.database.schema.base import metadata

movie = Table(
    "movie",
    metadata,
    Column("movie_id", ExactText, primary_key=True),
    Column("title", ExactText, nullable=False),
    Column("runtime", Duration, nullable=False),
    Column("rating", ExactText, nullable=False),
    Column("synopsis", ExactText, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("archived", Boolean, nullable=False),
)

cinema = Table(
    "cinema",
    metadata,
    Column("cinema_id", ExactText, primary_key=True),
    Column("name", ExactText, nullable=False),
    Column("time_zone", ExactText, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("archived", Boolean, nullable=False),
)

auditorium = Table(
    "auditorium",
    metadata,
    Column("auditorium_id", ExactText, primary_key=True),
    Column("cinema_id", ExactText, ForeignKey("cinema.cinema_id"), nullable=False),
    Column("name", ExactText, nullable=False),
    Column("rows", ExactText, nullable=False),  # JSON: [["A", [4, 6, 4]], ...]
    Column("areas", ExactText, nullable=False),  # JSON: [["vip", ["A"], ["B1", "B2"]], ...], rows and single seats
    Column("wheelchair_spaces", ExactText, nullable=False),  # JSON: [["C1", ["C2"]], ...], with companion seats
    Column("total_seats", Integer, nullable=False),
    Column("create_time", Instant, nullable=False),
    Column("archived", Boolean, nullable=False),
    UniqueConstraint("cinema_id", "name"),
    Index(None, "cinema_id", "auditorium_id"),
)

# One row. It grows with each update of a movie, cinema or auditorium, so that their cached names are read again.
catalog_revision = Table(
    "catalog_revision",
    metadata,
    Column("revision", BigInteger, primary_key=True),
)

showtime = Table(
    "showtime",
    metadata,
    Column("showtime_id", ExactText, primary_key=True),
    Column("movie_id", ExactText, ForeignKey("movie.movie_id"), nullable=False),
    Column("auditorium_id", ExactText, ForeignKey("auditorium.auditorium_id"), nullable=False),
    Column("cinema_id", ExactText, nullable=False),  # the auditorium's, for the indexes
    Column("start_time", Instant, nullable=False),
    Column("end_time", Instant, nullable=False),
    Column("status", ExactText, nullable=False),
    Column("cancel_time", Instant),
    Column("cancel_reason", ExactText),
    Column("moves", ExactText),  # JSON of Terms.moves, moments in microseconds: [[when, start before], ...]
    Column("currency_code", ExactText, nullable=False),
    Column("prices", ExactText, nullable=False),  # JSON: [["standard", "adult", 1250, ""], ...], minor units and proof
    Column("seat_gap_policy", ExactText, nullable=False),
    Column("taken_seats", Integer, nullable=False),  # claims, including those of lapsed holds and lapsed blocks
    Column("revision", BigInteger, nullable=False),  # counts the commits to its seats and terms
    Column("commit_id", ExactText, nullable=False),  # the commit that made the revision
    Column("terms_revision", BigInteger, nullable=False),  # the revision that last changed anything but bookings
    Column("latest_time", Instant, nullable=False),  # the time of the last decision
    # One for each combination of filters, in the order of the list. Selling seats changes none of them.
    Index(None, "start_time", "showtime_id"),
    Index(None, "movie_id", "start_time", "showtime_id"),
    Index(None, "cinema_id", "start_time", "showtime_id"),
    Index(None, "cinema_id", "movie_id", "start_time", "showtime_id"),
    Index(None, "auditorium_id", "start_time", "showtime_id"),
    Index(None, "auditorium_id", "movie_id", "start_time", "showtime_id"),
)

# One row for each revision of a showtime: the commit that made it. It shows whether a commit was kept when its
# answer was lost, and whether a cached showtime is an ancestor of the stored one.
commit_log = Table(
    "commit_log",
    metadata,
    Column("showtime_id", ExactText, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("commit_id", ExactText, nullable=False),
    Column("decide_time", Instant, nullable=False),
    sqlite_with_rowid=False,
)
