"""Known bugs of the stores other than the box office's, and of the schema."""

from tests.mutations.mutation import DATABASE, FAULTS, Edit, Mutation, mutation

MUTATIONS = (
    Mutation(
        "a seat may have two claims: the unique key is dropped",
        (
            Edit(
                f"{DATABASE}/schema/bookings.py",
                '    Column("booking_id", ExactText, ForeignKey("booking.booking_id")),\n    Column("block_id"',
                '    Column("booking_id", ExactText, ForeignKey("booking.booking_id"), primary_key=True),\n'
                '    Column("block_id"',
            ),
            Edit(
                f"{DATABASE}/migrations/versions/2002_create_sales.py",
                '"showtime_id", "seat", name="seat_claim_pk"',
                '"showtime_id", "seat", "booking_id", name="seat_claim_pk"',
            ),
        ),
        (f"{FAULTS}::test_a_key_violation_is_narrowed_down",),
    ),
    mutation(
        "showtimes are added to an auditorium that is not locked",
        f"{DATABASE}/catalog_changes.py",
        "row = connection.execute(locking(query, shared=shared)).one_or_none()",
        "row = connection.execute(query).one_or_none()",
        "tests/store/test_programme_store.py::test_of_many_showtimes_that_overlap_and_come_at_once_one_is_kept",
    ),
    mutation(
        "a movie can be archived or get another runtime while a showtime of it is scheduled",
        f"{DATABASE}/catalog_changes.py",
        "movie = _locked(connection, Movie, movie_id, shared=True)",
        "movie = Movie(*connection.execute(select(schema.movie).where(schema.movie.c.movie_id == movie_id)).one())",
        "tests/application/test_catalog_races.py",
    ),
    mutation(
        "an import adds showtimes to a cinema that is being archived",
        f"{DATABASE}/import_store.py",
        "_CINEMA.cinema_id, ids, shared=True)",
        "_CINEMA.cinema_id, ids)",
        "tests/store/test_import_store.py::test_an_import_waits_for_what_is_being_archived",
    ),
    mutation(
        "an import checks a price list again for each showtime, in its transaction",
        "cinema_grpc/domain/pricing.py",
        "            self._hash = hash(self.lines)",
        "            return hash(self.lines)",
        "tests/store/test_import_store.py::test_long_price_lists_do_not_slow_the_transaction_down",
    ),
    mutation(
        "an import writes the event of each showtime by a statement of its own",
        f"{DATABASE}/import_store.py",
        "        add_events(connection, versions, now, [NewEvent(EventType.SHOWTIME_CREATED)])",
        "        for each in versions:\n"
        "            add_events(connection, [each], now, [NewEvent(EventType.SHOWTIME_CREATED)])",
        "tests/store/test_import_store.py::test_an_import_takes_few_statements",
    ),
    mutation(
        "PostgreSQL ends the session of an import whose planning takes long",
        f"{DATABASE}/import_store.py",
        "SET LOCAL idle_in_transaction_session_timeout = '20s'",
        "SET LOCAL idle_session_timeout = 0",
        "tests/store/test_import_store.py::test_planning_may_take_longer_than_transactions_may_idle",
    ),
    mutation(
        "names stay in seat maps after they were changed",
        f"{DATABASE}/listings_reader.py",
        "if cached is not None and cached.catalog_revision == catalog_revision:",
        "if cached is not None:",
        "tests/rpc/test_catalog_updates.py::TestListedNames::test_they_change_at_once",
    ),
    mutation(
        "a hold is over a moment too late in lists of bookings",
        f"{DATABASE}/booking_reader.py",
        "lapsed = reserved.c.hold_expire_time <= bindparam",
        "lapsed = reserved.c.hold_expire_time < bindparam",
        "tests/application/test_hold_expiry.py::test_a_lapsed_hold_is_free_before_it_is_written_down",
    ),
    mutation(
        "a wrong password is not counted if its caller is cancelled",
        f"{DATABASE}/sign_in_store.py",
        "await self._change(counted, add, must_run=True)",
        "await self._change(counted, add)",
        "tests/application/test_throttle.py::test_a_wrong_password_of_a_cancelled_attempt_is_counted_before_the_next",
    ),
    mutation(
        "a customer's bookings of one status are found by looking through all of them",
        f"{DATABASE}/migrations/versions/2002_create_sales.py",
        '"booking", ["user_id", "status", "booking_id"])',
        '"booking", ["user_id", "booking_id"])',
        "tests/store/test_bounded_lists.py",
    ),
    mutation(
        "a page of the programme in a cinema is found by looking through that of the movie",
        f"{DATABASE}/migrations/versions/2002_create_sales.py",
        '        ["cinema_id", "movie_id"],\n',
        "",
        "tests/store/test_bounded_lists.py",
    ),
    mutation(
        "a page of a customer's bookings examines all that are on hold",
        f"{DATABASE}/booking_reader.py",
        "examined=self._examined",
        "examined=10**6",
        "tests/store/test_bounded_lists.py",
    ),
    mutation(
        "a page that ends before what was not examined shows what comes after that",
        f"{DATABASE}/booking_reader.py",
        " for booking in found if booking.booking_id >= end]",
        " for booking in found]",
        "tests/store/test_booking_lists.py",
    ),
    mutation(
        "a concurrent sign-in gets a session of a disabled account",
        f"{DATABASE}/account_store.py",
        ".first() != (known_hash, False):",
        ".first() not in [(known_hash, False), (known_hash, True)]:",
        "tests/rpc/test_disabled_accounts.py::test_a_concurrent_sign_in_gets_no_session",
    ),
    mutation(
        "SQLite parses the events of a commit again for each of them",
        "cinema_grpc/adapters/database/sql/sqlite.sql",
        "WITH change AS MATERIALIZED (",
        "WITH change AS NOT MATERIALIZED (",
        "tests/store/test_event_store.py::test_the_events_of_a_commit_are_read_once",
    ),
    mutation(
        "on PostgreSQL each simulated charge has a transaction of its own",
        "cinema_grpc/adapters/simulated_ledger.py",
        "ENTRIES_AT_ONCE = 100\n",
        "ENTRIES_AT_ONCE = 1\n",
        "tests/adapters/test_simulated_payments.py",
    ),
    mutation(
        "a repeated import puts cancelled showtimes on sale again",
        "cinema_grpc/application/former_starts.py",
        "is not ShowtimeStatus.SCHEDULED:",
        "is None:",
        "tests/e2e/test_repeated_import.py",
    ),
    mutation(
        "a block is deleted only after a search through all claims",
        f"{DATABASE}/migrations/versions/2005_index_claims_of_blocks.py",
        "op.create_index(",
        "(lambda *_, **__: None)(",
        "tests/store/test_foreign_keys.py",
    ),
    mutation(
        "PostgreSQL finds bookings of a showtime by the holds of all customers",
        f"{DATABASE}/desk_reader.py",
        "_BOOKING.status == schema.RESERVED",
        'text(f"booking.{schema.ON_HOLD}")',
        "tests/store/test_load_plans.py",
    ),
)
