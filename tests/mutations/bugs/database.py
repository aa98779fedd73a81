"""Known bugs of the database: its statements, transactions, connections and files."""

from tests.mutations.mutation import BOX_OFFICE, CONTENDED, DATABASE, FAULTS, Edit, Mutation, mutation

MUTATIONS = (
    Mutation(
        "the clock is read before the lock",
        (
            Edit(
                f"{DATABASE}/postgresql_transaction.py",
                "        await self._connection.execute(BEGIN)\n",
                "        self._early = microseconds(self._clock.now()) if self._clock else None\n"
                "        await self._connection.execute(BEGIN)\n",
            ),
            Edit(
                f"{DATABASE}/postgresql_transaction.py",
                "now = microseconds(self._clock.now()) if self._clock else None\n        (row,)",
                "now = self._early\n        (row,)",
            ),
        ),
        ("tests/store/test_decision_time.py",),
    ),
    mutation(
        "a lost commit is taken for any other that made the same revision",
        f"{DATABASE}/box_office_store.py",
        "            if commit_id != update.after.commit_id:\n",
        "            if commit_id is None:\n",
        "tests/application/test_lost_commits.py",
    ),
    mutation(
        "a lost commit that was found is not made durable",
        f"{DATABASE}/box_office_store.py",
        "            await transaction.commit({})\n",
        "",
        f"{FAULTS}::test_a_commit_whose_answer_is_lost_is_found",
    ),
    mutation(
        "a write is broken off with its caller",
        f"{DATABASE}/database.py",
        "            await asyncio.wait([task])  # which, unlike a shield, is silent about an error that comes later\n",
        "            await task\n",
        "tests/store/test_account_store.py::test_who_hangs_up_leaves_a_whole_account_and_a_store_that_works",
    ),
    mutation(
        "a cached version counts as an ancestor of the stored one without a look at the commit log",
        f"{DATABASE}/sql/postgresql.sql",
        " OR EXISTS (\n"
        "            SELECT 1 FROM commit_log\n"
        "            WHERE commit_log.showtime_id = known.showtime_id AND commit_log.revision = known.revision\n"
        "                AND commit_log.commit_id = known.commit_id\n"
        "            OFFSET 0\n"
        "        ) AS is_known\n",
        " OR known.revision IS NOT NULL AS is_known\n",
        f"{BOX_OFFICE}::TestReplicas",
    ),
    mutation(
        "another commit with the revision of the cached version counts as its commit",
        f"{DATABASE}/sql/postgresql.sql",
        "                AND commit_log.commit_id = known.commit_id\n",
        "",
        f"{BOX_OFFICE}::TestReplicas::test_another_commit_with_the_cached_revision_is_no_ancestor",
    ),
    mutation(
        "terms that have changed since the cached version are not loaded",
        f"{DATABASE}/sql/postgresql.sql",
        "        WHERE NOT wanted.is_known OR wanted.terms_revision > wanted.known_revision\n",
        "        WHERE NOT wanted.is_known\n",
        f"{BOX_OFFICE}::TestReplicas::test_a_price_that_has_changed_is_seen",
    ),
    mutation(
        "the response is stored after the commit",
        f"{DATABASE}/box_office_store.py",
        "        await self._transaction.commit(rows_of(updates, responses, now))\n",
        "        rows = dict(rows_of(updates, responses, now))\n"
        '        stored = rows.pop("responses", ())\n'
        "        await self._transaction.commit(rows)\n"
        "        if stored:\n"
        "            await self._transaction.lock([], wait=False)\n"
        '            await self._transaction.find_commit("", 0)\n'
        '            await self._transaction.commit({"responses": stored})\n',
        f"{FAULTS}::test_a_call_whose_response_cannot_be_stored_leaves_nothing",
    ),
    Mutation(
        "a claim of another booking is deleted",
        (
            Edit(
                f"{DATABASE}/sql/sqlite.sql",
                "WHERE (showtime_id, seat, coalesce(booking_id, block_id)) IN (\n"
                "    SELECT :showtime_id, :seat, coalesce(:booking_id, :block_id) FROM json_each(?1) AS new\n",
                "WHERE (showtime_id, seat) IN (\n    SELECT :showtime_id, :seat FROM json_each(?1) AS new\n",
            ),
            Edit(
                f"{DATABASE}/sql/postgresql.sql",
                "        AND coalesce(seat_claim.booking_id, seat_claim.block_id)"
                " = coalesce(gone.booking_id, gone.block_id)\n",
                "",
            ),
        ),
        (f"{FAULTS}::test_a_claim_is_deleted_by_its_owner_alone",),
    ),
    Mutation(
        "seats are claimed before they are released",
        (
            Edit(
                f"{DATABASE}/sqlite_transaction.py",
                "                for name in WRITES:\n",
                '                for name in sorted(WRITES, key=lambda each: each == "released_claims"):\n',
            ),
            Edit(
                f"{DATABASE}/postgresql_transaction.py",
                'for name in ("release", "write"):',
                'for name in ("write", "release"):',
            ),
        ),
        ("tests/application/test_hold_expiry.py::test_a_lapsed_hold_is_free_before_it_is_written_down",),
    ),
    mutation(
        "what a booking relied on is forgotten at a restart",
        f"{DATABASE}/booking_rows.py",
        '"relied_on": to_json(reliances) if reliances else None',
        '"relied_on": None',
        "tests/rpc/test_gap_at_payment.py",
    ),
    Mutation(
        "reads on SQLite see what is not committed",
        (
            Edit(
                f"{DATABASE}/sqlite_transaction.py",
                "            try:\n"
                "                for name in WRITES:\n"
                "                    if name in rows:\n"
                "                        _write(driver, name, rows[name])\n",
                "            try:\n",
            ),
            Edit(
                f"{DATABASE}/sqlite_transaction.py",
                "        self._begun = False  # write_and_commit rolls back by itself\n",
                "        def write(driver: sqlite3.Connection) -> None:\n"
                "            for name in WRITES:\n"
                "                if name in rows:\n"
                "                    _write(driver, name, rows[name])\n"
                "\n"
                "        await run_on_thread(self._connection, write)\n"
                "        self._begun = False\n",
            ),
        ),
        (f"{FAULTS}::test_reads_see_nothing_of_a_batch_that_is_not_committed",),
    ),
    Mutation(
        "unpaid holds are forgotten at a restart",
        (
            Edit(
                f"{DATABASE}/sql/sqlite.sql",
                "booking.status IN ('CANCELLED', 'EXPIRED')",
                "booking.status IN ('RESERVED')",
            ),
            Edit(
                f"{DATABASE}/sql/postgresql.sql",
                "booking.status IN ('CANCELLED', 'EXPIRED')",
                "booking.status IN ('RESERVED')",
            ),
        ),
        ("tests/rpc/test_hold_limits.py::test_after_three_unpaid_holds_the_next_waits",),
    ),
    mutation(
        "a contended showtime holds up the others",
        f"{DATABASE}/sql/postgresql.sql",
        "FOR NO KEY UPDATE OF showtime SKIP LOCKED;",
        "FOR NO KEY UPDATE OF showtime;",
        f"{CONTENDED}::test_others_are_sold_meanwhile_and_this_one_as_soon_as_it_is_unlocked",
    ),
    mutation(
        "a move waits for its auditorium while it holds up others",
        f"{DATABASE}/sql/postgresql.sql",
        "FOR NO KEY UPDATE SKIP LOCKED\n",
        "FOR NO KEY UPDATE\n",
        f"{CONTENDED}::test_a_move_whose_auditorium_is_locked_fails_alone",
    ),
    mutation(
        "a showtime is moved though its auditorium was skipped",
        f"{DATABASE}/postgresql_transaction.py",
        "in skipped], blocked)",
        "in skipped])",
        f"{CONTENDED}::test_a_move_whose_auditorium_is_locked_fails_alone",
    ),
    mutation(
        "a showtime that was skipped is sold without its lock",
        f"{DATABASE}/postgresql_transaction.py",
        "return NotLocked([showtime_id for (showtime_id,) in skipped], blocked)",
        "return NotLocked((), blocked)",
        CONTENDED,
    ),
    mutation(
        "what is acknowledged is not on the disk",
        f"{DATABASE}/sqlite.py",
        '"synchronous = FULL"',
        '"synchronous = OFF"',
        "tests/store/test_migrations.py",
    ),
    mutation(
        "a health check does not prove that writes work",
        f"{DATABASE}/database.py",
        "self._check(rights, by_writing=by_writing)",
        "self._check(rights, by_writing=False)",
        "tests/rpc/test_full_disk.py::test_sqlite",
    ),
    mutation(
        "each statement waits again for a locked file",
        f"{DATABASE}/sqlite_connection.py",
        "            self._set_waiting(waits=False)\n",
        "            pass\n",
        "tests/rpc/test_locked_file.py::test_calls_and_health",
    ),
    mutation(
        "a right that is taken away is a fault of ours",
        f"{DATABASE}/postgresql.py",
        'NOT_BUGS = {"42501", "42P01"}',
        "NOT_BUGS: set[str] = set()",
        "tests/e2e/test_unfit_databases.py::TestRights::test_that_are_taken_away_later",
    ),
    mutation(
        "a cancellation of what the driver waits for reaches the call",
        f"{DATABASE}/database.py",
        "            if is_cancelled():\n                raise\n",
        "            if not is_cancelled() or is_cancelled():\n                raise\n",
        "tests/rpc/test_cancelled_storage.py::test_statements_that_are_cancelled",
    ),
    mutation(
        "bookings are written with whatever columns a newer version has added",
        f"{DATABASE}/sql/postgresql.sql",
        "    SELECT booking_id, showtime_id, user_id, status, seats, seat_count, currency_code, total_price,\n"
        "        create_time, hold_expire_time, hold_extended, hold_renewed, confirm_time, cancel_time, cancel_cause,\n"
        "        cancel_reason, wheelchair, tender, sold_by, sale_reason, revision, relied_on\n",
        "    SELECT *\n",
        "tests/rpc/test_newer_tables.py",
    ),
    mutation(
        "an SQLite file is locked by its path alone",
        f"{DATABASE}/sole_server.py",
        "if SET_LOCK is not None:",
        "if SET_LOCK is None:",
        "tests/e2e/test_sqlite_file.py::test_one_server_by_whatever_name",
    ),
    mutation(
        "an SQLite file that is new can be read by everyone",
        f"{DATABASE}/sqlite_file.py",
        "os.O_CLOEXEC, 0o600)",
        "os.O_CLOEXEC, 0o644)",
        "tests/e2e/test_sqlite_file.py::test_one_server_by_whatever_name",
    ),
    Mutation(
        "an SQLite file of another program is changed before it is refused",
        (
            Edit(f"{DATABASE}/sqlite.py", "        refuse_another_programs(Path(path), driver)\n", ""),
            Edit(
                f"{DATABASE}/sqlite.py",
                '        driver.execute(BOOKING_DETAIL_SQL["sqlite"]).close()\n',
                '        driver.execute(BOOKING_DETAIL_SQL["sqlite"]).close()\n'
                "        refuse_another_programs(Path(path), driver)\n",
            ),
        ),
        ("tests/e2e/test_sqlite_file.py::test_another_programs_file_is_left_as_it_is",),
    ),
    mutation(
        "an identifier with a NUL reaches the database",
        f"{DATABASE}/column_types.py",
        'return "" if "\\0" in text else text',
        "return text",
        "tests/rpc/test_showtimes.py::TestGetShowtime::test_an_identifier_with_a_nul_is_not_known",
    ),
    mutation(
        "SQLite's locks are waited for again before a commit",
        f"{DATABASE}/sqlite_connection.py",
        'if statement == "COMMIT":',
        'if statement in {"COMMIT", "BEGIN IMMEDIATE"}:',
        "tests/rpc/test_locked_file.py::test_calls_and_health",
    ),
    mutation(
        "an SQLite connection that can't be made leaves its thread",
        f"{DATABASE}/sqlite.py",
        "        await connection.close()\n        await asyncio.to_thread(thread.join)",
        "        pass",
        "tests/store/test_migrations.py::test_a_file_that_can_not_be_used_leaves_no_thread",
    ),
    mutation(
        "a home folder that can't be looked into keeps PostgreSQL away",
        f"{DATABASE}/connect.py",
        "not _may_read_default_files():",
        "False:",
        "tests/store/test_database_tls.py::test_a_home_folder_that_can_not_be_looked_into",
    ),
)
